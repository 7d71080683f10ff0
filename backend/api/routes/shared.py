"""Shared dashboards: read-only pages that need no token and show one dashboard's runs alone."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse

from backend.api.deps import LabDep
from backend.api.errors import OPEN_RESPONSES
from backend.api.models import SharedView, shared_run
from backend.api.routes.pages import shell
from backend.api.routes.results.figures import draw
from backend.figures import catalogue
from backend.figures.catalogue import modules
from backend.sharing import OwnFigure, spoken
from backend.store.base import MissingError
from backend.store.store import RunsView, Snapshot

routes = APIRouter(prefix="/s", tags=["shared"], responses=OPEN_RESPONSES)
Token = Annotated[str, Path(min_length=20, max_length=100)]


@routes.get("/{token}", response_class=HTMLResponse)
def page(token: str, lab: LabDep) -> HTMLResponse:
    """The page that shows a shared dashboard."""
    page = shell("shared.html")
    try:
        lab.store.shared(token)
    except MissingError:
        page.status_code = 404  # the page shows the message
    return page


@routes.get("/{token}/dashboard")
def dashboard(token: Token, lab: LabDep) -> SharedView:
    """The dashboard, with the public part of its runs."""
    with lab.store.snapshot() as snapshot:
        shared = snapshot.shared(token)
        events = snapshot.marked_events(shared.runs)
        runs = [shared_run(snapshot.run(run_id), events[run_id]) for run_id in shared.runs]
        deleted = snapshot.deleted_runs(shared.id)
    return SharedView(**{**shared.model_dump(), "runs": runs}, deleted=deleted)


@routes.get("/{token}/figures")
def figures(token: Token, lab: LabDep) -> dict[str, Any]:
    """The catalogue of figures, with those of plug-ins that the link keeps."""
    kept = lab.store.shared_entries(lab.store.link(token).id)
    listed = catalogue()
    own = [entry for name, entry in kept.items() if name not in modules()]
    return {**listed, "figures": [*listed["figures"], *own]}


@routes.get("/{token}/figures/{name}")
def figure(token: Token, name: str, request: Request, lab: LabDep) -> dict[str, Any]:
    """A figure of the dashboard's runs. Other runs do not exist here."""
    with lab.store.snapshot() as snapshot:
        shared = snapshot.shared(token)
        query = dict(request.query_params)
        query.setdefault("runs", ",".join(shared.runs))
        if name not in modules() and (kept := _kept(snapshot, token, name, query["runs"])):
            return kept
        return draw(name, RunsView(snapshot, shared.runs), query)


def _kept(snapshot: Snapshot, token: str, name: str, runs: str) -> dict[str, Any] | None:
    """A plug-in's figure of the first of the runs, as it was when the link was made.

    HTTPException 422 with the error that there was instead; None for no such figure.
    """
    share, run = snapshot.link(token), runs.partition(",")[0]
    kept = snapshot.shared_figure(share.id, run, name)
    if kept is None or run not in snapshot.dashboard(share.dashboard).runs:
        return None
    figure = OwnFigure(kept.entry, kept.answer)
    made = f"as it was when this page was shared, {spoken(share.created)}"
    if problem := figure.answer.get("problem"):
        raise HTTPException(422, "; ".join(filter(None, [problem, figure.origin, made])))
    return figure.drawn(made)
