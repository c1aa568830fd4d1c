"""The HTTP API of a trained model, with a page at /.

Every answer that is not a result is {"error": message}: 400 and 422 for what a client can mend, 401 without the key,
404 with the nearest ids, 413, 429 with Retry-After, 503 while stopping. Nothing of a traceback ever leaves the server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from taskloom import __version__
from taskloom.errors import UnknownTaskError, UserError
from taskloom.evaluation.routes import place_of
from taskloom.inference.predictor import Model
from taskloom.serving import description
from taskloom.serving.asking import asked, canonical_row, check_limits
from taskloom.serving.batching import Batcher, QueueFull, Stopping
from taskloom.serving.bodies import (
    FIELDS,
    AnyClassifyBody,
    Classified,
    ClassifyAnswer,
    ClassifyBody,
    HealthAnswer,
    PredictAnswer,
    PredictBody,
    Problem,
    TasksAnswer,
)
from taskloom.serving.guard import Guard, may_ask
from taskloom.serving.known_tasks import known_tasks
from taskloom.serving.measures import Measures
from taskloom.serving.settings import Settings
from taskloom.serving.works import PredictWork, Work

PAGE = Path(__file__).parent / "page"
ABOUT = """Zero-shot classification with labels given on the spot, and answers of every trained task.

Limits: {body:,} bytes a request, {texts} texts, {labels} labels. Requests that come together are computed together."""
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not JSON in UTF-8."},
    401: {"model": Problem, "description": "The server asks for a key."},
    408: {"model": Problem, "description": "The body came too slowly."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "The body does not fit; the message says where."},
    429: {"model": Problem, "description": "Too many requests wait; Retry-After says for how long to stay away."},
    503: {"model": Problem, "description": "The server is stopping."},
}

MOST_TOLD = 5


@dataclass(frozen=True)
class Service:
    """What endpoints share."""

    model: Model
    settings: Settings
    batcher: Batcher
    measures: Measures
    tasks: TasksAnswer


def make_app(model: Model, settings: Settings | None = None) -> FastAPI:
    """Return the application that serves `model`; the model computes in one thread of its own."""
    settings, measures = settings or Settings(), Measures()

    def compute(work: Work, rows: list[Any]) -> list[Any]:
        return work.answers(model, rows)

    batcher = Batcher(
        compute, most_queued=settings.max_queued, gather_seconds=settings.gather_ms / 1000, seen=measures.turn
    )
    measures.queued.set_function(lambda: batcher.queued)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        batcher.open()
        yield
        await asyncio.to_thread(batcher.close)

    about = ABOUT.format(body=settings.max_body, texts=settings.max_texts, labels=settings.max_labels)
    app = FastAPI(
        title="taskloom", version=__version__, description=about, lifespan=lifespan, docs_url=None, redoc_url=None
    )  # the usual pages for reading the description come from other servers
    app.state.service = Service(model, settings, batcher, measures, known_tasks(model))
    app.include_router(ROUTER)
    app.add_middleware(Guard, settings=settings, batcher=batcher, measures=measures)
    app.add_exception_handler(RequestValidationError, _misfit)
    app.add_exception_handler(StarletteHTTPException, _plain)
    description.complete(app, settings, app.state.service.tasks)
    return app


ROUTER = APIRouter()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(_service)]


@ROUTER.post("/classify", response_model=ClassifyAnswer | Classified | list[Classified], responses=PROBLEMS)
async def classify(body: AnyClassifyBody, request: Request, service: Shared) -> Response:
    """Classify texts with labels given on the spot.

    The body of the Hugging Face inference API is taken too, and answered as its zero-shot pipeline does: an object for
    one text, a list for several.
    """
    texts, work = asked(service.model, body)
    check_limits(service.settings, texts=len(texts), labels=len(work.labels.names))
    results = await _answers(service, request, work, texts)
    if isinstance(body, ClassifyBody):
        return JSONResponse({"results": results})
    return JSONResponse(results[0] if isinstance(body.inputs, str) else results)


@ROUTER.post("/predict/{task:path}", response_model=PredictAnswer, responses={404: {"model": Problem}, **PROBLEMS})
async def predict(task: str, body: PredictBody, request: Request, service: Shared) -> Response:
    """Answer rows of a trained task; its id may hold slashes, and a version after an @."""
    try:
        head = service.model.heads[place_of(service.model.network.table, task)]
    except UnknownTaskError as error:
        raise HTTPException(404, f"{error} GET /tasks lists them.") from error
    rows = [canonical_row(given, head.kind, number) for number, given in enumerate(body.rows)]
    most = max((len(row.get("choices", ())) for row in rows), default=0)
    check_limits(service.settings, texts=len(rows), labels=most)
    results = await _answers(service, request, PredictWork(head.task, body.threshold), rows)
    return JSONResponse({"task": head.task, "kind": head.kind, "results": results})


@ROUTER.get("/tasks", responses={401: PROBLEMS[401]})
async def tasks(service: Shared) -> TasksAnswer:
    """List what the model was trained on."""
    return service.tasks


@ROUTER.get("/health", responses={503: {"model": HealthAnswer}}, response_model_exclude_none=True)
async def health(service: Shared, request: Request, response: Response) -> HealthAnswer:
    """Tell whether requests are taken, 503 while stopping; the rest only to who shows the key, where there is one."""
    stopping = service.batcher.stopping
    response.status_code = 503 if stopping else 200
    status: Literal["ok", "stopping"] = "stopping" if stopping else "ok"
    if not may_ask(service.settings, request.headers):
        return HealthAnswer(status=status)
    return HealthAnswer(
        status=status, model=service.tasks.model, tasks=len(service.tasks.tasks), queued=service.batcher.queued
    )


@ROUTER.get("/metrics", response_class=Response, responses={401: PROBLEMS[401]})
async def metrics(service: Shared) -> Response:
    """Return counters in Prometheus' text format."""
    return Response(service.measures.text(), headers={"Content-Type": service.measures.content_type})


@ROUTER.get("/", include_in_schema=False)
async def page() -> Response:
    """Return the page for people."""
    return FileResponse(PAGE / "index.html")


@ROUTER.get("/page.css", include_in_schema=False)
async def style() -> Response:
    """Return the page's style."""
    return FileResponse(PAGE / "page.css")


@ROUTER.get("/page.js", include_in_schema=False)
async def script() -> Response:
    """Return the page's script."""
    return FileResponse(PAGE / "page.js", media_type="text/javascript")


async def _answers(service: Service, request: Request, work: Work, rows: Sequence[Any]) -> list[Any]:
    """Wait for the model's answers, and no longer than the client does."""
    answer = asyncio.ensure_future(service.batcher.answer(work, rows))
    gone = asyncio.ensure_future(request.receive())  # the body is read: what still comes is the client's going away
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            service.measures.gone.inc()
            raise HTTPException(499, "The client went away.")
        return answer.result()
    except QueueFull as full:
        raise HTTPException(429, str(full), {"Retry-After": str(full.retry_after)}) from full
    except Stopping as stopping:
        raise HTTPException(503, "The server is stopping.", {"Retry-After": "5"}) from stopping
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    finally:
        answer.cancel()
        gone.cancel()


async def _misfit(_request: Request, error: Exception) -> Response:
    """Say where a body does not fit, without repeating it: it may hold what no answer can."""
    assert isinstance(error, RequestValidationError)
    told = list(dict.fromkeys(map(_told, error.errors())))
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return JSONResponse({"error": "; ".join(told[:MOST_TOLD]) + more + ". See /openapi.json."}, status_code=422)


def _told(fault: dict[str, Any]) -> str:
    """Return one fault of a body as "rows.0.text: Field required"; names of classes and forms are left out."""
    if fault["type"] == "json_invalid":
        return f"The body is not JSON: {fault['ctx']['error']} at character {fault['loc'][-1]}"
    place = [str(part) for part in fault["loc"] if isinstance(part, int) or part in FIELDS]
    return f"{'.'.join(place) or 'body'}: {fault['msg'].removeprefix('Value error, ')}"


async def _plain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    told = "The body is not JSON in UTF-8." if error.status_code == 400 else error.detail
    return JSONResponse({"error": told}, status_code=error.status_code, headers=error.headers)
