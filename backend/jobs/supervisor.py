"""The supervisor: starts queued runs on free slots, watches their workers, and restarts them.

Everything happens in one thread that takes its tasks from a queue. The public methods add tasks
(or, for `validate`, `catalogue` and `diagnose`, ask an inspector in the caller's thread).
"""

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from backend.config import Kind
from backend.jobs.attached_runs import AttachedRuns
from backend.jobs.attempt import DEFAULT_LIMITS, Limits, RunningAttempt
from backend.jobs.backoff import Backoff
from backend.jobs.devices import Device, Slot, cores, detect, divide
from backend.jobs.executor import Executor, Exit, Job
from backend.jobs.inspections import Inspections
from backend.jobs.placement import place
from backend.jobs.run_checkpoints import resumed_at
from backend.jobs.worker_exit import WorkerExit, record_exit
from backend.machine_memory import KillWatch
from backend.store import Run, Store
from backend.store.base import ConflictError, MissingError
from backend.training.checkpoints.files import CheckpointError

_log = logging.getLogger(__name__)


class Supervisor:
    """Works off the runs of `store` with `executor`.

    Call `start` once the server listens, and `shutdown` while it still answers.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        home: Path,
        plugins: Sequence[Path] = (),
        *,
        slots: int | None = None,
        devices: Sequence[Device] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._store, self._executor, self._home = store, executor, home
        self._limits = limits
        self.devices = list(devices) if devices is not None else detect()
        self.slots = divide(self.devices, cores(), slots)
        self._inspections = Inspections(executor, home, plugins, self.devices, self.slots, limits)
        self._attached = AttachedRuns(store, home)
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._attempts: dict[str, RunningAttempt] = {}
        self._check_queue = True  # whether a queued run may have found a free slot
        self._queue_retry = Backoff(limits.retry)
        self._out_of_memory = KillWatch()
        self._closing = self._closed = False
        self._all_ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    def start(self) -> None:
        """Take over the runs of an earlier server, and begin."""
        self._executor.open(lambda exit: self._tasks.put(lambda: self._process_ended(exit)))
        self._tasks.put(self._begin)
        self._thread.start()
        self._attached.start()

    def validate(self, configs: Sequence[Any], kind: Kind = "training") -> list[dict[str, Any]]:
        """See `Inspections.validate`."""
        return self._inspections.validate(configs, kind)

    def fit(self, configs: Sequence[Any], field: str, limit: int) -> list[dict[str, Any]]:
        """See `Inspections.fit`."""
        return self._inspections.fit(configs, field, limit)

    def draft(self, configs: Sequence[Any], chosen: str) -> dict[str, Any]:
        """See `Inspections.draft`."""
        return self._inspections.draft(configs, chosen)

    def unsuited(self, config: Any) -> dict[str, dict[str, str]]:
        """See `Inspections.unsuited`."""
        return self._inspections.unsuited(config)

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        """See `Inspections.catalogue`."""
        return self._inspections.catalogue(refresh)

    def diagnose(self, question: Any) -> list[dict[str, Any]]:
        """See `Inspections.diagnose`."""
        return self._inspections.diagnose(question)

    def own_figures(self, *, wait: bool = False) -> list[dict[str, Any]]:
        """See `Inspections.own_figures`."""
        return self._inspections.own_figures(wait=wait)

    def draw(self, name: str, run_id: str) -> dict[str, Any]:
        """See `Inspections.draw`."""
        database = self._store.engine.url.render_as_string(hide_password=False)
        return self._inspections.draw(name, run_id, database)

    def submit(self, run_id: str) -> None:
        """A run was queued."""
        self._tasks.put(self._recheck_queue)

    def signal(self, run_id: str) -> None:
        """A run's orders changed; its worker gets them with the answer to its next report."""
        self._tasks.put(lambda: self._orders_changed(run_id))

    def reported(self, run_id: str, attempt: int, status: str) -> None:
        """A report was stored."""
        self._tasks.put(lambda: self._report_stored(run_id, attempt, status))

    def shutdown(self) -> None:
        """Ask the workers to write checkpoints and stop, wait a bounded time, and end.

        Call it while the server still answers reports. Workers that take longer go on by
        themselves, and the next server takes them over. Safe to repeat.
        """
        if self._closed or not self._thread.is_alive():
            return
        self._tasks.put(self._stop_workers)
        self._all_ended.wait(self._limits.shutdown)
        self._closed = True
        self._tasks.put(lambda: None)
        self._thread.join()
        self._attached.close()
        self._executor.close()

    def _work(self) -> None:
        while not self._closed:
            try:
                self._run_tasks()
                self._check_attempts()
                self._start_queued_runs()
            except Exception:  # an error with one run must not end the supervision of the others
                _log.exception("unexpected error in the supervisor")
                self._check_queue = True

    def _run_tasks(self) -> None:
        """Run all waiting tasks, so that silence is judged after every report that came."""
        timeout = self._limits.tick
        while True:
            try:
                task = self._tasks.get(timeout=timeout)
            except queue.Empty:
                return
            task()
            timeout = 0.0

    def _recheck_queue(self) -> None:
        self._check_queue = True

    def _stop_workers(self) -> None:
        self._closing = True
        for attempt in self._attempts.values():
            try:
                self._store.update(attempt.run, stop=True)
            except (MissingError, OperationalError) as error:  # the others can still be asked
                _log.warning("run %s cannot be asked to stop: %s", attempt.run, error)

    def _orders_changed(self, run_id: str) -> None:
        self._check_queue = True  # a run that was set aside may be queued now
        attempt = self._attempts.get(run_id)
        if attempt is not None and self._store.run(run_id).cancel:
            attempt.cancelled = attempt.cancelled or time.monotonic()

    def _report_stored(self, run_id: str, number: int, status: str) -> None:
        attempt = self._attempts.get(run_id)
        if attempt is None or attempt.attempt != number:
            return
        attempt.reported(self._limits.silence)
        paused = status == "paused"
        self._check_queue |= paused and not attempt.paused  # its slot may be of use to another
        attempt.paused = paused
        if attempt.adopted and status not in ("running", "paused"):
            self._forget(attempt)

    def _forget(self, attempt: RunningAttempt) -> None:
        del self._attempts[attempt.run]
        self._check_queue = True

    def _process_ended(self, exit: Exit) -> None:
        attempt = self._attempts.get(exit.run)
        if attempt is not None and attempt.attempt == exit.attempt:
            memory = exit.code == -signal.SIGKILL and self._out_of_memory.killed()
            self._attempt_ended(attempt, WorkerExit(exit.code, memory=memory))

    def _check_attempts(self) -> None:
        self._out_of_memory.look()
        for attempt in list(self._attempts.values()):
            if attempt.retry.due():
                self._check_or_retry(attempt)
        if self._closing and all(attempt.exit for attempt in self._attempts.values()):
            self._all_ended.set()

    def _check_or_retry(self, attempt: RunningAttempt) -> None:
        try:
            self._check(attempt)
        except Exception as error:  # the other attempts are checked all the same
            wait = attempt.retry.failed()
            _log.warning("run %s is checked again in %g s: %r", attempt.run, wait, error)

    def _check(self, attempt: RunningAttempt) -> None:
        """Record the exit of an attempt that ended; kill one that exceeds a limit."""
        if attempt.exit is not None:
            limit = self._limits.attempts
            record_exit(self._store, self._home, limit, attempt.run, attempt.attempt, attempt.exit)
            self._forget(attempt)  # only now: the database has the outcome
        elif attempt.is_silent():
            self._kill(attempt, f"silent for {self._limits.silence:g} s")
        elif attempt.ignores_cancellation(self._limits.cancel):
            self._kill(attempt, "did not obey its cancellation")
        elif attempt.adopted and attempt.process(self._home) is None:
            self._attempt_ended(attempt, WorkerExit())

    def _kill(self, attempt: RunningAttempt, why: str) -> None:
        self._executor.kill(attempt.run, attempt.attempt)
        attempt.kill(self._home)
        self._attempt_ended(attempt, WorkerExit(how=why))

    def _attempt_ended(self, attempt: RunningAttempt, exit: WorkerExit) -> None:
        """Free the slot of an attempt whose process has ended, and record its exit."""
        if attempt.exit is None:
            attempt.exit, attempt.slot = exit, None
            attempt.retry = Backoff(self._limits.retry)
            self._check_queue = True
            self._check_or_retry(attempt)

    def _give_up(self, run: Run, action: str, error: Exception) -> None:
        """Let a run fail that this server cannot handle; the others go on."""
        _log.error("run %s could not be %s", run.id, action, exc_info=error)
        attempt = self._attempts.setdefault(run.id, RunningAttempt(run.id, run.attempt, None))
        kind = "" if isinstance(error, CheckpointError) else f"{type(error).__name__}: "
        words = f"The run could not be {action}: {kind}{error}"
        self._attempt_ended(attempt, WorkerExit(failure=words))

    def _begin(self) -> None:
        try:  # before any run starts, so that a plug-in that hangs is excluded from the runs
            self._inspections.catalogue()
        except Exception:  # runs start all the same
            _log.exception("the catalogue could not be built")
        for run in self._store.active():
            if run.status != "queued" and run.kind != "attached":
                try:
                    self._adopt(run)
                except Exception as error:
                    self._give_up(run, "taken up again", error)

    def _adopt(self, run: Run) -> None:
        """Take over a run that an earlier server started."""
        slot = self._free_slot(run.device or "auto")
        attempt = RunningAttempt(run.id, run.attempt, slot, adopted=True)
        attempt.reported(self._limits.silence)
        attempt.cancelled = time.monotonic() if run.cancel else None
        self._attempts[run.id] = attempt
        if attempt.process(self._home) is None:
            self._attempt_ended(attempt, WorkerExit(uncounted=True))

    def _start_queued_runs(self) -> None:
        """Start queued runs, and set paused ones aside that hold a slot they wait for."""
        if self._closing or not (self._check_queue and self._queue_retry.due()):
            return
        self._check_queue = False
        try:
            taken = {attempt.run: attempt.slot for attempt in self._attempts.values()}
            placement = place(self._store.active(), taken, self.slots)
            for run, slot in placement.start:
                self._start_or_give_up(run, slot)
            for run in placement.set_aside:
                self._store.update(run.id, stop=True)
            self._queue_retry.reset()
        except OperationalError as error:
            self._check_queue, wait = True, self._queue_retry.failed()
            _log.warning("queued runs are started in %g s: %s", wait, error)

    def _start_or_give_up(self, run: Run, slot: Slot) -> None:
        try:
            self._start_attempt(run, slot)
        except OperationalError:
            raise
        except Exception as error:
            self._give_up(run, "started", error)

    def _free_slot(self, device: str) -> Slot | None:
        taken = {attempt.slot for attempt in self._attempts.values()}
        return next((s for s in self.slots if s not in taken and s.serves(device)), None)

    def _start_attempt(self, run: Run, slot: Slot) -> None:
        """Start a worker; it resumes from the newest checkpoint if there is one."""
        first = resumed_at(self._home, run)
        try:
            run, token = self._store.begin_attempt(run.id, first)
        except (ConflictError, MissingError):
            self._check_queue = True  # cancelled or deleted at this moment; its slot is free
            return
        attempt = RunningAttempt(run.id, run.attempt, slot)
        attempt.reported(self._limits.start)
        self._attempts[run.id] = attempt
        self._executor.start(self._job(run, slot, token, first))

    def _job(self, run: Run, slot: Slot, token: str, first: int) -> Job:
        device = run.config["device"]
        return Job(
            run=run.id,
            attempt=run.attempt,
            config=run.config,
            token=token,
            home=str(self._home),
            plugins=self._inspections.plugins,
            queued_plugins=run.plugins,
            device="cpu" if device == "cpu" else slot.device.name,
            environment=slot.environment(device),
            threads=run.facts.get("threads", slot.threads),
            resumed_at=first,
            control={"run_until": run.run_until, "cancel": run.cancel, "changes": run.changes},
        )
