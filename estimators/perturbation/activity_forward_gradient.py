"""The activity-perturbed forward gradient of Ren et al. (2022)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from torch import Generator, Tensor

from estimators.autodiff.calculus import coverage_between, cut_at_sites
from estimators.autodiff.perturbed_pass import Perturbed, engine_of, perturb
from estimators.autodiff.trial_passes import sites_move
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import (
    BatchedDraws,
    Claim,
    Cost,
    Coverage,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
)
from estimators.core.names import UNLABELLED
from estimators.core.objective import Chain
from estimators.core.vectors import plus
from estimators.perturbation._activities.draws import ProjectedDraws
from estimators.perturbation._activities.law import activity_law
from estimators.perturbation._activities.noise_sharing import NoiseSharing

TANGENTS_PER_PASS = 16
"""Tangents that one pass carries side by side; more of them take several passes."""


@dataclass(frozen=True)
class ActivityForwardGradient(Estimator[Chain, None]):
    """Perturbs the activations at all sites in one forward-mode pass.

    ĝ_l = 1/B Σ_n (∂z_ln/∂θ_l)ᵀ c_n u_ln with c_n = Σ_l ∂ℓ_n/∂z_ln · u_ln: z_ln is the activation
    of example n at site l, u_ln its noise, independent for each example and unit. Each signal
    c_n u_ln is pulled back exactly, to the site before; parameters behind the last site get their
    exact gradient. On units that are inactive (behind a ReLU: z ≤ 0) the noise is zero.

    Use it instead of `ForwardGradient` wherever the network marks its activations with `Site()`:
    there are fewer units than weights, so that it scatters less. Use it inside `LocalLosses` for
    networks of more than a few layers.

    Unbiased for a loss that is a mean over examples and noise that is independent in every unit.
    Costs about one forward and half a backward pass for up to 16 tangents.

    Source: Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310; the limit of node
    perturbation, Fiete and Seung (2006), for small steps.

    Example:
        >>> estimator = ActivityForwardGradient(tangents=4)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    tangents: Annotated[int, Ge(1), Le(4096), Unit("tangents")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """Distribution of the noise u: signs ±1 or normals."""
    sharing: Literal["none", "batch"] = "none"
    """Which examples share noise. none: each example has its own. batch: all have the same."""
    unit: str = ""
    """The axis of the sites (channel, patch, ...) along which noise is independent; along the
    other axes it is the same number, which gives a smoother, biased signal. Empty: independent in
    every unit."""
    masked_noise: bool = field(default=True, metadata=UNLABELLED)
    """Whether the noise is zero on inactive units, where the ReLU (hardtanh, clamp, …) right
    behind the site has derivative zero, as in the code with which Ren et al. made their tables.
    The same mean with less variance. No effect behind other non-linearities (tanh, GELU), and
    where units share their noise."""

    def claim(self, objective: Chain, /) -> Claim:
        # A loss that is one number gives every example the same coefficient: noisier, and
        # unbiased if examples have noise of their own. Losses of coupled examples are biased.
        own_noise = objective.whole and self.sharing == "none"
        credited = objective.separable or own_noise
        unbiased = credited and self._sharing.unbiased(objective)
        return Claim.UNBIASED if unbiased else Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.SITES)

    def check(self, objective: Chain, params: Params, /) -> None:
        self._sharing.check(objective)
        sites_move(objective, params)
        if not objective.x.is_meta:  # a network without numbers, whose shapes are checked
            engine_of(objective, params)  # refuses sites that do not reach the loss

    def cost(self, objective: Chain, /) -> Cost:
        passes = len(list(self._passes()))
        return Cost(forwards=passes, jvps=self.tangents / 3, vjps=0.5, stored="all")

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        return coverage_between(cut_at_sites(objective, params))

    def estimate(
        self, objective: Chain, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        sharing = self._sharing
        if self.unit:
            sharing.check(objective)
        signals: list[Tensor] = []
        perturbed: Perturbed | None = None
        for count in self._passes():
            perturbed = perturb(objective, params, sharing.draw(objective, count, rng), count)
            part = sharing.signals(objective, perturbed)
            if count < self.tangents:
                part = [s * (count / self.tangents) for s in part]
            signals = plus(signals, part) if signals else part
        assert perturbed is not None
        return Estimate(perturbed.pull_back(signals), perturbed.loss)

    def batched_draws(
        self, objective: Chain, params: Params, state: None, exact: Params | None,
        rng: Generator, /,
    ) -> BatchedDraws | None:  # fmt: skip
        if exact is None or not isinstance(objective, Chain):
            return None
        if not objective.separable or objective.loss_units:
            return None
        return ProjectedDraws(objective, params, self._sharing, list(self._passes()), rng)

    def law(self, objective: Chain, params: Params, state: None, exact: Params, /) -> Law | None:
        return activity_law(objective, params, exact, self._sharing, self.tangents)

    @property
    def _sharing(self) -> NoiseSharing:
        return NoiseSharing(self.noise, self.sharing == "batch", self.unit, self.masked_noise)

    def _passes(self) -> Iterator[int]:
        """Tangents in each pass of one estimate."""
        remaining = self.tangents
        while remaining:
            count = min(remaining, TANGENTS_PER_PASS)
            yield count
            remaining -= count
