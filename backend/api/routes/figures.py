"""Figures: drawn by `backend.figures`, returned as JSON."""

from typing import Any

from fastapi import HTTPException, Request

from backend import figures
from backend.api.deps import LabDep
from backend.api.router import router
from backend.figures.catalogue import modules

routes = router("figures")
MAX_RUNS = 256
"""As many as a study has."""


@routes.get("/figures")
def listing() -> dict[str, Any]:
    """The figures that can be drawn, their parameters, and the sections of the pages."""
    return figures.catalogue()


@routes.get("/figures/{name}")
def figure(name: str, request: Request, lab: LabDep) -> dict[str, Any]:
    """Draw a figure. The query names the runs and the figure's parameters."""
    with lab.store.snapshot() as snapshot:
        return draw(name, snapshot, dict(request.query_params))


def draw(name: str, source: figures.Source, query: dict[str, str]) -> dict[str, Any]:
    """Draw a figure. HTTPException 404 for an unknown one, 422 for an invalid query."""
    names = sorted(modules())
    if name not in names:
        raise HTTPException(404, f"there is no figure {name[:80]!r}; there are {', '.join(names)}")
    if query.get("runs", "").count(",") >= MAX_RUNS:
        raise HTTPException(422, f"a figure shows at most {MAX_RUNS} runs")
    try:
        return figures.draw(name, source, query)
    except figures.FigureError as error:
        raise HTTPException(422, str(error)) from None
