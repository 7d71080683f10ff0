"""Studies in the database: their runs, what these measured, and orders to all of them at once.

The runs of a study are its state: what is missing is queued in the transaction that looks for it,
so that a server that is killed at any moment queues no run twice and forgets none.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import false, select
from sqlmodel import Session

from backend.config import ACTIVE
from backend.store import run_orders
from backend.store.base import Commit, ConflictError
from backend.store.runs import MAX_ACTIVE, Runs, new_run
from backend.store.study_reads import FAILED, StudyReads, find_study, require_document
from backend.store.tables import Chunk, Run, Series, Study, new_id, now

PORTION = 256
"""Runs of one study that are active at a time; the others are queued as these end."""
Order = Literal["pause", "resume", "cancel", "retry"]

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_run = Run.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]
_study = Study.__table__.c  # type: ignore[attr-defined]
_LISTED = (_study.id, _study.name, _study.created, _study.status, _study.finished, _study.cells)


class Studies(StudyReads, Runs):
    """Makes studies, queues their runs, and orders them as one."""

    def create_study(
        self,
        name: str,
        document: Mapping[str, Any],
        variants: Sequence[Mapping[str, Any]],
        cells: int,
    ) -> str:
        """Store a study whose runs are to be queued; returns its id."""
        study = Study(
            id=new_id("y"), name=name, status="running", cells=cells,
            document=dict(document), variants=list(variants),
        )  # fmt: skip
        with self.writing() as session:
            session.add(study)
        return study.id

    def queue_cells(
        self,
        study_id: str,
        wanted: Sequence[Mapping[str, Any]],
        *,
        cells: int,
        timings: Mapping[str, float],
    ) -> list[str]:
        """Queue a run for each `{config, labels, plugins, cell}` that has none, as far as there is
        room; returns their ids.

        Nothing is queued unless the study is running. What was found out meanwhile (the number of
        its runs, the timings) is stored with them.
        """
        with self.writing() as session:
            study = find_study(session, study_id)
            if study.status != "running":
                return []
            study.cells, study.timings = cells, dict(timings)
            session.add(study)
            query = select(_run.cell).where(_run.study == study_id, _run.deleted == false())
            placed = {_canonical(cell) for cell in session.execute(query).scalars()}
            missing = [each for each in wanted if _canonical(each["cell"]) not in placed]
            runs = [new_run(each, study_id) for each in missing[: _room(session, study_id)]]
            session.add_all(runs)
        for run in runs:
            self._notify(Commit("run", run.id))
        return [run.id for run in runs]

    def extend_study(self, study_id: str, seeds: Sequence[int]) -> None:
        """Add seeds to those that are reported; a study that is finished goes on."""
        with self.writing() as session:
            study = find_study(session, study_id)
            require_document(study)
            given = study.document["seeds"]
            new = [seed for seed in seeds if seed not in given]
            study.document = {**study.document, "seeds": [*given, *new]}
            if study.status == "finished" and new:
                study.status, study.finished = "running", None
            session.add(study)

    def interrupt_active(self, reason: str) -> int:
        """See `Runs.interrupt_active`; the studies that are running are paused."""
        with self.writing() as session:
            running = select(Study).where(_study.status == "running")
            for study in session.execute(running).scalars():
                study.status = "paused"
                session.add(study)
        return super().interrupt_active(reason)

    def finish_study(self, study_id: str, cells: int, seeds: Sequence[int]) -> bool:
        """End a study all of whose runs have ended; whether it was running until now.

        `seeds` are those that the caller knows: there may be more by now.
        """
        with self.writing() as session:
            study = find_study(session, study_id)
            mine = (_run.study == study_id) & (_run.deleted == false())
            active = select(_run.id).where(mine, _run.status.in_(ACTIVE))
            extended = list(study.document["seeds"]) != list(seeds)
            if study.status != "running" or extended or session.execute(active).first():
                return False
            study.status, study.finished, study.cells = "finished", now(), cells
            session.add(study)
        return True

    def order_study(self, study_id: str, order: Order) -> list[str]:
        """Pause, resume, cancel or retry a study as one; returns the ids of the runs that changed.

        pause: its runs wait, and no more are queued. resume: they go on, also those of a cancelled
        study. cancel: its runs end. retry: runs that failed or were cancelled are made again.
        Raises ConflictError if its status forbids the order.
        """
        with self.writing() as session:
            study = find_study(session, study_id)
            _require(study, order)
            runs = _placed(session, study_id)
            changed = [run for run in runs if _ordered(run, order)]
            if order in ("pause", "cancel"):
                study.status = "paused" if order == "pause" else "cancelled"
                study.finished = now() if order == "cancel" else None
            elif order == "resume" or (changed and study.status != "paused"):
                study.status, study.finished = "running", None
            session.add_all([study, *changed])
        for run in changed:
            self._notify(Commit("run", run.id))
        return [run.id for run in changed]


def _placed(session: Session, study_id: str) -> list[Run]:
    """The runs that stand for the cells of a study."""
    query = select(Run).where(_run.study == study_id, _run.deleted == false())
    runs = session.execute(query.order_by(_run.number)).scalars()
    return [run for run in runs if not (run.cell or {}).get("retried")]


def _canonical(cell: Mapping[str, Any] | None) -> str:
    return json.dumps(cell, sort_keys=True)


def _room(session: Session, study_id: str) -> int:
    """How many more runs of a study may be queued now."""
    active = session.execute(select(_run.study).where(_run.status.in_(ACTIVE))).scalars().all()
    own = sum(study == study_id for study in active)
    return max(0, min(PORTION - own, MAX_ACTIVE - len(active)))


_ALLOWED: Mapping[Order, tuple[str, ...]] = {
    "pause": ("running",),
    "resume": ("paused", "cancelled"),
    "cancel": ("running", "paused"),
    "retry": ("running", "paused", "finished", "cancelled"),
}


def _require(study: Study, order: Order) -> None:
    """Raise ConflictError unless the study has a document and a status that allow the order."""
    require_document(study)
    if study.status not in _ALLOWED[order]:
        raise ConflictError(
            f"the study {study.name!r} is {study.status}; only a {' or '.join(_ALLOWED[order])} "
            f"study can be {_PAST[order]}"
        )


_PAST: Mapping[Order, str] = {
    "pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried",
}  # fmt: skip


def _ordered(run: Run, order: Order) -> bool:
    """Give the order to one run, where it is about that run; whether it was changed."""
    cancelled = run.status == "cancelled" or (run.cancel and run.status in ACTIVE)
    if order == "pause" and run.status in ("queued", "running"):
        run_orders.hold(run)
    elif order == "cancel" and run.status in ACTIVE:
        run_orders.cancel(run)
    elif (order == "retry" and run.status in FAILED) or (order == "resume" and cancelled):
        run.cell = {**(run.cell or {}), "retried": True}
    elif order == "resume" and run.status in ACTIVE and run.run_until is not None:
        run_orders.resume(run)
    else:
        return False
    return True
