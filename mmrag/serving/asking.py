"""Read a question off a request. In: JSON, or a form with an image. Out: a `Question`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mmrag.serving.schema import Question

__all__ = ["BODY", "read_question"]

JSON, FORM = "application/json", "multipart/form-data"


async def read_question(request: Request) -> tuple[Question, bytes | str | None]:
    """Read the question, and the image that came with it: a file's bytes, or a data URI.

    Raises
    ------
    HTTPException
        When the body is neither JSON nor a form, or the question cannot be asked.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        question = _checked(Question.model_validate_json, await request.body())
        return question, question.image
    if kind == FORM:
        return await _read_form(request)
    raise HTTPException(415, f"a search is sent as {JSON} or {FORM}, not as {kind or 'nothing'}")


async def _read_form(request: Request) -> tuple[Question, bytes | None]:
    async with request.form(max_files=1, max_fields=10) as form:
        upload = form.get("image")
        # a browser sends a field for a file that nobody picked
        picked = isinstance(upload, UploadFile) and (upload.size or upload.filename)
        image = await upload.read() if isinstance(upload, UploadFile) and picked else None
        fields = {
            key: value
            for key, value in form.items()
            if value != "" and not (key == "image" and isinstance(value, UploadFile))
        }
    if isinstance(fields.get("image"), str):
        raise HTTPException(422, "image: in a form, an image is a file")
    return _checked(Question.model_validate, fields), image


def _checked(read: Any, body: Any) -> Question:
    try:
        return read(body)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors()[:5]]
        raise HTTPException(422, "; ".join(faults)) from error


def _form_schema() -> dict[str, Any]:
    schema = Question.model_json_schema()
    image = {"type": "string", "format": "binary", "description": "An image file."}
    # a form knows no null: what is left out is not given
    plain = {
        name: next((kind | _told(field) for kind in field["anyOf"]), field) if "anyOf" in field else field
        for name, field in schema["properties"].items()
    }
    return schema | {"properties": plain | {"image": image}}


def _told(field: dict[str, Any]) -> dict[str, Any]:
    return {"title": field["title"], "description": field["description"]}


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": Question.model_json_schema()}, FORM: {"schema": _form_schema()}},
    }
}
"""What OpenAPI is told of the body: one of two forms, which FastAPI cannot say by itself."""
