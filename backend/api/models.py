"""The models of the routes' responses, as documented in OpenAPI."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from backend.config import ACTIVE, PRINTABLE, Kind, Status, printable
from backend.config import Id as Id
from backend.sharing import allowed
from backend.store import Dashboard, Run, Store
from backend.store.study_reads import StudyStatus
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


SILENCE = 15.0
"""Seconds without a report after which the loop of an attached run counts as silent."""
MAX_EVENT_CHARACTERS = 500
"""Characters of an event's text as a part of its run."""


class EventView(View):
    """A line of a run's log."""

    step: int | None
    kind: str
    text: str
    at: str


def event_view(event: Event) -> EventView:
    """The response for an event."""
    return EventView.model_validate(event)


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
    overhead: Annotated[
        float | None,
        Field(
            description="Share of the time that measuring and reporting has taken, of an attached "
            "run; null for others."
        ),
    ]
    eta: float | None
    attempt: int
    run_until: int | None
    set_aside: Annotated[
        bool,
        Field(
            description="Whether a paused run has left its slot to others after a checkpoint. "
            "When it is resumed or stepped, it is queued before runs that never started. A paused "
            "run that is not set aside still holds its slot."
        ),
    ]
    silent: Annotated[
        float | None,
        Field(
            description="Seconds without a word from the training loop of an attached run that has "
            "not ended; null while it is heard of."
        ),
    ]
    error: str | None
    created: str
    started: str | None
    finished: str | None
    device: str | None
    facts: dict[str, Any]
    study: str | None
    events: Annotated[
        list[EventView],
        Field(
            description="What a chart marks on the run's axis, by step: deaths of workers, new "
            "attempts, changes, checkpoints that were lost. At most the newest 50, each text cut "
            "to 500 characters; GET /runs/{id}/events has all."
        ),
    ]


def run_view(store: Store, run: Run) -> RunView:
    """The response for a run."""
    return run_views(store, [run])[0]


def run_views(store: Store, runs: Sequence[Run]) -> list[RunView]:
    """The responses for several runs."""
    events = store.marked_events([run.id for run in runs])
    return [
        RunView(
            **_columns(RunView, run),
            eta=_eta(run),
            silent=_silent(run),
            events=_short(events[run.id]),
        )
        for run in runs
    ]


def _columns(view: type[View], run: Run) -> dict[str, Any]:
    """The fields of a view that the run has as columns."""
    return {name: getattr(run, name) for name in view.model_fields if hasattr(run, name)}


def _short(events: Iterable[Event]) -> list[EventView]:
    views = [event_view(event) for event in events]
    return [v.model_copy(update={"text": v.text[:MAX_EVENT_CHARACTERS]}) for v in views]


def _silent(run: Run) -> float | None:
    """Seconds since the last report of an active attached run, if it should have come before."""
    if run.kind != "attached" or run.status not in ACTIVE or run.heard is None:
        return None
    seconds = (datetime.now(UTC) - datetime.fromisoformat(run.heard)).total_seconds()
    return round(seconds) if seconds >= SILENCE else None


def _eta(run: Run) -> float | None:
    """Seconds until the last step at the present rate; None where no last step is known."""
    open_ended = run.kind == "attached" and run.config.get("steps") is None
    if run.status != "running" or not run.rate or open_ended:
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
    events: list[EventView]


def shared_run(run: Run, events: Sequence[Event]) -> SharedRun:
    """The response for a run of a shared dashboard, with its marked events."""
    plain = _columns(SharedRun, run)
    filtered = {
        "config": allowed.config(run),
        "labels": {name: run.labels[name] for name in ("driver", "shadows") if name in run.labels},
        "error": allowed.reason(run.error),
        "device": allowed.device(run.device),
        "facts": allowed.shared_facts(run),
        "events": [
            event_view(event).model_copy(update={"text": allowed.reason(event.text) or ""})
            for event in events
        ],
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


class StudyView(View):
    """A study and its runs."""

    id: str
    name: str
    status: StudyStatus
    runs: list[RunView]


class ListedStudy(View):
    """A study in a list."""

    id: str
    name: str
    created: str
    status: StudyStatus
    finished: str | None
    cells: Annotated[int, Field(description="Runs that it takes, as far as that is known.")]
    ended: int
    failed: Annotated[int, Field(description="Runs that failed or were cancelled.")]


class StudyCheck(View):
    """What a study's document asks for, valid as it is."""

    name: str
    variants: list[str]
    cells: Annotated[int, Field(description="Runs, before a grid of tuned values grows.")]


class StudyResults(View):
    """How far a study is, and what it shows."""

    id: str
    name: str
    status: StudyStatus
    finished: str | None
    phase: Annotated[str, Field(description="timing, tuning or report.")]
    cells: int
    ended: int
    document: dict[str, Any]
    results: Annotated[
        dict[str, Any],
        Field(description="The table, the choices of tuned values, and the verdicts."),
    ]
    figures: Annotated[
        list[dict[str, str]],
        Field(description="name, title, help and reading of the figures that it has."),
    ]


class ShareView(View):
    """A link to a dashboard, without its token."""

    id: str
    created: str


class ListedShare(ShareView):
    """A link, and what it shows."""

    dashboard: str
    title: str
    runs: Annotated[int, Field(description="Runs of the dashboard, deleted ones included.")]


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
    deleted: Annotated[int, Field(description="Runs of the dashboard that were deleted since.")]
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
