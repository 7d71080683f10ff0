"""Which queued runs start on which slots, and which paused runs leave their slots to others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.jobs.devices import Slot
from backend.store import Run


@dataclass(frozen=True)
class Placement:
    """What to do now."""

    start: list[tuple[Run, Slot]] = field(default_factory=list)
    """Queued runs, each with its slot, in the order in which to start them."""
    set_aside: list[Run] = field(default_factory=list)
    """Paused runs to ask for a checkpoint and their slot."""


def place(
    active: Sequence[Run], taken: Mapping[str, Slot | None], slots: Sequence[Slot]
) -> Placement:
    """The placement of `active` runs (oldest first), of which those in `taken` have an attempt.

    A run that was started before goes first, so that a resumed run does not wait behind those that
    never started; then the oldest. A run whose device is busy lets later ones pass. If no slot
    serves a waiting run, one paused run whose slot would serve it is set aside.
    """
    placement = Placement()
    free = [slot for slot in slots if slot not in taken.values()]
    leaving = [run for run in active if _can_leave(run, taken)]
    leaving.sort(key=lambda run: not run.stop)  # those that leave already are counted on first
    for run in sorted(_waiting(active, taken), key=lambda run: run.attempt == 0):
        device = run.config["device"]
        slot = next((slot for slot in free if slot.serves(device)), None)
        if slot is not None:
            free.remove(slot)
            placement.start.append((run, slot))
            continue
        paused = next((each for each in leaving if _slot(each, taken).serves(device)), None)
        if paused is not None:
            leaving.remove(paused)
            if not paused.stop:
                placement.set_aside.append(paused)
    return placement


def _waiting(active: Sequence[Run], taken: Mapping[str, Slot | None]) -> list[Run]:
    return [run for run in active if run.status == "queued" and run.id not in taken]


def _can_leave(run: Run, taken: Mapping[str, Slot | None]) -> bool:
    """Whether a run is paused in a slot. A microscope stays: it has no checkpoint to go on from."""
    return (
        run.kind == "training"
        and run.status == "paused"
        and run.held
        and taken.get(run.id) is not None
    )


def _slot(run: Run, taken: Mapping[str, Slot | None]) -> Slot:
    slot = taken[run.id]
    assert slot is not None
    return slot
