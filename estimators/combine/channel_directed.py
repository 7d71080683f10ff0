"""Channel-directed gradients, after Lao, Zhu, Wonka and Sundaramoorthi (2020)."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import torch
from torch import Generator, Tensor, nn

from estimators.autodiff.calculus import value_and_grad
from estimators.core.bounds import Ge, Le
from estimators.core.contract import Estimate, Estimator, Law, Params, UnsupportedError
from estimators.core.laws import mean_of
from estimators.core.objective import Chain, Objective
from estimators.core.wrapper import Wrapping
from estimators.perturbation.forward_gradient import ForwardGradient

Metric = Literal["sobolev", "reweighted"]


@dataclass(frozen=True)
class ChannelDirected(Wrapping, Estimator[Objective, Any]):
    """Smooths an estimate along the output channels of each layer.

    ĝ = (I + λ K)⁻¹ ĝ', with ĝ' the inner estimate and K along the axis of output channels: the
    second differences DᵀD between neighbouring channels (`sobolev`), or the deviation from the mean
    over channels I − 11ᵀ/C (`reweighted`). It is the gradient in the metric ⟨h, (I + λ K) k⟩: the
    mean over the channels stays, and what varies between them shrinks.

    Use it to bring correlation between output channels into any optimiser; the paper reports a
    better generalisation of convolutional networks. Under Sobolev's metric, the order of the
    channels matters, although a network has none at its start.

    The claim of the inner estimator, about the gradient in this metric and not about ∇L (its
    target). It always points downhill where the inner one is exact. Costs what the inner estimator
    costs, and C multiplications for each weight, C its layer's channels.

    Source: Lao, Zhu, Wonka and Sundaramoorthi (2020), arXiv:2008.10766, which has a re-weighted L²
    and a Sobolev metric along the output channels. The discretisation and the weight λ are ours.

    Example:
        >>> estimator = ChannelDirected(inner=Backprop(), linear=True)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Channel-directed gradient"

    inner: Estimator = ForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator whose estimates are smoothed."""
    metric: Metric = "sobolev"
    """Sobolev: differences between neighbouring channels shrink. Reweighted: differences from the
    mean over all channels shrink, each by 1/(1 + λ)."""
    weight: Annotated[float, Ge(0), Le(1e6)] = 1.0
    """How much the differences count (λ); 0 gives the inner estimate."""
    linear: bool = True
    """Whether linear maps are smoothed as well. Off: convolutions alone, as in the paper."""

    def check(self, objective: Objective, params: Params, /) -> None:
        self.inner.check(objective, params)
        if not self._axes(objective, params):
            wanted = "convolution or linear map" if self.linear else "convolution"
            hint = "" if self.linear else ": switch `linear` on"
            raise UnsupportedError(
                f"there is no {wanted} whose gradient could be smoothed along its output channels"
                f"{hint}",
                network=True,
            )

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        inner = self.inner.estimate(objective, params, state, rng)
        return inner._replace(grads=self._smoothed(objective, params, inner.grads))

    def target(self, objective: Objective, params: Params, state: Any, /) -> Params:
        inner = self.inner.target(objective, params, state)
        exact = value_and_grad(objective, params)[1] if inner is None else inner
        return self._smoothed(objective, params, exact)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        """The variance of a smoothed tensor takes its whole covariance, unless it has none."""
        inner = self.inner.law(objective, params, state, exact)
        if inner is None:
            return None
        smoothed = self._axes(objective, params)
        variance = {n: v for n, v in inner.variance.items() if v == 0 or n not in smoothed}
        mean = self._smoothed(objective, params, mean_of(inner, exact))
        return inner._replace(variance=variance, mean=mean)

    def _smoothed(self, objective: Objective, params: Params, grads: Params) -> dict[str, Tensor]:
        axes = self._axes(objective, params)
        return {
            name: _along(g, axes[name], self.metric, self.weight) if name in axes else g
            for name, g in grads.items()
        }

    def _axes(self, objective: Objective, params: Params) -> dict[str, int]:
        """{weight: its axis of output channels} of the layers that are smoothed."""
        if not isinstance(objective, Chain):
            return {n: 0 for n, p in params.items() if p.ndim > 2 or (p.ndim == 2 and self.linear)}
        axes = {}
        for path, module in objective.module.named_modules():
            kinds = (nn.modules.conv._ConvNd, *((nn.Linear,) if self.linear else ()))
            if isinstance(module, kinds):
                axes[f"{path}.weight".removeprefix(".")] = int(getattr(module, "transposed", False))
        return {name: axis for name, axis in axes.items() if name in params}


def _along(g: Tensor, axis: int, metric: Metric, weight: float) -> Tensor:
    """(I + λ K)⁻¹ g along an axis."""
    if weight == 0 or g.shape[axis] == 1:
        return g
    if metric == "reweighted":
        return torch.lerp(g.mean(axis, keepdim=True), g, 1 / (1 + weight))
    first = g.movedim(axis, 0)  # (C, ...)
    smoothing = _sobolev(len(first), weight, g.dtype, g.device)
    return (smoothing @ first.flatten(1)).view(first.shape).movedim(0, axis)


@cache
def _sobolev(count: int, weight: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(I + λ DᵀD)⁻¹ with D the differences of neighbours, (C, C); computed in float64."""
    differences = torch.eye(count, dtype=torch.float64).diff(dim=0)
    metric = torch.eye(count, dtype=torch.float64) + weight * differences.T @ differences
    return torch.cholesky_inverse(torch.linalg.cholesky(metric)).to(device, dtype)
