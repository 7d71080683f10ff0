"""How much memory a run needs, estimated from shapes before anything is allocated.

need = P · (4 · (7 + m) + max(8 · (1 + m), 52 if it is probed)) + A · (3 + K) + S + E + D + 0.4 GiB

P: parameters; m: the optimiser's moments. The first term counts float32 copies: weights, gradient,
moments and, as measured, five for an estimate. A checkpoint copies weights and moments twice while
it is written; a probe keeps the gradient, a draw and four sums in float64. A: bytes of all results
of a forward pass on a batch, once each for values, gradients and tangents, and for each of the K
draws that a probe makes at once. S: of equilibria, the largest history of a solver, and the results
of all steps that an adjoint unrolls. E: an evaluation, D: the data set twice. It is meant to be a
little too large.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.config import MicroscopeConfig, RunConfig
from backend.machine_memory import in_words
from backend.training.components.assemble import Assembly
from backend.training.datasets import Dataset
from backend.training.evaluation.evaluation import examples_at_once
from backend.training.examples.room import memory_of, size_of
from backend.training.losses import Loss
from backend.training.memory.solves import (
    NO_EQUILIBRIA,
    NO_SOLVES,
    Results,
    SolveNeed,
    Solves,
    solve_need,
    solves_of,
)
from backend.training.networks import Network
from backend.training.random_passes import chain_on
from estimators.core.contract import Estimator
from estimators.core.objective import Chain
from estimators.measurement.draws.stream import AT_ONCE, MOST

PROCESS = 400 * 2**20
"""Bytes of a worker without a run: torch and its libraries."""
CLOSE = 0.8
"""A run that needs more than this share of what is free is warned of."""

MOST_MOMENTS = 2
"""Numbers that an unknown optimiser is taken to keep for each parameter."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a run needs, by what takes them."""

    parameters: int
    """How many there are."""
    copies: int
    """Bytes of the parameters, of their gradients, moments and draws."""
    batch: int
    """Bytes of the results of the network's operations on a batch."""
    data: int
    """Bytes of the data set."""
    solves: SolveNeed = NO_SOLVES
    """What the equilibria of the network take beside it."""

    @property
    def total(self) -> int:
        """All together, with the process itself."""
        return self.copies + self.batch + self.data + self.solves.total + PROCESS

    @property
    def words(self) -> str:
        """The need, and what most of it is for."""
        largest = max(self.copies, self.batch, self.data, self.solves.total)
        reason = {
            self.solves.total: self.solves.words,
            self.data: "the data set",
            self.batch: "the results of its operations on a batch",
            self.copies: f"{self.parameters:,} parameters with gradients, moments and draws",
        }[largest]
        total = in_words(self.total)
        return f"the run needs about {total}, of which {in_words(largest)} are for {reason}"

    @property
    def remedy(self) -> str:
        """What makes it smaller."""
        if self.solves.total > max(self.copies, self.batch, self.data):
            return self.solves.remedy
        if self.batch > self.copies:
            return "take a smaller batch or a smaller network"
        return "take a smaller network, switch probes off (probe.budget 0), or SGD without momentum"


class TooLargeError(Exception):
    """A run needs more memory than is free; the message is for people."""


def require_memory(assembly: Assembly, config: RunConfig, device: torch.device) -> str:
    """A warning if the run needs most of what is free, else "".

    Raises TooLargeError if it needs more than that.
    """
    need = memory_need(
        assembly.network, assembly.dataset, assembly.loss, assembly.optimizer.moments,
        config.batch_size,
        isinstance(config, MicroscopeConfig) or config.probe.possible, str(device),
        [member.estimator for member in (assembly.driver, *assembly.shadows)],
    )  # fmt: skip
    if problem := refusal(need, str(device), now=True):
        raise TooLargeError(problem)
    return warning(need, str(device))


@dataclass(frozen=True)
class Footprint:
    """What one pass of a network on a batch takes, whatever the run makes of it."""

    parameters: int
    """How many there are."""
    batch_size: int
    results: int
    """Bytes of the results of all operations."""
    largest: int
    """Bytes of the largest result."""
    solves: Solves = NO_EQUILIBRIA
    """Its equilibria."""


def footprint(chain: Chain, batch_size: int) -> Footprint:
    """The footprint of a loss on a batch of that size, on torch's meta device: one traced pass."""
    params = {name: p.detach() for name, p in chain.module.named_parameters()}
    count = sum(p.numel() for p in params.values())
    return Footprint(count, batch_size, *_results(chain, params), solves_of(chain))


def memory_need(
    network: Network, dataset: Dataset, loss: Loss, moments: int, batch_size: int, probed: bool,
    device: str = "cpu", estimators: Iterable[Estimator] = (),
) -> MemoryNeed:  # fmt: skip
    """The need of a run of these components on a device, by its driver and its shadows.

    `moments` are the numbers that its optimiser keeps per weight.
    """
    traced = footprint(on_meta_device(network, dataset, loss, batch_size), batch_size)
    return need_of(traced, dataset, moments, probed, device, estimators)


def need_of(
    traced: Footprint, dataset: Dataset, moments: int, probed: bool, device: str = "cpu",
    estimators: Iterable[Estimator] = (),
) -> MemoryNeed:  # fmt: skip
    """`memory_need`, from the footprint of its network on its batch."""
    count = traced.parameters
    per_parameter = 4 * (7 + moments) + max(8 * (1 + moments), 52 if probed else 0)
    at_once = max(1, min(AT_ONCE, MOST // max(1, count))) if probed else 0
    examples = dataset.training_examples
    at_once_evaluated = examples_at_once(dataset.shape, torch.device(device).type, dataset.tokens)
    evaluated = 3 * traced.largest * min(at_once_evaluated, examples) // traced.batch_size
    data = dataset.bytes_on(device)
    batch = traced.results * (3 + at_once) + evaluated
    solves = solve_need(traced.solves, estimators)
    return MemoryNeed(count, count * per_parameter, batch, data, solves)


def refusal(need: MemoryNeed, device: str, *, now: bool) -> str:
    """Why a run cannot start on the device, in a sentence; "" if it can.

    `now`: judge by what is free, rather than by what there is.
    """
    if not now and need.total <= size_of(torch.device(device)):
        return ""
    there, available = memory_of(torch.device(device))
    limit = available if now else there
    if need.total <= limit:
        return ""
    wait = ", or wait until other runs have ended" if need.total <= there else ""
    return f"{need.words}; {_there(there, available)}: {need.remedy}{wait}"


def warning(need: MemoryNeed, device: str) -> str:
    """A sentence on a run that needs most of what is free; "" for others."""
    there, available = memory_of(torch.device(device))
    if need.total <= CLOSE * available:
        return ""
    advice = f"if it is killed for lack of memory, {need.remedy}"
    return f"{need.words}; {_there(there, available)}: {advice}"


def on_meta_device(
    network: Network, dataset: Dataset, loss: Loss, batch_size: int = 2,
    module: nn.Module | None = None,
) -> Chain:  # fmt: skip
    """The loss of a batch on torch's meta device: shapes without numbers.

    `module` is the network as `laid_out` gives it, if it was laid out already.
    """
    module = laid_out(network, dataset, loss) if module is None else module
    return chain_on(loss, module, placeholder(dataset, batch_size), dataset)


def laid_out(network: Network, dataset: Dataset, loss: Loss) -> nn.Sequential:
    """The network for the data set and the loss, on torch's meta device."""
    network.check_examples(dataset.shape, dataset.tokens)
    with torch.device("meta"):
        return network.layout(dataset.shape, loss.outputs(dataset))


def placeholder(dataset: Dataset, batch_size: int) -> tuple[Tensor, Tensor]:
    """A batch of the data set on torch's meta device."""
    with torch.device("meta"):
        return dataset.placeholder(batch_size)


def _results(chain: Chain, params: Mapping[str, Tensor]) -> tuple[int, int]:
    """Bytes of all results of the loss on its batch, and of the largest one."""
    # An operation may have no shape without numbers: then what came before it is counted.
    with Results() as results, torch.no_grad(), suppress(Exception):
        chain(params)
    return results.total, results.largest


def _there(there: int, available: int) -> str:
    return f"{in_words(available)} are free of {in_words(there)}"
