"""Client of an OpenAI-compatible server; unlike the openai client, it never logs requests."""

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

__all__ = ["OpenAICompatibleClient"]


@dataclass(frozen=True)
class OpenAICompatibleClient:
    """Sends chat completions to an OpenAI-compatible server (vLLM, Ollama, OpenAI, …)."""

    base_url: str  # up to and including /v1
    model: str
    api_key: str = field(default="", repr=False)  # never shown, and left out of pickles
    timeout: float = 60.0  # seconds without a byte from the server

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise SettingError(f"{self.base_url!r} is not an http(s) address: give …/v1 of the server")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"api_key": ""}

    def __call__(self, *, messages: Sequence[Mapping[str, Any]], **settings: Any) -> ChatCompletion:
        """Send one request; a failure is an `AnswerError` that shows neither prompt nor reply."""
        from openai.types.chat import ChatCompletion

        extra_body: dict[str, Any] = settings.pop("extra_body", {})
        request = {"model": self.model, "temperature": 0, **settings, **extra_body, "messages": messages}
        # Raised outside of the except blocks, so that no traceback holds the request.
        reply, fault = self._post(json.dumps(request).encode())
        if fault:
            raise AnswerError(f"{self.base_url} {fault}: is the server up, and {self.model!r} there?")
        try:
            return ChatCompletion.model_validate_json(reply)
        except ValueError:
            fault = f"sent {len(reply)} bytes that are no chat completion"
        raise AnswerError(f"{self.base_url} {fault}: is it OpenAI-compatible?")

    def _post(self, body: bytes) -> tuple[bytes, str]:
        """Return the reply, and what went wrong."""
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
        except OSError as error:
            cause = error.reason if isinstance(error, URLError) else error
            if isinstance(cause, TimeoutError):
                return b"", f"sent nothing for {self.timeout:g} s"
            if isinstance(error, URLError):
                return b"", f"cannot be reached ({cause})"
            return b"", f"closed the connection ({type(error).__name__})"
