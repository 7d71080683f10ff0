"""Dashboards, and the links that share them."""

from typing import Annotated
from urllib.parse import urlunsplit

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.api.deps import LabDep
from backend.api.models import (
    DashboardView,
    Id,
    Link,
    ListedShare,
    ShareView,
    Title,
    dashboard_view,
)
from backend.api.router import router
from backend.sharing import OwnFigures
from backend.store.tables import SharedFigure

routes = router("dashboards")


class NewDashboard(BaseModel):
    """A choice of runs with a title and a text."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    runs: Annotated[list[Id], Field(min_length=1, max_length=64)]
    text: Annotated[str, StringConstraints(max_length=20_000)] = ""


@routes.post("/dashboards", status_code=201)
def create(new: NewDashboard, lab: LabDep) -> DashboardView:
    """Store a choice of runs under a title."""
    return dashboard_view(lab.store.create_dashboard(new.title, new.runs, new.text))


@routes.get("/dashboards/{dashboard_id}")
def get(dashboard_id: Id, lab: LabDep) -> DashboardView:
    """A dashboard and its links."""
    dashboard = lab.store.dashboard(dashboard_id)
    shares = [ShareView(id=s.id, created=s.created) for s in lab.store.shares(dashboard_id)]
    return dashboard_view(dashboard, shares)


@routes.post("/dashboards/{dashboard_id}/share", status_code=201)
def share(dashboard_id: Id, request: Request, lab: LabDep) -> Link:
    """Create a link with which anyone can read the dashboard.

    The figures of plug-ins are drawn now and kept: a visitor runs no plug-in.
    """
    own = OwnFigures(lab.supervisor, lab.store)
    kept = [
        SharedFigure(share="", run=run_id, name=figure.entry["name"], **vars(figure))
        for run_id in lab.store.dashboard(dashboard_id).runs
        for figure in own(run_id)
    ]
    share, token = lab.store.share(dashboard_id, kept)
    path = f"/s/{token}"
    base = urlunsplit((request.url.scheme, request.url.netloc, "", "", ""))
    url = (lab.settings.public_url or base) + path
    return Link(id=share.id, url=url, path=path, local=lab.settings.local_only)


@routes.get("/shares")
def shares(lab: LabDep) -> list[ListedShare]:
    """Every link of the lab, newest first, without its token."""
    return [
        ListedShare(
            id=share.id,
            created=share.created,
            dashboard=board.id,
            title=board.title,
            runs=len(board.runs),
        )
        for share, board in lab.store.all_shares()
    ]


@routes.delete("/shares/{share_id}", status_code=204)
def revoke(share_id: Id, lab: LabDep) -> None:
    """Delete a link; it no longer gives access."""
    lab.store.revoke(share_id)
