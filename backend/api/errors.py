"""Every error as `{"detail": …}`: a sentence, or for a form a list of `{loc, msg}`."""

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as StarletteHTTPException

from backend.sentences import sentence
from backend.store.base import ConflictError, MissingError

_log = logging.getLogger(__name__)

MAX_CHARACTERS = 80  # of a rejected name or path in a message
MAX_PROBLEMS = 20  # of one form

# plotly.js writes inline styles and needs no eval; nothing else needs an exception.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers of every response, for browsers."""


class Problem(BaseModel):
    """What is wrong with one field of a body or a query."""

    loc: list[str | int]
    """The place: names and indices from the outside in."""
    msg: str
    """What came, and what is allowed."""


class ErrorBody(BaseModel):
    """The body of every error."""

    detail: str | list[Problem]
    """A sentence, or for a body with fields one entry for each problem."""


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ErrorBody, "description": HTTPStatus(status).phrase}
        for status in statuses
    }


OPEN_RESPONSES = _documented(400, 404, 408, 422, 503)
"""The errors of a route without the token, for its documentation in OpenAPI."""
ERROR_RESPONSES = _documented(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
"""The errors of a route, for its documentation in OpenAPI."""


def install(app: FastAPI) -> None:
    """Register the handlers of all errors."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)
    for kind, status in ((MissingError, 404), (ConflictError, 409), (TimeoutError, 503)):
        app.add_exception_handler(kind, _message_with(status))
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(Exception, _crash)


def error_response(status: int, detail: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response to a request that failed."""
    return JSONResponse({"detail": detail}, status, headers)


def _message_with(status: int) -> Any:
    async def handler(_request: Request, error: Exception) -> JSONResponse:
        return error_response(status, str(error))

    return handler


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    detail: Any = error.detail
    path = request.url.path[:MAX_CHARACTERS]
    if isinstance(detail, list):
        detail = detail[:MAX_PROBLEMS]
    if detail == "Not Found":
        detail = f"there is nothing at {path!r}"
    elif detail == "Method Not Allowed":
        allowed = Headers(error.headers).get("allow", "another method")
        detail = f"{request.method} is not possible at {path!r}; {allowed} is"
    return error_response(error.status_code, detail, dict(error.headers or {}))


async def _database(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    _log.error("the database failed: %s", error.orig)
    return error_response(503, f"the database cannot be used now: {error.orig}")


async def _crash(_request: Request, error: Exception) -> JSONResponse:
    # The server's log has the traceback; clients do not see it. This response does not pass
    # through the guard, so it sets the headers itself.
    text = f"the lab failed at this ({type(error).__name__}); its log says where"
    return error_response(500, text, SECURITY_HEADERS)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = [{**e, "loc": _shortened(e["loc"])} for e in error.errors()[:MAX_PROBLEMS]]
    return error_response(422, await asyncio.to_thread(lambda: [problem(e) for e in first]))


def _shortened(loc: Any) -> tuple[Any, ...]:
    """A place in the body; its names come from the client and may be long."""
    return tuple(part[:MAX_CHARACTERS] if isinstance(part, str) else part for part in loc)


def problem(error: Any) -> dict[str, Any]:
    """A pydantic error as {loc, msg}: the place, the given value, and what is allowed."""
    place, *loc = error["loc"]
    if error["type"] == "json_invalid":
        return {"loc": [], "msg": f"the body is not JSON: {error['ctx']['error']}"}
    if error["type"] == "missing" and not loc:
        return {"loc": [], "msg": f"the {place} is missing"}
    return {"loc": loc, "msg": sentence({**error, "loc": loc}, owner=f"the {place}" * (not loc))}
