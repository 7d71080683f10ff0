"""The cell and the short name of an estimator that projects its target on a guess, read from its
configuration."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.figures.drawing.names import distinct

NAME = "guess_and_target"
DEFAULTS: dict[str, Any] = {
    "target_loss": "global",
    "guess": "local",
    "unit": "output_and_example",
    "normalise": "auto",
    "source": "honest",
}
"""Of the fields that may be absent: runs are stored with every default written out, but those of
an older lab lack fields that came later."""
TARGETS = ("global", "look_ahead", "local")
GUESSES = ("global", "look_ahead", "local", "ntk", "fixed_ntk", "normal", "rademacher")
"""In the order of the grid; guessing estimators follow."""
WITH_AUXILIARIES = {"local", "look_ahead", "ntk", "fixed_ntk"}
"""Targets and guesses that auxiliary networks give; the fields about them say nothing otherwise."""
OF_ESTIMATOR = "estimator"
"""The value of `guess` that stands for the estimator in the field `guesser`."""

Flat = Mapping[str, str]
"""{path of a field: its value as text}."""


@dataclass(frozen=True)
class Place:
    """A cell of the grid."""

    target: str
    guess: str
    """The name of the column."""
    guesser: str
    """The guessing estimator as canonical JSON; "" where there is none."""

    @property
    def column(self) -> tuple[str, str]:
        """What identifies the column: two estimators that guess are two columns."""
        return self.guess, self.guesser


def value_of(description: Mapping[str, Any], field: str) -> Any:
    """A field of the estimator, by its default where the configuration lacks it."""
    return description.get(field, DEFAULTS.get(field))


def place_of(description: Mapping[str, Any]) -> Place | None:
    """The estimator's cell; None for an estimator of another kind."""
    if description.get("name") != NAME:
        return None
    target, guess = (str(value_of(description, field)) for field in ("target_loss", "guess"))
    if guess != OF_ESTIMATOR:
        return Place(target, guess, "")
    guesser = description.get("guesser")
    name = str(guesser.get("name", "")) if isinstance(guesser, Mapping) else ""
    return Place(target, name or OF_ESTIMATOR, json.dumps(guesser, sort_keys=True))


def variant_of(description: Mapping[str, Any]) -> dict[str, str]:
    """Everything else that makes it the estimator that it is: its unit, its source, …"""
    unused = {"name", "target_loss", "guess", "guesser"}
    whole = {**DEFAULTS, **description}
    if not {whole["target_loss"], whole["guess"]} & WITH_AUXILIARIES:
        unused |= {name for name in whole if name.startswith("auxiliary") or name == "local_loss"}
    return flat({name: value for name, value in whole.items() if name not in unused})


def flat(nested: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """`{"lr": 0.1, "schedule": {"name": "cosine"}}` as `{"lr": "0.1", "schedule.name": "cosine"}`;
    fields that are None are left out."""
    fields: dict[str, str] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            fields |= flat(value, f"{before}{name}.")
        elif value is not None:
            fields[before + name] = _text(value)
    return fields


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def differences(settings: Sequence[Flat]) -> list[str]:
    """Of several settings, what tells each from the others: `unit tensor, batch_size 64`; ""
    where nothing does."""
    names = dict.fromkeys(name for setting in settings for name in setting)
    varied = [name for name in names if len({setting.get(name) for setting in settings}) > 1]
    return [
        ", ".join(f"{name.removesuffix('.name')} {setting.get(name, 'none')}" for name in varied)
        for setting in settings
    ]


def column_titles(places: Sequence[Place]) -> dict[tuple[str, str], str]:
    """{column: its title}, in the order of the grid; estimators of one name by what differs."""
    columns = sorted({place.column for place in places}, key=_order)
    titles: dict[tuple[str, str], str] = {}
    for name, guesser in columns:
        alike = [other for guess, other in columns if guess == name]
        words = differences([flat(json.loads(text) or {}) if text else {} for text in alike])
        said = words[alike.index(guesser)]
        titles[name, guesser] = f"{name} ({said})" if said else name
    return titles


def _order(column: tuple[str, str]) -> tuple[int, str, str]:
    name, guesser = column
    is_usual = name in GUESSES and not guesser
    return (GUESSES.index(name) if is_usual else len(GUESSES), name, guesser)


def target_order(target: str) -> tuple[int, str]:
    """The place of a target's row."""
    return (TARGETS.index(target) if target in TARGETS else len(TARGETS), target)


def short_names(estimators: Sequence[tuple[Mapping[str, Any], Flat]]) -> list[str]:
    """A name for each estimator of a figure: its target and its guess, and where another one has
    both, too, what tells them apart: `global ← local, unit tensor`.

    Args:
        estimators: The configuration of each, and the setting of its run.

    Returns:
        "" for an estimator of another kind, and for those that nothing tells apart.
    """
    places = [place_of(description) for description, _ in estimators]
    titles = column_titles([place for place in places if place])
    pairs = [f"{place.target} ← {titles[place.column]}" if place else "" for place in places]
    names = list(pairs)
    for pair in dict.fromkeys(filter(None, pairs)):
        alike = [at for at, other in enumerate(pairs) if other == pair]
        whole = [{**estimators[at][1], **variant_of(estimators[at][0])} for at in alike]
        for at, words in zip(alike, differences(whole), strict=True):
            names[at] = f"{pair}, {words}" if words else pair
    shown = distinct(tuple(dict.fromkeys(names)))
    return [shown[name] if names.count(name) == 1 else "" for name in names]
