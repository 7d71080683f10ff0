"""Reports from workers, with the token of their run."""

from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError

from backend.api.deps import LabDep, WorkerRun
from backend.api.router import router
from backend.jobs.report_decoding import ReportPayload

routes = router("worker")


class Orders(BaseModel):
    """What the worker is to do next."""

    run_until: int | None
    """Pause when this many updates are made."""
    cancel: bool
    stop: bool
    changes: list[Any]
    """All changes of the run so far."""


@routes.post("/worker/report")
def report(body: ReportPayload, worker_run: WorkerRun, lab: LabDep) -> Orders:
    """Store a report once and answer with the run's orders.

    409 means that the worker must stop: a newer attempt exists, or the run has ended.
    """
    if body.run != worker_run.id:
        raise HTTPException(
            403, f"this token is of run {worker_run.id!r}, the report of {body.run!r}"
        )
    try:
        run, new = lab.store.report(body.decoded())
    except ValueError as error:
        raise HTTPException(422, f"the points are not valid: {error}") from None
    except OperationalError as error:
        # The worker is alive and will try again: a full disk must not count as its silence.
        lab.supervisor.reported(worker_run.id, body.attempt, worker_run.status)
        raise HTTPException(503, f"the database takes no report now: {error.orig}") from error
    if new:
        lab.supervisor.reported(run.id, body.attempt, body.status)
    return Orders(run_until=run.run_until, cancel=run.cancel, stop=run.stop, changes=run.changes)
