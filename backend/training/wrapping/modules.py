"""`wrap_module`: a plain `nn.Module` class made a `Network` of the catalogue."""

import copy
import inspect
from dataclasses import fields, make_dataclass
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.parameter import is_lazy

from backend.training.networks import Network
from backend.training.networks.contract import named, seeded_global_generator
from backend.training.wrapping.constructor import Constructor, read_constructor
from backend.training.wrapping.structure import Structure, arranged, infer
from estimators.measurement.inputs.randomness import generators_kept

IMAGE_CHANNELS = ("in_channels", "input_channels", "num_channels")
IMAGE_SIZES = ("image_size", "img_size", "input_resolution")
INPUTS = ("in_features", "input_size", "input_dim", "in_dim", "n_inputs", "num_inputs")
SHAPES = ("shape", "input_shape", "in_shape")
OUTPUTS = (
    "classes", "num_classes", "n_classes", "out_features", "output_size", "output_dim", "out_dim",
    "n_outputs", "num_outputs", "vocab_size", "vocabulary_size",
)  # fmt: skip
LENGTHS = ("sequence_length", "seq_len", "context_length", "block_size")
FROM_DATA = (*IMAGE_CHANNELS, *IMAGE_SIZES, *INPUTS, *SHAPES, *OUTPUTS, *LENGTHS)
"""The parameters of a constructor that the data set fills in."""
BATCHES = (2, 3)
"""Examples in the batches on which the structure is verified."""


class ModuleNetwork(Network):
    """Base of the networks that are made of a plain `nn.Module` class."""

    wrapped: ClassVar[type[nn.Module]]
    constructor: ClassVar[Constructor]

    def check_examples(self, shape: tuple[int, ...], tokens: bool) -> None:
        """Whether it takes tokens or numbers is seen when it is run."""

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        structure = _structure(self, shape, classes)
        return _arranged(self._module(shape, classes), structure)

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        structure = _structure(self, shape, classes)
        with seeded_global_generator(rng):  # its own initial weights
            module = self._module(shape, classes)
        return _arranged(module, structure)

    def count(self, shape: tuple[int, ...], classes: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in self._module(shape, classes).parameters())

    def inferred(self, shape: tuple[int, ...], classes: int) -> tuple[str, ...]:
        made = self.constructor
        given = f"{_listed(made.given)} filled in from the data set" if made.given else ""
        kept = f"{_listed(made.kept)} left at the default" if made.kept else ""
        return (*_structure(self, shape, classes).notes, *filter(None, (given, kept)))

    def _module(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """The module, on the device of the context; lazy layers have their shapes."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        given = {name: _from_data(name, shape, classes) for name in self.constructor.given}
        device = torch.empty(0).device
        try:
            module = self.wrapped(**own, **given)
        except (Exception, SystemExit):
            if device.type != "meta":
                raise
            with torch.device("cpu"):  # a constructor that computes with numbers
                module = self.wrapped(**own, **given).to("meta")
        if any(is_lazy(p) for p in (*module.parameters(), *module.buffers())):
            with torch.no_grad():
                module.eval()(torch.randn(2, *shape))
        return module.train()


def wrap_module(cls: type) -> type[Network] | None:
    """A network made of a plain module class; None for other classes.

    Its fields are the parameters of the constructor that have a default of a simple type; those
    named in `FROM_DATA` are filled in from the data set. Raises TypeError, in a sentence, for a
    module that cannot be a network.
    """
    if not issubclass(cls, nn.Module):
        return None
    _refuse_other_inputs(cls)
    constructor = read_constructor(cls, FROM_DATA, {*dir(ModuleNetwork)})
    namespace = {
        "wrapped": cls, "constructor": constructor, "__doc__": cls.__doc__ or f"{cls.__name__}.",
    }  # fmt: skip
    made = make_dataclass(
        cls.__name__, constructor.fields(), bases=(ModuleNetwork,), namespace=namespace, frozen=True
    )
    made.__module__ = cls.__module__
    return made


def _refuse_other_inputs(cls: type[nn.Module]) -> None:
    _, *parameters = inspect.signature(cls.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in positional]
    if len(needed) > 1 or issubclass(cls, nn.modules.loss._Loss):
        raise TypeError(
            f"{cls.__name__}.forward takes {', '.join(needed)}; a network takes one batch of "
            "examples, and a loss derives from gradlab.PerExampleLoss"
        )


def _arranged(module: nn.Module, structure: Structure) -> nn.Sequential:
    return arranged(module, structure.sites) if structure.sequential else named(network=module)


@lru_cache(maxsize=64)
def _structure(network: ModuleNetwork, shape: tuple[int, ...], classes: int) -> Structure:
    """What the network's module is, worked out at throwaway weights."""
    seeded = seeded_global_generator(torch.Generator().manual_seed(0))
    with torch.device("cpu"), generators_kept(torch.empty(0)), seeded:
        module = network._module(shape, classes)
        return infer(module, _samples(module, shape, classes))


def _samples(module: nn.Module, shape: tuple[int, ...], classes: int) -> list[Tensor]:
    """Batches of random examples, (B, *shape): tokens, if the module does not take numbers."""
    numbers = [torch.randn(size, *shape) for size in BATCHES]
    tokens = [torch.randint(classes, (size, *shape)) for size in BATCHES]
    try:
        with torch.no_grad():
            copy.deepcopy(module)(numbers[0])
        return numbers
    except (Exception, SystemExit):
        return tokens if len(shape) == 1 else numbers


def _from_data(name: str, shape: tuple[int, ...], classes: int) -> Any:
    """The value of a constructor's parameter. Raises ValueError if the data set has none."""
    if name in OUTPUTS:
        return classes
    if name in SHAPES:
        return shape
    if name in INPUTS:
        return prod(shape)
    if name in LENGTHS and len(shape) == 1:
        return shape[0]
    if len(shape) != 3 or (name in IMAGE_SIZES and shape[1] != shape[2]):
        square = "square " if name in IMAGE_SIZES else ""
        kind = f"{square}images (channels × height × width)"
        raise ValueError(
            f"the parameter {name} needs {'sequences' if name in LENGTHS else kind}; an example of "
            f"this data set has shape {shape}"
        )
    return shape[0] if name in IMAGE_CHANNELS else shape[1]


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
