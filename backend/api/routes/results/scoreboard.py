"""The scoreboard of a run: a row for each of its estimators."""

from typing import Annotated, Any

from fastapi import HTTPException, Query

from backend.api.deps import LabDep
from backend.api.models import Id
from backend.api.router import router
from backend.figures.data.query import WINDOW
from backend.figures.data.select import layers
from backend.sentences import unknown

routes = router("scoreboard")
MAX_WINDOW = 1000


@routes.get("/runs/{run_id}/scoreboard")
def scoreboard(
    run_id: Id,
    lab: LabDep,
    layer: Annotated[str, Query(max_length=300)] = "",
    window: Annotated[int, Query(ge=1, le=MAX_WINDOW)] = WINDOW,
) -> dict[str, Any]:
    """A row for each estimator, the driver first, from the latest `window` probes of `layer`, or of
    the whole network."""
    # Plotly, which the figures load, is not imported with the server.
    from backend.figures.summary.scoreboard import scoreboard as board

    with lab.store.snapshot() as snapshot:
        run = snapshot.run(run_id)
        names = [
            name
            for level in ("stage", "tensor")
            for name in layers(snapshot, run, run.id, "cosine", level)
        ]
        if layer and layer not in names:
            raise HTTPException(422, unknown("layer", layer, names, f"run {run.number}"))
        return board(snapshot, run.id, layer=layer, window=window)
