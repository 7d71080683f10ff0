"""The activity-perturbed forward gradient: Ren, Kornblith, Liao and Hinton (2022),
arXiv:2210.03310; node perturbation, Fiete and Seung (2006), taken to its exact limit.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Generator, Tensor

from estimators.autodiff.calculus import coverage_between, cut_at_sites
from estimators.autodiff.forward_mode import sites_move
from estimators.autodiff.perturbed_pass import perturb
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Claim, Cost, Coverage, Estimate, Estimator, Law, Need, Params
from estimators.core.objective import Chain
from estimators.core.vectors import plus
from estimators.perturbation._activities.law import activity_law
from estimators.perturbation._activities.noise_sharing import NoiseSharing

AT_ONCE = 16
"""Tangents carried side by side in one pass; more of them take several passes."""


@dataclass(frozen=True)
class ActivityForwardGradient(Estimator[Chain, None]):
    """ĝ_l = 1/B Σ_n (∂z_ln/∂θ_l)ᵀ c_n u_ln,  c_n = Σ_l ∂ℓ_n/∂z_ln · u_ln: one pass, all sites.

    The noise u is independent for each example and unit. Each signal is pulled back exactly,
    to the site before; what lies behind the last site gets its exact gradient.
    """

    tangents: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Directions that one estimate averages over (K); each costs a forward-mode pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """What the noise u is drawn from: signs ±1 or normals."""
    sharing: Literal["none", "batch"] = "none"
    """Who shares noise: none, each example has its own; batch, all examples have the same."""
    unit: str = ""
    """The one axis of the sites (channel, patch, ...) along which noise is independent, the same
    number along the others: a smoother signal, biased. Empty: independent in every unit."""

    def claim(self, objective: Chain, /) -> Claim:
        # One number for the whole batch gives every example the same coefficient: noisier, and
        # unbiased if examples have noise of their own. Losses of coupled examples do not.
        whole = objective.whole and self.sharing == "none"
        split = objective.separable or whole
        return Claim.UNBIASED if split and self._grain.unbiased(objective) else Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.SITES)

    def check(self, objective: Chain, params: Params, /) -> None:
        self._grain.check(objective)
        sites_move(objective, params)

    def cost(self, objective: Chain, /) -> Cost:
        passes = -(-self.tangents // AT_ONCE)
        return Cost(forwards=passes, jvps=self.tangents / 3, vjps=0.5, stored="all")

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        return coverage_between(cut_at_sites(objective, params))

    def estimate(
        self, objective: Chain, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        grain, left = self._grain, self.tangents
        if self.unit:
            grain.check(objective)
        signals: list[Tensor] | None = None
        while True:
            count = min(left, AT_ONCE)
            found = perturb(objective, params, grain.draw(objective, count, rng), count)
            part = grain.signals(objective, found)
            if self.tangents > AT_ONCE:
                part = [s * (count / self.tangents) for s in part]
            signals = part if signals is None else plus(signals, part)
            left -= count
            if not left:
                return Estimate(found.pull_back(signals), found.loss)

    def law(self, objective: Chain, params: Params, state: None, exact: Params, /) -> Law | None:
        return activity_law(objective, params, exact, self._grain, self.tangents)

    @property
    def _grain(self) -> NoiseSharing:
        return NoiseSharing(self.noise, self.sharing == "batch", self.unit)
