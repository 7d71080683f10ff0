"""`TimeLimit`: an end for code of a plug-in that never returns."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTimeError(BaseException):
    """The time is over. Not an Exception, so that a plug-in's `except Exception` lets it pass."""


class TimeLimit:
    """Raises OutOfTimeError in the main thread `seconds` after the last `restart`.

    A call into C that does not return, such as one endless matrix product, is not interrupted.
    Where the system has no such timer (Windows), there is no limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.doing = seconds, ""

    def restart(self, doing: str) -> None:
        """Begin to count anew, for what is done now."""
        self.doing = doing
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    @contextmanager
    def active(self, doing: str) -> Iterator["TimeLimit"]:
        """Count until the block is left."""
        if not hasattr(signal, "setitimer"):
            yield self
            return
        before = signal.signal(signal.SIGALRM, _end)
        self.restart(doing)
        try:
            yield self
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise OutOfTimeError
