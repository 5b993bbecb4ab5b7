"""One call to an OpenAI-compatible server. In: messages. Out: an OpenAI `ChatCompletion`.

Plain HTTP instead of the openai client: that one can log whole requests, images and all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from mmrag.errors import AnswerError, SettingError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["ChatServer"]


@dataclass(frozen=True)
class ChatServer:
    """An OpenAI-compatible server (vLLM, Ollama, OpenAI, …) and the model to ask there.

    Attributes
    ----------
    base_url
        Up to and with ``/v1``.
    model
        As the server names it.
    api_key
        Never shown, and left out of pickles; empty where none is needed.
    timeout
        Seconds the server may be silent.
    options
        Further fields of every request, for instance ``{"temperature": 0}``.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    timeout: float = 60.0
    options: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0})

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise SettingError(f"{self.base_url!r} is no http(s) address: give …/v1 of the server")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"api_key": ""}

    def __call__(
        self, *, messages: Sequence[Mapping[str, Any]], model: str | None = None, **settings: Any
    ) -> ChatCompletion:
        """Ask once; what fails is an `AnswerError` that shows neither prompt nor reply."""
        from openai.types.chat import ChatCompletion

        extra: dict[str, Any] = settings.pop("extra_body", {})
        asked = {"model": model or self.model, **self.options, **settings, **extra}
        asked["messages"] = messages
        # Raised outside of the except block, so that no traceback drags the request along.
        reply, fault = self._reply(json.dumps(asked).encode())
        if fault:
            raise AnswerError(f"{self.base_url} {fault}: is the server up, and {self.model!r} there?")
        try:
            return ChatCompletion.model_validate_json(reply)
        except ValueError:
            fault = f"gave {len(reply)} bytes that are no chat completion"
        raise AnswerError(f"{self.base_url} {fault}: is it OpenAI-compatible?")

    def _reply(self, body: bytes) -> tuple[bytes, str]:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        try:
            with urlopen(Request(url, body, headers), timeout=self.timeout) as response:
                return response.read(), ""
        except HTTPError as error:
            error.close()
            return b"", f"answered HTTP {error.code} {error.reason}"
        except TimeoutError:
            return b"", f"said nothing for {self.timeout:g} s"
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                return b"", f"said nothing for {self.timeout:g} s"
            return b"", f"cannot be reached ({error.reason})"
        except OSError as error:
            return b"", f"broke off ({type(error).__name__})"
