"""Series and their points."""

from typing import Annotated

from fastapi import HTTPException, Query, Response

from backend.api import wire
from backend.api.deps import LabDep
from backend.api.models import Id, PointsView, SeriesView
from backend.api.router import router

routes = router("series")
MAX_POINTS = 20_000


@routes.get("/runs/{run_id}/series")
def series(run_id: Id, lab: LabDep) -> list[SeriesView]:
    """The curves of a run and how many points each has."""
    found = lab.store.series(lab.store.run(run_id).id)
    return [SeriesView.model_validate(s, from_attributes=True) for s in found]


@routes.get("/runs/{run_id}/points", response_model=PointsView)
def points(
    run_id: Id,
    lab: LabDep,
    series: Annotated[int, Query(ge=1, le=2**62)],
    max: Annotated[int, Query(ge=1, le=MAX_POINTS)] = 2000,
    first: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    last: Annotated[int | None, Query(ge=0, le=2**62)] = None,
) -> Response:
    """Points of a series; more than `max` are thinned with their extrema kept."""
    if lab.store.series_run(series) != run_id:
        raise HTTPException(404, f"run {run_id!r} has no series {series}")
    got = lab.store.points(series, max=max, first=first, last=last)
    body = {
        "steps": got.steps.tolist(),
        "values": wire.numbers(got.values),
        "count": got.count,
        "shown": len(got.steps),
    }
    return Response(wire.dumps(body), media_type="application/json")
