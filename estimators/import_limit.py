"""`import_limit`: a time limit for the import of code that is not ours."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.5
"""After which code that caught the error is interrupted again."""


class ImportTimeoutError(BaseException):
    """A file did not return when it was imported.

    It is no Exception, so that `except Exception` in that file does not catch it.
    """


@contextmanager
def import_limit(name: str, seconds: float | None) -> Iterator[None]:
    """Raise ImportTimeoutError in the block after `seconds`; None: no limit.

    The limit needs an alarm signal. Where there is none, or in a thread that is not the main one,
    the block runs without a limit. Code that does not return to the interpreter, such as a loop
    in a C extension, is not interrupted either.
    """
    if seconds is None or not _can_interrupt():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise ImportTimeoutError(f"{name} did not return in {seconds:g} s when it was imported")

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _can_interrupt() -> bool:
    """Whether this thread can take the alarm, and nobody else waits for it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0
