"""Whether a plug-in network, data set, loss and optimiser fit together, found by running them.

A built-in component is known to fit. A plug-in's code may raise anything; each problem becomes a
sentence that names shapes, or the line of the plug-in's file.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from backend.training.components.resolve import Problem, in_words
from backend.training.datasets import Dataset
from backend.training.losses import Loss, losses
from backend.training.memory.need import on_meta_device
from backend.training.networks import Network, networks
from backend.training.optimizers import Optimizer
from backend.training.random_passes import chain_on
from estimators.core.objective import Chain
from estimators.measurement.inputs.randomness import RandomObjectiveError, refuse_random

SIZES = (2, 3)
"""Examples in the batches that are tried: their number must be seen in the output's shape."""


def dataset_problem(dataset: Dataset) -> str:
    """Why what a data set says of itself cannot be used; "" if it can."""
    try:
        shape, classes, count = dataset.shape, dataset.classes, dataset.training_examples
    except (Exception, SystemExit) as error:
        return in_words(error, type(dataset))
    if not (isinstance(shape, tuple) and shape and all(_is_count(n) for n in shape)):
        return f"its shape is {shape!r}; it must be a tuple of whole numbers above 0, of an example"
    for name, number in (("classes", classes), ("training_examples", count)):
        if not _is_count(number):
            return f"its {name} is {number!r}; it must be a whole number above 0"
    return ""


def optimizer_problem(optimizer: Optimizer) -> str:
    """Why an optimiser cannot be built; "" if it can."""
    try:
        optimizer.build([nn.Parameter(torch.zeros(1))])
    except (Exception, SystemExit) as error:
        return f"it cannot be built: {in_words(error, type(optimizer))}"
    return ""


def network_problems(network: Network, dataset: Dataset, loss: Loss) -> Iterator[Problem]:
    """What does not fit between a network, a data set and a loss, of which one is a plug-in."""
    if is_builtin(network, loss):
        return
    for size in SIZES:
        try:
            chain = chain_that_runs(network, dataset, loss, size)
            with torch.no_grad():
                output = chain.module(chain.x)
            if chain.start is not None:  # whether setting the generators back is enough
                with_numbers = _chain_with_numbers(network, dataset, loss, chain)
                refuse_random(with_numbers, dict(with_numbers.module.named_parameters()))
        except RandomObjectiveError as error:
            yield Problem(("network",), str(error))
            return
        except (Exception, SystemExit) as error:
            place = f"examples of shape {dataset.shape}: {in_words(error, type(network))}"
            yield Problem(("network",), f"the network cannot be run on {place}")
            return
        if problem := _empty_layer(network, chain.module):
            yield Problem(("network",), problem)
            return
        if problem := _output_problem(output, size, dataset, loss):
            yield Problem(("network",), problem)
            return
        try:
            chain.losses(output)
        except (Exception, SystemExit) as error:
            shapes = f"outputs {tuple(output.shape)} and targets {tuple(chain.y.shape)}"
            words = f"the loss cannot be computed of {shapes}: {in_words(error, type(loss))}"
            yield Problem(("loss",), words)
            return


def chain_that_runs(network: Network, dataset: Dataset, loss: Loss, size: int) -> Chain:
    """The loss on a batch without numbers; with numbers, where the network needs them."""
    chain = on_meta_device(network, dataset, loss, size)
    if is_builtin(network, loss):
        return chain
    try:
        with torch.no_grad():
            chain.losses(chain.module(chain.x))
        return chain
    except (Exception, SystemExit):
        return _chain_with_numbers(network, dataset, loss, chain)


def _chain_with_numbers(network: Network, dataset: Dataset, loss: Loss, chain: Chain) -> Chain:
    """The loss at initial weights, on a batch of the shapes of `chain`."""
    rng = torch.Generator().manual_seed(0)
    module = network.build(dataset.shape, loss.outputs(dataset), rng)
    batch = _with_numbers(chain.x), _with_numbers(chain.y)
    return chain_on(loss, module, batch, dataset)


def is_builtin(network: Network, loss: Loss) -> bool:
    """Whether neither is from a plug-in."""
    return type(network) in networks().values() and type(loss) in losses().values()


def _empty_layer(network: Network, module: nn.Module) -> str:
    """Why a layer without numbers is refused, at the field that is 0; "" if there is none."""
    empty = next(((n, p) for n, p in module.named_parameters() if not p.numel()), None)
    if empty is None:
        return ""
    name, shape = empty[0], tuple(empty[1].shape)
    values = {item.name: getattr(network, item.name) for item in fields(network)}  # type: ignore[arg-type]
    zero = next((n for n, v in values.items() if v == 0 and type(v) is int), "")
    where = f"{zero} is 0, with which {name}" if zero else name
    return f"{where} has shape {shape}, no numbers, and passes nothing on: give it at least 1 unit"


def _output_problem(output: Any, size: int, dataset: Dataset, loss: Loss) -> str:
    needed = (size, *(dataset.shape if dataset.tokens else ()), loss.outputs(dataset))
    if not isinstance(output, Tensor):
        return f"the network returns a {type(output).__name__}; it must return one tensor {needed}"
    shape = tuple(output.shape)
    said = f"the network's output for {size} examples of shape {dataset.shape} has shape {shape}"
    if not shape or shape[0] != size:
        return f"{said}; its first axis must be the examples: {needed}"
    if len(shape) < len(needed) or (len(shape) == len(needed) and shape != needed):
        return f"{said}; this data set and this loss need {needed}"
    return ""


def _with_numbers(t: Tensor) -> Tensor:
    if t.is_floating_point():
        return torch.randn(t.shape, dtype=t.dtype)
    return torch.zeros(t.shape, dtype=t.dtype)


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
