"""What a worker says of its end."""

import pytest

from backend.jobs.executor import exit_words
from backend.jobs.worker.reporting import explained

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\n'


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("ValueError: width must be positive", "ValueError: width must be positive"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", "The device ran out of memory: "),
        ("MemoryError", "The machine ran out of memory: "),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", "The machine ran out of "),
    ],
)
def test_a_failure_begins_with_a_line_for_people(last, said):
    text = explained(f"{last}\n\n{TRACE}{last}\n")
    assert text.splitlines()[0].startswith(said)
    assert text.endswith(f"{TRACE}{last}\n")


def test_a_long_traceback_fits_into_a_report():
    error = "x" * 10_000
    assert len(explained(f"{error}\n\n{TRACE * 10_000}ValueError: {error}")) < 100_000


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (-9, "killed by SIGKILL (9)"), (-63, "killed by signal 63")],
)
def test_an_exit_code_in_words(code, words):
    assert exit_words(code) == words
