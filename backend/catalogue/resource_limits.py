"""What a configuration needs of the machine: forward passes of a probe, memory of the network."""

from collections.abc import Iterator

import psutil
import torch

from backend.config import Probe
from backend.training.components.assemble import find_device
from backend.training.components.resolve import Loc, Problem
from estimators.core.contract import Estimator
from estimators.core.objective import Chain

MAX_PASSES = 1_000_000
"""Forward passes of one probe; a probe cannot be interrupted between its draws."""
BYTES_PER_PARAMETER = 84
"""As measured: weights, gradient, two moments and directions in float32; in float64 the
gradient, a draw and four sums of draws."""


def check_probe_cost(
    estimators: dict[Loc, Estimator], chain: Chain, probe: Probe
) -> Iterator[Problem]:
    """A problem if a probe takes too many passes, or if an estimator's cost fails."""
    total = 0.0
    for loc, estimator in estimators.items():
        try:
            total += probe.draws * estimator.cost(chain).forward_equivalents
        except Exception as error:  # a plug-in's own code
            msg = f"its cost could not be determined: {type(error).__name__}: {error}"
            yield Problem((*loc, "name"), msg)
    probing = probe.budget > 0 or probe.every is not None
    if probing and total > MAX_PASSES:
        count = "one estimator" if len(estimators) == 1 else f"{len(estimators)} estimators"
        yield Problem(
            ("probe", "draws"),
            f"{probe.draws:,} draws of {count} are worth {total:,.0f} forward "
            f"passes a probe; at most {MAX_PASSES:,} are allowed: take fewer draws or directions",
        )


def check_memory(parameters: int, device: str) -> Iterator[Problem]:
    """A problem if the network's training and probes do not fit into the memory of `device`."""
    try:
        available = _memory(find_device(device))
    except ValueError:
        return  # no such device; another check reports it
    needed = parameters * BYTES_PER_PARAMETER
    if needed > available:
        yield Problem(
            ("network",),
            f"{parameters:,} parameters need about {needed / 2**30:.0f} GiB for training and "
            f"probes; the device has {available / 2**30:.0f} GiB",
        )


def _memory(device: torch.device) -> int:
    """Bytes of memory."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total
