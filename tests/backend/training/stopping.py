"""Stopping a run at a step, as the server does when it ends: with a checkpoint."""

from backend.training.control import Control
from backend.training.loop import train
from backend.training.records import Ended, Progress


def stop_at(step, run, folder):
    """Train up to `step` and stop there."""
    control, last = Control(run_until=step), None
    for record in train(run, control, checkpoint_dir=folder):
        last = record
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=step, stop=True)
    assert isinstance(last, Ended)
    assert (last.status, last.step) == ("stopped", step)
