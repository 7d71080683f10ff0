"""Short names of estimators that project a target on a guess: `global ← local`."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.figures.drawing.names import distinct
from backend.figures.guesses.places import Flat, column_titles, differences, place_of, variant_of


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
