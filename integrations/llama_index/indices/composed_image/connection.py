"""Where a collection lives. In: a Lite folder or a URI. Out: a `Place`, and errors in words."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import grpc
from pymilvus.exceptions import ConnectionConfigException, MilvusException, ParamError

from mmrag.errors import StoreError, StoreLockedError
from mmrag.images.redact import describe_error, describe_source, url_scheme

__all__ = ["Place", "answered", "patiently", "place_of"]

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger(__name__)

CONNECT_FAILED, NOT_LOADED = 2, 101
AWAY = (CONNECT_FAILED, NOT_LOADED)  # down; or up again, and still loading the collection
PAUSES = (0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8)  # seconds, about a minute: enough after a kill -9
LOUD = (
    "grpc._server",
    "milvus_lite.server_manager",
    "pymilvus.client.connection_manager",
    "pymilvus.decorators",
    "pymilvus.orm.iterator",
)


@dataclass(frozen=True)
class Place:
    """One Milvus.

    Attributes
    ----------
    name
        How it is called in messages: a URI without its credentials.
    folder
        The folder of a Milvus Lite; None for a server.
    """

    name: str
    folder: Path | None = None

    def __str__(self) -> str:
        return self.name


def place_of(uri: str | os.PathLike[str]) -> Place:
    """Read where: ``catalog.db`` (Milvus Lite), ``http://host:19530``, or Zilliz Cloud's URI.

    Raises
    ------
    StoreError
        When the path cannot be a Milvus Lite folder, or is a file of Milvus Lite 2.

    Examples
    --------
    >>> str(place_of("https://root:secret@shop.example:19530"))
    'https://shop.example:19530'
    >>> place_of("catalog")
    Traceback (most recent call last):
    mmrag.errors.StoreError: 'catalog' cannot be a Milvus Lite folder: its name must end...
    """
    if isinstance(uri, str) and (url_scheme(uri) or uri.startswith("unix:")):
        return Place(describe_source(uri))
    folder = Path(os.path.expanduser(uri)).absolute()
    if folder.suffix != ".db":
        raise StoreError(
            f"{str(uri)!r} cannot be a Milvus Lite folder: its name must end in '.db'. "
            "For a server give a URI such as http://localhost:19530"
        )
    if folder.is_file():
        raise StoreError(
            f"{folder} is a file, as Milvus Lite 2 wrote them; Milvus Lite 3 keeps a folder. "
            "Index into a new folder, or export the file with the version that made it"
        )
    return Place(str(folder), folder)


@contextmanager
def answered(place: Place, doing: str) -> Generator[None]:
    """Turn what Milvus, or the way to it, complains about into a `StoreError` with a next step."""
    try:
        with _no_tracebacks():
            yield
    except ConnectionConfigException as error:
        raise _cannot_open(place, error) from None  # its text may quote the URI, with credentials
    except ParamError as error:
        raise StoreError(f"{doing} in {place} was not tried: {describe_error(error)}") from error
    except (MilvusException, grpc.RpcError, OSError) as error:
        advice = (
            "Check that Milvus runs there and has room on its disk"
            if place.folder is None
            else "Check that the disk has room; if it has, move the folder away"
        )
        raise StoreError(
            f"{doing} in {place} failed ({describe_error(error)}). {advice}; "
            "running the same command again continues where it stopped"
        ) from error


def patiently(place: Place, doing: str, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``act``, again after growing pauses while a server is away, and fail as `answered` does.

    Only safe for what may happen twice. pymilvus does not wait: of its 75 retries none is left
    when its first attempt to connect again fails.
    """
    with answered(place, doing):
        for pause in PAUSES if place.folder is None else ():
            try:
                return act(*args, **kwargs)
            except MilvusException as error:
                if error.code not in AWAY:
                    raise
                logger.warning("%s: %s is away, next try in %s s", doing, place, pause)
                time.sleep(pause)
        return act(*args, **kwargs)


def _cannot_open(place: Place, error: Exception) -> StoreError:
    folder = place.folder
    if folder is None:
        return StoreError(f"{place} is no address of a Milvus server: give one such as http://localhost:19530")
    if _is_locked(folder / "LOCK"):
        return StoreLockedError(
            f"{folder} is open in another process, and Milvus Lite allows one. Close it there, "
            f"or let both use a server: milvus-lite server --data-dir {folder} --port 19530"
        )
    return StoreError(
        f"{folder} cannot be opened ({describe_error(error)}). Check that you may write there and the disk has room"
    )


def _is_locked(lock: Path) -> bool:
    try:
        with lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _no_tracebacks() -> Generator[None]:
    # They log, with a traceback, what we tell in one sentence, or what Lite can do without.
    loggers = [logging.getLogger(name) for name in LOUD]
    for loud in loggers:
        loud.addFilter(_not_even_an_error)
    try:
        yield
    finally:
        for loud in loggers:
            loud.removeFilter(_not_even_an_error)


def _not_even_an_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR
