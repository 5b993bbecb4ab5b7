"""Connections to Milvus: addresses, retries, and errors with a next step."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import grpc
from filelock import FileLock, Timeout
from pymilvus.exceptions import ConnectionConfigException, MilvusException, ParamError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from mmrag.errors import StoreError, StoreLockedError
from mmrag.images.redact import describe_error, describe_source, url_scheme

__all__ = ["MilvusConnection", "call_with_retry", "parse_uri", "translate_errors"]

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger(__name__)

CONNECT_FAILED, NOT_LOADED = 2, 101
RETRYABLE_CODES = (CONNECT_FAILED, NOT_LOADED)  # down; or up again, and still loading the collection
MAX_ATTEMPTS, FIRST_WAIT, MAX_WAIT = 12, 0.5, 8  # about a minute in all: enough after a kill -9
# They log, with a traceback, what a StoreError says in one sentence, or what Lite can do without.
NOISY_LOGGERS = (
    "grpc._server",
    "milvus_lite.server_manager",
    "pymilvus.client.connection_manager",
    "pymilvus.decorators",
    "pymilvus.orm.iterator",
)


@dataclass(frozen=True)
class MilvusConnection:
    """Address of a Milvus."""

    name: str  # in messages: a folder, or a URI without its credentials
    folder: Path | None = None  # of a Milvus Lite

    def __str__(self) -> str:
        return self.name


def parse_uri(uri: str | os.PathLike[str]) -> MilvusConnection:
    """Parse ``catalog.db`` (Milvus Lite), ``http://host:19530``, or the URI of Zilliz Cloud.

    Raises `StoreError` if the path cannot be a Milvus Lite folder, or is a file of Milvus Lite 2.
    """
    if isinstance(uri, str) and (url_scheme(uri) or uri.startswith("unix:")):
        return MilvusConnection(describe_source(uri))
    folder = Path(os.path.expanduser(uri)).absolute()
    if folder.suffix != ".db":
        raise StoreError(
            f"{str(uri)!r} cannot be a Milvus Lite folder: its name must end in '.db'. "
            "For a server give a URI such as http://localhost:19530"
        )
    if os.path.isfile(folder):  # `Path.is_file` raises where the folder above may not be searched
        raise StoreError(
            f"{folder} is a file, as Milvus Lite 2 wrote them; Milvus Lite 3 keeps a folder. "
            "Index into a new folder, or export the file with the version that made it"
        )
    return MilvusConnection(str(folder), folder)


@contextmanager
def translate_errors(connection: MilvusConnection, operation: str) -> Generator[None]:
    """Convert Milvus and gRPC exceptions to `StoreError`, and keep their own logging quiet."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    for noisy in loggers:
        noisy.addFilter(_drop_errors)
    try:
        yield
    except ConnectionConfigException as error:
        raise _connection_error(connection, error) from None  # its text may quote the URI, with credentials
    except PermissionError as error:
        raise _connection_error(connection, error) from error
    except ParamError as error:
        raise StoreError(f"{operation} in {connection} was not tried: {describe_error(error)}") from error
    except (MilvusException, grpc.RpcError, OSError) as error:
        advice = (
            "Check that Milvus runs there and has room on its disk"
            if connection.folder is None
            else "Check that the disk has room; if it has, move the folder away"
        )
        raise StoreError(
            f"{operation} in {connection} failed ({describe_error(error)}). {advice}; "
            "running the same command again continues where it stopped"
        ) from error
    finally:
        for noisy in loggers:
            noisy.removeFilter(_drop_errors)


def call_with_retry(
    connection: MilvusConnection, operation: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call, again while a server is away, with errors as of `translate_errors`; only for idempotent calls.

    pymilvus itself does not wait: when its first attempt to connect again fails, none of its 75 retries is left.
    """

    def log_retry(state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action else 0
        logger.warning("%s: %s is away, next try in %s s", operation, connection, pause)

    with translate_errors(connection, operation):
        if connection.folder is not None:
            return call(*args, **kwargs)
        retrying = Retrying(
            retry=retry_if_exception(_is_retryable),
            wait=wait_exponential(FIRST_WAIT, max=MAX_WAIT),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            before_sleep=log_retry,
            reraise=True,
        )
        return retrying(call, *args, **kwargs)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, MilvusException) and error.code in RETRYABLE_CODES


def _connection_error(connection: MilvusConnection, error: Exception) -> StoreError:
    folder = connection.folder
    if folder is None:
        return StoreError(f"{connection} is no address of a Milvus server: give one such as http://localhost:19530")
    if _is_locked(folder / "LOCK"):
        return StoreLockedError(
            f"{folder} is open in another process, and Milvus Lite allows one. Close it there, "
            f"or let both use a server: milvus-lite server --data-dir {folder} --port 19530"
        )
    return StoreError(
        f"{folder} cannot be opened ({describe_error(error)}). Check that you may write there and the disk has room"
    )


def _is_locked(lock_file: Path) -> bool:
    if not os.path.isfile(lock_file):
        return False
    try:
        with FileLock(lock_file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _drop_errors(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR
