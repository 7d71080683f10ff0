"""Dashboards, and the links that share them."""

from typing import Annotated
from urllib.parse import urlunsplit

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.api.deps import LabDep
from backend.api.models import DashboardView, Id, Link, ShareView, Title, dashboard_view
from backend.api.router import router

routes = router("dashboards")


class Board(BaseModel):
    """A choice of runs to keep."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    runs: Annotated[list[Id], Field(min_length=1, max_length=64)]
    text: Annotated[str, StringConstraints(max_length=20_000)] = ""


@routes.post("/dashboards", status_code=201)
def create(board: Board, lab: LabDep) -> DashboardView:
    """Keep a choice of runs under a title."""
    return dashboard_view(lab.store.create_dashboard(board.title, board.runs, board.text))


@routes.get("/dashboards/{dashboard_id}")
def one(dashboard_id: Id, lab: LabDep) -> DashboardView:
    """A dashboard and its links."""
    found = lab.store.dashboard(dashboard_id)
    shares = [ShareView(id=s.id, created=s.created) for s in lab.store.shares(dashboard_id)]
    return dashboard_view(found, shares)


@routes.post("/dashboards/{dashboard_id}/share", status_code=201)
def share(dashboard_id: Id, request: Request, lab: LabDep) -> Link:
    """Make a link by which anyone who has it can look, and nothing else."""
    share, token = lab.store.share(dashboard_id)
    path = f"/s/{token}"
    base = urlunsplit((request.url.scheme, request.url.netloc, "", "", ""))
    url = (lab.settings.public_url or base) + path
    return Link(id=share.id, url=url, path=path, local=lab.settings.local_only)


@routes.delete("/shares/{share_id}", status_code=204)
def revoke(share_id: Id, lab: LabDep) -> None:
    """Make a link lead nowhere."""
    lab.store.revoke(share_id)
