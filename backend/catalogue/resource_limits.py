"""What a configuration needs of the machine: forward passes of a probe, memory of the network."""

from collections.abc import Callable, Iterator
from functools import cache

import torch

from backend.config import Probe
from backend.training.components.assemble import find_device
from backend.training.components.resolve import Loc, Problem
from backend.training.examples.room import size_of
from backend.training.memory.need import MemoryNeed, refusal
from estimators.core.contract import Estimator
from estimators.core.objective import Chain

MAX_PASSES = 1_000_000
"""Forward passes of one probe; a probe cannot be interrupted between its draws."""


def check_probe_cost(
    estimators: dict[Loc, Estimator], chain: Chain, probe: Probe
) -> Iterator[Problem]:
    """A problem if a probe takes too many passes, or if an estimator's cost fails."""
    total = 0.0
    for loc, estimator in estimators.items():
        try:
            total += probe.draws * estimator.cost(chain).forward_equivalents
        except (Exception, SystemExit) as error:  # a plug-in's own code
            msg = f"its cost could not be determined: {type(error).__name__}: {error}"
            yield Problem((*loc, "name"), msg)
    if probe.possible and total > MAX_PASSES:
        count = "one estimator" if len(estimators) == 1 else f"{len(estimators)} estimators"
        yield Problem(
            ("probe", "draws"),
            f"{probe.draws:,} draws of {count} are worth {total:,.0f} forward "
            f"passes a probe; at most {MAX_PASSES:,} are allowed: take fewer draws or directions",
        )


@cache
def room_on(device: str) -> int:
    """Bytes that a device has. Reading them takes longer than most checks of a configuration, so
    they are kept until `room_on.cache_clear`."""
    return size_of(torch.device(device))


def check_memory(need_on: Callable[[str], MemoryNeed], device: str) -> Iterator[Problem]:
    """A problem if the run does not fit into the memory of `device`, whatever else runs there."""
    try:
        place = str(find_device(device))
    except ValueError:
        return  # no such device; another check reports it
    if need_on(place).total <= room_on(place):
        return
    if problem := refusal(need_on(place), place, now=False):
        yield Problem(("network",), problem)
