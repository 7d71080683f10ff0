"""Figures: drawn by `backend.figures`, returned as JSON."""

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request

from backend import figures
from backend.api.deps import Lab, LabDep
from backend.api.router import router
from backend.figures.catalogue import modules

routes = router("figures")
MAX_RUNS = 256
"""As many as a study has."""


@routes.get("/figures")
def listing(lab: LabDep) -> dict[str, Any]:
    """The figures that can be drawn, their parameters, and the sections of the pages.

    Those of plug-ins are among them once the catalogue of components is built.
    """
    built_in = figures.catalogue()
    return {**built_in, "figures": [*built_in["figures"], *lab.supervisor.own_figures()]}


@routes.get("/figures/{name}")
def figure(name: str, request: Request, lab: LabDep) -> dict[str, Any]:
    """Draw a figure. The query names the runs and the figure's parameters."""
    query = dict(request.query_params)
    if name in {entry["name"] for entry in lab.supervisor.own_figures()}:
        return _draw_own(name, query, lab)
    with lab.store.snapshot() as snapshot:
        return draw(name, snapshot, query)


def _draw_own(name: str, query: Mapping[str, str], lab: Lab) -> dict[str, Any]:
    """A figure of a plug-in, drawn by another process. HTTPException 422 with its error."""
    run = lab.store.run(query.get("runs", "").partition(",")[0])
    answer = lab.supervisor.draw(name, run.id)
    if "problem" in answer:
        raise HTTPException(422, answer["problem"])
    return answer["figure"]


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
