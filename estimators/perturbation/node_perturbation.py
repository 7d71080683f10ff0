"""Node perturbation of Fiete and Seung (2006), by finite differences."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from torch import Generator, Tensor, no_grad

from estimators.autodiff.calculus import coverage_between, cut_at_sites
from estimators.autodiff.perturbed_pass import Perturbed, unperturbed
from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Coverage, Estimate, Estimator, Law, Need, Params
from estimators.core.laws import LEADING
from estimators.core.names import UNLABELLED
from estimators.core.objective import Chain
from estimators.core.vectors import mean_over_draws
from estimators.perturbation._activities.law import activity_law
from estimators.perturbation._activities.noise_sharing import NoiseSharing


@dataclass(frozen=True)
class NodePerturbation(Estimator[Chain, None]):
    """Perturbs the activations at all sites and compares the losses.

    ĝ_l = 1/B Σ_n (∂z_ln/∂θ_l)ᵀ c_n u_ln with c_n = [ℓ_n(z + ε u) − ℓ_n(z)] / ε: the activity
    forward gradient with a one-sided difference in place of the derivative.

    Use it where the loss and the layers behind the sites can only be computed. Where they have
    forward-mode derivatives, `ActivityForwardGradient` is exact in ε and as cheap.

    Biased by O(ε). Costs K + 1 forward passes and half a backward pass within the layers.

    Source: Fiete and Seung (2006), Phys. Rev. Lett. 97, 048104; with ε = 1e-3 an option of the
    code of Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310.

    Example:
        >>> estimator = NodePerturbation(eps=1e-2, draws=4)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    eps: Annotated[float, Gt(0), Le(100)] = 1e-3
    """Length of a step (ε), in units of the noise. If it is too small, rounding errors dominate."""
    draws: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 1
    """Perturbations that one estimate averages over; each costs a forward pass."""
    noise: Literal["rademacher", "normal"] = "rademacher"
    """Distribution of the noise u: signs ±1 or normals."""
    masked_noise: bool = field(default=True, metadata=UNLABELLED)
    """Whether the noise is zero on inactive units, where the ReLU (hardtanh, clamp, …) right
    behind the site has derivative zero, as in the code of Ren et al. No effect behind other
    non-linearities (tanh, GELU)."""

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
        sharing = self._sharing
        base, places = unperturbed(objective, params)

        def draw() -> list[Tensor]:
            # Of the activations before any noise, which alone say what unit is inactive.
            noise = sharing.draw(objective, 1, rng)
            us = [noise(site, z) for site, z in enumerate(places)]
            return sharing.signals(objective, self._moved(objective, params, base, us))

        return Estimate(base.pull_back(mean_over_draws(draw, self.draws)), base.loss)

    def law(self, objective: Chain, params: Params, state: None, exact: Params, /) -> Law | None:
        sharing = self._sharing
        return activity_law(objective, params, exact, sharing, self.draws, LEADING)

    @property
    def _sharing(self) -> NoiseSharing:
        return NoiseSharing(self.noise, batch=False, unit="", masked=self.masked_noise)

    def _moved(self, chain: Chain, params: Params, base: Perturbed, us: list[Tensor]) -> Perturbed:
        """A pass with the noise at all sites, and its coefficients c_n."""
        with no_grad():
            losses = chain.losses(
                chain.forward(params, at_site=lambda site, z: z + self.eps * us[site])
            )
        c = (losses / losses.numel() - base.coefficients) / self.eps
        return Perturbed(base.loss, c, us, base.pull_back)
