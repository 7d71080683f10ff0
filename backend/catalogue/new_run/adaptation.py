"""`adapted`: what a choice in a configuration changes in the others, so that they suit it.

A data set brings a loss and a network that suit it, a network an estimator that serves it; a shadow
that cannot be measured is taken away. What still suits stays as it is.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from backend.catalogue.new_run.suitability import (
    Surroundings,
    suitable,
    surroundings_of,
    title,
    why_not_estimator,
    why_not_loss,
    why_not_network,
)
from backend.training.components.index import ComponentIndex
from backend.training.components.resolve import describe
from estimators.core.contract import Estimator

CHOICES = ("dataset", "loss", "network")
"""The choices that others may have to follow."""


class Adaptation(NamedTuple):
    """The parts of a configuration that are replaced, and a sentence for each."""

    changes: dict[str, Any]
    said: list[str]


def adapted(config: Mapping[str, Any], chosen: str, index: ComponentIndex) -> Adaptation:
    """What has to follow the part `chosen` of a configuration, if anything."""
    result = Adaptation({}, [])
    around, _ = surroundings_of(config, index)
    if around is None or chosen not in CHOICES:
        return result
    now = dict(config)
    for follow in (_loss, _network, _estimators):
        follow(now, chosen, index, result)
        now |= result.changes
    return result


def _loss(
    config: Mapping[str, Any], chosen: str, index: ComponentIndex, result: Adaptation
) -> None:
    around, _ = surroundings_of(config, index)
    if around is None or chosen == "loss" or not why_not_loss(around.loss, around.dataset):
        return
    if name := next(suitable("loss", around, index), None):
        _replace("loss", name, config, index, result)


def _network(
    config: Mapping[str, Any], chosen: str, index: ComponentIndex, result: Adaptation
) -> None:
    around, _ = surroundings_of(config, index)
    if around is None or around.network is None or chosen == "network":
        return
    own = around.dataset.own_network if chosen == "dataset" else ""
    if own and own != config["network"].get("name"):
        _replace("network", own, config, index, result)
    elif why_not_network(around.network, around) and (
        name := next(suitable("network", around, index), None)
    ):
        _replace("network", name, config, index, result)


def _estimators(
    config: Mapping[str, Any], chosen: str, index: ComponentIndex, result: Adaptation
) -> None:
    around, made = surroundings_of(config, index)
    if around is None or around.network is None or why_not_network(around.network, around):
        return
    driver = made.get(("estimator",))
    if _is_unfit(driver, around) and (name := next(suitable("estimator", around, index), None)):
        _replace("estimator", name, config, index, result)
    given = config.get("shadows")
    shadows = given if isinstance(given, list) else []
    pairs = enumerate(shadows)
    kept = [shadow for i, shadow in pairs if not _is_unfit(made.get(("shadows", i)), around)]
    if len(kept) < len(shadows):
        left = [shadow["name"] for shadow in shadows if shadow not in kept]
        titles = " and ".join(title("estimator", name, index) for name in left)
        network = title("network", config["network"]["name"], index)
        result.changes["shadows"] = kept
        result.said.append(f"{titles} left out of the shadows: not possible with {network}.")


def _is_unfit(estimator: Any, around: Surroundings) -> bool:
    return isinstance(estimator, Estimator) and why_not_estimator(estimator, around) != ""


_CALLED = {"loss": "Loss", "network": "Network", "estimator": "Driver"}
_ABOUT = {"loss": "dataset", "network": "dataset", "estimator": "network"}


def _replace(
    kind: str, name: str, config: Mapping[str, Any], index: ComponentIndex, result: Adaptation
) -> None:
    component = index.discovery.entries[kind][name].cls()
    result.changes[kind] = describe(component, name)
    before = title(kind, str((config.get(kind) or {}).get("name", "")), index)
    owner = title(_ABOUT[kind], str(config[_ABOUT[kind]]["name"]), index)
    result.said.append(
        f"{_CALLED[kind]} is now {title(kind, name, index)}: {before} does not suit {owner}."
    )
