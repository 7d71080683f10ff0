"""The tables of the database. Times are ISO 8601 in UTC; ids are random and never paths."""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from backend.config import Status


def now() -> str:
    """The present time in ISO 8601, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id(kind: str) -> str:
    """A random id that begins with the letter of its kind: `r3f9c…`."""
    return kind + secrets.token_hex(8)


def _json(default: type = dict) -> Any:
    return Field(default_factory=default, sa_column=Column(JSON, nullable=False))


def _child_of(table: str, **options: Any) -> Any:
    column = Column(ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, **options)
    return Field(sa_column=column)


def _json_with_default(default: str) -> Any:
    column = Column(JSON, nullable=False, server_default=default)
    return Field(default_factory=dict if default == "{}" else list, sa_column=column)


class Study(SQLModel, table=True):
    """A set of runs, with the document that the server makes them from.

    The large columns are the last ones: lists of studies do not read them.
    """

    id: str = Field(primary_key=True)
    name: str
    created: str = Field(default_factory=now)
    status: str = Field(default="finished", sa_column_kwargs={"server_default": "finished"})
    """running, paused, finished or cancelled."""
    finished: str | None = None
    cells: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Runs that it takes, as far as that is known."""
    timings: dict[str, Any] = _json_with_default("{}")
    """{variant: seconds of a step}, measured once for a budget in seconds."""
    document: dict[str, Any] = _json_with_default("{}")
    """Empty: its runs were queued at once by an earlier version."""
    variants: list[Any] = _json_with_default("[]")
    """The variants as they were validated, in order; see `backend.studies.planning`."""


class Run(SQLModel, table=True):
    """A training or microscope run: its configuration, its state, and the orders given to it."""

    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int | None = Field(default=None, primary_key=True)
    """Counts the runs of this lab from 1; never used twice."""
    id: str = Field(default_factory=lambda: new_id("r"), unique=True)
    kind: str = Field(default="training", sa_column_kwargs={"server_default": "training"})
    """training, or microscope: measurements at a checkpoint of another run."""
    parent: str | None = Field(default=None, index=True)
    """The id of the run whose checkpoint it began with; that run may be deleted."""
    parent_step: int | None = None
    name: str = ""
    status: str = Field(default="queued", index=True)
    config: dict[str, Any] = _json()
    labels: dict[str, Any] = _json()
    plugins: dict[str, Any] = _json()
    """{plug-in: SHA-256 of its file} at validation."""
    study: str | None = Field(default=None, foreign_key="study.id", index=True)
    cell: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """Its place in the study: phase, variant, seed and tuned values. `retried` is true once another
    run is to take the place."""

    step: int = 0
    steps: int = 0
    rate: float | None = None
    """Steps a second."""
    seconds: float | None = None
    """Training time, pauses excluded."""
    overhead: float | None = None
    """Share of this time that measuring and reporting has taken, where the run says so."""
    error: str | None = None
    device: str | None = None
    facts: dict[str, Any] = _json()

    created: str = Field(default_factory=now)
    started: str | None = None
    finished: str | None = None
    heard: str | None = None
    """The time of the worker's last report."""

    attempt: int = 0
    """0 before the first start."""
    run_until: int | None = None
    cancel: bool = False
    stop: bool = False
    changes: list[Any] = _json(list)
    deleted: bool = Field(default=False, sa_column_kwargs={"server_default": "0"})
    """Whether it is being removed in the background; nothing else finds it any more."""

    @property
    def held(self) -> bool:
        """Whether its orders are to wait at the step that it has reached."""
        return self.run_until is not None and self.step >= self.run_until and not self.cancel

    @property
    def set_aside(self) -> bool:
        """Whether it is paused without a slot: its worker wrote a checkpoint and ended, or was
        asked to."""
        return self.status == "paused" and self.stop

    @property
    def state(self) -> Status:
        """The status, typed."""
        return self.status  # type: ignore[return-value]


class Attempt(SQLModel, table=True):
    """One start of a run, with the SHA-256 of its worker's token.

    Older attempts are kept, so that a late report can be rejected as one of an older attempt.
    """

    __table_args__ = (UniqueConstraint("run", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    run: str = _child_of("run")
    number: int
    resumed_at: int = 0
    token_hash: str = Field(unique=True)
    started: str = Field(default_factory=now)


class Series(SQLModel, table=True):
    """One series of a run, identified by metric, layer and estimator."""

    __table_args__ = (UniqueConstraint("run", "metric", "layer", "estimator"),)

    id: int | None = Field(default=None, primary_key=True)
    run: str = _child_of("run")
    metric: str
    layer: str = ""
    estimator: str = ""
    unit: str = ""


class Chunk(SQLModel, table=True):
    """Packed points of one series: those of one report, or several merged.

    `steps` are little-endian int64, or empty if they are evenly spaced from `first_step` to
    `last_step`; `values` are little-endian float64. The blobs are the last columns, so that
    reading the others does not read their pages.
    """

    __table_args__ = (Index("chunk_of_series", "series", "first_step", "last_step", "count"),)

    id: int | None = Field(default=None, primary_key=True)
    series: int = _child_of("series")
    attempt: int
    first_step: int
    last_step: int
    count: int
    steps: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    values: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ChunkSummary(SQLModel, table=True):
    """The summary of a chunk of many points, in blocks (see `summaries`); made when it is merged,
    and in the background for chunks of earlier versions."""

    __tablename__ = "chunk_summary"  # type: ignore[assignment]

    chunk: int = Field(
        sa_column=Column(ForeignKey("chunk.id", ondelete="CASCADE"), primary_key=True)
    )
    blocks: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Report(SQLModel, table=True):
    """A report that was stored. Its id is that of the event in the stream."""

    __table_args__ = (
        UniqueConstraint("run", "attempt", "sequence"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    run: str = _child_of("run")
    attempt: int
    sequence: int


class Event(SQLModel, table=True):
    """A line of a run's log."""

    id: int | None = Field(default=None, primary_key=True)
    run: str = _child_of("run", index=True)
    step: int | None = None
    kind: str
    text: str
    at: str = Field(default_factory=now)


class Dashboard(SQLModel, table=True):
    """A choice of runs with a title and a text, which can be shared."""

    id: str = Field(default_factory=lambda: new_id("d"), primary_key=True)
    title: str
    text: str = ""
    runs: list[str] = _json(list)
    created: str = Field(default_factory=now)


class Share(SQLModel, table=True):
    """A read-only link to a dashboard, with the SHA-256 of its token."""

    id: str = Field(default_factory=lambda: new_id("s"), primary_key=True)
    dashboard: str = _child_of("dashboard", index=True)
    token_hash: str = Field(unique=True)
    created: str = Field(default_factory=now)


class SharedFigure(SQLModel, table=True):
    """A figure of a plug-in as it was drawn when a link was made: data, no code.

    `entry` is its entry of the catalogue, `answer` the figure or the sentence that says why there
    is none.
    """

    __tablename__ = "shared_figure"  # type: ignore[assignment]
    __table_args__ = (UniqueConstraint("share", "run", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    share: str = _child_of("share")
    run: str = _child_of("run", index=True)
    name: str
    entry: dict[str, Any] = _json()
    answer: dict[str, Any] = _json()
