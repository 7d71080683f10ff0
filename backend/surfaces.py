"""The two-dimensional test surfaces, by arithmetic that works on tensors and arrays alike."""

from typing import Any, Literal, NamedTuple

Function = Literal["rosenbrock", "beale", "quadratic"]


class Surface(NamedTuple):
    """The start of a path, the minimum, and the part of the plane that figures show."""

    start: tuple[float, float]
    minimum: tuple[float, float]
    window: tuple[tuple[float, float], tuple[float, float]]


SURFACES: dict[Function, Surface] = {
    "rosenbrock": Surface((-1.2, 1.0), (1.0, 1.0), ((-2.0, 2.0), (-1.0, 3.0))),
    "beale": Surface((1.0, 1.0), (3.0, 0.5), ((-0.5, 4.0), (-1.5, 1.5))),
    "quadratic": Surface((1.0, 1.0), (0.0, 0.0), ((-1.5, 1.5), (-1.5, 1.5))),
}
"""Starting points of Moré, Garbow and Hillstrom (1981); that of the quadratic is our own."""


def rosenbrock(a: Any, b: Any) -> Any:
    """(1 − a)² + 100 (b − a²)², a curved valley."""
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


def beale(a: Any, b: Any) -> Any:
    """(1.5 − a + ab)² + (2.25 − a + ab²)² + (2.625 − a + ab³)², a plateau with steep rims."""
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def quadratic(a: Any, b: Any, condition: float) -> Any:
    """½ (a² + b²/κ), in the plane of the steepest and the flattest axis."""
    return 0.5 * (a**2 + b**2 / condition)


def value(function: Function, a: Any, b: Any, condition: float) -> Any:
    """The surface's height at (a, b)."""
    if function == "quadratic":
        return quadratic(a, b, condition)
    return rosenbrock(a, b) if function == "rosenbrock" else beale(a, b)
