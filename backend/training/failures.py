"""`failed`: how a run ends that raises an error."""

import traceback

from backend.data_folders.folders import DataError
from backend.training.checkpoints.files import CheckpointError
from backend.training.memory.need import TooLargeError
from backend.training.records import Ended
from estimators.core.contract import UnsupportedError
from estimators.core.stateless import ImpureError
from estimators.measurement.inputs.randomness import RandomObjectiveError


class UnusableCheckpointError(Exception):
    """A checkpoint cannot be measured at; the message is for people."""


SENTENCES = (
    CheckpointError, DataError, ImpureError, RandomObjectiveError, TooLargeError, UnsupportedError,
    UnusableCheckpointError,
)  # fmt: skip
"""Errors whose message says what to do; the others are told with their traceback."""


def failed(step: int, error: BaseException) -> Ended:
    """The end at `step` by an error: a sentence, and below it the traceback of one that nobody
    expects."""
    if isinstance(error, SENTENCES):
        return Ended("failed", step, str(error))
    return Ended("failed", step, with_traceback(error))


def with_traceback(error: BaseException) -> str:
    """A sentence of what an error says, and below it the traceback."""
    trace = "".join(traceback.format_exception(error))
    return f"{headline(error)}\n\n{trace}"


def headline(error: BaseException) -> str:
    """The first line of what an error says; with the error's class, unless it is a ValueError."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    return lines[0] if type(error) is ValueError else f"{kind}: {lines[0]}"
