"""Decoding a worker's report, whether it comes by HTTP or from the outbox of a worker that died."""

import base64
import json
import logging
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from sqlalchemy.exc import OperationalError

from backend import strict_json
from backend.config import Id, Status
from backend.jobs.run_folders import outbox
from backend.jobs.worker.outbox import unsent
from backend.store import Store
from backend.store.base import ConflictError, MissingError
from backend.store.points import SeriesPoints
from backend.store.reports import ReportedProgress, WorkerReport

_log = logging.getLogger(__name__)

MAX_FACTS_BYTES = 256_000
"""Size of `facts` as JSON: they are part of every event about their run."""
_Name = Annotated[str, StringConstraints(max_length=300)]
MAX_STEP = 2**53
"""The largest step of a point: of a sweep, it is the value of the swept field."""
MAX_COUNT = 2**40
"""The most steps of a run, or draws of a microscope."""
_Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Payload(BaseModel):
    """A part of a report, without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class SeriesPayload(_Payload):
    """New points of one series: base64 of little-endian int64 and float64."""

    metric: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    layer: _Name = ""
    estimator: _Name = ""
    unit: Annotated[str, StringConstraints(max_length=50)] = ""
    steps: str
    values: str

    def decoded(self) -> SeriesPoints:
        """The points. Raises ValueError if they are not valid."""
        steps, values = self._numbers("steps", "<i8"), self._numbers("values", "<f8")
        if len(steps) != len(values):
            raise ValueError(f"{self.metric!r} has {len(steps)} steps and {len(values)} values")
        if len(steps) and not 0 <= steps.min() <= steps.max() <= MAX_STEP:
            wrong = steps.min() if steps.min() < 0 else steps.max()
            raise ValueError(
                f"a step of {self.metric!r} is {wrong:,}; steps are from 0 to {MAX_STEP:,}"
            )
        return SeriesPoints(self.metric, self.layer, self.estimator, self.unit, steps, values)

    def _numbers(self, name: Literal["steps", "values"], dtype: str) -> NDArray[Any]:
        try:
            raw = base64.b64decode(getattr(self, name), validate=True)
            return np.frombuffer(raw, dtype)
        except ValueError:  # whose words are about encodings
            what = f"the {name} of {self.metric!r} cannot be read"
            raise ValueError(f"{what}; they are numbers of 8 bytes in base64") from None


class ProgressPayload(_Payload):
    """How far the run is."""

    step: _Count
    steps: _Count
    rate: _NotNegative | None = None
    seconds: _NotNegative | None = None
    overhead: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.step > self.steps:
            raise ValueError(f"step is {self.step:,} of {self.steps:,}; it must be at most that")
        return self


class EventPayload(_Payload):
    """A line of the run's log."""

    step: _Count | None = None
    kind: Annotated[str, StringConstraints(min_length=1, max_length=50)]
    text: Annotated[str, StringConstraints(max_length=10_000)]


class ReportPayload(_Payload):
    """A worker's report; a (run, attempt, sequence) that was stored before is ignored."""

    run: Id
    attempt: Annotated[int, Field(ge=1, le=2**31)]
    sequence: Annotated[int, Field(ge=0, le=2**62)]
    status: Literal[Status, "stopped"]
    series: Annotated[list[SeriesPayload], Field(max_length=100_000)] = []
    progress: ProgressPayload | None = None
    error: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    events: Annotated[list[EventPayload], Field(max_length=1000)] = []
    facts: dict[str, Any] | None = None

    @field_validator("facts")
    @classmethod
    def _not_too_large(cls, facts: dict[str, Any] | None) -> dict[str, Any] | None:
        if facts is not None and (size := len(json.dumps(facts))) > MAX_FACTS_BYTES:
            raise ValueError(f"facts has {size:,} bytes; at most {MAX_FACTS_BYTES:,} are allowed")
        return facts

    def decoded(self) -> WorkerReport:
        """The report as the store takes it. Raises ValueError if points are not valid."""
        return WorkerReport(
            run=self.run,
            attempt=self.attempt,
            sequence=self.sequence,
            status=self.status,
            series=[series.decoded() for series in self.series],
            progress=ReportedProgress(**self.progress.model_dump()) if self.progress else None,
            error=self.error,
            events=[event.model_dump() for event in self.events],
            facts=self.facts or {},
        )


def decode(body: bytes) -> WorkerReport:
    """The report in a JSON body. Raises ValueError if the body is not a valid report."""
    return ReportPayload.model_validate(strict_json.loads(body)).decoded()


def store_unsent_reports(store: Store, folder: Path, attempt: int) -> None:
    """Store what a worker that ended had flushed but not delivered.

    Safe to repeat. Raises OperationalError while the database cannot be written. An outbox that
    cannot be read or decoded is logged and kept.
    """
    path = outbox(folder, attempt)
    try:
        for body in unsent(path):
            store.report(decode(body))
        path.unlink(missing_ok=True)
    except (ConflictError, MissingError):
        # A run of the lab's own has ended, or has a newer attempt; or the run was deleted.
        path.unlink(missing_ok=True)
    except OperationalError:
        raise
    except Exception:  # the outcome of the run must be stored in any case
        _log.exception("the reports in %s could not be stored", path)
