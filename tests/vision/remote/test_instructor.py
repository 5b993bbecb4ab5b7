"""Remote vision LLMs: complete rankings, retries, clear errors, no secrets in logs."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from mmrag.errors import AnswerError, QueryError, SettingError
from mmrag.vision import RankingConfig
from mmrag.vision.remote.instructor import InstructorVision

IMAGE = Image.new("RGB", (64, 32), "orange")
SECRET = "a bag {{ like }} SECRETWISH"


def graded(*grades: int) -> str:
    return json.dumps({str(x): grade for x, grade in enumerate(grades, 1)} | {"reason": "fits"})


class Server(ThreadingHTTPServer):
    """Speaks the OpenAI chat format on loopback: answers from a script, keeps the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str | int | float | bytes | dict] = []
        self.requests: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(json.loads(body) | {"path": self.path, **self.headers})
        step = self.server.script.pop(0) if len(self.server.script) > 1 else self.server.script[0]
        if isinstance(step, float):  # silence
            time.sleep(step)
        elif isinstance(step, int):
            self.send_error(step, explain=body.decode())  # as rude servers do
        else:
            self.reply(step if isinstance(step, bytes) else completion(step))

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def completion(step: str | dict) -> bytes:
    message = {"role": "assistant", "content": step} if isinstance(step, str) else step
    finish = message.pop("finish_reason", "stop")
    choice = {"index": 0, "finish_reason": finish, "message": message}
    outer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps(outer | {"choices": [choice]}).encode()


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def vision(server: Server, **settings) -> InstructorVision:
    settings = {"timeout": 5.0, "api_key": "SECRETKEY"} | settings
    return InstructorVision.from_openai(base_url=server.url, model="m", **settings)


def test_grades_become_a_ranking(server):
    server.script = [graded(2, 9, 2)]
    ranking = vision(server).rank("Rank.", IMAGE, 3)
    assert (ranking.order, ranking.scores, ranking.reason) == ([2, 1, 3], [2, 9, 2], "fits")
    assert (ranking.repairs, ranking.answer) == ([], graded(2, 9, 2))


def test_the_server_gets_image_prompt_schema_and_key(server):
    server.script = [graded(1, 2)]
    vision(server).rank(SECRET, IMAGE, 2)
    (request,) = server.requests
    image, text = request["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert text["text"].startswith(SECRET)  # braces and all: not rendered as a template
    schema = request["response_format"]["json_schema"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["1", "2", "reason"], False)
    assert request["Authorization"] == "Bearer SECRETKEY"
    assert (request["path"], request["temperature"]) == ("/v1/chat/completions", 0)


def test_an_incomplete_answer_is_retried(server):
    server.script = [graded(5, 6), graded(5, 6, 7)]
    ranking = vision(server).rank("Rank.", IMAGE, 3)
    assert (ranking.order, ranking.repairs) == ([3, 2, 1], [])
    again = server.requests[1]["messages"]
    assert again[0]["content"][0]["type"] == "image_url"
    assert "3\n  Field required" in again[-1]["content"]


@pytest.mark.parametrize(("max_retries", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_after_the_last_retry_the_answer_is_repaired(server, max_retries, calls):
    server.script = [graded(5, 6)]
    ranking = vision(server, max_retries=max_retries).rank("Rank.", IMAGE, 3)
    assert (ranking.order, ranking.repairs) == ([2, 1, 3], ["missing: 3"])
    assert len(server.requests) == calls


def test_the_most_complete_answer_is_repaired(server):
    server.script = [graded(5, 6), "I cannot rank images."]
    assert vision(server).rank("Rank.", IMAGE, 3).order == [2, 1, 3]


def test_an_answer_is_used_when_the_retry_fails(server):
    server.script = [graded(5, 6), 500]
    assert vision(server).rank("Rank.", IMAGE, 3).order == [2, 1, 3]


def test_truncated_json_keeps_its_complete_grades(server):
    cut = graded(1, 5, 9)[:18]
    server.script = [{"role": "assistant", "content": cut, "finish_reason": "length"}]
    ranking = vision(server).rank("Rank.", IMAGE, 3)
    assert (ranking.order, ranking.repairs) == ([2, 1, 3], ["missing: 3"])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (500, "HTTP 500"),
        (404, "HTTP 404"),
        (0.6, "sent nothing for 0.2 s"),
        (b"<html>SECRETWISH</html>", "no chat completion"),
        (b"", "no chat completion"),
        ({"role": "assistant", "content": None, "refusal": "No."}, "none of the 3 candidates"),
        ("I'm sorry, I can't help with that.", "none of the 3 candidates"),
        ("", "none of the 3 candidates"),
    ],
    ids=str,
)
def test_a_failure_is_an_answer_error_without_secrets(server, step, message, caplog):
    caplog.set_level(logging.DEBUG)
    server.script = [step]
    with pytest.raises(AnswerError, match=message) as caught:
        vision(server, timeout=0.2).rank(SECRET, IMAGE, 3)
    image = server.requests[0]["messages"][0]["content"][0]["image_url"]["url"][-40:]
    shown = caplog.text + "".join(traceback.format_exception(caught.value))
    for secret in ("SECRETWISH", "SECRETKEY", image):
        assert secret not in shown
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_an_unreachable_server_is_an_answer_error(server):
    vlm = InstructorVision.from_openai(base_url="http://127.0.0.1:9/v1", model="m", timeout=1)
    with pytest.raises(AnswerError, match="cannot be reached"):
        vlm.rank(SECRET, IMAGE, 3)


def test_the_log_of_a_success_holds_no_secrets(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.script = [graded(1, 2), graded(1, 2, 3)]
    vision(server).rank(SECRET, IMAGE, 3)
    assert "SECRET" not in caplog.text
    assert "base64" not in caplog.text


def test_a_foreign_exception_is_reported_by_its_type_only(caplog):
    def create(*, messages, **_):
        raise RuntimeError(str(messages))

    caplog.set_level(logging.DEBUG)
    with pytest.raises(AnswerError, match="failed with RuntimeError") as caught:
        InstructorVision(create).rank(SECRET, IMAGE, 2)
    assert "SECRETWISH" not in caplog.text + "".join(traceback.format_exception(caught.value))


def test_a_grammar_is_sent_if_the_server_takes_one(server):
    server.script = ['```json\n{"ranking": [2, 1, 3], "reason": "spots"}\n```']
    config = RankingConfig(method="permutation")
    vlm = vision(server, grammar=True, ranking_config=config)
    assert vlm.rank("Rank.", IMAGE, 3, method="permutation").order == [2, 1, 3]
    (request,) = server.requests
    assert request["structured_outputs"]["grammar"].startswith("root ::= ")
    assert "response_format" not in request


def test_an_incomplete_order_without_grammar_is_retried(server):
    server.script = ['{"ranking": [2, 1], "reason": ""}', '{"ranking": [3, 2, 1], "reason": ""}']
    assert vision(server).rank("Rank.", IMAGE, 3, method="permutation").order == [3, 2, 1]
    assert "missing: 3" in server.requests[1]["messages"][-1]["content"]


def test_descriptions_are_returned(server):
    answer = {"1 shows": "a cat", "1": 1, "2 shows": "a dog", "2": 9, "reason": "barks"}
    server.script = [json.dumps(answer)]
    ranking = vision(server).rank("Rank.", IMAGE, 2, describe=True)
    assert (ranking.order, ranking.descriptions) == ([2, 1], ["a cat", "a dog"])


def test_images_open_the_first_user_turn(server):
    server.script = ["an orange rectangle"]
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "What is it?"}]
    assert vision(server).chat(turns, [IMAGE, IMAGE]) == "an orange rectangle"
    system, user = server.requests[0]["messages"]
    assert [part["type"] for part in system["content"]] == ["text"]
    assert [part["type"] for part in user["content"]] == ["image_url", "image_url", "text"]


def test_image_parts_place_the_images(server):
    server.script = ["the second"]
    image, words = {"type": "image"}, {"type": "text", "text": "or"}
    vision(server).chat([{"role": "user", "content": [image, words, image]}], [IMAGE] * 2)
    kinds = [part["type"] for part in server.requests[0]["messages"][0]["content"]]
    assert kinds == ["image_url", "text", "image_url"]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_the_number_of_image_parts_must_equal_the_number_of_images(server, role):
    with pytest.raises(QueryError, match="2 images are given"):
        content = [{"type": "image"}] if role == "user" else "no user here"
        vision(server).chat([{"role": role, "content": content}], [IMAGE] * 2)


def test_concurrent_callers_get_their_own_answers(server):
    from concurrent.futures import ThreadPoolExecutor

    server.script = [graded(1, 2, 3)]
    vlm = vision(server)
    with ThreadPoolExecutor(8) as pool:
        orders = pool.map(lambda _: vlm.rank("Rank.", IMAGE, 3).order, range(16))
    assert list(orders) == [[3, 2, 1]] * 16


def test_it_can_be_pickled(server):
    server.script = [graded(1, 2)]
    copy = pickle.loads(pickle.dumps(vision(server)))
    assert copy.rank("Rank.", IMAGE, 2).order == [2, 1]


def test_invalid_settings_are_refused():
    with pytest.raises(SettingError, match="max_retries=-1"):
        InstructorVision(lambda **_: None, max_retries=-1)
    with pytest.raises(SettingError, match="'localhost:8000' is not"):
        InstructorVision.from_openai(base_url="localhost:8000", model="m")
    with pytest.raises(SettingError, match="no logits"):
        InstructorVision(lambda **_: None).rank("Rank.", IMAGE, 2, method="first")
