"""Learning rates of groups of parameters: `heads: 0.1, block0: 0.5`, as factors of the rate."""

from collections.abc import Sequence
from math import isfinite

from torch import nn

from estimators.local.blocks import LocalHead

HEADS = "heads"
"""Stands for the last stage and for the heads of local losses that the network brings."""
MAX_FACTOR = 1000.0


def parse_rates(text: str) -> dict[str, float]:
    """{name: factor}. Raises ValueError for what is not of the form `name: factor, …`."""
    rates: dict[str, float] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, number = (part.strip() for part in entry.rpartition(":"))
        factor = _factor(number)
        if not name or factor is None:
            raise ValueError(
                f"rates has {entry!r}; each entry must be a stage and a factor from 0 to "
                f"{MAX_FACTOR:g}, as heads: 0.1"
            )
        if name in rates:
            raise ValueError(f"rates has {name!r} twice; give each name once")
        rates[name] = factor
    return rates


def factors(module: nn.Module, text: str) -> dict[str, float]:
    """{name of a parameter: factor of its learning rate}; 1 where no entry fits.

    Of several entries that fit, the longest name counts, and `heads` counts least.

    Raises ValueError for a name that no parameter belongs to, naming the stages there are.
    """
    rates = parse_rates(text)
    paths = [path for path, _ in module.named_parameters()]
    result = dict.fromkeys(paths, 1.0)
    for name in sorted(rates, key=lambda name: (name != HEADS, len(name))):
        if not (own := _members(module, paths, name)):
            raise ValueError(
                f"rates has {name!r}, which is no stage with weights; there are: "
                f"{', '.join(_stages_with_weights(paths))}"
            )
        result |= dict.fromkeys(own, rates[name])
    return result


def refuse_tied(module: nn.Module, text: str) -> None:
    """Raise ValueError for an entry about a tied weight that belongs to another stage, unless an
    entry says what that one is to have.

    A tied weight belongs to the stage in which it stands first. So `heads: 0.1` would scale all of
    a tied head but the weight that matters.
    """
    rates = parse_rates(text)
    first = {id(p): path for path, p in module.named_parameters()}
    every = {path: first[id(p)] for path, p in module.named_parameters(remove_duplicate=False)}
    said = {path for name in rates for path in _members(module, [*first.values()], name)}
    for name in rates:
        for path in _members(module, [*every], name):
            own = every[path]
            if own not in said:
                raise ValueError(
                    f"rates has {name!r}, and {path} is tied to {own}, which belongs to the stage "
                    f"{own.partition('.')[0]}: say what it is to have, as {own}: {rates[name]:g}, "
                    f"or {own}: 1 to leave it"
                )


def _stages_with_weights(paths: Sequence[str]) -> list[str]:
    """The names that an entry may have, parts of stages aside."""
    return [HEADS, *dict.fromkeys(path.partition(".")[0] for path in paths)]


def _members(module: nn.Module, paths: Sequence[str], name: str) -> list[str]:
    """The names of the parameters that an entry is about."""
    own = [path for path in paths if f"{path}.".startswith(f"{name}.")]
    if own or name != HEADS or not paths:
        return own
    *_, (end, _) = module.named_parameters(remove_duplicate=False)  # its head may be tied
    last = end.partition(".")[0]
    brought = [name for name, part in module.named_modules() if isinstance(part, LocalHead)]
    prefixes = tuple(f"{name}." for name in (last, *brought))
    return [path for path in paths if f"{path}.".startswith(prefixes)]


def _factor(text: str) -> float | None:
    try:
        factor = float(text)
    except ValueError:
        return None
    return factor if isfinite(factor) and 0 <= factor <= MAX_FACTOR else None
