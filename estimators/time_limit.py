"""`TimeLimit`: an end for code of a plug-in that never returns."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.5
"""After which code that caught the error is interrupted again."""


class OutOfTimeError(BaseException):
    """The time is over. Not an Exception, so that a plug-in's `except Exception` lets it pass."""


class TimeLimit:
    """Raises OutOfTimeError in the block of `active`, `seconds` after the last `restart`.

    A call into C that does not return, such as one endless matrix product, is not interrupted.
    Where the system has no such timer (Windows), in a thread that is not the main one, and where
    somebody else waits for the alarm, there is no limit; nor is there with `seconds` None.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.doing = seconds, ""
        self._counts = False

    def restart(self, doing: str) -> None:
        """Begin to count anew, for what is done now."""
        self.doing = doing
        if self._counts and self.seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN_SECONDS)

    @contextmanager
    def active(self, doing: str) -> Iterator["TimeLimit"]:
        """Count until the block is left."""
        if self.seconds is None or not _can_interrupt():
            yield self
            return
        before = signal.signal(signal.SIGALRM, self._end)
        self._counts = True
        self.restart(doing)
        try:
            yield self
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._counts = False

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError(f"{self.doing} did not end in {self.seconds:g} s")


def _can_interrupt() -> bool:
    """Whether this thread can take the alarm, and nobody else waits for it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0
