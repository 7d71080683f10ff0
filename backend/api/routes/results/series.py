"""Series, their points, and the stream of events about all runs."""

from typing import Annotated

from fastapi import HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from backend import strict_json
from backend.api.deps import LabDep
from backend.api.hub import MAX_CLIENTS
from backend.api.models import Id, PointsView, SeriesView
from backend.api.router import router

routes = router("series")
MAX_POINTS = 20_000


@routes.get("/runs/{run_id}/series")
def series(run_id: Id, lab: LabDep) -> list[SeriesView]:
    """The series of a run, with the number of their points."""
    with lab.store.snapshot() as snapshot:
        stored = snapshot.series(snapshot.run(run_id).id)
    return [SeriesView.model_validate(s, from_attributes=True) for s in stored]


@routes.get("/runs/{run_id}/points", response_model=PointsView)
def points(
    run_id: Id,
    lab: LabDep,
    series: Annotated[int, Query(ge=1, le=2**62)],
    max: Annotated[int, Query(ge=1, le=MAX_POINTS)] = 2000,
    first: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    last: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> Response:
    """The points of a series. More than `max` are downsampled; the extrema are kept."""
    with lab.store.snapshot() as snapshot:
        if snapshot.series_run(series) != snapshot.run(run_id).id:
            raise HTTPException(404, f"run {run_id!r} has no series {series}")
        stored = snapshot.points(series, max=max, first=first, last=last)
    body = {
        "steps": stored.steps.tolist(),
        "values": strict_json.numbers(stored.values),
        "count": stored.count,
        "shown": len(stored.steps),
    }
    return Response(strict_json.dumps(body), media_type="application/json")


@routes.get("/stream", response_class=StreamingResponse, tags=["stream"])
async def stream(request: Request, lab: LabDep) -> StreamingResponse:
    """Server-sent events about all runs; `Last-Event-ID` continues an interrupted stream."""
    if lab.hub.clients >= MAX_CLIENTS:
        raise HTTPException(503, f"{MAX_CLIENTS} pages are connected already; close one")
    events = lab.hub.events(request.headers.get("last-event-id"))
    # A proxy must pass events on at once rather than buffer them.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
