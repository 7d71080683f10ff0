"""The exact gradient with noise added: what an estimator would be, were all its error noise."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.core.bounds import Gt, Le
from estimators.core.contract import Claim, Cost, Coverage, Estimate, Estimator, Law, Need, Params
from estimators.core.laws import dimension, mean_of, squares
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping, norm_of, times
from estimators.perturbation.forward_gradient import ForwardGradient


@dataclass(frozen=True)
class ExactPlusNoise(Wrapping, Estimator[Objective, Any]):
    """ĝ = ∇L + ξ, E ξ = 0: isotropic with tr Var = ‖∇L‖²/SNR, or after another's deviation.

    size: ξ points anywhere, as long as the inner's deviation ĝ' − ∇L. shape: ξ = ±(ĝ' − ∇L), the
    sign at random: the same squared error as the inner's, and no bias left in it.
    """

    title = "Exact gradient plus noise"

    noise: Literal["isotropic", "size", "shape"] = "isotropic"
    """isotropic: of the given SNR. size, shape: as the deviation of the inner estimator."""
    snr: Annotated[float, Gt(0), Le(1e9)] = 1.0
    """Isotropic only: ‖∇L‖² over the noise's total variance, of one draw."""
    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """size and shape only: whose deviation from the exact gradient is imitated."""

    @property
    def _alone(self) -> bool:
        return self.noise == "isotropic"

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def needs(self) -> tuple[Need, ...]:
        others = () if self._alone else self.inner.needs()
        return tuple(dict.fromkeys((Need.DIFFERENTIABLE, *others)))

    def check(self, objective: Any, params: Params, /) -> None:
        if not self._alone:
            self.inner.check(objective, params)

    def coverage(self, objective: Any, params: Params, /) -> dict[str, Coverage]:
        return dict.fromkeys(params, "estimated")

    def cost(self, objective: Objective, /) -> Cost:
        other = Cost() if self._alone else self.inner.cost(objective)
        return Cost(other.forwards + 1, other.jvps, other.vjps + 1, "all")

    def target(self, objective: Any, params: Params, state: Any, /) -> None:
        return None  # the inner's deviation is laid on the loss's own gradient

    def init(self, objective: Any, params: Params, rng: Generator, /) -> Any:
        return None if self._alone else self.inner.init(objective, params, rng)

    def advance(self, objective: Any, params: Params, state: Any, rng: Generator, /) -> Any:
        return None if self._alone else self.inner.advance(objective, params, state, rng)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        loss, exact = value_and_grad(objective, params)
        if self._alone:
            size = sum(g.numel() for g in exact.values())
            noise = times(_normal(exact, rng), norm_of(exact) / (self.snr * size) ** 0.5)
        else:
            other = self.inner.estimate(objective, params, state, rng)
            state = other.state
            noise = self._imitate({n: other.grads[n] - g for n, g in exact.items()}, rng)
        return Estimate({n: g + noise[n] for n, g in exact.items()}, loss, state)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        size, d = squares(exact), dimension(exact)
        if self._alone:
            total = sum(size.values()) / self.snr
            return Law({name: total * g.numel() / d for name, g in exact.items()})
        inner = self.inner.law(objective, params, state, exact)
        if inner is None or set(inner.variance) != set(exact):
            return None
        mean = mean_of(inner, exact)
        bias = squares({name: mean[name] - g for name, g in exact.items()})
        errors = {name: inner.variance[name] + b for name, b in bias.items()}
        if self.noise == "size":
            total = sum(errors.values())
            errors = {name: total * g.numel() / d for name, g in exact.items()}
        return Law(errors, note=inner.note)

    def _imitate(self, deviation: dict[str, Tensor], rng: Generator) -> dict[str, Tensor]:
        if self.noise == "shape":
            first = next(iter(deviation.values()))
            heads = torch.randint(2, (), generator=rng, device=first.device)
            return times(deviation, 2 * heads - 1)
        v = _normal(deviation, rng)
        return times(v, norm_of(deviation) / norm_of(v))


def _normal(like: dict[str, Tensor], rng: Generator) -> dict[str, Tensor]:
    return {name: torch.empty_like(g).normal_(generator=rng) for name, g in like.items()}
