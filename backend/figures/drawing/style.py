"""One hue and one marker an estimator, everywhere; markers repeat what colour says.

Both depend on the estimator's label alone; only where two labels of a chart look alike, the later
one's marker does not.
"""

import re
import zlib
from collections.abc import Iterable

from backend.figures.drawing import names
from backend.figures.drawing.inks import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INKS,
    MOSS,
    OLIVE,
    ORANGE,
    PURPLE,
    ROSE,
    SKY,
    TEAL,
    VERMILION,
    Ink,
    index_of,
    mixed,
)

FIXED = {
    "backprop": GREY,
    "forward_gradient": VERMILION,
    "activity_forward_gradient": BLUE,
    "direct_feedback_alignment": GREEN,
    "spsa": ORANGE,
    "fdfa": ROSE,
}
"""Those that own their hue and their marker."""
# Neighbours that are often in one chart have colours far apart.
USUAL = {
    **FIXED,
    "block_forward_gradient": PURPLE,
    "low_rank_forward_gradient": SKY,
    "sparse_forward_gradient": TEAL,
    "averaged_projected": OLIVE,
    "node_perturbation": GREEN,
    "gaussian_smoothing": PURPLE,
    "evolution_strategy": GREEN,
    "mezo": SKY,
    "coordinate_importance": OLIVE,
    "guided_es": VERMILION,
    "feedback_alignment": SKY,
    "usf": PURPLE,
    "brsf": TEAL,
    "frsf": VERMILION,
    "weight_mirror": ORANGE,
    "kolen_pollack": BLUE,
    "dkp": OLIVE,
    "local_losses": PURPLE,
    "clip_norm": SKY,
    "mean_of_draws": GREEN,
    "momentum": ROSE,
    "exact_plus_noise": TEAL,
    "random_direction": OLIVE,
    "sign_of": ORANGE,
    "stale": BLUE,
    "guess_and_target": PURPLE,
    "implicit_adjoint": BLUE,
}
GUESSES = {
    "global": GREY, "local": PURPLE, "look_ahead": SKY, "normal": VERMILION,
    "rademacher": ORANGE, "ntk": GREEN, "fixed_ntk": OLIVE,
}  # fmt: skip
"""By what an estimator guesses its target, as its label has it."""
ADJOINTS = {
    "upg": BLUE, "npg": PURPLE, "jfb": MOSS, "ift": ROSE, "unrolled": VERMILION, "shine": GREEN,
}  # fmt: skip
"""By how an equilibrium is differentiated, as the estimator's label has it."""
OTHERS = (PURPLE, SKY, TEAL, OLIVE, BROWN, MOSS)
"""Of plug-ins, which take none of the hues that the best known estimators own."""
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "star", "x", "triangle-down",
    "pentagon", "hexagon", "bowtie", "hourglass", "hexagram",
)  # fmt: skip
RUNS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, ROSE, OLIVE, TEAL, BROWN, MOSS)
"""For what is told of whole runs, several in one chart."""
NEAR = 80
"""Distance of colours that are taken for each other."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
DIVERGING = [[0.0, "#f59322"], [0.5, "#e8eaeb"], [1.0, "#0877bd"]]
"""Orange at the lowest, neutral in the middle, blue at the highest."""


def colour(label: str) -> str:
    """The light shade of an estimator's ink."""
    return ink(label).light


def ink(label: str) -> Ink:
    """The ink of an estimator's label: its catalogue name's, shaded by its fields."""
    base = INKS[index(label)]
    # A guess or an adjoint alone has its own hue, which needs no shade.
    fields = re.sub(r"\b(guess|adjoint)=\w+", "", label.partition("(")[2]).strip("), ")
    rest = fields or label.partition(" #")[2]
    return mixed(base.light, 0.15 + 0.3 * (_number(rest) / 2**32)) if rest else base


def index(label: str) -> int:
    """The index of an estimator's hue.

    Where the fields name an inner estimator, it is that one's; of a guess or an adjoint, that of
    the guess or the adjoint.
    """
    name, _, fields = label.partition("(")
    name = name.partition(" #")[0]
    guess = re.search(r"\bguess=(\w+)", fields)
    adjoint = re.search(r"\badjoint=(\w+)", fields)
    if inner := re.search(r"\b(?:inner|guide|guesser)=(\w+)", fields):
        name = inner[1]
    base = (
        GUESSES.get(guess[1] if guess else "")
        or ADJOINTS.get(adjoint[1] if adjoint else "")
        or USUAL.get(name)
        or OTHERS[_number(name) % len(OTHERS)]
    )
    return index_of(base)


def symbol(label: str) -> str:
    """The marker of an estimator's label; as its colour, it is the same in every figure.

    Built-in names own theirs. All others share the rest: variants that differ by powers of two
    in a field, or by their repetition, have different ones.
    """
    if label in FIXED:
        return SYMBOLS[list(FIXED).index(label)]
    shared = SYMBOLS[len(FIXED) :]
    if label in USUAL:
        alike = [n for n, base in USUAL.items() if base == USUAL[label] and n not in FIXED]
        start = list(USUAL.values()).index(USUAL[label])
        return shared[(start + alike.index(label)) % len(shared)]
    stem, _, repeat = label.partition(" #")
    shift = sum(int(base).bit_length() + len(base) for base in re.findall(r"[0-9]+", stem))
    start = _number(re.sub(r"[0-9]+", "", stem)) + shift + int(repeat or 0)
    return shared[start % len(shared)]


def symbols(labels: Iterable[str]) -> dict[str, str]:
    """The markers of one chart: where two labels look alike, the later one has another marker."""
    chosen: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        near = [chosen[other] for other in chosen if _alike(colour(other), colour(label))]
        own = symbol(label)
        start = SYMBOLS.index(own)
        others = (*SYMBOLS[start:], *SYMBOLS[:start])
        chosen[label] = next((s for s in others if s not in near), own) if own in near else own
    return chosen


def _alike(first: str, second: str) -> bool:
    """Whether colours can hardly be told apart, by their parts of 0 … 255."""
    parts = (int(first[i : i + 2], 16) - int(second[i : i + 2], 16) for i in (1, 3, 5))
    return sum(part**2 for part in parts) < NEAR**2


def run_colour(index: int) -> str:
    """The colour of the index-th of several curves that are told apart by no estimator.

    A run has the index `run_index`, which does not depend on the runs beside it.
    """
    return RUNS[index % len(RUNS)]


def run_index(number: int | None, run_id: str) -> int:
    """By which a run has its colour and its dash, whatever stands beside it."""
    return _number(run_id) if number is None else number - 1


def run_dash(index: int) -> str:
    """The dash of a run with this `run_index`; solid where no other run is in the figure."""
    return DASHES[index % len(DASHES)] if names.several() else DASHES[0]


def _number(text: str) -> int:
    # Not hash(): Python draws its seed anew in every process.
    return zlib.crc32(text.encode())
