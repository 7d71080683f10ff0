"""`StudyKeeper`: the server's thread that carries studies out.

Whenever a run of a study has ended, it queues what the study needs next. All that it knows is in
the database, so that the next server goes on where this one was killed.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.exc import OperationalError

from backend.store import Store
from backend.store.base import MissingError
from backend.store.studies import Order
from backend.store.study_reads import CellRun
from backend.studies.cells import MAX_CELLS
from backend.studies.planning import run_row, stored_variants
from backend.studies.progress import (
    PlannedVariant,
    Progress,
    StudyPlan,
    StudyRun,
    cell_of,
    progress,
)
from backend.studies.study_file import STEP_SECONDS, StudyFileError, parse

_log = logging.getLogger(__name__)

STUDIES = 16
"""Studies whose variants are kept in memory."""
TICK = 0.5
"""Seconds between two looks at the studies that are running."""


class RunQueue(Protocol):
    """What the keeper needs of the supervisor."""

    def submit(self, run_id: str) -> None:
        """A run was queued."""
        ...

    def signal(self, run_id: str) -> None:
        """A run's orders changed."""
        ...


class StudyKeeper:
    """Carries out the studies of `store`, from `start` to `close`. Safe to share."""

    def __init__(self, store: Store, queue: RunQueue, tick: float = TICK) -> None:
        self._store, self._queue, self._tick = store, queue, tick
        self._variants: dict[str, Sequence[PlannedVariant]] = {}
        self._seen: dict[str, object] = {}
        """{study: how many of its runs had which status when it was last advanced}."""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take up the studies that are running. It may be started again once it is closed."""
        self._closing.clear()
        self._thread = threading.Thread(target=self._work, name="study keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; the next server goes on. Safe to repeat."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def plan(self, study_id: str) -> StudyPlan:
        """The plan of a study. Raises MissingError, and ConflictError for a study of an earlier
        version."""
        variants = self._variants.get(study_id)
        if variants is None:
            variants = stored_variants(self._store.study_row(study_id).variants)
            # Another thread may do the same; those of a large study are some megabytes.
            kept = [*self._variants.items()][1 - STUDIES :]
            self._variants = {**dict(kept), study_id: variants}
        return StudyPlan(parse(self._store.study_state(study_id).document), variants)

    def progress(self, study_id: str) -> Progress:
        """How far a study is. Raises MissingError."""
        return self._progress(self.plan(study_id), study_id)

    def _progress(self, plan: StudyPlan, study_id: str) -> Progress:
        timings, runs = self._store.study_state(study_id).timings, self._store.cell_runs(study_id)
        study, phases = plan.study, {run.cell["phase"] for run in runs}
        values: dict[str, float] = {}
        if study.metric == STEP_SECONDS:
            values = self._store.step_seconds(study_id)
        else:
            if "tuning" in phases:
                values |= self._store.cell_values(study_id, "tuning", study.tuning_metric)
            if "report" in phases:
                values |= self._store.cell_values(study_id, "report", study.reported_metric)
        return progress(plan, [_study_run(run, values.get(run.id)) for run in runs], timings)

    def advance(self, study_id: str) -> None:
        """Queue what a study needs now; end it when all its runs have ended. Safe to repeat."""
        plan = self.plan(study_id)
        study, state = plan.study, self._progress(plan, study_id)
        cells = len(state.cells) + len(state.wanted)
        if state.finished:
            self._store.finish_study(study_id, cells, study.seeds)
            return
        by_label = {each["label"]: each for each in self._store.study_row(study_id).variants}
        rows = [run_row(study, by_label[w.cell.variant], w) for w in state.wanted]
        queued = self._store.queue_cells(study_id, rows, cells=cells, timings=state.timings)
        for run_id in queued:
            self._queue.submit(run_id)
        if len(queued) < len(rows):  # no room now: look again
            self._seen.pop(study_id, None)

    def order(self, study_id: str, order: Order) -> None:
        """Pause, resume, cancel or retry a study as one; see `Studies.order_study`."""
        for run_id in self._store.order_study(study_id, order):
            self._queue.signal(run_id)
        if self._store.study_state(study_id).status == "running":
            self.advance(study_id)

    def extend(self, study_id: str, seeds: Sequence[int]) -> None:
        """Report more seeds. Raises StudyFileError for seeds that the study cannot have."""
        plan = self.plan(study_id)
        new = [seed for seed in seeds if seed not in plan.study.seeds]
        parse({**plan.study.document(), "seeds": [*plan.study.seeds, *new]})
        made = len(self.progress(study_id).cells)
        if made + len(new) * len(plan.variants) > MAX_CELLS:
            raise StudyFileError(
                f"the study has {made:,} runs, and {len(new):,} more seeds were asked for; at "
                f"most {MAX_CELLS:,} runs are allowed"
            )
        self._store.extend_study(study_id, new)
        self.advance(study_id)

    def look(self) -> None:
        """Advance the studies of which a run has begun or ended since the last look."""
        changing = self._store.changing_studies()
        for study_id in [*self._seen]:
            if study_id not in changing:
                del self._seen[study_id]
        for study_id, counts in changing.items():
            if self._seen.get(study_id) != counts and not self._closing.is_set():
                self._seen[study_id] = counts
                self._advance_or_log(study_id)

    def _advance_or_log(self, study_id: str) -> None:
        try:
            self.advance(study_id)
        except MissingError:
            pass
        except Exception as error:  # an error with one study must not end the others
            self._seen.pop(study_id, None)
            if isinstance(error, OperationalError):
                _log.warning("study %s is advanced again: %s", study_id, error.orig)
            else:
                _log.exception("unexpected error with study %s", study_id)

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self.look()
            except OperationalError as error:
                _log.warning("the studies are looked at again: %s", error.orig)
            except Exception:
                _log.exception("unexpected error in the study keeper")
            self._closing.wait(self._tick)


def _study_run(run: CellRun, value: float | None) -> StudyRun:
    return StudyRun(
        run.id, run.number, cell_of(run.cell), run.status, run.step, run.steps, run.seconds,
        run.error, value,
    )  # fmt: skip
