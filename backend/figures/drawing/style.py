"""One colour and one marker an estimator, everywhere; markers repeat what colour says.

Okabe-Ito's palette, which readers with any colour vision can tell apart. Both depend on the
estimator's label alone; only where two labels of a chart look alike, the later one's marker does
not.
"""

import re
import zlib
from collections.abc import Iterable

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#808080"
OLIVE, ROSE, MOSS = "#999933", "#B5446E", "#4D6B00"
# Grey stands for Okabe-Ito's black: it is seen on a light page and on a dark one.
FIXED = {
    "backprop": GREY,
    "forward_gradient": VERMILION,
    "activity_forward_gradient": BLUE,
    "direct_feedback_alignment": GREEN,
    "spsa": ORANGE,
}
# Neighbours that are often in one chart have colours far apart.
USUAL = {
    **FIXED,
    "block_forward_gradient": PURPLE,
    "low_rank_forward_gradient": SKY,
    "sparse_forward_gradient": YELLOW,
    "averaged_projected": OLIVE,
    "node_perturbation": GREEN,
    "gaussian_smoothing": PURPLE,
    "evolution_strategy": GREEN,
    "mezo": SKY,
    "coordinate_importance": OLIVE,
    "guided_es": VERMILION,
    "feedback_alignment": SKY,
    "usf": PURPLE,
    "brsf": YELLOW,
    "frsf": VERMILION,
    "weight_mirror": ORANGE,
    "kolen_pollack": BLUE,
    "dkp": OLIVE,
    "fdfa": ROSE,
    "local_losses": PURPLE,
    "clip_norm": SKY,
    "mean_of_draws": GREEN,
    "momentum": ROSE,
    "exact_plus_noise": YELLOW,
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
    "upg": BLUE, "npg": ORANGE, "jfb": MOSS, "ift": ROSE, "unrolled": VERMILION, "shine": GREEN,
}  # fmt: skip
"""By how an equilibrium is differentiated, as the estimator's label has it. Moss is dark, so that
its shades are mixed with white; shades of olive are dim on a dark page."""
OTHERS = (PURPLE, SKY, YELLOW, ORANGE, GREEN, VERMILION, BLUE)
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down",
    "pentagon", "hexagon", "bowtie", "hourglass",
)  # fmt: skip
RUNS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, GREY, YELLOW)
"""For what is told of whole runs, several in one chart: by a run's place."""
NEAR = 80
"""Distance of colours that are taken for each other."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
DIVERGING = [[0.0, "#f59322"], [0.5, "#e8eaeb"], [1.0, "#0877bd"]]
"""Orange at the lowest, neutral in the middle, blue at the highest."""


def colour(label: str) -> str:
    """The colour of an estimator's label: its catalogue name's, shaded by its fields.

    Where the fields name an inner estimator, it is that one's colour; of a guess or an adjoint,
    that of the guess or the adjoint.
    """
    name, _, fields = label.partition("(")
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
    rest = fields or label.partition(" #")[2]
    return _shade(base, 0.18 + 0.3 * (_number(rest) / 2**32)) if rest else base


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
    """The colour of the index-th run of a chart, where its driver is not what is told apart."""
    return RUNS[index % len(RUNS)]


def dash(index: int) -> str:
    """The dash of the index-th run of a chart."""
    return DASHES[index % len(DASHES)]


def _number(text: str) -> int:
    # Not hash(): Python draws its seed anew in every process.
    return zlib.crc32(text.encode())


def _shade(base: str, share: float) -> str:
    """Mix dark colours with white and light ones with black."""
    parts = [int(base[i : i + 2], 16) for i in (1, 3, 5)]
    towards = 0 if 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 140 else 255
    return "#" + "".join(f"{round(p + (towards - p) * share):02X}" for p in parts)
