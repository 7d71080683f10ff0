"""`AttachedRun`: a training loop of the user's own, reported to a lab step by step."""

import os
import threading
from collections.abc import Iterable, Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, Self, get_args

from backend.attach import arguments, unclosed
from backend.attach.delivery import PATIENCE, Delivery
from backend.attach.loop_probes import LoopProbes
from backend.attach.registration import MAX_STEPS, Registration
from backend.attach.scalars import Scalars
from backend.attach.unclosed import Outcome
from backend.attach.user_module import is_shared
from backend.attach.user_network import UserNetwork
from backend.training.clock import Clock
from backend.training.control import Control
from backend.training.point_buffer import PointBuffer
from backend.training.records import Ended, Event, Progress, Record

FLUSH_SECONDS = 0.5
PAUSED_SECONDS = 0.5
"""Between two looks at whether a paused loop may go on."""


class RunCancelledError(Exception):
    """The run was cancelled in the lab; a `with attach(…)` block ends quietly by it."""


class AttachedRun:
    """A training loop's own run in a lab; made by `attach`, used as a context manager.

    The block ends the run: as finished, as cancelled if it was interrupted or cancelled in the lab,
    else as failed with the traceback of the exception. Without a block or `close`, the run ends
    with the script, or when nothing refers to it any more.
    """

    _closed = True  # until the run is made

    def __init__(
        self,
        network: UserNetwork,
        registration: Registration,
        delivery: Delivery,
        control: Control,
    ) -> None:
        config = registration.config
        self._id, self._steps = registration.id, config.steps
        self._delivery, self._control, self._clock = delivery, control, Clock()
        self._points = PointBuffer("", ends=False)
        self._scalars = Scalars()
        self._probes = LoopProbes(
            network, config.probe, config.steps, config.seed, self._clock, self._points
        )
        self._count, self._at, self._stepped_at, self._timed_at = 0, -1, -1, -1
        self._next_flush, self._process = 0.0, os.getpid()
        self._flush()
        self._closed = False
        unclosed.watch(self)

    @property
    def id(self) -> str:
        """The run's id in the lab."""
        return self._id

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled in the lab, or deleted there."""
        return self._control.cancel

    @property
    def overhead(self) -> float:
        """The share of the loop's time so far that went into probes and reports."""
        return min(self._clock.probes / max(self._clock.total, 1e-9), 1.0)

    def step(self, step: int, batch: Any = None) -> None:
        """Say that update `step` comes now, with this batch; measure if a probe is due.

        Waits while the run is paused. Call it before the update. Several calls at one step, as with
        accumulated gradients, count as one: the first batch is measured.

        Args:
            step: the number of updates made, an int or numpy's; it may begin anywhere and never
                goes down.
            batch: what the loss is taken of: a pair of tensors (x, y) for a `loss(output, y)`,
                anything for a `loss(model, batch)`. It may be on another device than the model.
                None: no probe.

        Raises:
            RunCancelledError: the run was cancelled in the lab. The `with` block ends by it.
        """
        start = self._clock.total
        self._begins(step)
        if self._at != self._stepped_at:  # it may have begun with a `log`
            self._stepped_at = self._at
            self._obey()
            if batch is not None:
                self._probes.before(self._count, self._at, batch, self._report)
            self._count += 1
        self._flush_if_due()
        self._clock.probes += self._clock.total - start

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Keep scalars of the present step, or of `step`; a later value of a name replaces an
        earlier one of the same step.

        `loss` and `accuracy` are those of training. They, `validation/loss`, `validation/accuracy`,
        `test/loss`, `test/accuracy` and `train/learning_rate` are drawn beside those of the lab's
        own runs, and all others in a chart of their own. Tensors on a GPU are not read at once, so
        that nothing waits for it.

        Raises TypeError or ValueError for what is no number.
        """
        start = self._clock.total
        if step is not None:
            self._begins(step)
        self._scalars.log(values)
        self._flush_if_due()
        self._clock.probes += self._clock.total - start

    def close(self, outcome: Outcome = "finished", error: str | None = None) -> None:
        """End the run, and wait until the lab has all of it. Safe to repeat.

        With the lab of this machine closed, the rest stays in its home, and the lab stores it when
        it is opened. With one elsewhere out of reach, this waits until it answers.
        """
        arguments.one_of("outcome", outcome, get_args(Outcome))
        arguments.text("error", error)
        if not self._closed:
            self._delivery.end(self._last_records(outcome, error))

    def end_unclosed(self, error: BaseException | None) -> None:
        """End a run that nobody has closed, by the exception by which the script ends, if any."""
        if self._is_left_open:
            self._delivery.end(self._last_records(*self._end_by(error)), PATIENCE)

    def _last_records(self, outcome: Outcome, error: str | None) -> list[Record]:
        self._closed = True
        self._scalars.end()
        return [*self._news(), Ended(outcome, max(self._at, 0), error)]

    def _end_by(self, error: BaseException | None) -> unclosed.End:
        if isinstance(error, RunCancelledError) or (error is None and self.cancelled):
            return unclosed.End("cancelled")
        if error is not None:
            return unclosed.end_of(error)
        return unclosed.end_without(self._at + 1, self._steps)

    @property
    def _is_left_open(self) -> bool:
        """Whether nobody has closed it; a fork of the script has none of its runs."""
        return not self._closed and self._process == os.getpid()

    def __del__(self) -> None:
        if self._is_left_open:
            last = self._last_records(*self._end_by(None))
            # The collector of garbage must wait neither for a lab nor for a disk: it may run
            # anywhere, and in the reporter's thread it would wait for itself.
            threading.Thread(target=self._delivery.end, args=(last, PATIENCE)).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        if error is None:
            self.close()
        else:
            self.close(*self._end_by(error))
        return isinstance(error, RunCancelledError)

    def _begins(self, step: int) -> None:
        """Let `step` be the present one. Raises ValueError if it is before the present one, and
        TypeError if it is no whole number."""
        if step == self._at != -1:
            return
        at = step if type(step) is int else arguments.whole("step", step, self._allowed)
        if not max(self._at, 0) <= at < MAX_STEPS:
            allowed = f"at most {MAX_STEPS - 1:,}" if at >= MAX_STEPS else self._allowed
            raise ValueError(f"step is {at:,}; {allowed} is allowed")
        self._at = at
        self._scalars.begin(at)

    @property
    def _allowed(self) -> str:
        first = "0" if self._at < 0 else f"the present one, {self._at:,},"
        return f"a whole number from {first} on"

    def _obey(self) -> None:
        """Wait while the run is paused; raise RunCancelledError if it was cancelled."""
        holds = self._control.holds(self._at)
        # Where processes train together, the others would wait for this one, or go on without it.
        if not (holds or self._control.cancel) or is_shared():
            return
        if holds:
            self._wait()
        if self._control.cancel:
            raise RunCancelledError(f"run {self.id} was cancelled in the lab")

    def _wait(self) -> None:
        self._flush()
        with self._clock.paused():
            self._delivery.report([Event(self._at, "paused", f"paused at step {self._at:,}")])
            while self._control.holds(self._at):
                self._delivery.report([self._progress("paused")])
                self._control.wait(self._at, PAUSED_SECONDS)
        self._flush()

    def _report(self, records: Iterable[Record]) -> None:
        self._delivery.report(records)
        self._flush()

    def _flush_if_due(self) -> None:
        if perf_counter() >= self._next_flush:
            self._flush()

    def _flush(self) -> None:
        self._delivery.report(self._news())
        self._next_flush = perf_counter() + FLUSH_SECONDS

    def _news(self) -> list[Record]:
        """What has come since the last flush."""
        if self._at > self._timed_at:
            self._points.add(("train/seconds", "", ""), self._at, self._clock.training)
            self._timed_at = self._at
        points, _ = self._points.flush()
        return [*points, *self._scalars.flush(), self._progress("running")]

    def _progress(self, status: Literal["running", "paused"]) -> Progress:
        step, seconds = self._at + 1, self._clock.total
        steps, rate = max(self._steps or 0, step), self._count / max(seconds, 1e-9)
        return Progress(step, steps, rate, seconds, status, self.overhead)


class OtherRank(AttachedRun):
    """What `attach` returns in the other processes of a distributed training: the same interface,
    and nothing happens, since the first process measures and reports."""

    id, cancelled, overhead = "", False, 0.0  # type: ignore[assignment]

    def __init__(self) -> None:
        pass

    def step(self, step: int, batch: Any = None) -> None:
        """Nothing."""

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Nothing."""

    def close(self, outcome: Outcome = "finished", error: str | None = None) -> None:
        """Nothing."""
