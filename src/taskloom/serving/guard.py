"""What stands before every endpoint: the key, the size of the body, the end of the server, headers for browsers."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskloom.serving.batching import Batcher
from taskloom.serving.measures import Measures
from taskloom.serving.settings import BODY_SECONDS, Settings

LOGGER = logging.getLogger("taskloom.serving")
NO_ANSWER = 499
"""The status that is counted when a client went away before its answer."""
OPEN_PATHS = ("/", "/health", "/openapi.json", "/page.css", "/page.js", "/favicon.ico")
"""What needs no key: the page asks for it. Without the key none of these tells anything about the model."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):
    """A request that is answered before it reaches an endpoint."""

    def __init__(self, status: int, error: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.response = JSONResponse({"error": error}, status_code=status, headers=headers)


class Guard:
    """An ASGI layer around the whole application; counts every answer."""

    def __init__(self, app: ASGIApp, *, settings: Settings, batcher: Batcher, measures: Measures) -> None:
        self._app = app
        self._settings = settings
        self._batcher = batcher
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), NO_ANSWER

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._let_in(scope, receive, send_with_headers)
        except Exception:
            LOGGER.exception("%s %s failed", scope["method"], scope["path"])
            if status != NO_ANSWER:
                raise  # half an answer is out: the connection has to break
            sorry = JSONResponse({"error": "The server failed; its log says how."}, status_code=500)
            await sorry(scope, receive, send_with_headers)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._measures.request(path, status, time.monotonic() - started)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_key(scope["path"], headers)
            if self._batcher.stopping and scope["method"] == "POST":
                raise Refused(503, "The server is stopping.", {"Retry-After": "5", "Connection": "close"})
            body = await self._body(headers, receive)
        except Refused as refused:
            await refused.response(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _check_key(self, path: str, headers: Headers) -> None:
        if path not in OPEN_PATHS and not may_ask(self._settings, headers):
            message = "A key is needed: send the header `Authorization: Bearer KEY`."
            raise Refused(401, message, {"WWW-Authenticate": "Bearer"})

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """Read the whole body, never more than the limit; raises Refused for one that is too large or too slow."""
        most = self._settings.max_body
        too_large = Refused(413, f"The body is larger than {most:,} bytes. Send fewer texts at a time.",
                            {"Connection": "close"})  # fmt: skip
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "The client went away before its body was complete.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError as error:
            told = f"The body did not arrive within {BODY_SECONDS:.0f} s."
            raise Refused(408, told, {"Connection": "close"}) from error


def may_ask(settings: Settings, headers: Headers) -> bool:
    """Tell whether a request shows the key, or the server has none."""
    if not settings.api_key:
        return True
    scheme, _, token = headers.get("authorization", "").partition(" ")
    shown = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    return hmac.compare_digest(shown.encode(), settings.api_key.encode())


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body at once, and after it whatever comes: that the client went away."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
