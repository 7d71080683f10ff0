"""The title, axis title and scale of each metric."""

from dataclasses import dataclass, replace
from typing import Literal

from backend.figures.data.source import FigureError

Scaling = Literal["linear", "wide", "log", "signed"]


@dataclass(frozen=True)
class Metric:
    """A metric's words and scale."""

    title: str
    axis: str
    """The axis title: the quantity, its convention and unit."""
    scaling: Scaling = "linear"
    """wide: linear until a value dwarfs the others; log: positive over decades; signed: over
    decades on both sides of zero."""
    bounds: tuple[float, float] | None = None
    """The range that it cannot leave, where it has one."""
    called: str = ""
    """What it is called within a sentence, where that is not its title."""
    unit: str = ""
    fraction: bool = False
    """Whether it is a fraction of examples, from 0 to 1."""

    @property
    def short(self) -> str:
        """Its name within a sentence."""
        return self.called or self.title[:1].lower() + self.title[1:]

    @property
    def suffix(self) -> str:
        """Its unit as it follows a number."""
        return f" {self.unit}" if self.unit else ""


METRICS = {
    "cosine": Metric(
        "Alignment (cosine)",
        "cosine with the exact gradient<br>mean over draws",
        "linear",
        (-1, 1),
        "cosine",
    ),
    "cosine_sd": Metric("Spread of the alignment", "sd of the cosine over draws"),
    "cosine_mean": Metric(
        "Alignment of the mean",
        "cosine with the exact gradient<br>of the mean of the draws",
        "linear",
        (-1, 1),
    ),
    "cosine_null": Metric(
        "Null of the alignment",
        "sd of the cosine with<br>the signs of units redrawn",
        "linear",
        called="null of the cosine",
    ),
    "scaled_error": Metric(
        "Scaled error", "scaled error<br>min over c ≥ 0 of E‖cĝ − g‖² / ‖g‖²", "linear", (0, 1)
    ),
    "scaled_error_null": Metric(
        "Null of the scaled error",
        "5 % quantile of the scaled error<br>with the signs of units redrawn",
        "linear",
        (0, 1),
        "null of the scaled error",
    ),
    "relative_variance": Metric(
        "Relative variance", "relative variance of one draw<br>tr S / ‖g‖²", "log"
    ),
    "relative_squared_bias": Metric(
        "Relative squared bias", "relative squared bias<br>(‖ḡ − g‖² − tr S / K) / ‖g‖²", "signed"
    ),
    "relative_squared_bias_se": Metric(
        "Standard error of the squared bias", "standard error of the relative squared bias", "log"
    ),
    "relative_mse": Metric(
        "Relative squared error", "relative MSE of one draw<br>E‖ĝ − g‖² / ‖g‖²", "log"
    ),
    "snr": Metric("Signal to noise", "SNR of one draw<br>(‖ḡ‖² − tr S / K) / tr S", "signed"),
    "norm_ratio": Metric("Norm ratio", "norm ratio<br>mean ‖ĝ‖ / ‖g‖", "log"),
    "positive": Metric("Descending draws", "fraction of draws with ⟨ĝ, g⟩ > 0", "linear", (0, 1)),
    "along": Metric("Slope", "slope<br>mean of ⟨ĝ, g⟩ / ‖g‖²; below 0 it points uphill", "signed"),
    "along_se": Metric("Standard error of the slope", "standard error of the slope", "log"),
    "exact/norm": Metric("Gradient norm", "norm of the exact gradient, ‖g‖", "log"),
    "reference/floor": Metric(
        "Rounding of the gradient",
        "rounding error of the exact gradient<br>‖g − g in float64‖",
        "log",
    ),
    "reference/growth": Metric(
        "Growth of the activations", "growth in a stage<br>rms of output ÷ rms of input", "log"
    ),
    "redrawn/cosine": Metric(
        "Cosine with redrawn feedback", "cosine with redrawn feedback<br>mean over redraws"
    ),
    "redrawn/cosine_sd": Metric(
        "Spread of the cosine with redrawn feedback", "sd of the cosine over redraws"
    ),
    "redrawn/scaled_error": Metric(
        "Scaled error with redrawn feedback", "5 % quantile of the scaled error<br>over redraws"
    ),
    "loss": Metric("Loss", "loss (nats)", "wide", unit="nats"),
    "accuracy": Metric("Accuracy", "accuracy (fraction)", fraction=True),
    "readout_accuracy": Metric(
        "Accuracy of a linear readout",
        "accuracy of a linear readout<br>of the frozen features",
        fraction=True,
    ),
    "own_view": Metric(
        "Own view found", "fraction of views nearest<br>to their own other view", fraction=True
    ),
    "bits_per_token": Metric(
        "Bits per token", "bits per token<br>loss / ln 2", "wide", unit="bits"
    ),
    "train/learning_rate": Metric("Learning rate", "learning rate"),
    "step_seconds": Metric("Time of a step", "time of a step (s)", "log", unit="s"),
    "train/seconds": Metric("Training time", "training time (s)<br>pauses excluded", unit="s"),
    "path/x0": Metric("First coordinate", "x₀"),
    "path/x1": Metric("Last coordinate", "x₁"),
    "draw/cosine": Metric(
        "Cosine of the draws",
        "cosine of one draw with the exact gradient",
        "linear",
        (-1, 1),
        "cosine",
    ),
    "draw/norm_ratio": Metric(
        "Norm of the draws", "norm of one draw, ‖ĝ‖ / ‖g‖", called="norm ratio"
    ),
    "draw/along": Metric("Draws along the gradient", "along the gradient, ⟨ĝ, g⟩ / ‖g‖²"),
    "draw/across": Metric(
        "Draws across the gradient",
        "across ÷ ‖g‖<br>first principal component of the residuals",
    ),
    "draw/nonfinite": Metric("Draws that are not finite", "draws that are not finite"),
    "draw/not_converged": Metric(
        "Draws on unconverged solves", "draws that rest on a solve<br>that did not converge"
    ),
    "reference/not_converged": Metric(
        "Unconverged solves of the exact gradient",
        "examples that did not converge<br>for the exact gradient",
    ),
    "equilibrium/spectral_radius": Metric(
        "Spectral radius", "spectral radius of ∂f/∂z<br>largest of the examples"
    ),
    "equilibrium/spectral_radius_converged": Metric(
        "Converged spectral radii",
        "share of examples whose<br>estimate of ρ converged",
        "linear",
        (0, 1),
        fraction=True,
    ),
    "draw/rounding": Metric("Rounding of the loss", "rounding of the loss, ε|L|", "log"),
    "draw/difference": Metric(
        "Differences of the loss", "typical difference of the loss<br>that one draw takes", "log"
    ),
    "draw/heavy_tail": Metric("Heavy tails", "heavy tails: 1, none: 0"),
    "probe/stride": Metric("Steps between probes", "steps between probes"),
    "probe/share": Metric("Share of time spent on probes", "probes' share of the run's time"),
}
REPORTS = {
    "guess_cosine": Metric(
        "Cosine of target and guess", "cosine of target and guess", "linear", (-1, 1)
    ),
    "guess_difference": Metric(
        "Difference of target and guess", "relative difference<br>‖t − s‖ / ‖t‖"
    ),
    "guess_norm_ratio": Metric("Length of the guess", "norm ratio<br>‖s‖ / ‖t‖", "log"),
    "projection_cosine": Metric(
        "Cosine of target and projection",
        "cosine of the target<br>and its projection on the guess",
        "linear",
        (-1, 1),
    ),
    "span_cosine": Metric(
        "Cosine of target and span",
        "cosine of the target and its projection<br>on the span of the batch's guesses",
        "linear",
        (-1, 1),
    ),
    "auxiliary_loss": Metric(
        "Loss of the auxiliary networks", "loss of the auxiliary network (nats)", unit="nats"
    ),
    "auxiliary_accuracy": Metric(
        "Accuracy of the auxiliary networks",
        "accuracy of the auxiliary network",
        "linear",
        (0, 1),
        fraction=True,
    ),
    "forward_iterations": Metric("Iterations to the equilibrium", "iterations of the solver"),
    "forward_residual": Metric(
        "Residual of the equilibrium", "relative residual<br>‖f(z) − z‖ / ‖f(z)‖", "log"
    ),
    "forward_absolute_residual": Metric(
        "Absolute residual of the equilibrium", "absolute residual<br>‖f(z) − z‖", "log"
    ),
    "backward_iterations": Metric(
        "Iterations of the derivatives", "iterations of the solver<br>of linear equations"
    ),
    "backward_residual": Metric(
        "Residual of the derivatives", "relative residual<br>of the linear equations", "log"
    ),
    "backward_absolute_residual": Metric(
        "Absolute residual of the derivatives",
        "absolute residual<br>of the linear equations",
        "log",
    ),
    "not_converged": Metric("Examples that did not converge", "examples that did not converge"),
    "not_finite": Metric(
        "Examples with numbers that are not finite", "examples that met a number<br>not finite"
    ),
    "ascends": Metric(
        "Steps that ascend", "share of steps with ⟨ĝ, t⟩ < 0", "linear", (0, 1), "share of steps"
    ),
    "zero_guesses": Metric("Guesses of zero", "units whose guess is zero"),
    "nonfinite_guesses": Metric("Guesses that are not finite", "units whose guess is not finite"),
    "auxiliary_share": Metric(
        "Share of the auxiliary networks",
        "multiplications of the auxiliary networks<br>÷ those of the network",
    ),
}
"""What estimators report of themselves, `estimator/<key>`; other keys are said as they are."""
OF_SOLVES = (
    "not_converged", "not_finite",
    "forward_iterations", "forward_residual", "forward_absolute_residual",
    "backward_iterations", "backward_residual", "backward_absolute_residual",
)  # fmt: skip
"""Reports on the solves of equilibria, which have a figure of their own."""
BY_EXAMPLE = "_by_example"
"""The end of a reported key that is of each example, not of the batch."""
EVENTS = ("estimator/ascends",)
"""Reports that are 1 or 0 at each step: their mean over steps is a share."""
SPLITS = ("train", "validation", "test")
OF_A_PART = ("loss", "accuracy", "readout_accuracy", "own_view", "bits_per_token")
"""Metrics of a part of the data."""
OF_A_MEASURE = ("sweep/law_check/", "sweep/law/", "sweep/", "law/", "law_check/")
"""Prefixes of a measure: against a field's values, by its law, or both; whether the two agree."""
LOGGED = "log/"
"""The prefix of scalars that a training loop of the user's own has logged."""
MEASURES = tuple(name for name in METRICS if "/" not in name and name not in OF_A_PART)
"""Metrics of an estimator at a frozen point."""


USUAL_MEASURES = (
    "cosine", "scaled_error", "relative_variance", "relative_squared_bias", "norm_ratio",
)  # fmt: skip
"""The measures that the page's controls offer first, and that tables of a run show."""
LARGER_IS_BETTER = (
    "accuracy", "readout_accuracy", "own_view", "auxiliary_accuracy", "cosine", "cosine_mean",
    "snr", "positive", "guess_cosine", "projection_cosine", "span_cosine",
)  # fmt: skip
"""Of all other metrics, smaller values are better or neither is."""
OF_ERROR = ("scaled_error", "relative_variance", "relative_squared_bias")
"""Measures of how far an estimate is from the exact gradient."""


def is_of_the_run(name: str) -> bool:
    """Whether a metric is of a whole run: it has no layers."""
    return name.partition("/")[0] in SPLITS


def larger_is_better(name: str) -> bool:
    """Whether a metric's larger values are the better ones; of a part or reported, too."""
    return name.rpartition("/")[2].removesuffix(BY_EXAMPLE) in LARGER_IS_BETTER


def split_of(name: str) -> str:
    """The part of the data that a metric is of, else ""."""
    part, _, kind = name.partition("/")
    return part if part in SPLITS and kind in OF_A_PART else ""


def metric(name: str) -> Metric:
    """The words for a metric's name."""
    words = METRICS.get(name.partition("/")[2] if split_of(name) else name)
    if words and (split_of(name) or name not in OF_A_PART):
        return words
    for prefix in OF_A_MEASURE:
        if (bare := name.removeprefix(prefix)) in MEASURES:
            return METRICS[bare]
    prefix, _, key = name.partition("/")
    if prefix == "estimator" and key.removesuffix(BY_EXAMPLE) in REPORTS:
        return _report(key)
    if prefix == "estimator" and key:
        return Metric(key.replace("_", " "), f"{key}, reported by the estimator")
    if name.startswith(LOGGED) and key:
        return Metric(key, f"{key}, logged by the script")
    raise FigureError(
        f"there is no metric {name!r}; allowed are train|validation|test/{'|'.join(OF_A_PART)}, "
        f"{', '.join(key for key in METRICS if key not in OF_A_PART)}, estimator/<key>"
    )


def metric_of_part(name: str) -> Metric:
    """The words for a metric's name that say which part of the data it is of: `test accuracy`."""
    words, part = metric(name), split_of(name)
    if not part:
        return words
    return replace(words, axis=f"{part} {words.axis}", called=f"{part} {words.short}")


def _report(key: str) -> Metric:
    """The words for a key that estimators report."""
    words = REPORTS[key.removesuffix(BY_EXAMPLE)]
    if not key.endswith(BY_EXAMPLE):
        return words
    return replace(
        words,
        title=f"{words.title}, by example",
        axis=f"{words.axis}<br>mean over examples",
        called=f"{words.short} by example",
    )
