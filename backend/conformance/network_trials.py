"""`NetworkTrial`: one setting of a network on a sample, with what its checks share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor, nn

from backend.conformance.samples import SAMPLES, Sample
from backend.conformance.settings import name_of, settings_of
from backend.training.components.discovery import catalogue_name
from backend.training.evaluation.batch_norm import evaluating
from backend.training.losses.cross_entropy import CrossEntropy
from backend.training.networks import Network
from backend.training.random_passes import chain_on
from backend.training.wrapping.modules import ModuleNetwork
from estimators.core.contract import Params
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.measurement.inputs.nearby import examinable

BATCH = 6
LARGE, LARGER = 2**16, 4
"""Settings of more than `LARGER` times as many parameters as the defaults, or as `LARGE`, are not
tried."""
LOSS = CrossEntropy()


@dataclass(frozen=True)
class Reception:
    """Which samples a network takes, at its defaults."""

    taken: tuple[Sample, ...]
    refused: dict[str, str]
    """{sample: the sentence with which `layout` refuses its shape}."""
    broken: dict[str, BaseException]
    """{sample: what the forward pass raises, although `layout` takes the shape}."""


class NetworkTrial:
    """A network on a sample. What is built is built once and shared by all checks."""

    def __init__(
        self,
        network: Network,
        sample: Sample,
        setting: str,
        reception: Reception,
        refused: dict[str, str],
    ) -> None:
        self.network, self.sample, self.reception = network, sample, reception
        self.refused = refused
        """{setting: why it cannot be made, or why it does not take the sample}."""
        self.name = name_of(setting, catalogue_name(type(network)), sample.name)

    def build(self, seed: int = 0) -> nn.Sequential:
        """The network with the weights of a seed."""
        rng = stream(seed, "init")
        return self.network.build(self.sample.shape, self.sample.classes, rng)

    @cached_property
    def module(self) -> nn.Sequential:
        """The network that the checks read and do not change."""
        return self.build()

    @cached_property
    def batch(self) -> tuple[Tensor, Tensor]:
        """Examples and classes, (B, *shape) and (B,)."""
        return self.sample.batch(BATCH)

    @cached_property
    def chain(self) -> Chain:
        """Its cross-entropy on the batch."""
        return chain_on(LOSS, self.module, self.batch, self.sample)

    @cached_property
    def params(self) -> Params:
        """The parameters at initialisation."""
        return {name: p.detach() for name, p in self.module.named_parameters()}

    @cached_property
    def precise(self) -> tuple[Chain, Params]:
        """The same in double precision, or as near to that as it runs."""
        return examinable(self.chain, self.params)

    @property
    def precision(self) -> str:
        """The precision of `precise`, in words."""
        dtype = next(iter(self.precise[1].values())).dtype
        if dtype is torch.float64:
            return "in float64"
        return f"in {str(dtype).removeprefix('torch.')}, since it does not run in float64"


def trials_of(cls: type[Network], own: Sequence[Sample] = ()) -> list[NetworkTrial]:
    """The defaults on an image and on a flat sample, as far as they are taken, then each other
    setting on the first of these. Samples of the author's `own` come first."""
    settings = settings_of(cls)
    reception = reception_of(settings.made[""], (*own, *SAMPLES))
    samples = [next(of_kind) for _, of_kind in groupby(reception.taken, lambda s: len(s.shape))]
    sizes, refused = _sizes(settings.made, samples[0])
    refused = {**settings.refused, **refused}
    trials = [NetworkTrial(settings.made[""], s, "", reception, refused) for s in samples]
    for setting in sorted(sizes, key=sizes.__getitem__):
        trials.append(NetworkTrial(settings.made[setting], samples[0], setting, reception, refused))
    return trials


def _sizes(
    networks: Mapping[str, Network], sample: Sample
) -> tuple[dict[str, int], dict[str, str]]:
    """The number of parameters of each setting but the defaults, and why others are not tried."""
    most = LARGER * max(LARGE, networks[""].count(sample.shape, sample.classes))
    sizes: dict[str, int] = {}
    refused: dict[str, str] = {}
    for setting, network in networks.items():
        try:
            size = network.count(sample.shape, sample.classes)
        except ValueError as error:  # it does not take the shape
            refused[setting] = str(error)
            continue
        if size > most:
            refused[setting] = f"it has {size:,} parameters and is not tried"
        elif setting:
            sizes[setting] = size
    return sizes, refused


def reception_of(network: Network, samples: Sequence[Sample]) -> Reception:
    """Build the network for every sample and run it. Raises where it takes none."""
    refused: dict[str, str] = {}
    broken: dict[str, BaseException] = {}
    taken = tuple(_taken(network, samples, refused, broken))
    reception = Reception(taken, refused, broken)
    if reception.taken:
        return reception
    if broken:
        sample, error = next(iter(broken.items()))
        words = f"on {sample} it raises {type(error).__name__}: {error}"
        raise AssertionError(words) from error
    reasons = "; ".join(f"{sample}: {reason}" for sample, reason in refused.items())
    raise AssertionError(f"it takes none of the sample shapes: {reasons}")


def _taken(
    network: Network,
    samples: Sequence[Sample],
    refused: dict[str, str],
    broken: dict[str, BaseException],
) -> Iterator[Sample]:
    for sample in samples:
        try:
            if reason := _refusal(network, sample):
                refused[sample.name] = reason
                continue
            module = network.build(sample.shape, sample.classes, stream(0, "init"))
            with evaluating(module), torch.no_grad():
                output = module(sample.batch(2)[0])
            if isinstance(network, ModuleNetwork):  # it may have a fixed number of outputs
                _refuse_other_outputs(output, sample)
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way
            broken[sample.name] = error
        else:
            yield sample


def _refuse_other_outputs(output: Tensor, sample: Sample) -> None:
    expected = (2, *sample.outputs)
    if output.shape != expected:
        raise ValueError(
            f"its output for 2 examples has shape {tuple(output.shape)}, not {expected}"
        )


def _refusal(network: Network, sample: Sample) -> str:
    try:
        network.check_examples(sample.shape, sample.tokens)
        network.count(sample.shape, sample.classes)
    except ValueError as error:
        return str(error)
    return ""
