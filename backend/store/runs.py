"""Writing runs: create, start an attempt, order, end, delete."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import false
from sqlmodel import Session, col, select

from backend.config import ACTIVE
from backend.store import points, run_orders
from backend.store.base import Commit, ConflictError, FullError, MissingError, find_run
from backend.store.run_orders import Action
from backend.store.tables import Attempt, Event, Run, Study, new_id, now
from backend.store.upkeep import Upkeep

MAX_ACTIVE = 1000
"""Runs that may be queued, running or paused at a time."""


def digest(token: str) -> str:
    """The SHA-256 that is stored instead of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Runs(Upkeep):
    """Creates, starts, orders, ends and deletes runs."""

    def create_runs(
        self, validated: Sequence[Mapping[str, Any]], study: str | None = None
    ) -> tuple[list[Run], str | None]:
        """Queue a run for each `{config, labels, plugins}`, all in a new study if it has a name.

        A microscope or a fork also brings `id`, `kind`, `parent`, `parent_step` and `steps`.
        Returns the runs and the study's id. Raises ConflictError if too many runs are active.
        """
        with self.writing() as session:
            self._require_room(session, len(validated))
            study_id = None
            if study is not None:
                study_id = new_id("y")
                session.add(Study(id=study_id, name=study))
                session.flush()
            runs = [new_run(v, study_id) for v in validated]
            session.add_all(runs)
        for run in runs:
            self._notify(Commit("run", run.id))
        return runs, study_id

    def create_run(
        self, config: dict[str, Any], labels: dict[str, Any], plugins: dict[str, Any] | None = None
    ) -> Run:
        """Queue one run of a validated configuration."""
        runs, _ = self.create_runs([{"config": config, "labels": labels, "plugins": plugins or {}}])
        return runs[0]

    def _require_room(self, session: Session, more: int) -> None:
        active = len(session.exec(select(Run.number).where(col(Run.status).in_(ACTIVE))).all())
        if active + more > MAX_ACTIVE:
            raise FullError(
                f"{active} runs are active and {more} more were asked for; at most {MAX_ACTIVE} "
                "may be: cancel some or wait"
            )

    def update(self, run_id: str, **columns: Any) -> Run:
        """Set columns of a run. Raises MissingError."""
        return self._change(run_id, lambda run: run.sqlmodel_update(columns))

    def _change(self, run_id: str, change: Callable[[Run], object]) -> Run:
        with self.writing() as session:
            run = find_run(session, run_id)
            change(run)
            session.add(run)
        self._notify(Commit("run", run_id))
        return run

    def begin_attempt(self, run_id: str, resumed_at: int = 0) -> tuple[Run, str]:
        """Start the next attempt at step `resumed_at`; points from that step on are deleted.

        Returns the run and the token for its worker's reports; only the token's hash is stored.
        Raises ConflictError if the run has been cancelled or has ended.
        """
        token = secrets.token_urlsafe(32)
        with self.writing() as session:
            run = find_run(session, run_id)
            _begin(run, resumed_at)
            session.add(run)
            session.add(_attempt(run, resumed_at, token))
            if run.attempt > 1:
                session.add(_next_attempt(run, resumed_at))
            points.cut(session.connection(), run_id, resumed_at)
        if run.attempt > 1:
            self._notify(Commit("truncate", run_id, step=resumed_at))
        self._notify(Commit("run", run_id))
        return run, token

    def attach(self, row: Mapping[str, Any], token: str) -> Run:
        """Begin a run of a training loop of the user's own, which chose its id and token.

        Repeating it changes nothing. Raises ConflictError if another run has this id, if the run
        was deleted, and FullError if too many runs are active.
        """
        with self.writing() as session:
            known_run = session.exec(select(Run).where(Run.id == row["id"])).first()
            if known_run is not None:
                _require_same(session, known_run, token)
                return known_run
            self._require_room(session, 1)
            run = new_run(row, None)
            session.add(run)
            session.flush()
            _begin(run, 0)
            session.add(_attempt(run, 0, token))
        self._notify(Commit("run", run.id))
        return run

    def end_if_silent(self, run_id: str, before: str, status: str, error: str | None) -> bool:
        """End a run of a user's own loop, unless it was heard of since `before` (ISO 8601) or has
        ended; returns whether it was ended now. Its points are merged."""
        with self.writing() as session:
            run = find_run(session, run_id)
            silent = run.status in ACTIVE and (run.heard or "") < before
            if silent:
                run_orders.end(run, status, error)
                session.add(run)
        if silent:
            self._notify(Commit("run", run_id))
            self.compact(run_id)
        return silent

    def release(self, run_id: str) -> Run:
        """Queue a run whose worker has ended, or set it aside if it is paused."""
        return self._change(run_id, run_orders.release)

    def end(self, run_id: str, status: str, error: str | None = None) -> Run:
        """End a run that its worker did not end: failed or cancelled. Its points are merged."""
        run = self._change(run_id, lambda run: run_orders.end(run, status, error))
        self.compact(run_id)
        return run

    def compact(self, run_id: str) -> None:
        """Pack the points of a run that has ended into as few rows as possible."""
        self._merge(run_id, points.FULL)

    def steer(self, run_id: str, action: Action, to: int | None = None) -> Run:
        """Cancel, pause, resume, or let the run go on to step `to`; see `run_orders`.

        Raises ConflictError if the run's status forbids it.
        """
        return self._change(run_id, lambda run: run_orders.apply(run, action, to))

    def change(
        self, run_id: str, lr: float | None = None, driver: Mapping[str, Any] | None = None
    ) -> Run:
        """Order another base learning rate, another driver, or both; see `run_orders.change`.

        Raises ConflictError if the run is not active or has been changed too often.
        """
        return self._change(run_id, lambda run: run_orders.change(run, lr, driver))

    def log(self, run_id: str, kind: str, text: str, step: int | None = None) -> None:
        """Add a line to a run's log."""
        with self.writing() as session:
            session.add(Event(run=find_run(session, run_id).id, kind=kind, text=text, step=step))
        self._notify(Commit("run", run_id))

    def interrupt_active(self, reason: str) -> int:
        """Let every active run fail for a reason, before any is started; returns how many."""
        with self.reading() as session:
            active = session.exec(select(Run.id, Run.step).where(col(Run.status).in_(ACTIVE))).all()
        for run_id, step in active:
            self.end(run_id, "failed", reason)
            self.log(run_id, "interrupted", reason, step)
        return len(active)

    def delete(self, run_id: str) -> None:
        """Remove a run with its points and events. Raises ConflictError while it is active.

        Nothing finds it any more; `upkeep` takes its rows from the database.
        """
        with self.writing() as session:
            run = find_run(session, run_id)
            refuse_active(run)
            run.deleted = True
            session.add(run)
        self._notify(Commit("deleted", run_id))

    def by_token(self, token: str) -> Run:
        """The run to which a worker's token belongs, of any attempt. Raises MissingError."""
        with self.reading() as session:
            attempts = select(Run).join(Attempt, col(Attempt.run) == Run.id)
            mine = attempts.where(Attempt.token_hash == digest(token), Run.deleted == false())
            run = session.exec(mine).first()
        if run is None:
            raise MissingError("no run's token")
        return run


_OPTIONAL_COLUMNS = ("id", "kind", "parent", "parent_step", "steps", "cell")


def new_run(validated: Mapping[str, Any], study: str | None) -> Run:
    """A queued run of a validated configuration; see `Runs.create_runs`."""
    config = validated["config"]
    given = {name: validated[name] for name in _OPTIONAL_COLUMNS if name in validated}
    return Run(
        **{"steps": config.get("steps") or 0, **given},
        name=config.get("name", ""),
        config=config,
        labels=validated["labels"],
        plugins=validated.get("plugins", {}),
        study=study,
    )


def _require_same(session: Session, run: Run, token: str) -> None:
    """Raise ConflictError unless the run exists and the token is its own."""
    mine = select(Attempt.id).where(Attempt.run == run.id, Attempt.token_hash == digest(token))
    if run.deleted:
        raise ConflictError(f"run {run.number} was deleted; it takes no more reports")
    if session.exec(mine).first() is None:
        raise ConflictError(f"the id {run.id} is another run's; attach again for a new one")


def _begin(run: Run, resumed_at: int) -> None:
    run_orders.require(run, "be started", *ACTIVE)
    run.attempt += 1
    run.status, run.step, run.error = "running", resumed_at, None
    run.stop, run.heard = False, now()
    run.started = run.started or run.heard


def _attempt(run: Run, resumed_at: int, token: str) -> Attempt:
    return Attempt(run=run.id, number=run.attempt, resumed_at=resumed_at, token_hash=digest(token))


def _next_attempt(run: Run, resumed_at: int) -> Event:
    text = f"attempt {run.attempt} goes on from step {resumed_at:,}"
    return Event(run=run.id, kind="attempt", text=text, step=resumed_at)


def refuse_active(run: Run) -> None:
    """Raise ConflictError if the run is queued, running or paused."""
    if run.status in ACTIVE:
        raise ConflictError(f"run {run.number} is {run.status}; cancel it before you delete it")
