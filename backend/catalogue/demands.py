"""What a configuration would ask of the machine: passes for a probe, memory for the network."""

from collections.abc import Iterator

import psutil
import torch

from backend.config import Probe
from backend.training.components.resolve import Loc, Problem
from backend.training.devices import find_device
from estimators.core.contract import Estimator
from estimators.core.objective import Chain

MOST_PASSES = 1_000_000
"""In one probe: no hand can stop a probe between its draws, and no budget shortens the first."""
BYTES_A_PARAMETER = 84
"""As measured: weights, gradient, two moments and directions in float32; in float64 the
gradient, a draw and four sums of draws."""


def work(estimators: dict[Loc, Estimator], chain: Chain, probe: Probe) -> Iterator[Problem]:
    """A probe that would take too many passes, and estimators that cannot say their cost."""
    total = 0.0
    for loc, estimator in estimators.items():
        try:
            total += probe.draws * estimator.cost(chain).forward_equivalents
        except Exception as error:  # a plug-in's own code
            msg = f"its cost could not be told: {type(error).__name__}: {error}"
            yield Problem((*loc, "name"), msg)
    probing = probe.budget > 0 or probe.every is not None
    if probing and total > MOST_PASSES:
        yield Problem(
            ("probe", "draws"),
            f"{probe.draws:,} draws of {_counted(len(estimators))} are worth {total:,.0f} forward "
            f"passes a probe; at most {MOST_PASSES:,} are allowed: take fewer draws or directions",
        )


def memory(parameters: int, device: str) -> Iterator[Problem]:
    """A network whose training and probes cannot fit into the memory of `device`."""
    try:
        there = _memory(find_device(device))
    except ValueError:
        return  # no such device, which is told elsewhere
    needed = parameters * BYTES_A_PARAMETER
    if needed > there:
        yield Problem(
            ("network",),
            f"{parameters:,} parameters need about {needed / 2**30:.0f} GiB for training and "
            f"probes; the device has {there / 2**30:.0f} GiB",
        )


def _memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total


def _counted(estimators: int) -> str:
    return "one estimator" if estimators == 1 else f"{estimators} estimators"
