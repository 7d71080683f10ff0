"""Checks of a configuration that need several of its components together."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import NamedTuple

from backend.catalogue.plugin_fit import (
    dataset_problem,
    network_problems,
    optimizer_problem,
)
from backend.catalogue.resource_limits import check_memory, check_probe_cost
from backend.catalogue.shared_chains import (
    FEW,
    footprint_of,
    module_of,
    remembered,
    sample_chain,
)
from backend.catalogue.suitable_networks import (
    networks_for_data,
    networks_for_estimator,
)
from backend.config import RunConfig
from backend.sentences import wrong
from backend.training.components.assemble import Parts, find_device
from backend.training.components.index import with_wrapped
from backend.training.components.resolve import Loc, Problem, in_words
from backend.training.datasets import Dataset
from backend.training.evaluation.batch_norm import has_batch_norm
from backend.training.losses import Loss
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.memory.need import MOST_MOMENTS, MemoryNeed, need_of
from backend.training.memory.quick_shapes import QuickShapes
from backend.training.networks import Network
from backend.training.optimizers import Optimizer
from backend.training.optimizers.rates import factors, refuse_tied
from estimators.core.contract import Estimator, Need, UnsupportedError
from estimators.requirements import require

MAX_PARAMETERS = 500_000_000
MAX_STEPS = 10_000_000


class Task(NamedTuple):
    """A data set and the loss on it."""

    dataset: Dataset
    loss: Loss


def check(run: RunConfig | None, parts: Parts) -> list[Problem]:
    """Every problem between the components that could be built."""
    dataset, network = parts.made.get(("dataset",)), parts.made.get(("network",))
    loss = parts.made.get(("loss",), CrossEntropy())
    problems = [*_check_alone(dataset, parts.made.get(("optimizer",)))]
    if problems:
        return problems
    if dataset is not None and loss is not None:
        problems += _check_loss(loss, dataset)
        if network is not None and not problems:
            problems += _check_network(network, Task(dataset, loss), parts, run)
    if run is not None:
        problems += _check_device(run.device)
        problems += _check_length(run, dataset, loss) if dataset is not None else []
    return problems


def _check_alone(dataset: Dataset | None, optimizer: Optimizer | None) -> Iterator[Problem]:
    """The problems that a plug-in has by itself."""
    if dataset is not None and (problem := dataset_problem(dataset)):
        yield Problem(("dataset",), problem)
    if optimizer is not None and (problem := _optimizer_problem(optimizer)):
        yield Problem(("optimizer",), problem)


def _check_loss(loss: Loss, dataset: Dataset) -> Iterator[Problem]:
    try:
        loss.check(dataset)
    except ValueError as error:
        yield Problem(("loss",), str(error))
    except (Exception, SystemExit) as error:  # a plug-in's own code
        yield Problem(("loss",), in_words(error, type(loss)))


def _check_network(
    network: Network, task: Task, parts: Parts, run: RunConfig | None
) -> Iterator[Problem]:
    try:
        count = _count(network, *task)
    except ValueError as error:
        yield Problem(("network",), f"{error}{_other_networks(network, task, str(error))}")
        return
    except (Exception, SystemExit) as error:  # a plug-in's own code
        said = in_words(error, type(network))
        msg = f"the network cannot be built for examples of shape {task.dataset.shape}: {said}"
        yield Problem(("network",), msg)
        return
    if count > MAX_PARAMETERS:
        msg = f"the network would have {count:,} parameters; at most {MAX_PARAMETERS:,} are allowed"
        yield Problem(("network",), msg)
        return
    if problems := _fit(network, *task):
        yield from problems
        return
    chain = sample_chain(network, *task)
    if run is not None and run.batch_size == 1 and has_batch_norm(chain.module):
        msg = wrong("batch_size", 1, "at least 2: batch normalisation compares the examples of one")
        yield Problem(("batch_size",), msg)
    optimizer = parts.made.get(("optimizer",))
    if optimizer is not None and (msg := _rates_problem(network, *task, optimizer.rates)):
        yield Problem(("optimizer", "rates"), msg)
    yield from _check_estimators(network, task, parts, run)


@remembered
def _rates_problem(network: Network, dataset: Dataset, loss: Loss, rates: str) -> str:
    module = sample_chain(network, dataset, loss).module
    try:
        refuse_tied(module, rates)
        factors(module, rates)
    except ValueError as error:
        return str(error)
    return ""


def _check_estimators(
    network: Network, task: Task, parts: Parts, run: RunConfig | None
) -> Iterator[Problem]:
    suitable: dict[Loc, Estimator] = {}
    # What an estimator may take for each example depends on their number; views come in pairs.
    batch = FEW if run is None else run.batch_size + run.batch_size % FEW
    for loc, component in parts.made.items():
        if isinstance(component, Estimator):
            problems = [
                *_check_needs(component, network, task, loc, batch),
                *_check_stop_gradient(task.loss, component, loc),
            ]
            yield from problems
            suitable |= {} if problems else {loc: component}
    if run is not None:
        need = lambda on: _need_on(on, run, network, task, parts, suitable)  # noqa: E731
        yield from check_memory(need, run.device)
        yield from check_probe_cost(suitable, sample_chain(network, *task), run.probe)


def need_of_run(run: RunConfig, parts: Parts) -> MemoryNeed:
    """The memory that a checked run needs on its device."""
    made = parts.made
    suitable = {loc: part for loc, part in made.items() if isinstance(part, Estimator)}
    task = Task(made[("dataset",)], made[("loss",)])
    device = str(find_device(run.device))
    return _need_on(device, run, made[("network",)], task, parts, suitable)


def _need_on(
    device: str, run: RunConfig, network: Network, task: Task, parts: Parts,
    suitable: Mapping[Loc, Estimator],
) -> MemoryNeed:  # fmt: skip
    optimizer = parts.made.get(("optimizer",))
    # Of the estimators, those that differentiate equilibria alone change the need.
    implicit = tuple(e for e in suitable.values() if Need.EQUILIBRIUM in e.needs())
    # Not the optimiser itself: the rates of a study would each be measured anew.
    moments = MOST_MOMENTS if optimizer is None else optimizer.moments
    described = (network, *task, run.batch_size, moments, run.probe.possible)
    return _need(*described, device, implicit)


def driver_cost(parts: Parts) -> float:
    """Forward passes of a batch that one estimate of a checked driver is declared to be worth."""
    made = parts.made
    chain = sample_chain(made[("network",)], made[("dataset",)], made[("loss",)])
    return float(made[("estimator",)].cost(chain).forward_equivalents)


def _other_networks(network: Network, task: Task, problem: str) -> str:
    """The networks that take the data set, unless a field of this one is the problem."""
    field, verb, _ = problem.partition(" is ")
    return "" if verb and hasattr(network, field) else networks_for_data(*task)


def _check_needs(
    estimator: Estimator, network: Network, task: Task, loc: Loc, batch: int
) -> Iterator[Problem]:
    why = _refusal(estimator, network, *task, batch)
    if why:
        yield Problem((*loc, "name"), why)


@remembered
def unsupported(
    estimator: Estimator, network: Network, dataset: Dataset, loss: Loss, batch: int = FEW
) -> UnsupportedError | None:
    """Why the estimator does not serve the network on batches of this size; None if it does."""
    chain = sample_chain(network, dataset, loss, batch)
    try:
        with QuickShapes() if chain.x.is_meta else nullcontext():
            require(estimator, chain)
    except UnsupportedError as error:
        return error
    return None


@remembered
def _refusal(
    estimator: Estimator, network: Network, dataset: Dataset, loss: Loss, batch: int = FEW
) -> str:
    """The same in words, with the networks that would do; "" if it serves."""
    error = unsupported(estimator, network, dataset, loss, batch)
    if error is None:
        return ""
    return f"{error}{networks_for_estimator(estimator, dataset, loss) if error.network else ''}"


@remembered
def _fit(network: Network, dataset: Dataset, loss: Loss) -> tuple[Problem, ...]:
    return tuple(network_problems(network, dataset, loss))


_optimizer_problem = remembered(optimizer_problem)


@remembered
def _need(
    network: Network, dataset: Dataset, loss: Loss, batch: int, moments: int, probed: bool,
    device: str, estimators: tuple[Estimator, ...],
) -> MemoryNeed:  # fmt: skip
    traced = footprint_of(network, dataset, loss, batch)
    return need_of(traced, dataset, moments, probed, device, estimators)


@remembered
def _count(network: Network, dataset: Dataset, loss: Loss) -> int:
    return sum(p.numel() for p in module_of(network, dataset, loss).parameters())


def _check_stop_gradient(loss: Loss, estimator: Estimator, loc: Loc) -> Iterator[Problem]:
    """Finite differences see the change of what a stop-gradient hides from derivatives."""
    if loss.stops and any(Need.DIFFERENTIABLE not in e.needs() for e in with_wrapped(estimator)):
        yield Problem(
            (*loc, "name"),
            "it takes differences of the loss, and with them the keys move that a stop-gradient "
            "holds still: switch the loss's stop_gradient off, or choose a method that derives",
        )


def _check_device(name: str) -> Iterator[Problem]:
    try:
        find_device(name)
    except ValueError as error:
        yield Problem(("device",), str(error))


def _check_length(run: RunConfig, dataset: Dataset, loss: Loss | None) -> Iterator[Problem]:
    examples = dataset.training_examples
    if loss is not None and run.batch_size < loss.min_batch_size:
        smallest = loss.min_batch_size
        allowed = f"at least {smallest}: {run.loss.name} tells one example from the others"
        yield Problem(("batch_size",), wrong("batch_size", run.batch_size, allowed))
    if run.batch_size > examples:
        allowed = f"at most {examples:,}, the examples to train on"
        msg = wrong("batch_size", run.batch_size, allowed)
        yield Problem(("batch_size",), msg)
    elif run.epochs is not None:
        steps = round(run.epochs * (examples // run.batch_size))
        if steps > MAX_STEPS:
            msg = f"epochs is {run.epochs:g}, {steps:,} steps; at most {MAX_STEPS:,} are allowed"
            yield Problem(("epochs",), msg)
