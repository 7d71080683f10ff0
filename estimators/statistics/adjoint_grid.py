"""The settings of an adjoint map: where adjoints are measured, and which number a setting has.

The library, the configuration of a microscope and the figures share it, so that all allow the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol, TypeVar

KINDS = ("npg", "upg")
"""The adjoints that have a number of steps and a damping."""
POINTS = ("jfb", "ift", "unrolled")
"""The adjoints that are measured once for each factor."""
SOLVE_OF = {
    **dict.fromkeys((*KINDS, "jfb"), "forward solve"),
    "ift": "forward or backward solve",
    "unrolled": "plain iteration",
}
"""The solve of each adjoint's own gradient, in which an example may not converge."""
SOLVERS = ("fixed_point", "anderson", "broyden")
LISTS = ("steps", "damping", "factors", "solvers")
"""The lists of settings of a map."""
MOST_CELLS = 2000
"""Most gradients of a map: factors × (2 × steps × damping + 3)."""
MOST_STEPS = 1000
MOST_STATES = 256
"""Most states of an example for which J is written out, and the descent condition evaluated."""
MOST_FACTOR = 100.0
DEFAULT_STEPS = (1, 2, 3, 5, 8, 13, 20)
DEFAULT_DAMPING = (0.25, 0.5, 0.75, 1.0)
DEFAULT_FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5)
DEFAULT_SOLVERS = ("anderson", "broyden")


@dataclass(frozen=True)
class AdjointGrid:
    """The settings (factor, k, λ) of an adjoint map, each list in ascending order.

    Raises:
        ValueError: a list is empty, a value is out of its bounds or comes twice, or there are
            more settings than `MOST_CELLS`.
    """

    steps: tuple[int, ...] = DEFAULT_STEPS
    """Damped steps, or terms of the series (k)."""
    damping: tuple[float, ...] = DEFAULT_DAMPING
    """Share of f in a step (λ)."""
    factors: tuple[float, ...] = DEFAULT_FACTORS
    """What the state is multiplied by before the cell reads it (c)."""
    solvers: tuple[str, ...] = DEFAULT_SOLVERS
    """The solvers whose costs are compared."""

    def __post_init__(self) -> None:
        for name in LISTS:
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if self.gradients > MOST_CELLS:
            raise ValueError(
                f"{len(self.factors)} factors × (2 × {len(self.steps)} steps × "
                f"{len(self.damping)} damping + {len(POINTS)}) are {self.gradients:,} gradients; "
                f"at most {MOST_CELLS:,} are allowed"
            )

    @property
    def gradients(self) -> int:
        """Gradients of the map, at all factors."""
        return len(self.factors) * (len(KINDS) * self.size + len(POINTS))

    @property
    def size(self) -> int:
        """Settings (k, λ)."""
        return len(self.steps) * len(self.damping)

    @property
    def rows(self) -> int:
        """Rows of the comparison of costs."""
        compared = len(self.solvers) * (len(KINDS) * self.size + len(("jfb", "ift")))
        return compared + 1 if self.solvers else 0

    def measurements(self, repeats: int) -> int:
        """Gradients, bounds and timed gradients of a network with one equilibrium."""
        return self.gradients + len(self.factors) * self.size + (1 + repeats) * self.rows

    @property
    def order(self) -> tuple[float, ...]:
        """The factors in the order in which they are measured: the network as it is comes first."""
        return tuple(sorted(self.factors, key=lambda factor: (factor != 1, factor)))

    def factor(self, asked: float | None) -> float:
        """The factor asked for; of None, the one that was measured first.

        Raises:
            ValueError: it was not measured; the message says which ones were.
        """
        if asked is None:
            return self.order[0]
        if asked not in self.factors:
            allowed = ", ".join(f"{factor:g}" for factor in self.factors)
            raise ValueError(f"factor is {asked:g}; this map has {allowed}")
        return asked

    def settings(self) -> Iterator[tuple[int, float]]:
        """Every (k, λ), the smaller k first."""
        for k in self.steps:
            for share in self.damping:
                yield k, share

    def number(self, factor: float, steps: int | None = None, damping: float | None = None) -> int:
        """The place of a setting in the order of measurement; without (k, λ), that of a factor."""
        place = self.order.index(factor)
        if steps is None or damping is None:
            return place
        within = self.steps.index(steps) * len(self.damping) + self.damping.index(damping)
        return place * self.size + within

    def setting(self, number: int) -> tuple[float, int, float]:
        """(factor, k, λ) of the setting with this number."""
        place, within = divmod(number, self.size)
        row, column = divmod(within, len(self.damping))
        return self.order[place], self.steps[row], self.damping[column]


class TimedGradient(Protocol):
    """A gradient in the comparison of costs."""

    @property
    def solver(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def relative_error(self) -> float: ...


Row = TypeVar("Row", bound=TimedGradient)


def nearest(rows: Iterable[Row]) -> list[Row]:
    """Of the rows of a solver, adjoint and k the one with the smallest relative error."""
    chosen: dict[tuple[str, str, int | None], Row] = {}
    for row in rows:
        key = row.solver, row.kind, row.steps
        if key not in chosen or row.relative_error < chosen[key].relative_error:
            chosen[key] = row
    return [*chosen.values()]


def solves_of(kinds: Iterable[str]) -> str:
    """The solves of some adjoints: `the forward solve of npg and jfb`."""
    by_solve: dict[str, list[str]] = {}
    for kind in dict.fromkeys(kinds):
        by_solve.setdefault(SOLVE_OF[kind], []).append(kind)
    return ", ".join(f"the {solve} of {' and '.join(some)}" for solve, some in by_solve.items())


def checked(name: str, values: Any) -> tuple[Any, ...]:
    """The list `name` (one of `LISTS`) of a grid, numbers in ascending order.

    Raises:
        ValueError: it is no list, it is empty, or a value is out of its bounds or comes twice.
    """
    listed = _listed(name, values)
    is_allowed, allowed = _ALLOWED[name]
    for value in listed:
        if not is_allowed(value):
            raise ValueError(f"{name} holds {value!r}; {allowed} are allowed")
    return tuple(listed if name == "solvers" else sorted(listed))


def _listed(name: str, values: Any) -> Sequence[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} is {values!r}; a list of values is allowed")
    if not values and name != "solvers":
        raise ValueError(f"{name} is empty; at least one value is needed")
    if name != "solvers" and not all(_is_number(value) for value in values):
        wrong = next(value for value in values if not _is_number(value))
        raise ValueError(f"{name} holds {wrong!r}; finite numbers are allowed")
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{name} holds {value!r} twice; give each value once")
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "steps": (
        lambda k: _is_whole(k) and 1 <= k <= MOST_STEPS,
        f"whole numbers from 1 to {MOST_STEPS}",
    ),
    "damping": (lambda share: 0 < share <= 1, "numbers above 0 and at most 1"),
    "factors": (
        lambda factor: 0 <= factor <= MOST_FACTOR,
        f"numbers from 0 to {MOST_FACTOR:g}",
    ),
    "solvers": (lambda solver: solver in SOLVERS, ", ".join(SOLVERS)),
}
"""Which values a list may hold, and in words. `_listed` has refused all that is no number."""
