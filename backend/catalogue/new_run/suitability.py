"""Which components suit a configuration, and which changes help one that is refused."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backend.catalogue.component_checks import unsupported
from backend.catalogue.entries import title_of
from backend.catalogue.shared_chains import FEW, sample_chain
from backend.catalogue.structure_checks import read
from backend.training.components.assemble import make_parts
from backend.training.components.index import ComponentIndex, component_index
from backend.training.components.resolve import Loc
from backend.training.datasets import Dataset
from backend.training.losses import Loss
from backend.training.networks import Network
from estimators.core.contract import Estimator

USUAL = {
    "network": ("mlp", "cnn", "gpt"),
    "estimator": ("forward_gradient", "backprop", "spsa"),
    "loss": ("cross_entropy",),
}
"""What is offered first of those that suit."""
Why = Mapping[str, str]
"""{catalogue name: why it does not suit}."""


class Surroundings(NamedTuple):
    """What a component of a configuration has around it."""

    dataset: Dataset
    loss: Loss
    network: Network | None = None
    batch: int = FEW


def surroundings_of(
    config: Any, index: ComponentIndex
) -> tuple[Surroundings | None, dict[Loc, Any]]:
    """A configuration's task, None where its data or loss is not valid, and its components."""
    parsed = read(config)
    made = make_parts(parsed.described, index).made
    dataset, loss = made.get(("dataset",)), made.get(("loss",))
    if dataset is None or loss is None:
        return None, made
    size = FEW if parsed.run is None else parsed.run.batch_size
    return Surroundings(dataset, loss, made.get(("network",)), size + size % FEW), made


def why_not_estimator(estimator: Estimator, around: Surroundings) -> str:
    """Why it does not serve the network; "" if it does or if there is no network."""
    if around.network is None or why_not_network(around.network, around):
        return ""
    try:
        error = unsupported(estimator, around.network, around.dataset, around.loss, around.batch)
    except (Exception, SystemExit) as failure:  # a plug-in's own code
        return f"it cannot be tried: {failure}"
    return "" if error is None else str(error)


def why_not_network(network: Network, around: Surroundings) -> str:
    """Why it does not take the data; "" if it does."""
    try:
        sample_chain(network, around.dataset, around.loss)
    except (Exception, SystemExit) as error:
        return str(error) or type(error).__name__
    return ""


def why_not_loss(loss: Loss, dataset: Dataset) -> str:
    """Why it is not defined on the data; "" if it is."""
    try:
        loss.check(dataset)
    except (Exception, SystemExit) as error:
        return str(error) or type(error).__name__
    return ""


def reasons(kind: str, around: Surroundings, index: ComponentIndex) -> Why:
    """Why each component of a kind, with its default fields, does not suit; "" where it does."""
    return {name: _why(kind, made, around) for name, made in _defaults(kind, index)}


def suitable(kind: str, around: Surroundings, index: ComponentIndex) -> Iterator[str]:
    """The names of those that suit, the usual ones first; each is tried when it is asked for."""
    usual = USUAL[kind]
    place = {name: at for at, name in enumerate(usual)}
    pairs = sorted(_defaults(kind, index), key=lambda pair: place.get(pair[0], len(usual)))
    return (name for name, made in pairs if not _why(kind, made, around))


def unsuited(config: Any, plugin_dirs: Sequence[Path | str] = ()) -> dict[str, Why]:
    """`{list of the catalogue: {name: why it does not suit}}` for what a configuration names.

    Networks and losses are judged by its data, estimators by its network, each with its default
    fields.
    """
    index = component_index(plugin_dirs)
    around, _ = surroundings_of(config, index)
    if around is None:
        return {}
    lists = {"networks": "network", "losses": "loss", "estimators": "estimator"}
    judged = {key: reasons(kind, around, index) for key, kind in lists.items()}
    return {key: {n: why for n, why in each.items() if why} for key, each in judged.items()}


def title(kind: str, name: str, index: ComponentIndex) -> str:
    """What a component is called on the page."""
    entry = index.discovery.entries.get(kind, {}).get(name)
    return name if entry is None else title_of(entry.cls)


def _defaults(kind: str, index: ComponentIndex) -> Iterator[tuple[str, Any]]:
    for name, entry in index.discovery.entries.get(kind, {}).items():
        try:
            yield name, entry.cls()
        except (Exception, SystemExit):  # such as one whose data are not here
            continue


def _why(kind: str, made: Any, around: Surroundings) -> str:
    if kind == "estimator":
        return why_not_estimator(made, around)
    if kind == "network":
        return why_not_network(made, around)
    return why_not_loss(made, around.dataset)
