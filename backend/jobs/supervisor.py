"""The supervisor: puts queued runs on slots, watches their workers, and resumes what dies.

Everything happens in one thread that takes its errands from a queue; the public methods only
add to it (or, for `validate` and `catalogue`, ask an inspector in the caller's thread).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from backend.config import Kind
from backend.jobs.attempt import PATIENT, Limits, Live
from backend.jobs.backoff import Backoff
from backend.jobs.devices import Device, Slot, cores, detect, divide
from backend.jobs.executor import Executor, Exit, Job
from backend.jobs.inspections import Questions
from backend.jobs.run_folders import checkpoints, kept
from backend.jobs.worker_exit import Death, settle
from backend.store import Run, Store
from backend.store.base import ConflictError, MissingError
from backend.training.checkpoints.files import checkpoint_steps, resume_step

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs of `store` on `executor`. Call `start` when the server listens, `shutdown` while
    it still answers."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        home: Path,
        plugins: Sequence[Path] = (),
        *,
        slots: int | None = None,
        devices: Sequence[Device] | None = None,
        limits: Limits = PATIENT,
    ) -> None:
        self._store, self._executor, self._home = store, executor, home
        self._limits = limits
        self.devices = list(devices) if devices is not None else detect()
        self.slots = divide(self.devices, cores(), slots)
        self._questions = Questions(executor, home, plugins, self.devices, self.slots, limits)
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._live: dict[str, Live] = {}
        self._unseated = True  # whether a queued run may have found a slot
        self._refill = Backoff(limits.retry)
        self._closing = self._closed = False
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    def start(self) -> None:
        """Find what an earlier server left, and begin. Workers report to the URL in HOME/lock."""
        self._executor.open(lambda exit: self._errands.put(lambda: self._ended(exit)))
        self._errands.put(self._begin)
        self._thread.start()

    def validate(self, config: Any, kind: Kind = "training") -> dict[str, Any]:
        """See `Questions.validate`."""
        return self._questions.validate(config, kind)

    def catalogue(self, refresh: bool = False) -> dict[str, Any]:
        """See `Questions.catalogue`."""
        return self._questions.catalogue(refresh)

    def diagnose(self, question: Any) -> list[dict[str, Any]]:
        """See `Questions.diagnose`."""
        return self._questions.diagnose(question)

    def submit(self, run_id: str) -> None:
        """A run was queued."""
        self._errands.put(self._look_again)

    def signal(self, run_id: str) -> None:
        """A run was steered: its worker hears of it in the answer to its next report."""
        self._errands.put(lambda: self._steered(run_id))

    def reported(self, run_id: str, attempt: int, status: str) -> None:
        """A report was committed."""
        self._errands.put(lambda: self._heard(run_id, attempt, status))

    def shutdown(self) -> None:
        """Ask the workers to checkpoint and stop, wait for them a bounded time, and end.

        Call it while the server still answers reports. Workers that take longer go on by
        themselves; the next server finds them. Safe to repeat.
        """
        if self._closed or not self._thread.is_alive():
            return
        self._errands.put(self._close)
        self._quiet.wait(self._limits.shutdown)
        self._closed = True
        self._errands.put(lambda: None)
        self._thread.join()
        self._executor.close()

    def _work(self) -> None:
        while not self._closed:
            try:
                self._run_errands()
                self._watch()
                self._fill()
            except Exception:  # one run's trouble must not end the watch over the others
                _log.exception("the supervisor stumbled")
                self._unseated = True

    def _run_errands(self) -> None:
        """All that wait: silence is judged only when every report that came has been heard."""
        timeout = self._limits.tick
        while True:
            try:
                errand = self._errands.get(timeout=timeout)
            except queue.Empty:
                return
            errand()
            timeout = 0.0

    def _look_again(self) -> None:
        self._unseated = True

    def _close(self) -> None:
        self._closing = True
        for live in self._live.values():
            try:
                self._store.update(live.run, stop=True)
            except (MissingError, OperationalError) as error:  # the others can still be asked
                _log.warning("run %s cannot be told to stop: %s", live.run, error)

    def _steered(self, run_id: str) -> None:
        live = self._live.get(run_id)
        if live is not None and self._store.run(run_id).cancel:
            live.cancelled = live.cancelled or time.monotonic()

    def _heard(self, run_id: str, attempt: int, status: str) -> None:
        live = self._live.get(run_id)
        if live is None or live.attempt != attempt:
            return
        live.heard(self._limits.silence)
        if live.adopted and status not in ("running", "paused"):
            self._forget(live)

    def _forget(self, live: Live) -> None:
        del self._live[live.run]
        self._unseated = True

    def _ended(self, exit: Exit) -> None:
        live = self._live.get(exit.run)
        if live is not None and live.attempt == exit.attempt:
            self._bury(live, Death(exit.code))

    def _watch(self) -> None:
        for live in list(self._live.values()):
            if live.retry.due():
                self._look_after(live)
        if self._closing and all(live.death for live in self._live.values()):
            self._quiet.set()

    def _look_after(self, live: Live) -> None:
        try:
            self._attend(live)
        except Exception as error:  # the others are looked after all the same
            wait = live.retry.failed()
            _log.warning("run %s is looked after again in %g s: %r", live.run, wait, error)

    def _attend(self, live: Live) -> None:
        if live.death is not None:
            limit = self._limits.attempts
            settle(self._store, self._home, limit, live.run, live.attempt, live.death)
            self._forget(live)  # not before: what is forgotten here stays as the database has it
        elif live.silent():
            self._kill(live, f"silent for {self._limits.silence:g} s")
        elif live.disobeys(self._limits.cancel):
            self._kill(live, "did not obey its cancellation")
        elif live.adopted and live.process(self._home) is None:
            self._bury(live, Death())

    def _kill(self, live: Live, why: str) -> None:
        self._executor.kill(live.run, live.attempt)
        live.kill(self._home)
        self._bury(live, Death(how=why))

    def _bury(self, live: Live, death: Death) -> None:
        """An attempt's process is gone: its slot is free, its outcome is to be written down."""
        if live.death is None:
            live.death, live.slot, live.retry = death, None, Backoff(self._limits.retry)
            self._unseated = True
            self._look_after(live)

    def _give_up(self, run: Run, what: str, error: Exception) -> None:
        """This server cannot handle the run: it fails, in words, and the others go on."""
        _log.error("run %s could not be %s", run.id, what, exc_info=error)
        live = self._live.setdefault(run.id, Live(run.id, run.attempt, None))
        words = f"The run could not be {what}: {type(error).__name__}: {error}"
        self._bury(live, Death(hopeless=words))

    def _begin(self) -> None:
        try:  # before any run starts: a plug-in that hangs must not take the runs with it
            self._questions.catalogue()
        except Exception:  # nor may whatever else is wrong with it
            _log.exception("the catalogue could not be made")
        for run in self._store.active():
            if run.status != "queued":
                try:
                    self._adopt(run)
                except Exception as error:
                    self._give_up(run, "taken up again", error)

    def _adopt(self, run: Run) -> None:
        live = Live(run.id, run.attempt, self._seat(run.device or "auto"), adopted=True)
        live.heard(self._limits.silence)
        live.cancelled = time.monotonic() if run.cancel else None
        self._live[run.id] = live
        if live.process(self._home) is None:
            self._bury(live, Death(blameless=True))

    def _fill(self) -> None:
        """Seat queued runs, oldest first; one whose device is busy lets later ones pass."""
        if self._closing or not (self._unseated and self._refill.due()):
            return
        self._unseated = False
        try:
            for run in self._store.active():
                if run.status == "queued" and run.id not in self._live:
                    self._place(run)
            self._refill.reset()
        except OperationalError as error:
            self._unseated, wait = True, self._refill.failed()
            _log.warning("queued runs are looked at again in %g s: %s", wait, error)

    def _place(self, run: Run) -> None:
        try:
            slot = self._seat(run.config["device"])
            if slot is not None:
                self._launch(run, slot)
        except OperationalError:
            raise
        except Exception as error:
            self._give_up(run, "started", error)

    def _seat(self, device: str) -> Slot | None:
        taken = {live.slot for live in self._live.values()}
        return next((s for s in self.slots if s not in taken and s.serves(device)), None)

    def _launch(self, run: Run, slot: Slot) -> None:
        resumed_at = self._resumed_at(run)
        try:
            run, token = self._store.begin_attempt(run.id, resumed_at)
        except (ConflictError, MissingError):
            return  # cancelled or deleted in this very moment
        live = Live(run.id, run.attempt, slot)
        live.heard(self._limits.start)
        self._live[run.id] = live
        self._executor.start(self._job(run, slot, token, resumed_at))

    def _resumed_at(self, run: Run) -> int:
        """Where the next attempt begins: a fork's first one, where its parent was."""
        own = checkpoints(self._home, run.id)
        forked = run.kind == "training" and not checkpoint_steps(own)
        return resume_step(kept(self._home, run.id) if forked else own)

    def _job(self, run: Run, slot: Slot, token: str, resumed_at: int) -> Job:
        device = run.config["device"]
        return Job(
            run=run.id,
            attempt=run.attempt,
            config=run.config,
            token=token,
            home=str(self._home),
            plugins=self._questions.plugins,
            device="cpu" if device == "cpu" else slot.device.name,
            environment=slot.environment(device),
            threads=run.facts.get("threads", slot.threads),
            resumed_at=resumed_at,
            control={"run_until": run.run_until, "cancel": run.cancel, "changes": run.changes},
        )
