"""The models of the routes' responses, as documented in OpenAPI."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from backend.config import PRINTABLE, Kind, Status, printable
from backend.config import Id as Id
from backend.sharing import allowed
from backend.store import Dashboard, Run
from backend.store.tables import Event

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(printable),
    Field(json_schema_extra={"pattern": rf"^{PRINTABLE}*(?!\s){PRINTABLE}{PRINTABLE}*$"}),
]


class View(BaseModel):
    """Base of the responses."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class RunView(View):
    """A run: its configuration and its state."""

    id: str
    number: int
    kind: Kind
    parent: str | None
    parent_step: int | None
    name: str
    status: Status
    config: dict[str, Any]
    labels: dict[str, Any]
    step: int
    steps: int
    rate: float | None
    seconds: float | None
    eta: float | None
    attempt: int
    run_until: int | None
    error: str | None
    created: str
    started: str | None
    finished: str | None
    device: str | None
    facts: dict[str, Any]
    study: str | None


def run_view(run: Run) -> RunView:
    """The response for a run."""
    fields = {name: getattr(run, name) for name in RunView.model_fields if name != "eta"}
    return RunView(**fields, eta=_eta(run))


def _eta(run: Run) -> float | None:
    """Seconds until the last step at the present rate."""
    if run.status != "running" or not run.rate:
        return None
    return max(run.steps - run.step, 0) / run.rate


class SharedRun(View):
    """The public part of a run: no path, host or traceback."""

    id: str
    number: int
    kind: Kind
    parent_step: int | None
    name: str
    status: Status
    config: dict[str, Any]
    labels: dict[str, Any]
    step: int
    steps: int
    rate: float | None
    seconds: float | None
    eta: float | None
    error: str | None
    created: str
    started: str | None
    finished: str | None
    device: str | None
    facts: dict[str, Any]


def shared_run(run: Run) -> SharedRun:
    """The response for a run of a shared dashboard."""
    plain = {name: getattr(run, name) for name in SharedRun.model_fields if name != "eta"}
    filtered = {
        "config": allowed.config(run),
        "labels": {name: run.labels[name] for name in ("driver", "shadows") if name in run.labels},
        "error": allowed.reason(run.error),
        "device": allowed.device(run.device),
        "facts": allowed.shared_facts(run),
    }
    return SharedRun(**{**plain, **filtered}, eta=_eta(run))


class RunPage(View):
    """A page of the list of runs, and the number of runs on all pages."""

    runs: list[RunView]
    total: int


class SeriesView(View):
    """A series, without its points."""

    id: int
    metric: str
    layer: str
    estimator: str
    unit: str
    count: int


class PointsView(View):
    """Points of a series: `shown` of `count`. "NaN", "Infinity" and "-Infinity" are strings."""

    steps: list[int]
    values: list[float | str]
    count: int
    shown: int


class EventView(View):
    """A line of a run's log."""

    step: int | None
    kind: str
    text: str
    at: str


def event_view(event: Event) -> EventView:
    """The response for an event."""
    return EventView.model_validate(event)


class StudyView(View):
    """A study and its runs."""

    id: str
    name: str
    runs: list[RunView]


class ShareView(View):
    """A link to a dashboard, without its token."""

    id: str
    created: str


class DashboardView(View):
    """A dashboard and its links."""

    id: str
    title: str
    text: str
    runs: list[str]
    created: str
    shares: list[ShareView] = []


class SharedView(View):
    """A shared dashboard, with the public part of its runs."""

    id: str
    title: str
    text: str
    runs: list[SharedRun]
    created: str


def dashboard_view(dashboard: Dashboard, shares: list[ShareView] | None = None) -> DashboardView:
    """The response for a dashboard."""
    return DashboardView(**dashboard.model_dump(), shares=shares or [])


class Link(View):
    """A new link. Its token is in the URL alone and is not stored."""

    id: str
    url: str
    path: str
    local: Annotated[bool, Field(description="Whether the URL works on this machine only.")]
