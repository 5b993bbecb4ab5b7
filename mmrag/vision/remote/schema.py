"""Answer models for remote vision LLMs, and a grammar of complete rankings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, model_validator

from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.vision.parsing import MAX_REASON_CHARS

__all__ = ["MAX_GRAMMAR_LABELS", "GradedAnswer", "OrderedAnswer", "graded_answer_model", "permutation_grammar"]

MAX_GRAMMAR_LABELS = 12  # the grammar has 2^n rules: 4095 at this size, compiled in a second

_Grade = Annotated[int, Field(ge=0, le=10)]


class GradedAnswer(BaseModel):
    """One grade from 0 to 10 for each label, then a reason; see `graded_answer_model`."""

    # An error goes back to the model and into logs: it names the fault and does not quote the input.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def ranking(self, answer: str) -> Ranking:
        """Sort the labels by grade; ``answer`` is the raw text."""
        values = self.model_dump()
        grades = {int(name): grade for name, grade in values.items() if name.isdecimal()}
        reason = values["reason"].strip()[:MAX_REASON_CHARS]
        ranking = ranking_from_grades(grades, len(grades), reason=reason, answer=answer)
        descriptions = [value for name, value in values.items() if name.endswith(" shows")]
        return ranking.model_copy(update={"descriptions": descriptions})


class OrderedAnswer(BaseModel):
    """Every label once, best first, then a reason; validated against ``n`` of the validation context."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    labels: list[int] = Field(alias="ranking")
    reason: str

    @model_validator(mode="after")
    def _is_complete(self, info: ValidationInfo) -> OrderedAnswer:
        n = info.context["n"] if info.context else 0
        if repairs := ranking_from_labels(self.labels, n).repairs:
            raise ValueError(f"the ranking must name each label once; {'; '.join(repairs)}")
        return self

    def ranking(self, answer: str) -> Ranking:
        """Return the labels as a ranking; ``answer`` is the raw text."""
        reason = self.reason.strip()[:MAX_REASON_CHARS]
        return ranking_from_labels(self.labels, len(self.labels), reason=reason, answer=answer)


def graded_answer_model(n: int, *, describe: bool = False) -> type[GradedAnswer]:
    """Create the answer model of ``n`` candidates, with a description before each grade if wanted."""
    fields: dict[str, Any] = {}
    for label in range(1, n + 1):
        if describe:
            fields[f"{label} shows"] = (str, ...)
        fields[str(label)] = (_Grade, ...)
    return create_model("Grades", __base__=GradedAnswer, **fields, reason=(str, ...))


def permutation_grammar(n: int) -> str:
    """Write an EBNF grammar of complete rankings of ``n`` labels: one rule per set of labels already used."""
    all_used = (1 << n) - 1
    rules = [r'root ::= "{\"ranking\": [" s0 "], \"reason\": \"" letter* "\"}"', r'letter ::= [^"\\\x00-\x1f]']
    for used in range(all_used):
        unused = [label for label in range(n) if not used >> label & 1]
        is_last = len(unused) == 1
        choices = [f'"{label + 1}"' if is_last else f'"{label + 1}, " s{used | 1 << label}' for label in unused]
        rules.append(f"s{used} ::= {' | '.join(choices)}")
    return "\n".join(rules)
