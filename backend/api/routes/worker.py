"""What workers send: reports, with their run's own token."""

import base64
import json
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from sqlalchemy.exc import OperationalError

from backend.api.deps import LabDep, WorkerRun
from backend.api.models import Id
from backend.api.router import router
from backend.config import Status
from backend.store.points import Flush
from backend.store.reports import Progress, WorkerReport

routes = router("worker")
MAX_FACTS = 256_000  # bytes; facts travel with every event of their run
Name = Annotated[str, StringConstraints(max_length=300)]
Step = Annotated[int, Field(ge=0, le=10_000_000)]
Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeriesIn(Strict):
    """New points of one series: base64 of little-endian int64 and float64."""

    metric: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    layer: Name = ""
    estimator: Name = ""
    unit: Annotated[str, StringConstraints(max_length=50)] = ""
    steps: str
    values: str

    def flush(self) -> Flush:
        steps, values = _array(self.steps, "<i8"), _array(self.values, "<f8")
        if len(steps) and steps.min() < 0:
            raise ValueError(f"a step of {self.metric!r} is {steps.min()}; steps begin at 0")
        return Flush(self.metric, self.layer, self.estimator, self.unit, steps, values)


def _array(text: str, dtype: str) -> Any:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype)


class ProgressIn(Strict):
    step: Step
    steps: Step
    rate: Finite | None = None
    seconds: Finite | None = None


class EventIn(Strict):
    step: Step | None = None
    kind: Annotated[str, StringConstraints(min_length=1, max_length=50)]
    text: Annotated[str, StringConstraints(max_length=10_000)]


class ReportIn(Strict):
    run: Id
    attempt: Annotated[int, Field(ge=1, le=2**31)]
    sequence: Annotated[int, Field(ge=0, le=2**62)]
    status: Literal[Status, "stopped"]
    series: Annotated[list[SeriesIn], Field(max_length=100_000)] = []
    progress: ProgressIn | None = None
    error: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    events: Annotated[list[EventIn], Field(max_length=1000)] = []
    facts: dict[str, Any] | None = None

    @field_validator("facts")
    @classmethod
    def _small(cls, facts: dict[str, Any] | None) -> dict[str, Any] | None:
        if facts is not None and len(json.dumps(facts)) > MAX_FACTS:
            raise ValueError(f"facts are at most {MAX_FACTS:,} bytes")
        return facts

    def stored(self) -> WorkerReport:
        return WorkerReport(
            run=self.run,
            attempt=self.attempt,
            sequence=self.sequence,
            status=self.status,
            series=[one.flush() for one in self.series],
            progress=Progress(**self.progress.model_dump()) if self.progress else None,
            error=self.error,
            events=[event.model_dump() for event in self.events],
            facts=self.facts or {},
        )


class Orders(BaseModel):
    """What the worker is to do next."""

    run_until: int | None
    cancel: bool
    stop: bool
    changes: list[Any]


@routes.post("/worker/report")
def report(body: ReportIn, mine: WorkerRun, lab: LabDep) -> Orders:
    """Store a report once, and answer with the run's orders. 409: stop, you are not current."""
    if body.run != mine.id:
        raise HTTPException(403, f"this token is of run {mine.id!r}, the report of {body.run!r}")
    try:
        run, new = lab.store.report(body.stored())
    except ValueError as error:
        raise HTTPException(422, f"points that are none: {error}") from None
    except OperationalError as error:
        # The worker is alive and will ask again: a full disk must not pass for its silence.
        lab.supervisor.reported(mine.id, body.attempt, mine.status)
        raise HTTPException(503, f"the database takes no report now: {error.orig}") from error
    if new:
        lab.supervisor.reported(run.id, body.attempt, body.status)
    return Orders(run_until=run.run_until, cancel=run.cancel, stop=run.stop, changes=run.changes)
