"""Shared dashboards: read-only pages that need no token and show one dashboard's runs alone."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from backend.api.deps import LabDep
from backend.api.errors import OPEN_RESPONSES
from backend.api.models import SharedView, shared_run
from backend.api.routes.figures import draw
from backend.api.routes.pages import shell
from backend.figures import catalogue
from backend.store.base import MissingError
from backend.store.store import RunsView

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
    """The catalogue of figures; it holds nothing of any run."""
    lab.store.shared(token)
    return catalogue()


@routes.get("/{token}/figures/{name}")
def figure(token: Token, name: str, request: Request, lab: LabDep) -> dict[str, Any]:
    """A figure of the dashboard's runs. Other runs do not exist here."""
    with lab.store.snapshot() as snapshot:
        shared = snapshot.shared(token)
        query = dict(request.query_params)
        query.setdefault("runs", ",".join(shared.runs))
        return draw(name, RunsView(snapshot, shared.runs), query)
