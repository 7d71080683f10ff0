"""The event stream of a tab."""

from fastapi import HTTPException, Request
from fastapi.responses import StreamingResponse

from backend.api.deps import LabDep
from backend.api.hub import MAX_CLIENTS
from backend.api.router import router

routes = router("stream")


@routes.get("/stream", response_class=StreamingResponse)
async def stream(request: Request, lab: LabDep) -> StreamingResponse:
    """Server-sent events of everything that happens; `Last-Event-ID` continues a lost stream."""
    if lab.hub.clients >= MAX_CLIENTS:
        raise HTTPException(503, f"{MAX_CLIENTS} pages are connected already; close one")
    events = lab.hub.events(request.headers.get("last-event-id"))
    # A proxy that collects before it passes on would make the stream useless.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
