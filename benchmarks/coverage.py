"""How often intervals of 95 % hold the true value, on the draws that they meet

Draws of ĝ = (g·v) v in 20 dimensions with normal or Rademacher v, of which all true values are
known: ⟨ĝ, g⟩ is χ²₁ (nearly so for signs), the norm a product of normals, the scaled error a ratio;
and the same with a bias twice as long as the gradient. Of normal draws also what tensors of one and
of three numbers see, with a tenth and with nine tenths of the network's ‖g‖². Then: how often
unbiased estimators are convicted of a bias in even one layer, and how often biased ones are.
"""

import itertools
from typing import Any

import torch
from torch import Tensor

from benchmarks.table import Row
from estimators import Backprop, Claim, Estimator, Objective, discover
from estimators.conformance import Case, cases, served
from estimators.core.noise import stream
from estimators.measurement.draws.moments import bias_variance
from estimators.measurement.draws.stream import has_oracle
from estimators.measurement.draws.summary import Summary, over
from estimators.measurement.estimates.bias_test import MIN_DRAWS as VERDICT
from estimators.measurement.estimates.intervals import MIN_DRAWS, bounds, skewed, student
from estimators.measurement.estimates.observation import Observation, Point, point
from estimators.statistics.paired import interval_half_width

D = 20
SIZES = (3, 5, 8, 16, 20, 32, 64, 128, 256, 512)
REPLICATIONS = 2000
ENOUGH = 0.92


def rows() -> list[Row]:
    torch.set_num_threads(1)
    found = table()
    shown = []
    for (metric, draws), by_size in found.items():
        cells = ", ".join(f"{n}: {100 * c:.1f}" for n, c in by_size.items())
        least = MIN_DRAWS.get(metric)
        worst = min((c for n, c in by_size.items() if least and n >= least), default=None)
        budget = ENOUGH if least else None
        value = worst if worst is not None else by_size[max(by_size)]
        shown.append(
            Row(f"{metric}, {draws}", value, budget, unit="", at_most=False,
                note=f"from {least or '–'} draws on; % at n: {cells}")
        )  # fmt: skip
    return [*normal(), *shown, *comparisons(), *convictions(), *powers()]


def normal(replications: int = 10_000) -> list[Row]:
    """Student's t on normal draws, where it is exact."""
    found = []
    for n in (3, 5, 20):
        x = torch.randn(n, replications, generator=stream(n, "probe"), dtype=torch.float64)
        off = abs(covered(student(x), torch.zeros(())) - 0.95)
        found.append(
            Row(f"Student's t on normal draws, n = {n}: |coverage − 0.95|", off, 0.015, "")
        )
    return found


def comparisons() -> list[Row]:
    """Of paired differences: seeds; probes of one run, whose measures drift; draws at one point."""
    found = [
        (f"difference of two estimators, {name}", {n: of(n) for n in PAIRS}, budget)
        for name, of, budget in (
            ("a pair a seed, normal", lambda n: _paired(n, "normal", "still", False), ENOUGH),
            ("probes of one run, still", lambda n: _paired(n, "chi", "still", True), ENOUGH),
            ("probes of one run, decaying", lambda n: _paired(n, "chi", "decaying", True), ENOUGH),
            (
                "probes of one run, wandering",
                lambda n: _paired(n, "chi", "wandering", True),
                ENOUGH,
            ),
            ("probes as if they were seeds, wandering", _as_seeds, None),
            ("a pair a seed, lognormal", lambda n: _paired(n, "skewed", "still", False), None),
            ("probes, noise AR(.5)", lambda n: _paired(n, "0.5", "still", True), None),
            ("probes, noise AR(.9)", lambda n: _paired(n, "0.9", "still", True), None),
        )
    ]
    found += [
        (
            f"difference of {metric} at one point",
            {n: _apart(metric, n) for n in (64, 128, 256)},
            None,
        )
        for metric in ("cosine", "scaled_error", "relative_mse")
    ]
    return [
        Row(name, min(by.values()), budget, "", at_most=False,
            note="% at n: " + ", ".join(f"{n}: {100 * c:.1f}" for n, c in by.items()))
        for name, by, budget in found
    ]  # fmt: skip


PAIRS = (5, 8, 16, 32, 64)


def _paired(n: int, noise: str, drift: str, successive: bool, replications: int = 4000) -> float:
    """How often the interval holds the mean over these very pairs."""
    rng = stream(n, "probe", noise, drift)
    shape = (n, replications)
    own = torch.randn(shape, generator=rng, dtype=torch.float64)
    if noise == "chi":  # a probe of 16 draws of a slope
        own = torch.randn(16, *shape, generator=rng, dtype=torch.float64).square().mean(0) - 1
    elif noise == "skewed":
        own = own.exp() - torch.e**0.5
    elif noise != "normal":  # of a state that noise stays in
        _correlate(own, float(noise))
    true = _drift(drift, shape, rng)
    off = (own + true).mean(0) - true.mean(0)
    inside = off.abs() <= interval_half_width(own + true, successive=successive)
    return inside.double().mean().item()


def _as_seeds(n: int) -> float:
    """The same steps, taken for independent samples of all steps that might have been."""
    rng = stream(n, "probe", "as seeds")
    found = _drift("wandering", (n, 4000), rng)
    inside = found.mean(0).abs() <= interval_half_width(found)
    return inside.double().mean().item()


def _drift(kind: str, shape: tuple[int, int], rng: torch.Generator) -> Tensor:
    """The true difference along a run: none, falling to 1/150 of it, or correlated by 0.9."""
    if kind == "still":
        return torch.zeros(shape, dtype=torch.float64)
    if kind == "decaying":
        return (
            10 * torch.exp(torch.linspace(0, -5, shape[0], dtype=torch.float64))[:, None]
        ).expand(shape)
    steps = torch.randn(shape, generator=rng, dtype=torch.float64)
    return _correlate(steps, 0.9)


def _correlate(steps: Tensor, by: float) -> Tensor:
    """In place: an autoregressive process of variance 1."""
    for before, now in itertools.pairwise(steps):
        now.mul_((1 - by**2) ** 0.5).add_(by * before)
    return steps


def _apart(metric: str, n: int, replications: int = 1000) -> float:
    """Two estimators at one point, each with noise of its own: standard errors add in squares."""
    ends, truth = [], []
    for kind in ("normal", "biased"):
        rng = stream(n, "probe", kind, "apart")
        v = torch.randn(n, replications, D, generator=rng, dtype=torch.float64)
        of, innovations = _summary(_along(v).unsqueeze(-1) * v + _offset(kind), _gradient())
        ends.append(bounds(metric, of, innovations, 0.95))
        truth.append(_truth(kind)[metric])
    (a, b), (c, d) = ends
    middle, half = (a + b - c - d) / 2, ((b - a).square() + (d - c).square()).sqrt() / 2
    return covered((middle - half, middle + half), truth[0] - truth[1])


WHOLE = ("normal", "rademacher", "biased")
TENSORS = {f"{d} of {share:g}": (d, share) for d in (1, 3) for share in (0.1, 0.9)}
"""Tensors of d numbers with a share of the network's ‖g‖²."""


def table(replications: int = REPLICATIONS) -> dict[tuple[str, str], dict[int, float]]:
    """{(metric, draws): {n: coverage}}."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for kind in (*WHOLE, *TENSORS):
        for n in SIZES:
            for metric, coverage in _of(kind, n, replications).items():
                found.setdefault((metric, kind), {})[n] = coverage
    return found


def _of(kind: str, n: int, replications: int) -> dict[str, float]:
    """The coverage of every interval at n draws."""
    rng, truth = stream(n, "probe", kind), _truth(kind)
    hits: dict[str, float] = {}
    for _ in range(4):
        draws, g = _drawn(kind, (n, replications // 4), rng)
        of, innovations = _summary(draws, g)
        inside = {m: covered(bounds(m, of, innovations, 0.95), truth[m]) for m in MIN_DRAWS}
        if kind != "biased":
            inside["slope (χ²₁)"] = covered(skewed(of.dots), g @ g)
        if kind in ("normal", "rademacher"):
            inside["curvature"] = covered(
                skewed((draws.square() * _curvature()).sum(-1)), _curve(kind)
            )
        hits = {metric: hits.get(metric, 0.0) + x / 4 for metric, x in inside.items()}
    return hits


def _drawn(kind: str, shape: tuple[int, int], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws (K, R, d) and the gradient (d,)."""
    d, share = TENSORS.get(kind, (D, 1.0))
    v = torch.randn(*shape, d, generator=rng, dtype=torch.float64)
    if kind in WHOLE:
        v = v.sign() if kind == "rademacher" else v
        return _along(v).unsqueeze(-1) * v + _offset(kind), _gradient()
    g = torch.full((d,), (share / d) ** 0.5, dtype=torch.float64)
    rest = torch.randn(shape, generator=rng, dtype=torch.float64)  # of the other tensors
    return (v @ g + (1 - share) ** 0.5 * rest).unsqueeze(-1) * v, g


def convictions(each: int = 120) -> list[Row]:
    """False convictions of all unbiased estimators, each at its defaults, on a small network."""
    case, total, found = cases()[0], [], []
    for name, estimator in unbiased(case):
        state = estimator.init(case.chain, case.params, stream(0, "init", "state"))
        guilty = [convicted(case, estimator, state, seed) for seed in range(each)]
        total += guilty
        found.append(
            Row(f"convicted though unbiased: {name}", sum(guilty) / len(guilty), None, "",
                note=f"{sum(guilty)} of {len(guilty)} verdicts of {VERDICT} draws")
        )  # fmt: skip
    all_ = Row("convicted though unbiased: all", sum(total) / len(total), 0.07, "",
               note=f"{sum(total)} of {len(total)}")  # fmt: skip
    return [*found, all_]


LARGE = (4000, 1500, 600, 50, 4)
"""Tensors of a larger network: 6,154 numbers."""
BIASES = (
    (0.05, 0.0, 1024, 20), (0.1, 0.0, 1024, 20), (0.25, 0.0, 1024, 20), (0.05, 0.0, 8192, 8),
    (0.0, 0.25, 1024, 20), (0.0, 0.5, 1024, 20), (0.0, 1.0, 1024, 20), (0.0, 0.25, 8192, 8),
)  # fmt: skip
"""Along g, across it, in units of its length; draws, and verdicts on them."""


def powers() -> list[Row]:
    """How often a bias is found, of forward gradients with normal noise."""
    found = []
    for along, across, draws, verdicts in BIASES:
        seen = sum(_seen(along, across, draws, seed) for seed in range(verdicts))
        found.append(
            Row(f"a bias of {along:g} along g, {across:g} across, {draws} draws: found",
                seen / verdicts, None, "", note=f"{seen} of {verdicts} verdicts")
        )  # fmt: skip
    return found


def _seen(along: float, across: float, draws: int, seed: int) -> bool:
    rng, d = stream(seed, "probe", "power"), sum(LARGE)
    g, e = (torch.randn(d, generator=stream(i, "probe", "bias")) for i in (0, 1))
    e -= (e @ g) / (g @ g) * g
    g, e = g / g.norm(), e / e.norm()
    exact = {str(i): x for i, x in enumerate(g.split(LARGE))}
    at = Point(Objective(lambda p: p["0"].sum()), exact, 0.0, exact,
               ("", *exact), torch.cat([torch.ones(5, 1), torch.eye(5)], 1).double())  # fmt: skip
    one = Observation("it", Backprop(), None, at)
    assert one.sketch is not None
    for _ in range(draws // 64):
        v = torch.randn(64, d, generator=rng)
        rows = (v @ g).unsqueeze(1) * v + along * g + across * e
        made = dict(zip(exact, rows.split(LARGE, 1), strict=True))
        one.moments.add(made)
        one.sketch.add(made)
    return any(v.biased for v in one.verdicts())


def unbiased(case: Case) -> list[tuple[str, Estimator]]:
    """Every estimator of the library that claims to be unbiased on the case."""
    made = [(name, entry.cls()) for name, entry in discover().estimators.items()]
    return [
        (name, e) for name, e in made if served(e, case) and e.claim(case.chain) is Claim.UNBIASED
    ]


def convicted(case: Case, estimator: Estimator, state: Any, seed: int) -> bool:
    """Whether one verdict finds a bias in any layer."""
    oracle = has_oracle(estimator, case.chain, case.params, state)
    one = Observation(
        "it", estimator, state, point(case.chain, case.params), "oracle" if oracle else "honest",
        seed,
    )  # fmt: skip
    for _ in one.take(VERDICT):
        pass
    return any(v.biased for v in one.verdicts())


def _offset(kind: str) -> Tensor:
    """Twice the gradient, turned round in every other dimension, where draws are to be biased."""
    turned = 2 * _gradient() * (torch.arange(D) % 2 * 2 - 1)
    return turned if kind == "biased" else torch.zeros(D, dtype=torch.float64)


def _gradient() -> Tensor:
    """A unit vector without zeros."""
    g = torch.arange(1, D + 1, dtype=torch.float64)
    return g / g.norm()


def _curvature() -> Tensor:
    return torch.linspace(0.1, 2, D, dtype=torch.float64)


def _curve(kind: str) -> Tensor:
    """E (g·v)² vᵀHv = tr H + (κ₄ − 1) gᵀHg for a diagonal H."""
    h, g = _curvature(), _gradient()
    own = (g.square() * h).sum()
    return h.sum() + (2 * own if kind == "normal" else 0.0)


def _along(v: Tensor) -> Tensor:
    return v @ _gradient()


def _truth(kind: str) -> dict[str, Tensor]:
    """The true values; of a mean without closed form, from many draws."""
    draws, g = _drawn(kind, (400_000, 1), stream(0, "probe", "truth", kind))
    draws, d = draws[:, 0], TENSORS.get(kind, (D, 1.0))[0]
    size = (g @ g).item()
    # (‖g‖² d_l ± ‖g_l‖²)/‖g_l‖², of ‖g‖ = 1.
    variance = D - 1.0 if kind == "rademacher" else d / size + 1
    offset = _offset(kind) if kind in WHOLE else torch.zeros_like(g)
    bias = offset.square().sum().item()
    along, norms = draws @ g / size**0.5, draws.norm(dim=1)
    mean = 1 + (offset @ g).item()
    second = variance + 1 + bias + 2 * (mean - 1)
    found = {
        "cosine": (along / norms).nan_to_num().mean().item(),
        "norm_ratio": norms.mean().item() / size**0.5,
        "positive": (along / norms > 1e-12).double().mean().item(),
        "relative_mse": variance + bias,
        "relative_variance": variance,
        "scaled_error": 1 - mean**2 / second,
        "relative_squared_bias": bias,
    }
    return {name: torch.tensor(x, dtype=torch.float64) for name, x in found.items()}


def _summary(draws: Tensor, g: Tensor) -> tuple[Summary, Tensor]:
    """Of (K, R, d): every replication is a group. What `Moments` computes, for all at once."""
    k = len(draws)
    dots, squares = draws @ g, draws.square().sum(2)
    before = torch.arange(k, dtype=torch.float64).unsqueeze(1)
    past = draws.cumsum(0) - draws
    m = past / before.clamp(min=1).unsqueeze(2)
    innovations = (draws - m).square().sum(2) * before / (before + 1)
    lookahead = ((draws - g) * (m - g)).sum(2)
    innovations[0] = lookahead[0] = torch.nan
    mean = draws.mean(0)
    count = torch.full(dots.shape[1:], k)
    trace = over((draws - mean).square().sum((0, 2)), count - 1)
    bias = bias_variance(lookahead, before.expand_as(lookahead))
    exact = (g @ g).expand(dots.shape[1])
    errors, offset = (draws - g).square().sum(2), (mean - g).square().sum(1)
    of = Summary(
        dots, squares, errors, exact, mean @ g, mean.square().sum(1), offset, trace, trace / k,
        bias, (draws * g).square().sum(2),
    )  # fmt: skip
    return of, innovations


def covered(ends: tuple[Tensor, Tensor], truth: Tensor) -> float:
    """The share of intervals that hold the truth."""
    low, high = ends
    return ((low <= truth + 1e-12) & (truth <= high + 1e-12)).double().mean().item()
