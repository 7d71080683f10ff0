"""What a plain `nn.Module` is worked out to be: its stages, and its candidate sites.

A module whose forward pass calls its children one after the other has them as stages. That is
verified on examples at random weights: both ways must give the same numbers, bit for bit. In a
stage that is an `nn.Sequential`, and at the top, every elementwise non-linearity gets a `Site()`
before it, which changes no number; that is verified too.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from backend.training.networks.contract import named
from estimators.core.module_call import is_plain
from estimators.core.replay import Generators
from estimators.core.site import Site

NON_LINEARITIES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Softplus, nn.Softsign, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Hardtanh, nn.Hardswish,
    nn.Hardsigmoid, nn.PReLU, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
)  # fmt: skip
"""Elementwise functions before which a site may stand."""


class Structure(NamedTuple):
    """The stages and sites of a module, and why there are no others."""

    sequential: bool
    """Whether its children are its stages."""
    sites: tuple[str, ...]
    """The non-linearities that get a site before them, by their name in the module."""
    notes: tuple[str, ...]
    """What was worked out, in sentences."""


def infer(module: nn.Module, samples: Sequence[Tensor]) -> Structure:
    """The structure of a module, verified on batches of examples. Changes its weights."""
    with torch.no_grad():
        for p in module.parameters():
            if p.is_floating_point():
                p.add_(0.1 * torch.randn_like(p))  # a layer that is zero would hide what it is
        reason = _why_one_stage(module, samples)
    own = [name for name, m in module.named_modules() if isinstance(m, Site)]
    marked = f"its own sites are kept: {', '.join(own)}" if own else ""
    if reason:
        return Structure(False, (), (f"one stage, since {reason}", marked or _NO_SITES))
    stages = f"its stages are its layers: {', '.join(_members(module))}"
    places = () if own else tuple(_candidates(module))
    if places and not _same(module, arranged(module, places), samples):
        places = ()
    found = f"sites stand before {', '.join(places)}" if places else marked or _NO_SITES
    return Structure(True, places, (stages, found))


_NO_SITES = (
    "no sites, since no non-linearity is a layer of its own beside others; mark an activation with "
    "gradlab.Site() in the module to let estimators perturb it"
)


def arranged(module: nn.Module, sites: Sequence[str]) -> nn.Sequential:
    """The children of a module as stages, with a site before each non-linearity in `sites`."""
    wanted, stages = set(sites), {}
    for name, child in _members(module).items():
        if name in wanted:
            child = named(site=Site(), non_linearity=child)
        elif is_plain(child):
            child = _with_sites(child, f"{name}.", wanted)
        stages[name] = child
    return named(**stages)


def _with_sites(sequence: nn.Module, prefix: str, wanted: set[str]) -> nn.Module:
    """The `nn.Sequential` with the sites in it; itself if there are none."""
    if not any(name.startswith(prefix) for name in wanted):
        return sequence
    parts: dict[str, nn.Module] = {}
    for name, member in _members(sequence).items():
        if prefix + name in wanted:
            parts[f"site{name}"] = Site()
        parts[name] = _with_sites(member, f"{prefix}{name}.", wanted)
    return named(**parts)


def _members(module: nn.Module) -> dict[str, nn.Module]:
    """The children by name; one that stands there twice counts twice."""
    return {name: m for name, m in module._modules.items() if m is not None}


def _candidates(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """The non-linearities at the top and in stages that are an `nn.Sequential`."""
    for name, child in _members(module).items():
        if isinstance(child, NON_LINEARITIES):
            # At the top it becomes a stage with the site, under another name for its weights.
            if prefix or next(child.parameters(), None) is None:
                yield prefix + name
        elif is_plain(child) and not has_hooks(child):
            yield from _candidates(child, f"{prefix}{name}.")


def has_hooks(module: nn.Module) -> bool:
    """Whether something is called before or after the module's forward pass."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _why_one_stage(module: nn.Module, samples: Sequence[Tensor]) -> str:
    """Why the children are no stages, or "" if they are."""
    if not _members(module):
        return "it has no layers inside"
    if any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
        return "it has weights of its own beside its layers"
    if has_hooks(module):
        return "it has hooks of its own"
    try:
        same = _same(module, arranged(module, ()), samples)
    except (
        Exception,
        SystemExit,
    ) as error:  # the module's own code, or layers that do not fit each other
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return f"its layers, called one after the other, do not fit each other ({reason})"
    return "" if same else "its forward pass does other things than call its layers in order"


def _same(module: nn.Module, other: nn.Module, samples: Sequence[Tensor]) -> bool:
    """Whether both have the same finite outputs on the samples, bit for bit."""
    for x in samples:
        start = Generators(x.device)  # a module may draw (dropout): both draw the same
        with torch.no_grad():
            expected = module(x.clone())
            start.restore()
            output = other(x.clone())
        if not isinstance(expected, Tensor) or not isinstance(output, Tensor):
            return False
        if not (torch.equal(expected, output) and expected.isfinite().all()):
            return False
    return True
