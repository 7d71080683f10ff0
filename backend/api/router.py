"""`router`: how each module of routes makes its router; JSON bodies are parsed strictly."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.routing import APIRoute

from backend import strict_json
from backend.api.errors import ERROR_RESPONSES

MAX_VALUES = 20_000
"""Names, numbers and texts in one body, lists and objects included. The largest study that is
allowed has fewer."""
LARGE_BODY_BYTES = 64_000
"""JSON from this size on is parsed in a thread, so that the event loop is not blocked."""


WORKER = "/api/worker/"
"""The paths of workers, whose bodies are encoded series: their size alone is limited."""


def router(tag: str) -> APIRouter:
    """A router below /api whose bodies are strict JSON; `tag` groups its routes in OpenAPI."""
    return APIRouter(prefix="/api", tags=[tag], route_class=StrictRoute, responses=ERROR_RESPONSES)


class StrictRequest(Request):
    """A request whose JSON has no NaN, no infinities and no invalid Unicode."""

    async def json(self) -> Any:
        """The body. Raises HTTPException 422 if it is not strict JSON."""
        body = await self.body()
        try:
            if len(body) > LARGE_BODY_BYTES:
                return await asyncio.to_thread(self._parse, body)
            return self._parse(body)
        except ValueError as error:
            raise HTTPException(422, f"the body is not valid JSON: {error}") from None

    def _parse(self, body: bytes) -> Any:
        limit = None if self.url.path.startswith(WORKER) else MAX_VALUES
        return strict_json.loads(body, limit)


class StrictRoute(APIRoute):
    """A route that reads its body as a `StrictRequest`."""

    def get_route_handler(self) -> Any:
        """The handler, on a `StrictRequest`."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Any:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict
