"""Remote vision LLMs, with answers validated and retried by instructor."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from mmrag.errors import AnswerError, MMRagError, SettingError
from mmrag.ranking import Ranking
from mmrag.vision.base import Message, Method, RankingConfig, place_images
from mmrag.vision.parsing import ranking_from_answer
from mmrag.vision.remote.client import OpenAICompatibleClient
from mmrag.vision.remote.schema import MAX_GRAMMAR_LABELS, OrderedAnswer, graded_answer_model, permutation_grammar

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from PIL import Image

__all__ = ["Create", "InstructorVision"]

Create = Callable[..., "ChatCompletion"]
"""``create(*, messages, **settings)`` with messages in OpenAI's form, as every such client offers it."""

_PLACEHOLDER = "[image and prompt]"
_GRADE_TOKENS, _DESCRIPTION_TOKENS, _REASON_TOKENS = 12, 40, 200
_FORMATS = {
    "grades": (
        "Answer with one JSON object: for each candidate its number as the key and a whole number "
        'from 0 (does not fit) to 10 (fits best) as the value; last the key "reason".'
    ),
    "permutation": (
        'Answer with one JSON object: "ranking", a list of the numbers of all candidates, best '
        'first, each exactly once; then "reason".'
    ),
}


class InstructorVision:
    """Any LLM that chats about images, as a `VisionLLM`.

    Parameters
    ----------
    create : callable
        Sends messages and returns a completion. It may raise any exception.
    mode : {"MD_JSON", "JSON_SCHEMA"}
        ``"JSON_SCHEMA"`` for servers that enforce a schema, ``"MD_JSON"`` for all others.
    max_retries : int
        How often an incomplete answer is sent back with its fault. Default: 1.
    grammar : bool
        Whether the server takes ``structured_outputs`` (vLLM): then, for the method ``"permutation"``, a complete
        order is enforced while decoding. Default: False.
    ranking_config : RankingConfig or None
        None: the method ``"grades"``, the safest because JSON Schema can require completeness.
    """

    def __init__(
        self,
        create: Create,
        *,
        mode: Literal["MD_JSON", "JSON_SCHEMA"] = "MD_JSON",
        max_retries: int = 1,
        grammar: bool = False,
        ranking_config: RankingConfig | None = None,
    ) -> None:
        if max_retries < 0:
            raise SettingError(f"max_retries={max_retries} is negative: use 0, 1 or 2")
        self._create, self._max_retries, self._grammar = create, max_retries, grammar
        self._mode: Literal["MD_JSON", "JSON_SCHEMA"] = mode
        self.ranking_config = ranking_config or RankingConfig(method="grades")

    @classmethod
    def from_openai(
        cls, *, base_url: str, model: str, api_key: str = "", timeout: float = 60.0, **settings: Any
    ) -> InstructorVision:
        """Connect to an OpenAI-compatible server, for example vLLM or Ollama.

        A pickled copy has no ``api_key``. The first parameters are those of `OpenAICompatibleClient`; ``settings`` are
        those of `InstructorVision`.
        """
        settings.setdefault("mode", "JSON_SCHEMA")
        return cls(OpenAICompatibleClient(base_url, model, api_key, timeout), **settings)

    def rank(
        self, prompt: str, image: Image.Image, n: int, *, method: Method = "grades", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n. Invalid answers are retried; then the most complete one is repaired.

        An LLM that cannot be reached, refuses, or names no candidate raises `AnswerError`.
        """
        if method == "first":
            raise SettingError("a remote LLM gives no logits: use the method 'grades'")
        import instructor
        from instructor.core import InstructorError

        mode = self._mode
        settings: dict[str, Any] = {
            "max_tokens": n * (_GRADE_TOKENS + describe * _DESCRIPTION_TOKENS) + _REASON_TOKENS,
            "max_retries": self._max_retries,
            "response_model": OrderedAnswer if method == "permutation" else graded_answer_model(n, describe=describe),
        }
        if method == "permutation" and self._grammar and n <= MAX_GRAMMAR_LABELS:
            # A server takes a schema or a grammar, not both: the schema goes into the prompt.
            mode = "MD_JSON"
            settings["extra_body"] = {"structured_outputs": {"grammar": permutation_grammar(n)}}
        text = {"type": "text", "text": f"{prompt}\n{_FORMATS[method]}"}
        conversation = _RedactedConversation(self._create, [_image_content_part(image), text])
        create: Callable[..., Any] = instructor.patch(create=conversation, mode=instructor.Mode[mode])
        with suppress(InstructorError):  # no answer was valid, or none came
            answer = create(messages=[{"role": "user", "content": _PLACEHOLDER}], context={"n": n}, **settings)
            return answer.ranking(conversation.answers[-1])
        if not conversation.answers:
            raise AnswerError(conversation.error)
        *earlier, last = conversation.answers
        return ranking_from_answer(last, n, earlier)

    def chat(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``.

        They stand where ``{"type": "image"}`` parts are, or at the start of the first user turn.
        """
        image_parts = map(_image_content_part, images)
        turns = [
            {"role": role, "content": [next(image_parts) if part.get("type") == "image" else part for part in parts]}
            for role, parts in place_images(messages, len(images))
        ]
        return _text(_call(self._create, messages=turns, max_tokens=max_new_tokens))


class _RedactedConversation:
    """A `create` that replaces the placeholder by ``content``, and keeps the answers.

    instructor sees the placeholder only: nothing it logs, renders or raises can show image and prompt.
    """

    def __init__(self, create: Create, content: list[dict[str, Any]]) -> None:
        self._create, self._content = create, content
        self.answers: list[str] = []
        self.error = "the vision LLM gave no answer"

    def __call__(self, *, messages: list[dict[str, Any]], **settings: Any) -> ChatCompletion:
        first = next(index for index, message in enumerate(messages) if message["role"] == "user")
        # instructor may have added text of its own after the placeholder
        added = str(messages[first]["content"]).replace(_PLACEHOLDER, "", 1).strip()
        content = [*self._content, *([{"type": "text", "text": added}] if added else [])]
        request = [*messages[:first], {"role": "user", "content": content}, *messages[first + 1 :]]
        try:
            completion = _call(self._create, messages=request, **settings)
        except AnswerError as error:
            self.error = str(error)
            raise
        self.answers.append(_text(completion))
        return completion


def _call(create: Create, **request: Any) -> ChatCompletion:
    try:
        return create(**request)
    except MMRagError as error:
        fault = str(error)
    except Exception as error:  # its message may quote the prompt: only the type is shown
        fault = f"the vision LLM failed with {type(error).__name__}"
    # Raised outside of the except block, so that no traceback holds the request.
    raise AnswerError(fault)


def _text(completion: ChatCompletion) -> str:
    return (completion.choices[0].message.content or "") if completion.choices else ""


def _image_content_part(image: Image.Image) -> dict[str, Any]:
    """Encode an image as a content part with a JPEG data URL."""
    buffer = io.BytesIO()
    # Full chroma keeps the numbers on a composite sharp.
    image.convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
