"""Why an estimator is bad, layer by layer, from its draws: see
`estimators.statistics.diagnosis`."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from estimators.core.contract import Claim, Coverage
from estimators.measurement.draws.summary import Summary, mean, over, variance
from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.estimates.intervals import skewed
from estimators.measurement.estimates.observation import Observation
from estimators.statistics.diagnosis import Finding, explain, with_batch, without_reference


def diagnose(
    observation: Observation,
    coverage: Mapping[str, Coverage] | None = None,
    anatomy: Anatomy | None = None,
    estimators: int = 1,
    biased: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """A finding for each layer.

    Args:
        observation: the draws of one estimator.
        coverage: how each parameter's gradient comes about (`Estimator.coverage`).
        anatomy: the split of the variance, where it was measured; the findings then say whether a
            larger batch helps as more draws do.
        estimators: how many are diagnosed together.
        biased: layers where a test found a bias.
    """
    at, unbiased = observation.at, _promises_exact_gradient(observation)
    numbers = _numbers(observation.summary(), observation.moments.across_variance(at.groups))
    tensors, solves = list(at.exact), {"unconverged": observation.solves.unconverged or 0}
    findings = []
    for i, layer in enumerate(at.layers):
        if at.rounded[i]:
            findings.append(without_reference(layer))
            continue
        members = [n for n, inside in zip(tensors, at.groups[:, i], strict=True) if inside]
        finding = explain(
            layer, {**solves, **{n: x[i].item() for n, x in numbers.items()}}, members, coverage,
            tests=estimators * len(at.layers), unbiased=unbiased and layer not in biased,
            rounding=observation.rounding() if observation.estimator else None,
        )  # fmt: skip
        findings.append(with_anatomy(finding, anatomy))
    return tuple(findings)


def with_anatomy(finding: Finding, anatomy: Anatomy | None) -> Finding:
    """The finding, with what the anatomy says about a larger batch added to its text."""
    if anatomy is None or finding.layer not in anatomy.layers:
        return finding
    split = anatomy.split(finding.layer)
    return with_batch(
        finding, split.batch, split.estimator, split.fixed, split.fixed_se or 0.0, split.population
    )


def _promises_exact_gradient(observation: Observation) -> bool:
    """Whether the estimator promises the exact gradient on average."""
    estimator, at = observation.estimator, observation.at
    if estimator is None or at.objective is None:
        return False
    if estimator.target(at.objective, at.params, observation.state) is not None:
        return False
    return estimator.claim(at.objective) is not Claim.BIASED


def _numbers(summary: Summary, across_variance: Tensor) -> dict[str, Tensor]:
    """What `explain` reads, (G,)."""
    g2 = torch.where(summary.exact > 0, summary.exact, torch.nan)
    along = summary.dots / g2
    s = mean(along)
    low, high = skewed(along)
    square = s.square() - variance(along) / summary.counts
    return {
        "exact": summary.exact,
        "count": summary.counts,
        "nonfinite": len(summary.dots) - summary.counts,
        "freedom": summary.counts - 1,
        "longest": torch.where(summary.norms.isfinite(), summary.norms, 0.0).amax(0),
        "s": s,
        "s_se": over(variance(along), summary.counts).sqrt(),
        "s_low": low,
        "s_high": high,
        "across": ((summary.mean - summary.noise) / g2 - square).clamp(min=0),
        "variance": summary.trace / g2,
        "across_se": across_variance.sqrt() / g2,
        "square": square.clamp(min=0),
    }
