"""How a run ends whose loop never says so: the script ends, or nothing refers to the run any more.

`atexit` and the end of the object are the only signs of it: a library may call no callback when it
fails, and `sys.excepthook` is the user's own.
"""

import atexit
import sys
import weakref
from typing import Literal, NamedTuple, Protocol

from backend.training.failures import with_traceback

Outcome = Literal["finished", "failed", "cancelled"]


class Unclosed(Protocol):
    """A run that may be left open."""

    def end_unclosed(self, error: BaseException | None) -> None:
        """End it. `error` is the exception by which the script ends."""
        ...


class End(NamedTuple):
    """How a run ended."""

    outcome: Outcome
    error: str | None = None


_open: "weakref.WeakSet[Unclosed]" = weakref.WeakSet()


def watch(run: Unclosed) -> None:
    """End `run` when the script ends, unless it has ended before."""
    _open.add(run)


def end_of(error: BaseException) -> End:
    """How a run ends by an exception."""
    if isinstance(error, SystemExit) and not error.code:
        return End("finished")
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return End("cancelled")
    return End("failed", with_traceback(error))


def end_without(step: int, steps: int | None) -> End:
    """How a run ends of which nothing is known but the step that it has reached."""
    if steps is None or step >= steps:
        return End("finished")
    return End(
        "failed",
        f"The training loop ended at step {step:,} of {steps:,} without closing its run: use "
        "`with attach(…)`, which says why.",
    )


@atexit.register
def _end_all() -> None:
    # An interactive session has the error of a line that may be long past.
    last = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    for run in list(_open):
        run.end_unclosed(last)
