"""What an adjoint map consists of: the numbers that are measured one after the other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Solve:
    """The largest numbers of the solves of one equilibrium."""

    iterations: int
    relative: float
    """‖F(z) − z‖ / ‖F(z)‖ of the example with the largest."""
    absolute: float
    """‖F(z) − z‖ of the example with the largest."""
    not_converged: int
    """Examples that ended before they converged."""
    examples: int


@dataclass(frozen=True)
class StageState:
    """One equilibrium at z*, at one factor."""

    factor: float
    stage: str
    states: int
    """Numbers of the state of one example (n)."""
    radius: float
    """ρ(J), the largest over the examples; NaN where it is not finite."""
    radius_converged: bool
    """Whether it is known to its tolerance, in every example."""
    forward: Solve
    """Of the network's own solver, in its own precision."""
    backward: Solve
    reference_not_converged: int
    """Examples whose solve for the exact gradient, in double precision, did not converge."""


@dataclass(frozen=True)
class Sensitivity:
    """The singular values of ∂f/∂θ at z*, by which the descent condition is judged."""

    factor: float
    stage: str
    examples: int
    """Examples that were looked at; 0 where the condition was not evaluated."""
    reason: str
    """Why the condition was not evaluated; "" where it was."""
    smallest: float
    """The smallest σ_min of the examples."""
    zero: int
    """Examples whose σ_min is 0, to rounding: the condition allows them no error."""
    allowed: float
    """The smallest σ_min² / σ_max of the examples."""
    allowed_median: float
    simple: float
    """The smallest 1/κ² of the examples, κ = σ_max / σ_min."""
    simple_median: float


@dataclass(frozen=True)
class Bound:
    """‖Bᵏ‖₂ with B = λJ + (1 − λ)I at z*, and the two forms of the descent condition."""

    factor: float
    stage: str
    steps: int
    damping: float
    largest: float
    """The largest ‖Bᵏ‖₂ of the examples that were looked at; NaN where not evaluated."""
    median: float
    converged: bool
    """False where a power iteration ended at its limit: the norm is at least this."""
    examples: int
    left: float
    """The largest ‖A(I − J) − ∂f/∂θ‖₂; NaN where not evaluated."""
    left_median: float
    met: float
    """Share of the examples with ‖A(I − J) − ∂f/∂θ‖ ≤ σ_min² / σ_max; NaN where not evaluated."""
    met_simple: float
    """Share of the examples with ‖Bᵏ‖ ≤ 1/κ²."""


@dataclass(frozen=True)
class Cell:
    """One gradient of one adjoint, beside the exact gradient of the converged loss."""

    factor: float
    kind: str
    steps: int | None
    damping: float | None
    cosine: tuple[float, ...]
    """⟨ĝ, g⟩ / (‖ĝ‖‖g‖) of each layer."""
    relative_error: tuple[float, ...]
    """‖ĝ − g‖ / ‖g‖ of each layer."""
    seconds: float
    """Of this one gradient, timed once: CPU time, or wall time on CUDA."""
    not_converged: int
    """Examples of one of its solves that did not converge."""


@dataclass(frozen=True)
class CostRow:
    """What one gradient costs with one solver, at the network as it is."""

    solver: str
    kind: str
    steps: int | None
    damping: float | None
    repeats: int
    """Gradients that were timed, in turns with those of the other rows and with the loss."""
    seconds: float
    """Median time of one gradient: CPU time, or wall time on CUDA, as of all times here."""
    seconds_low: float
    """The lower quartile of these times."""
    seconds_high: float
    """The upper quartile of these times."""
    ratio: float
    """Median over the repeats of its time divided by that of ift with the same solver, in the same
    repeat."""
    ratio_low: float
    """The lower quartile of these ratios."""
    ratio_high: float
    """The upper quartile of these ratios."""
    forward_seconds: float
    """Median time of the loss alone, without a graph, with the same solver."""
    forward_seconds_low: float
    """The lower quartile of these times."""
    forward_seconds_high: float
    """The upper quartile of these times."""
    saved: int
    """Bytes that autograd keeps for the backward pass; on CUDA, the peak of all memory that one
    gradient allocates."""
    history: int
    """Bytes of the largest history of a solver; 0 on CUDA, where the peak contains it."""
    cosine: float
    relative_error: float
    not_converged: int


Record = StageState | Sensitivity | Bound | Cell | CostRow
