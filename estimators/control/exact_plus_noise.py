"""The exact gradient with noise added."""

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
    """Adds noise of mean zero to the exact gradient.

    ĝ = ∇L + ξ. isotropic: ξ is normal with tr Var ξ = ‖∇L‖²/SNR. size: ξ points anywhere and is as
    long as the deviation ĝ' − ∇L of the inner estimator. shape: ξ = ±(ĝ' − ∇L) with a random sign.

    Use it as a control that separates noise from bias: size and shape have the squared error of
    the inner estimator without its bias. If both train as well as the inner estimator, its bias
    does no harm.

    Unbiased. Costs one forward and one backward pass beside the inner estimator.

    Source: no paper.

    Example:
        >>> estimator = ExactPlusNoise(noise="shape", inner=SPSA())
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Exact gradient plus noise"

    noise: Literal["isotropic", "size", "shape"] = "isotropic"
    """isotropic: of the given SNR. size, shape: after the deviation of the inner estimator."""
    snr: Annotated[float, Gt(0), Le(1e9)] = 1.0
    """Isotropic only: ‖∇L‖² divided by the total variance of the noise of one draw."""
    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """size and shape only: the estimator whose deviation from the exact gradient is used."""

    @property
    def _isotropic(self) -> bool:
        return self.noise == "isotropic"

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.UNBIASED

    def needs(self) -> tuple[Need, ...]:
        inner = () if self._isotropic else self.inner.needs()
        return tuple(dict.fromkeys((Need.DIFFERENTIABLE, *inner)))

    def check(self, objective: Any, params: Params, /) -> None:
        if not self._isotropic:
            self.inner.check(objective, params)

    def coverage(self, objective: Any, params: Params, /) -> dict[str, Coverage]:
        return dict.fromkeys(params, "estimated")

    def cost(self, objective: Objective, /) -> Cost:
        inner = Cost() if self._isotropic else self.inner.cost(objective)
        return Cost(inner.forwards + 1, inner.jvps, inner.vjps + 1, "all")

    def target(self, objective: Any, params: Params, state: Any, /) -> None:
        return None  # the noise is added to the gradient of the loss itself

    def init(self, objective: Any, params: Params, rng: Generator, /) -> Any:
        return None if self._isotropic else self.inner.init(objective, params, rng)

    def advance(self, objective: Any, params: Params, state: Any, rng: Generator, /) -> Any:
        return None if self._isotropic else self.inner.advance(objective, params, state, rng)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        loss, exact = value_and_grad(objective, params)
        if self._isotropic:
            size = sum(g.numel() for g in exact.values())
            noise = times(_normal(exact, rng), norm_of(exact) / (self.snr * size) ** 0.5)
        else:
            inner = self.inner.estimate(objective, params, state, rng)
            state = inner.state
            noise = self._after({n: inner.grads[n] - g for n, g in exact.items()}, rng)
        return Estimate({n: g + noise[n] for n, g in exact.items()}, loss, state)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        size, d = squares(exact), dimension(exact)
        if self._isotropic:
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

    def _after(self, deviation: dict[str, Tensor], rng: Generator) -> dict[str, Tensor]:
        """Noise of the shape or the size of a deviation."""
        if self.noise == "shape":
            first = next(iter(deviation.values()))
            sign_bit = torch.randint(2, (), generator=rng, device=first.device)
            return times(deviation, 2 * sign_bit - 1)
        v = _normal(deviation, rng)
        return times(v, norm_of(deviation) / norm_of(v))


def _normal(like: dict[str, Tensor], rng: Generator) -> dict[str, Tensor]:
    return {name: torch.empty_like(g).normal_(generator=rng) for name, g in like.items()}
