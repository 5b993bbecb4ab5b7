"""Every vision LLM that is not local. In: a `create` in OpenAI's form. Out: `rank` and `chat`.

instructor asks, validates and asks again. It gets a placeholder instead of image and prompt,
which go in on the way to the model: nothing it logs, renders or raises can show them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mmrag.errors import AnswerError, MMRagError, SettingError
from mmrag.ranking import Ranking
from mmrag.vision.config import Method, RankingRecipe
from mmrag.vision.parsing import ranking_from_answer, read_answer
from mmrag.vision.remote.client import ChatServer
from mmrag.vision.remote.messages import image_part, placed
from mmrag.vision.remote.schema import MOST_IN_A_GRAMMAR, OrderedAnswer, grades_for, order_grammar

if TYPE_CHECKING:
    import PIL.Image
    from openai.types.chat import ChatCompletion

    from mmrag.vision.base import Message

__all__ = ["Create", "InstructorVision"]

Create = Callable[..., "ChatCompletion"]
"""``create(*, messages, **settings)``, messages in OpenAI's form; what every such client offers."""

_PLACEHOLDER = "[image and prompt]"
_TOKENS_A_GRADE, _TOKENS_A_DESCRIPTION, _TOKENS_A_REASON = 12, 40, 200


class InstructorVision:
    """Rank with any LLM that chats about images, and never lose a candidate.

    Parameters
    ----------
    create
        Sends messages, returns a completion; it may raise whatever it likes.
    mode
        ``"JSON_SCHEMA"`` for servers that enforce a schema, ``"MD_JSON"`` for all others.
    asks_again
        How often an answer that misses a candidate is sent back, with its fault named.
    grammar
        The server takes ``structured_outputs`` (vLLM): with the recipe's method
        ``"permutation"`` a complete order is then enforced while decoding.
    recipe
        How to ask. Grades are safest: their completeness can be said in JSON Schema.
    """

    def __init__(
        self,
        create: Create,
        *,
        mode: Literal["MD_JSON", "JSON_SCHEMA"] = "MD_JSON",
        asks_again: int = 1,
        grammar: bool = False,
        recipe: RankingRecipe | None = None,
    ) -> None:
        if asks_again < 0:
            raise SettingError(f"asks_again={asks_again} is less than never: use 0, 1 or 2")
        self._create = create
        self._mode: Literal["MD_JSON", "JSON_SCHEMA"] = mode
        self._asks_again = asks_again
        self._grammar = grammar
        self.recipe = recipe or RankingRecipe(method="grades")

    @classmethod
    def from_openai(
        cls,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        timeout: float = 60.0,
        asks_again: int = 1,
        grammar: bool = False,
        recipe: RankingRecipe | None = None,
    ) -> InstructorVision:
        """Ask a model behind an OpenAI-compatible address, for instance vLLM's or Ollama's.

        A pickled copy has no ``api_key``: make another in the process that needs one.

        Examples
        --------
        >>> vlm = InstructorVision.from_openai(
        ...     base_url="http://localhost:8000/v1", model="Qwen/Qwen2.5-VL-7B-Instruct"
        ... )
        >>> vlm.recipe.method
        'grades'
        """
        server = ChatServer(base_url, model, api_key, timeout)
        return cls(server, mode="JSON_SCHEMA", asks_again=asks_again, grammar=grammar, recipe=recipe)

    def rank(
        self, prompt: str, image: PIL.Image.Image, n: int, *, method: Method = "grades", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n: validated, else asked again, else mended from what was readable.

        Raises
        ------
        AnswerError
            When the LLM cannot be reached, refuses, or names no candidate at all.
        """
        if method == "first":
            raise SettingError("a remote LLM shows no logits: use the method 'grades'")
        words = {"type": "text", "text": f"{prompt}\n{_FORMATS[method]}"}
        dialogue = _Dialogue(self._create, [image_part(image), words])
        ranking = self._validated(dialogue, n, method, describe)
        return ranking or _mended(dialogue, n)

    def chat(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation; ``images`` go where its ``{"type": "image"}`` parts stand.

        Where there are none, the images open the first user turn.
        """
        turns = placed(messages, images)
        return _text_of(_safely(self._create, messages=turns, max_tokens=max_new_tokens))

    def _validated(self, dialogue: _Dialogue, n: int, method: Method, describe: bool) -> Ranking | None:
        import instructor
        from instructor.core import InstructorError

        ordered = method == "permutation"
        tokens = n * (_TOKENS_A_GRADE + describe * _TOKENS_A_DESCRIPTION) + _TOKENS_A_REASON
        settings: dict[str, Any] = {"max_tokens": tokens}
        mode = self._mode
        if ordered and self._grammar and n <= MOST_IN_A_GRAMMAR:
            # A server takes a schema or a grammar, not both: the schema goes into the words.
            mode = "MD_JSON"
            settings["extra_body"] = {"structured_outputs": {"grammar": order_grammar(n)}}
        ask: Callable[..., Any] = instructor.patch(create=dialogue, mode=instructor.Mode[mode])
        try:
            answer = ask(
                response_model=OrderedAnswer if ordered else grades_for(n, describe=describe),
                messages=[{"role": "user", "content": _PLACEHOLDER}],
                context={"n": n},
                max_retries=self._asks_again,
                **settings,
            )
        except InstructorError:  # no answer was valid, or none came
            return None
        return answer.ranking(dialogue.heard[-1])


_FORMATS: Mapping[str, str] = {
    "grades": (
        "Answer with one JSON object: for each candidate its number as the key and a whole number "
        'from 0 (does not fit) to 10 (fits best) as the value; last the key "reason".'
    ),
    "permutation": (
        'Answer with one JSON object: "ranking", a list of the numbers of all candidates, best '
        'first, each exactly once; then "reason".'
    ),
}


class _Dialogue:
    """A `create` that puts the secret content in, and remembers what was answered."""

    def __init__(self, create: Create, content: list[dict[str, Any]]) -> None:
        self._create, self._content = create, content
        self.heard: list[str] = []
        self.fault = "the vision LLM gave no answer"

    def __call__(self, *, messages: list[dict[str, Any]], **settings: Any) -> ChatCompletion:
        first = next(at for at, message in enumerate(messages) if message["role"] == "user")
        # instructor may have added words of its own behind the placeholder
        rest = str(messages[first]["content"]).replace(_PLACEHOLDER, "", 1).strip()
        added = [{"type": "text", "text": rest}] if rest else []
        full = {"role": "user", "content": [*self._content, *added]}
        try:
            completion = _safely(self._create, messages=[*messages[:first], full, *messages[first + 1 :]], **settings)
        except AnswerError as error:
            self.fault = str(error)
            raise
        self.heard.append(_text_of(completion))
        return completion


def _safely(create: Create, **asked: Any) -> ChatCompletion:
    try:
        return create(**asked)
    except MMRagError as error:
        fault = str(error)
    except Exception as error:  # a stranger's message may quote the prompt: only its type is told
        fault = f"the vision LLM failed with {type(error).__name__}"
    # Raised here and not above, so that no traceback drags the request along.
    raise AnswerError(fault)


def _text_of(completion: ChatCompletion) -> str:
    return (completion.choices[0].message.content or "") if completion.choices else ""


def _mended(dialogue: _Dialogue, n: int) -> Ranking:
    """Take the answer that named most candidates, the latest of equals."""
    answers = reversed(dialogue.heard)
    best = max(answers, key=lambda answer: read_answer(answer).valid(n), default=None)
    if best is None:
        raise AnswerError(dialogue.fault)
    return ranking_from_answer(best, n)
