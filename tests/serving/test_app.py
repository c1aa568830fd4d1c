"""The HTTP API: answers are those of the model, and whatever a client does wrong is told in one message."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from made_server import client

from taskloom.inference.predictor import Model
from taskloom.serving.app import make_app
from taskloom.serving.settings import Settings
from taskloom.serving.works import PredictWork

TEXTS = ["a bee sang", "the big red car"]
LABELS = ["music", "cars", "food"]


def test_own_body_gets_what_classify_returns(http: Any, served_model: Model) -> None:
    """Labels, scores and order are those of `model.classify`, for a list and for a single text."""
    wanted = served_model.classify(TEXTS, LABELS, multi_label=True, hypothesis_template="It is about {}.")
    asked = {"texts": TEXTS, "labels": LABELS, "multi_label": True, "template": "It is about {}."}
    answer = http.post("/classify", json=asked)
    assert answer.status_code == 200
    assert same(answer.json()["results"], wanted)
    assert same(http.post("/classify", json=asked | {"texts": TEXTS[1]}).json()["results"], wanted[1:])


def test_descriptions_and_none_of_these(http: Any, served_model: Model) -> None:
    """Labels may be {name: description}, and with `none_below` answers have a label or null, as from the model."""
    labels = {"music": "something that sounds", "cars": "what stands in a garage"}
    wanted = served_model.classify(TEXTS, labels, none_below=0.99)
    found = http.post("/classify", json={"texts": TEXTS, "labels": labels, "none_below": 0.99}).json()["results"]
    assert same(found, wanted)
    assert [one["label"] for one in found] == [one["label"] for one in wanted]
    assert [one["fits"] for one in found] == pytest.approx([one["fits"] for one in wanted], abs=1e-5)


def test_hugging_face_body_is_answered_in_its_form(http: Any, served_model: Model) -> None:
    """One text gives an object, a list a list, labels may be one string; numbers are those of the pipeline."""
    wanted = served_model.classify(TEXTS, LABELS)
    one = {"inputs": TEXTS[0], "parameters": {"candidate_labels": "music, cars, food"}}
    assert same([http.post("/classify", json=one).json()], wanted[:1])
    options = {"hypothesis_template": None, "multi_label": None}
    two = {"inputs": TEXTS, "parameters": {"candidate_labels": LABELS, **options}, "options": {"use_cache": False}}
    assert same(http.post("/classify", json=two).json(), wanted)


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Tell whether results are equal, scores up to rounding in another batch."""
    for one, other in zip(found, wanted, strict=True):
        assert (one["sequence"], one["labels"]) == (other["sequence"], other["labels"])
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    return True


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("made/nli", ["a bee", {"text": "a bee", "pair": "it sang"}]),
        ("made/topics@1", ["a big car"]),
        ("made/similarity", [{"text": "a", "pair": "b"}]),
        ("made/choices", [{"prompt": "saw", "choices": ["a", "the bee", "it"]}]),
        ("made/entities", [{"tokens": ["a", "bee"]}, "a bee sang"]),
    ],
)
def test_every_kind_is_answered(http: Any, served_model: Model, task: str, rows: list[Any]) -> None:
    """For each kind the results are those of `model.predict`, under the task's id with its version."""
    answer = http.post(f"/predict/{task}", json={"rows": rows})
    assert answer.status_code == 200
    found = answer.json()
    assert found["task"] == task.removesuffix("@1") + "@1"
    wanted = json.loads(json.dumps(served_model.predict(task, rows)))
    assert len(found["results"]) == len(rows)
    for one, other in zip(found["results"], wanted, strict=True):
        assert one.keys() == other.keys()
        assert all(one[key] == other[key] for key in one if key in ("label", "labels"))
        numbers = [value if isinstance(value, list) else [value] for value in (one.get("score"),) if value is not None]
        assert all(number == pytest.approx([other["score"]], abs=1e-4) for number in numbers)


def test_threshold_of_labels(http: Any) -> None:
    """A multilabel task gives all labels at 0 and those that are sure at 1."""
    answers = [
        http.post("/predict/made/topics", json={"rows": ["a"], "threshold": at}).json()["results"][0] for at in (0, 1)
    ]
    assert len(answers[0]["labels"]) == 4
    assert answers[1]["labels"] == []


def test_ids_with_slashes_and_ampersands_are_found(tiny_bert: Any, tmp_path: Any) -> None:
    """An id stands in the path as it is, or percent-encoded."""
    from made_models import MAX_LENGTH, made_model
    from taskloom.inference.predictor import load_model
    from taskloom.modeling.head_table import HeadTable

    network = made_model(tiny_bert, names=("nli",))
    record = network.table.to_json()[0] | {"id": "a/b&c/d", "task": "a/b&c/d@1"}
    network.table = HeadTable.from_json([record])
    network.save(tmp_path, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny")
    with client(load_model(tmp_path, device="cpu")) as http:
        for path in ("/predict/a/b&c/d", "/predict/a%2Fb%26c%2Fd@1"):
            assert http.post(path, json={"rows": ["a"]}).status_code == 200, path


def test_tasks_tell_kind_and_labels(http: Any) -> None:
    """Every trained task is listed with what it needs; the zero-shot task is named."""
    found = http.get("/tasks").json()
    assert (found["model"], found["zero_shot"]) == ("made", "made/nli@1")
    by_id = {task["id"]: task for task in found["tasks"]}
    assert by_id["made/topics"]["labels"] == ["food", "cars", "music", "art"]
    assert (by_id["made/similarity"]["low"], by_id["made/similarity"]["high"]) == (1.0, 5.0)


def test_recipes_tell_the_rest(tiny_bert: Any) -> None:
    """A task of the catalog comes with its question, source, license, and whether it has a second text."""
    from taskloom.modeling.head_table import Head
    from taskloom.serving.known_tasks import _described

    head = Head("glue/rte@1", "glue/rte", "classification", ("entailment", "not_entailment"), "key", (0, 1))
    found = _described(head)
    assert found.pair is True
    assert found.family == "nli"
    assert found.source is not None and "glue" in found.source


def test_health_and_metrics(http: Any) -> None:
    """Health says that requests are taken; metrics count requests by path, and rows that were computed together."""
    assert http.get("/health").json() == {"status": "ok", "model": "made", "tasks": 6, "queued": 0}
    http.post("/classify", json={"texts": TEXTS, "labels": LABELS})
    http.post("/predict/no/such", json={"rows": ["a"]})
    http.get("/no/such/path")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'taskloom_requests_total{path="/classify",status="200"} 1.0' in lines
    assert 'taskloom_requests_total{path="/predict/{task:path}",status="404"} 1.0' in lines
    assert 'taskloom_requests_total{path="other",status="404"} 1.0' in lines
    assert 'taskloom_turn_rows_sum{work="classify"} 2.0' in lines


MISTAKES = {
    "no labels": ("/classify", {"texts": "a", "labels": []}, 422, "labels: Value should have at least 1 item"),
    "only commas": ("/classify", {"inputs": "a", "parameters": {"candidate_labels": ", ,"}}, 422, "no labels"),
    "misspelled key": ("/classify", {"text": "a", "labels": ["b"]}, 422, "text: Extra inputs are not permitted"),
    "no gap": ("/classify", {"texts": "a", "labels": ["b"], "template": "x"}, 422, "must have one {}"),
    "long label": ("/classify", {"texts": "a", "labels": ["b " * 40]}, 422, "leaves no room for a text"),
    "way without its head": ("/classify", {"texts": "a", "labels": ["b"], "way": "one-pass"}, 422, "no one-pass head"),
    "not a text": ("/classify", {"texts": [1], "labels": ["b"]}, 422, "texts.0: Input should be a valid string"),
    "unknown task": ("/predict/made/nly", {"rows": ["a"]}, 404, "Did you mean 'made/nli'"),
    "other version": ("/predict/made/nli@7", {"rows": ["a"]}, 404, "made/nli@1"),
    "other kind": ("/predict/made/choices", {"rows": [{"prompt": "a", "choices": ["b"]}, "a"]}, 422, "Row 1 is 'a'"),
    "no choices": ("/predict/made/choices", {"rows": [{"prompt": "a", "choices": []}]}, 422, "at least 1 item"),
    "no body": ("/classify", None, 422, "body: "),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(http: Any, name: str) -> None:
    """Each gets its status and a message that names the place; nothing of a traceback."""
    path, body, status, told = MISTAKES[name]
    answer = http.post(path, json=body) if body is not None else http.post(path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert told in answer.json()["error"]
    assert "Traceback" not in answer.text and ".py" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"texts": "\xff", "labels": ["a"]}', 400),
        (b'{"texts": "\\ud800", "labels": ["a"]}', 422),
        (b'{"texts": "a", "labels": ["\\udfff"]}', 422),
        (b'{"texts": ', 422),
        (b"[" * 100_000, 400),
        (b'{"texts": NaN, "labels": Infinity}', 422),
        (b"1" * 10_000, 400),
        (b"", 422),
    ],
)
def test_malformed_bodies_are_refused(http: Any, body: bytes, status: int) -> None:
    """Broken UTF-8, half characters, cut-off, endless and empty JSON are the client's fault, never the server's."""
    answer = http.post("/classify", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_paths_and_methods_that_are_not_there(http: Any) -> None:
    """404 and 405 come as messages too."""
    assert http.get("/nothing").json() == {"error": "Not Found"}
    refused = http.get("/classify")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_limits(served_model: Model) -> None:
    """Too many bytes, declared or sent in pieces, get 413; too many texts, labels or choices 422."""
    with client(served_model, max_body=300, max_texts=2, max_labels=3) as http:

        def status(path: str, body: Any) -> int:
            return int(http.post(path, json=body).status_code)

        assert status("/classify", {"texts": ["a"] * 2, "labels": ["b"] * 3}) == 200
        assert status("/classify", {"texts": ["a"] * 3, "labels": ["b"]}) == 422
        assert status("/classify", {"texts": ["a"], "labels": ["b"] * 4}) == 422
        assert status("/predict/made/nli", {"rows": ["a"] * 3}) == 422
        assert status("/predict/made/choices", {"rows": [{"prompt": "a", "choices": ["b"] * 4}]}) == 422
        assert status("/classify", {"texts": "a" * 300, "labels": ["b"]}) == 413
        pieces = (b"a" * 100 for _ in range(4))
        assert http.post("/classify", content=pieces).status_code == 413


def test_one_request_too_many_is_told_when_to_come_again(served_model: Model) -> None:
    """With a line of one, of many requests at a time some are answered and the others get 429 with Retry-After."""
    import httpx2

    async def ask() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(make_app(served_model, Settings(max_queued=1)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
            body = {"texts": ["a bee"] * 50, "labels": LABELS}
            return await asyncio.gather(*(http.post("/classify", json=body) for _ in range(12)))

    answers = asyncio.run(ask())
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    assert all(int(one.headers["retry-after"]) >= 1 for one in answers if one.status_code == 429)


def test_who_hangs_up_leaves_the_line(served_model: Model) -> None:
    """A request whose client goes away while it waits is never computed, and is counted."""
    app = make_app(served_model)
    line = app.state.service.batcher
    begun, held = threading.Event(), threading.Event()

    def compute(_work: Any, rows: list[Any]) -> list[Any]:
        begun.set()
        assert held.wait(30)
        return rows

    async def hang_up() -> int:
        line._compute = compute
        first = asyncio.create_task(line.answer(PredictWork("made/nli@1", 0.5), [{"text": "first"}]))
        assert await asyncio.to_thread(begun.wait, 30)
        left = asyncio.Event()
        request = asyncio.create_task(app(*asgi_call({"texts": ["a"], "labels": ["b"]}, left)))
        while line.queued == 0:
            await asyncio.sleep(0.001)
        left.set()
        await request
        waiting = line.queued
        held.set()
        assert await first == [{"text": "first"}]
        return int(waiting)

    assert asyncio.run(hang_up()) == 0
    line.close()
    counted = app.state.service.measures.text().decode()
    assert "taskloom_gone_total 1.0" in counted
    assert 'work="classify"' not in counted


def asgi_call(body: dict[str, Any], left: asyncio.Event) -> tuple[Any, Any, Any]:
    """Return scope, receive and send of a request to /classify whose client goes away when `left` is set."""
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_message: dict[str, Any]) -> None:
        return None

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/classify", "headers": headers, "query_string": b""}
    return scope, receive, send


def test_key_is_asked_for(served_model: Model) -> None:
    """With a key set, the page and health are open, all else needs it in one of two headers."""
    with client(served_model, api_key="sesame") as http:
        assert http.get("/").status_code == http.get("/health").status_code == 200
        refused = http.get("/tasks")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "sesame" not in refused.text
        for headers in ({"Authorization": "Bearer sesame"}, {"X-API-Key": "sesame"}):
            assert http.get("/tasks", headers=headers).status_code == 200
        for wrong in ("", "sesam", "sesame1", "é"):
            assert http.get("/metrics", headers={"X-API-Key": wrong.encode()}).status_code == 401


def test_what_is_open_tells_nothing_about_the_model(served_model: Model) -> None:
    """Without the key, health says only that the server is up, and the description names no trained task."""
    with client(served_model, api_key="sesame") as http:
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/health", headers={"X-API-Key": "sesam"}).json() == {"status": "ok"}
        whole = http.get("/health", headers={"X-API-Key": "sesame"}).json()
        assert whole == {"status": "ok", "model": "made", "tasks": 6, "queued": 0}
        described = http.get("/openapi.json")
        assert described.status_code == 200
        assert not [task for task in served_model.tasks if task.partition("@")[0] in described.text]


def test_stopping_server_refuses(http: Any) -> None:
    """Once it stops, new requests get 503 with Retry-After, and health says so."""
    http.app.state.service.batcher.refuse()
    answer = http.post("/classify", json={"texts": "a", "labels": ["b"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    health = http.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "stopping")


def test_a_fault_of_ours_shows_nothing(served_model: Model, caplog: pytest.LogCaptureFixture) -> None:
    """An exception inside gives 500 with a plain message; its traceback is in the log alone."""
    with client(served_model) as http:
        http.app.state.service.batcher._compute = lambda work, rows: 1 / 0
        answer = http.post("/classify", json={"texts": "a", "labels": ["b"]})
    assert answer.status_code == 500
    assert answer.json() == {"error": "The server failed; its log says how."}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "ZeroDivisionError" in caplog.text


def test_model_without_entailment_says_so(tiny_bert: Any, tmp_path: Any) -> None:
    """Classify is refused with what to train, predict works, and /tasks says that there is no zero-shot head."""
    from made_models import MAX_LENGTH, made_model
    from taskloom.inference.predictor import load_model

    made_model(tiny_bert, names=("topics",)).save(
        tmp_path, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    with client(load_model(tmp_path, device="cpu")) as http:
        refused = http.post("/classify", json={"texts": "a", "labels": ["b"]})
        assert refused.status_code == 422
        assert "no entailment head" in refused.json()["error"]
        assert http.get("/tasks").json()["zero_shot"] is None


def test_description_tells_limits_and_examples_work(http: Any) -> None:
    """The OpenAPI description names the limits, and the examples in it are answered."""
    described = http.get("/openapi.json").json()
    assert "1,000,000 bytes" in described["info"]["description"]
    assert set(described["paths"]) == {"/classify", "/predict/{task}", "/tasks", "/health", "/metrics"}
    schemas = described["components"]["schemas"]
    assert schemas["ClassifyBody"]["properties"]["labels"]["anyOf"][0]["maxItems"] == 200
    examples = described["paths"]["/predict/{task}"]["post"]["parameters"][0]["examples"]
    assert examples["multiple_choice"] == {"value": "made/choices"}
    for name in ("ClassifyBody", "HuggingFaceBody"):
        for example in schemas[name]["examples"]:
            assert http.post("/classify", json=example).status_code == 200
    tasks = ("made/nli", "made/choices", "made/entities")
    for task, example in zip(tasks, schemas["PredictBody"]["examples"], strict=True):
        assert http.post(f"/predict/{task}", json=example).status_code == 200
