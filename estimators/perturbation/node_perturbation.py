"""Node perturbation by finite differences: Fiete and Seung (2006); with a step of 1e-3 it is what
the code of Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310, offers beside duals.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Generator, Tensor, no_grad

from estimators.autodiff.calculus import coverage_between, cut_at_sites
from estimators.autodiff.perturbed_pass import Perturbed, unperturbed
from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Coverage, Estimate, Estimator, Law, Need, Params
from estimators.core.laws import LEADING
from estimators.core.objective import Chain
from estimators.core.vectors import mean_of
from estimators.perturbation._activities.law import activity_law
from estimators.perturbation._activities.noise_sharing import NoiseSharing


@dataclass(frozen=True)
class NodePerturbation(Estimator[Chain, None]):
    """ĝ_l = 1/B Σ_n (∂z_ln/∂θ_l)ᵀ c_n u_ln,  c_n = [ℓ_n(z + ε u) − ℓ_n(z)] / ε at all sites.

    The activity forward gradient with a one-sided difference in the place of the derivative,
    so that the loss and what lies behind the sites need only be computed for it.
    """

    eps: Annotated[float, Gt(0), Le(100)] = 1e-3
    """How far activations are moved, in units of the noise. Small ones drown in rounding."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Perturbations that one estimate averages over; each costs a forward pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """What the noise u is drawn from: signs ±1 or normals."""

    def claim(self, objective: Chain, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return (Need.DIFFERENTIABLE, Need.SITES)

    def cost(self, objective: Chain, /) -> Cost:
        return Cost(forwards=1 + self.draws, vjps=0.5, stored="all")

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        return coverage_between(cut_at_sites(objective, params))

    def estimate(
        self, objective: Chain, params: Params, state: None, rng: Generator, /
    ) -> Estimate:
        grain = NoiseSharing(self.noise, batch=False, unit="")
        still = unperturbed(objective, params)

        def draw() -> tuple[list[Tensor], None]:
            return grain.signals(objective, self._moved(objective, params, still, grain, rng)), None

        signals, _ = mean_of(draw, self.draws)
        return Estimate(still.pull_back(signals), still.loss)

    def law(self, objective: Chain, params: Params, state: None, exact: Params, /) -> Law | None:
        grain = NoiseSharing(self.noise, batch=False, unit="")
        return activity_law(objective, params, exact, grain, self.draws, LEADING)

    def _moved(
        self, chain: Chain, params: Params, still: Perturbed, grain: NoiseSharing, rng: Generator
    ) -> Perturbed:
        noise, us = grain.draw(chain, 1, rng), []

        def move(site: int, z: Tensor) -> Tensor:
            us.append(noise(site, z))
            return z + self.eps * us[-1]

        with no_grad():
            losses = chain.losses(chain.forward(params, at_site=move))
        c = (losses / losses.numel() - still.coefficients) / self.eps
        return Perturbed(still.loss, c, us, still.pull_back)
