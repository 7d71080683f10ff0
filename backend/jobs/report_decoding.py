"""From a report's JSON to what the store takes in; and the reports that a lost worker left."""

import base64
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.exc import OperationalError

from backend.jobs.run_folders import outbox
from backend.jobs.worker.outbox import unsent
from backend.store import Store
from backend.store.base import ConflictError, MissingError
from backend.store.points import Flush
from backend.store.reports import Progress, WorkerReport

_log = logging.getLogger(__name__)


def decode(report: Mapping[str, Any]) -> WorkerReport:
    """The report that `report` describes. Raises KeyError, TypeError or ValueError if none."""
    progress = report["progress"]
    return WorkerReport(
        run=report["run"],
        attempt=report["attempt"],
        sequence=report["sequence"],
        status=report["status"],
        series=[_flush(series) for series in report["series"]],
        progress=Progress(**progress) if progress else None,
        error=report["error"],
        events=report["events"],
        facts=report["facts"] or {},
    )


def _flush(series: Mapping[str, Any]) -> Flush:
    return Flush(
        metric=series["metric"],
        layer=series["layer"],
        estimator=series["estimator"],
        unit=series["unit"],
        steps=_unpacked(series["steps"], "<i8"),
        values=_unpacked(series["values"], "<f8"),
    )


def _unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), kind)


def take_in(store: Store, folder: Path, attempt: int) -> None:
    """Store what a worker that is gone had flushed but not delivered.

    Safe to repeat. Raises OperationalError while the database cannot be written; an outbox
    that cannot be read, or holds what is no report, is noted in the server's log and left.
    """
    path = outbox(folder, attempt)
    try:
        for line in unsent(path):
            store.report(decode(json.loads(line)))
        path.unlink(missing_ok=True)
    except (ConflictError, MissingError):
        path.unlink(missing_ok=True)  # ended or deleted meanwhile: it takes no more
    except OperationalError:
        raise
    except Exception:  # whatever it holds, the run's outcome must be written down
        _log.exception("%s could not be taken in", path)
