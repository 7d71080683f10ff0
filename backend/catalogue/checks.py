"""Checks of a configuration that need several of its components together."""

from collections.abc import Iterator
from typing import NamedTuple

from backend.catalogue.alternatives import on_paper, serving, taking
from backend.catalogue.demands import memory, work
from backend.config import RunConfig
from backend.sentences import wrong
from backend.training.components.assemble import Parts
from backend.training.components.index import with_held
from backend.training.components.resolve import Loc, Problem
from backend.training.datasets import Dataset
from backend.training.devices import find_device
from backend.training.evaluation.batch_norm import couples
from backend.training.losses import Loss
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.networks import Network
from estimators.core.contract import Estimator, Need, UnsupportedError
from estimators.core.objective import Chain
from estimators.core.requirements import require

MOST_PARAMETERS = 500_000_000
MOST_STEPS = 10_000_000


class Task(NamedTuple):
    """What is to be learned, and how it is told."""

    dataset: Dataset
    loss: Loss


def check(run: RunConfig | None, parts: Parts) -> list[Problem]:
    """Every problem that can be told from the components that could be made."""
    dataset, network = parts.made.get(("dataset",)), parts.made.get(("network",))
    loss = parts.made.get(("loss",), CrossEntropy())
    problems: list[Problem] = []
    if dataset is not None and loss is not None:
        problems += _loss(loss, dataset)
        if network is not None and not problems:
            problems += _network(network, Task(dataset, loss), parts, run)
    if run is not None:
        problems += _device(run.device)
        problems += _length(run, dataset, loss) if dataset is not None else []
    return problems


def _loss(loss: Loss, dataset: Dataset) -> Iterator[Problem]:
    try:
        loss.check(dataset)
    except ValueError as error:
        yield Problem(("loss",), str(error))


def _network(
    network: Network, task: Task, parts: Parts, run: RunConfig | None
) -> Iterator[Problem]:
    try:
        count = network.count(task.dataset.shape, task.loss.outputs(task.dataset))
    except ValueError as error:
        yield Problem(("network",), f"{error}{_others(network, task, str(error))}")
        return
    if count > MOST_PARAMETERS:
        msg = (
            f"the network would have {count:,} parameters; at most {MOST_PARAMETERS:,} are allowed"
        )
        yield Problem(("network",), msg)
        return
    chain = on_paper(network, *task)
    if run is not None and run.batch_size == 1 and couples(chain.module):
        msg = wrong("batch_size", 1, "at least 2: batch normalisation compares the examples of one")
        yield Problem(("batch_size",), msg)
    served = {}
    for loc, component in parts.made.items():
        if isinstance(component, Estimator):
            problems = [*_served(component, chain, task, loc), *_still(task.loss, component, loc)]
            yield from problems
            served |= {} if problems else {loc: component}
    if run is not None:
        yield from memory(count, run.device)
        yield from work(served, chain, run.probe)


def _others(network: Network, task: Task, problem: str) -> str:
    """The networks that take the data set, unless a field of this one is to blame."""
    field, verb, _ = problem.partition(" is ")
    return "" if verb and hasattr(network, field) else taking(*task)


def _served(estimator: Estimator, chain: Chain, task: Task, loc: Loc) -> Iterator[Problem]:
    try:
        require(estimator, chain)
    except UnsupportedError as error:
        others = serving(estimator, *task) if error.network else ""
        yield Problem((*loc, "name"), f"{error}{others}")


def _still(loss: Loss, estimator: Estimator, loc: Loc) -> Iterator[Problem]:
    """Estimators that take differences see what a stop-gradient hides from derivatives."""
    if loss.stops and any(Need.DIFFERENTIABLE not in e.needs() for e in with_held(estimator)):
        yield Problem(
            (*loc, "name"),
            "it takes differences of the loss, and with them the keys move that a stop-gradient "
            "holds still: switch the loss's stop_gradient off, or choose a method that derives",
        )


def _device(name: str) -> Iterator[Problem]:
    try:
        find_device(name)
    except ValueError as error:
        yield Problem(("device",), str(error))


def _length(run: RunConfig, dataset: Dataset, loss: Loss | None) -> Iterator[Problem]:
    examples = dataset.training_examples
    if loss is not None and run.batch_size < loss.least:
        allowed = f"at least {loss.least}: {run.loss.name} tells one example from the others"
        yield Problem(("batch_size",), wrong("batch_size", run.batch_size, allowed))
    if run.batch_size > examples:
        allowed = f"at most {examples:,}, the examples to train on"
        msg = wrong("batch_size", run.batch_size, allowed)
        yield Problem(("batch_size",), msg)
    elif run.epochs is not None:
        steps = round(run.epochs * (examples // run.batch_size))
        if steps > MOST_STEPS:
            msg = f"epochs is {run.epochs:g}, {steps:,} steps; at most {MOST_STEPS:,} are allowed"
            yield Problem(("epochs",), msg)
