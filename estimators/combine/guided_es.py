"""Guided evolution strategies of Maheswaranathan et al. (2018)."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Generator, Tensor

from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.contract import Claim, Cost, Estimate, Estimator, Law, Need, Params
from estimators.core.laws import LEADING, is_certain, mean_of, scaled, squares
from estimators.core.noise import noise
from estimators.core.objective import Objective
from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment

State = dict[str, Any]


@dataclass(frozen=True)
class GuidedES(Estimator[Objective, State]):
    """An evolution strategy that searches along the recent estimates of a cheap guide.

    ĝ = β/(2σ²K) Σ_k [L(θ + ε_k) − L(θ − ε_k)] ε_k with ε ~ N(0, σ²Σ), Σ = α/d I + (1−α)/k UUᵀ. U is
    an orthonormal basis of the guide's last k estimates, of fewer columns where they are linearly
    dependent. β = d, α = 1 is a plain evolution strategy.

    Use it where a biased estimate is cheap and correlates with the gradient. For α > 0 its mean is
    a descent direction whatever the guide is worth; a useless guide wastes the share 1 − α.

    Biased: E ĝ = βΣ∇L up to O(σ²), exactly so on a quadratic. Costs the guide and 2K forward
    passes.

    Source: Maheswaranathan, Metz, Tucker, Choi and Sohl-Dickstein (2018), arXiv:1806.10230.

    Example:
        >>> estimator = GuidedES(guide=DirectFeedbackAlignment(), alpha=0.25)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Guided evolution strategy"

    guide: Estimator = DirectFeedbackAlignment()  # noqa: RUF009, it is frozen
    """The estimator whose estimates span the subspace: a cheap one, biased or not."""
    subspace: Annotated[int, Ge(1), Le(256), Unit("directions")] = 4
    """Number of the guide's last estimates that are kept (k), one for each step."""
    alpha: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the search's variance that is spread over all weights: 1 ignores the guide."""
    beta: Annotated[float, Gt(0), Le(1e9)] = 2.0
    """Scale of the estimate (β)."""
    sigma: Annotated[float, Gt(0), Le(1000), Unit("weights")] = 0.1
    """Root mean square of the length ‖ε‖ of a perturbation (σ)."""
    pairs: Annotated[int, Ge(1), Le(4096), Unit("draws")] = 4
    """Antithetic pairs that one estimate averages over (K); each costs two forward passes."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        return self.guide.needs()

    def check(self, objective: Objective, params: Params, /) -> None:
        self.guide.check(objective, params)

    def cost(self, objective: Objective, /) -> Cost:
        guide = self.guide.cost(objective)
        return Cost(guide.forwards + 2 * self.pairs, guide.jvps, guide.vjps, guide.stored)

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> State:
        flat = _flat(params)
        return {
            "guide": self.guide.init(objective, params, rng),
            "directions": flat.new_zeros(0, len(flat)),
        }

    def estimate(
        self, objective: Objective, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        guess, new = self._guided(objective, params, state, rng)
        with torch.no_grad():
            grad = self._search(objective, params, new["directions"], rng)
        return Estimate(_shaped(grad, params), guess.loss, new, guess.info)

    def advance(
        self, objective: Objective, params: Params, state: State, rng: Generator, /
    ) -> State:
        return self._guided(objective, params, state, rng)[1]

    def difference_step(self, params: Params, /) -> float:
        # Of the part of the search that is spread over all weights: the others are longer.
        weights = sum(p.numel() for p in params.values())
        return 2 * self.sigma * (self.alpha / weights) ** 0.5

    def law(
        self, objective: Objective, params: Params, state: State, exact: Params, /
    ) -> Law | None:
        """β²/K of tr Σ_ll (gᵀΣg) + ‖(Σg)_l‖², and β Σg on average. None for a noisy guide."""
        guide = self.guide.law(objective, params, state["guide"], exact)
        if guide is None or not is_certain(guide, exact):
            return None
        guess = _flat(mean_of(guide, exact), params).unsqueeze(0)
        rows = torch.cat([state["directions"], guess])[-self.subspace :]
        basis, g = rows.T @ _orthonormal(rows), _flat(exact, params)
        even, inside = self.alpha / len(g), (1 - self.alpha) / max(basis.shape[1], 1)
        mean = _shaped(self.beta * (even * g + inside * (basis @ (basis.T @ g))), params)
        diagonal = squares(_shaped(basis.square().sum(1).sqrt(), params))
        size = (g @ _flat(mean, params)).item() * self.beta / self.pairs
        own = scaled(squares(mean), 1 / self.pairs)
        variance = {
            name: size * (even * p.numel() + inside * diagonal[name]) + own[name]
            for name, p in params.items()
        }
        return Law(variance, mean, LEADING)

    def _guided(
        self, objective: Objective, params: Params, state: State, rng: Generator
    ) -> tuple[Estimate, State]:
        guess = self.guide.estimate(objective, params, state["guide"], rng)
        rows = torch.cat([state["directions"], _flat(guess.grads, params).unsqueeze(0)])
        return guess, {"guide": guess.state, "directions": rows[-self.subspace :].clone()}

    def _search(
        self, objective: Objective, params: Params, directions: Tensor, rng: Generator
    ) -> Tensor:
        theta, mixing = _flat(params), _orthonormal(directions)
        total = torch.zeros_like(theta)
        for _ in range(self.pairs):
            eps = self._perturbation(theta, directions, mixing, rng)
            forward = objective(_shaped(theta + eps, params))
            backward = objective(_shaped(theta - eps, params))
            total += (forward - backward) * eps
        return total * (self.beta / (2 * self.sigma**2 * self.pairs))

    def _perturbation(
        self, theta: Tensor, directions: Tensor, mixing: Tensor, rng: Generator
    ) -> Tensor:
        """ε = σ (√(α/d) a + √((1−α)/k) U b), with a and b normal."""
        eps = noise(theta, "normal", rng).mul_(self.sigma * (self.alpha / len(theta)) ** 0.5)
        b = noise(mixing[0], "normal", rng)
        inside = self.sigma * ((1 - self.alpha) / max(len(b), 1)) ** 0.5
        return eps.add_((mixing @ b) @ directions, alpha=inside)


def _orthonormal(rows: Tensor) -> Tensor:
    """Return M, (k, r), such that U = rowsᵀM has orthonormal columns that span the rows.

    U itself, as large as the rows, is not computed. Linearly dependent rows reduce r.
    """
    gram = (rows @ rows.T).nan_to_num().double()
    lengths = gram.diagonal().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1.0)
    squares, vectors = torch.linalg.eigh(gram / lengths.outer(lengths))
    kept = squares > 100 * len(rows) * torch.finfo(rows.dtype).eps
    mixing = vectors[:, kept] / squares[kept].sqrt() / lengths.unsqueeze(1)
    return mixing.to(rows.dtype)


def _flat(tensors: Params, like: Params | None = None) -> Tensor:
    """All entries as one vector, (d,), in the order of `like`."""
    return torch.cat([tensors[name].reshape(-1) for name in like or tensors])


def _shaped(flat: Tensor, like: Params) -> dict[str, Tensor]:
    pieces = flat.split([p.numel() for p in like.values()])
    return {
        name: piece.view(p.shape).to(p.dtype)
        for (name, p), piece in zip(like.items(), pieces, strict=True)
    }
