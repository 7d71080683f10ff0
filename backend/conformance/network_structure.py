"""The checks of a network's structure: shapes, parameters, stages, sites, whom it serves."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from backend.conformance.network_trials import LOSS, NetworkTrial
from backend.conformance.settings import describes_itself
from backend.conformance.verdicts import NotOffered
from backend.training.evaluation.batch_norm import has_batch_norm
from backend.training.memory.need import on_meta_device
from backend.training.wrapping.modules import ModuleNetwork
from estimators.core.contract import UnsupportedError
from estimators.core.names import label
from estimators.core.site import Site
from estimators.registry import discover
from estimators.requirements import require
from estimators.statistics.formatting import counted

SIZES = (1, 2, 5)
"""Examples in the batches whose output is looked at."""
SHOWN = 4
"""Names that a finding lists before it counts the others."""


def puts_out_scores(trial: NetworkTrial) -> str:
    """(B, *shape) becomes (B, outputs), of tokens (B, T, outputs), finite, whatever B is; running
    statistics need B ≥ 2."""
    module, outputs = trial.build(), trial.sample.outputs
    expected = "(B, " + ", ".join(map(str, outputs)) + ")"
    coupled = has_batch_norm(module) or trial.network.couples_examples
    for size in SIZES:
        module.train(size > 1 or not coupled)
        with torch.no_grad():
            output = module(trial.sample.batch(size)[0])
        is_tensor = isinstance(output, Tensor)
        assert is_tensor, f"its output is a {type(output).__name__}, not a tensor {expected}"
        shape = tuple(output.shape)
        assert shape == (size, *outputs), (
            f"its output for {counted(size, 'example')} and {trial.sample.classes} classes has "
            f"shape {shape}, not {(size, *outputs)}"
        )
        assert output.is_floating_point(), f"its output is {output.dtype}, not a floating type"
        assert output.isfinite().all(), f"its output for {counted(size, 'example')} is not finite"
    return f"{expected} for B = {', '.join(map(str, SIZES))}" + (
        "; 1 in evaluation mode alone" if coupled else ""
    )


def is_an_objective(trial: NetworkTrial) -> str:
    """Its cross-entropy is an objective, which the lab can train."""
    loss = trial.chain(trial.params)
    assert loss.isfinite(), f"its cross-entropy at initialisation is {loss.item()}"
    return f"cross-entropy {loss.item():.3g} at initialisation"


def takes_shapes(trial: NetworkTrial) -> str:
    """`layout` takes shapes, or refuses them in a sentence."""
    parts = [f"takes {', '.join(sample.name for sample in trial.reception.taken)}"]
    parts += [f"refuses {name}: {reason}" for name, reason in trial.reception.refused.items()][:1]
    for name, error in [*trial.reception.broken.items()][:1]:
        parts.append(f"fails on {name} ({type(error).__name__}: {error!s:.120})")
        if not isinstance(trial.network, ModuleNetwork):
            parts.append("raise ValueError in layout for a shape that it does not take")
    return "; ".join(parts)


def says_what_is_inferred(trial: NetworkTrial) -> str:
    """What the lab has worked out of a plain module: its stages, sites and fields."""
    notes = trial.network.inferred(trial.sample.shape, trial.sample.classes)
    if not notes:
        return NotOffered("nothing: it lays out its stages and sites itself")
    return f"on {trial.sample.name}: {'; '.join(notes)}"


def counts_its_parameters(trial: NetworkTrial) -> str:
    """`count` is the number of parameters of what `build` builds, and `layout` lays these out."""
    shape, outputs = trial.sample.shape, trial.sample.classes
    count = trial.network.count(shape, outputs)
    true = sum(p.numel() for p in trial.module.parameters())
    assert count == true, f"count gives {count:,}; build builds {true:,} parameters"
    with torch.device("meta"):
        laid_out = trial.network.layout(shape, outputs).state_dict()
    built = {name: t.shape for name, t in trial.module.state_dict().items()}
    assert built == {name: t.shape for name, t in laid_out.items()}, (
        "build gives other tensors than layout lays out, so that the lab would plan for another "
        "network"
    )
    assert true > 0, "it has no parameters"
    return f"{true:,} on {trial.sample.name}"


def names_its_stages(trial: NetworkTrial) -> str:
    """It is an `nn.Sequential`, whose children are the stages, under their names."""
    module = trial.module
    assert type(module) is nn.Sequential, (
        f"build gives {type(module).__name__}, not an nn.Sequential whose children are the stages"
    )
    stages = trial.chain.stages
    boundaries = trial.chain.boundaries
    unnamed = [name for name in stages if name.isdigit()]
    words = f"{counted(len(stages), 'stage')}: {_listed(stages)}"
    words += f"; {len(boundaries)} {'boundary' if len(boundaries) == 1 else 'boundaries'}"
    return words + (f"; name {_listed(unnamed)} by an OrderedDict" if unnamed else "")


def passes_its_sites(trial: NetworkTrial) -> str:
    """A forward pass meets every `Site()` once, with a tensor (B, *units)."""
    marked = [name for name, m in trial.module.named_modules() if isinstance(m, Site)]
    met = [place.name for place in trial.chain.places]
    missed = sorted({*marked} - {*met})
    assert not missed, f"the forward pass does not call the site {_listed(missed)}"
    twice = sorted({name for name in met if met.count(name) > 1})
    assert not twice, f"the forward pass calls the site {_listed(twice)} more than once"
    for place in trial.chain.places:
        assert len(place.units) in (0, len(place.shape)), (
            f"the site {place.name} names {len(place.units)} axes ({', '.join(place.units)}), and "
            f"its activation has the shape {place.shape} behind the batch"
        )
    if not met:
        return NotOffered("no sites: put Site() before each non-linearity to perturb activations")
    return f"{counted(len(met), 'site')}: {_listed(met)}"


def serves_estimators(trial: NetworkTrial) -> str:
    """Which estimators can work on it, by their requirements at their defaults."""
    chain = on_meta_device(trial.network, trial.sample, LOSS)
    reasons: dict[str, list[str]] = defaultdict(list)
    estimators = [entry.cls() for entry in discover().estimators.values()]
    for estimator in estimators:
        name = label(estimator)
        try:
            require(estimator, chain)
        except UnsupportedError as error:
            reasons[str(error).removeprefix(f"{name} ")].append(name)
    lost = sum(map(len, reasons.values()))
    assert lost < len(estimators), f"it serves no estimator: {next(iter(reasons))}"
    words = [f"{len(estimators) - lost} of {len(estimators)} estimators"]
    words += [f"not {_listed(names, 12)}: {reason}" for reason, names in reasons.items()]
    return "; ".join(words)


def has_settings(trial: NetworkTrial) -> str:
    """Every count and choice builds, or is refused in a sentence."""
    refused = [f"{setting}: {reason}" for setting, reason in trial.refused.items()]
    others = " but these" if refused else ""
    return "; ".join([f"every count and choice builds{others}", *refused[:SHOWN]])


def has_help(trial: NetworkTrial) -> str:
    """What the form shows."""
    return describes_itself(type(trial.network))


def _listed(names: Iterable[str], most: int = SHOWN) -> str:
    names = [name or "the network" for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
