"""Networks that draw at every pass (dropout): which these are, and the numbers of each step.

All passes of a step draw the same numbers, those of probes and of the exact gradient included, so
that the loss of the step is a function of the weights. Seed and step decide them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from backend.training.datasets import Dataset
from backend.training.evaluation.batch_norm import evaluating
from backend.training.losses import Loss
from estimators.core.noise import stream_seed
from estimators.core.objective import Chain
from estimators.core.replay import Generators, replaying_alone
from estimators.core.stateless import Stateless
from estimators.core.structure import drops
from estimators.implicit.equilibrium import Equilibrium
from estimators.measurement.inputs.randomness import RandomObjectiveError

_SWITCHES = ("dropout_p", "dropout", "train", "training")
"""Arguments that switch the random numbers of an operation off: a probability, or a mode."""


def chain_on(
    loss: Loss, module: nn.Module, batch: tuple[Tensor, Tensor], dataset: Dataset,
    seed: int = 0, step: int = 0,
) -> Chain:  # fmt: skip
    """The loss on a batch, at the random numbers of `step` if the network draws any.

    Raises RandomObjectiveError, naming the module, for a network that draws in evaluation mode or
    inside an equilibrium.
    """
    try:
        drawing = _drawing_modules(module, batch[0])
    except RandomObjectiveError:
        raise
    except (
        Exception,
        SystemExit,
    ):  # what does not fit is told by others, who have the words for it
        drawing = [name for name, m in module.named_modules() if drops(m)]
    if not drawing:
        return loss.chain(module, batch, dataset)
    start = _start(seed, step, batch[0].device)
    with replaying_alone(start, batch[0].device):
        chain = loss.chain(module, batch, dataset)
    return chain.drawing_from(start)


def at_step(chain: Chain, seed: int, step: int) -> Chain:
    """The chain at the random numbers of another step; itself, if its network draws none."""
    if chain.start is None:
        return chain
    return chain.drawing_from(_start(seed, step, chain.x.device))


def notices(chain: Chain) -> tuple[str, ...]:
    """What the reader must know of a network that draws."""
    if chain.start is None:
        return ()
    return (
        "the network draws random numbers at every pass (dropout): all passes of a step, those of "
        "its probe and of the exact gradient included, draw the same ones, which the seed fixes",
    )


def _start(seed: int, step: int, device: torch.device) -> Generators:
    return Generators.seeded(stream_seed(seed, "pass", step), device)


def _drawing_modules(module: nn.Module, x: Tensor) -> list[str]:
    """The modules that draw in a pass, in words. Raises RandomObjectiveError for those that may
    not."""
    drawing = _drawn(module, x)
    if not drawing:
        return []
    with evaluating(module):
        always = _drawn(module, x)
    if always:
        raise RandomObjectiveError(
            f"something in {always[0]} is random in evaluation mode too, so that validation and "
            "test would be: pass the mode on, F.dropout(h, p, training=self.training), or use "
            "nn.Dropout"
        )
    for name, stage in module.named_modules():
        inside = [words for words in drawing if words.startswith(f"module {name}.")]
        if isinstance(stage, Equilibrium) and inside:
            raise RandomObjectiveError(
                f"{inside[0]} draws at every iteration of the equilibrium {name}, which then has "
                "no fixed point: put dropout before or behind the equilibrium"
            )
    return drawing


def _drawn(module: nn.Module, x: Tensor) -> list[str]:
    """The modules that draw in a pass on x, in words; also on the meta device, where no generator
    moves."""
    stateless, before = Stateless(module), Generators(x.device)
    names: list[str] = []
    with replaying_alone(before, x.device), _names(module) as open_names, torch.no_grad():
        with _RandomOperations(lambda: names.append(open_names[-1])):
            stateless.call({}, lambda: module(x.clone()))
        if not names and before.moved():
            names.append("the network")
    return names


@contextmanager
def _names(network: nn.Module) -> Iterator[list[str]]:
    """While this is open, the list holds the modules that are being run, outermost first."""
    running, handles = ["the network"], []
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue  # takes no such hooks; the module around it is named
        words = f"module {name} ({type(module).__name__})" if name else "the network"
        handles += [
            module.register_forward_pre_hook(lambda *_, w=words: running.append(w)),
            module.register_forward_hook(lambda *_: running.pop() and None, always_call=True),
        ]
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


class _RandomOperations(TorchDispatchMode):
    """Calls `found` at each operation of torch that draws random numbers."""

    def __init__(self, found: Callable[[], object]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags and _is_on(func, args, kwargs or {}):
            self._found()
        return func(*args, **(kwargs or {}))


def _is_on(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the operation draws with these arguments."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.name in _SWITCHES:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            if not (argument.default_value if value is None else value):
                return False
    return True
