"""The law of estimators that perturb activations, for maps z = W X + b that end in a site.

At every site, δ = ∂L/∂z. Noise u, one number for all units that share it, changes the loss of
example n by b_n·u, with b_n the sum of δ over those units. The weights of the map get
Σ_n (b_n·u_n) u_nᵀ X_n, with X_n the rows of its (unfolded) input, averaged over those units.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from estimators.autodiff.calculus import coverage_between, cut_at_sites, pull_back
from estimators.core.contract import Law, Params
from estimators.core.objective import Chain
from estimators.perturbation._activities.linear_maps import End, Piece, linear_ends
from estimators.perturbation._activities.noise_sharing import NoiseSharing

MAX_PAIR_NUMBERS = 2**24
"""Numbers that the products of all pairs of positions may take; a map with more has no law."""


def activity_law(
    chain: Chain,
    params: Params,
    exact: Params,
    sharing: NoiseSharing,
    tangents: int,
    note: str = "",
) -> Law | None:
    """tr Var ĝ_l: 1/K of `_variance_of_own_noise`, or of `_variance_of_shared_noise`.

    Parameters behind all sites are exact. Those that reach a site otherwise than through one
    linear map have no law. None where losses have units of their own, where coupled examples have
    a loss each, and for several views of an example, whose noise is correlated.
    """
    if chain.loss_units or chain.views > 1 or not (chain.separable or chain.whole):
        return None
    if chain.whole and sharing.batch and any(sharing.active(chain)):
        return None  # every example has noise on units of its own, and all have one coefficient
    ends = linear_ends(chain, params, sharing)
    b = [_merged(sharing.summed(end.delta, end.place), chain, sharing).flatten(1) for end in ends]
    scatter = torch.stack([rows @ rows.T for rows in b]).sum(0)
    cut = cut_at_sites(chain, params)
    variances = {name: 0.0 for name, c in coverage_between(cut).items() if c == "exact"}
    signals = [_signal(end, chain, sharing) for end in ends]
    biased = any(s is not end.delta for s, end in zip(signals, ends, strict=True))
    mean = pull_back(cut, signals) if biased else None
    shared = sharing.batch and chain.separable
    variance = _variance_of_shared_noise if shared else _variance_of_own_noise
    for name, pieces in _pieces(ends, chain, sharing):
        if name in params and _is_all(pieces, (exact if mean is None else mean)[name]):
            each = (p.copies * variance(p, scatter, sharing.kind) for p in pieces)
            variances[name] = sum(each) / tangents
    return Law({name: v for name, v in variances.items() if v == v}, mean, note)  # no NaN


def _pieces(
    ends: list[End], chain: Chain, sharing: NoiseSharing
) -> Iterator[tuple[str, list[Piece]]]:
    """The pieces of each parameter of the maps, with their examples merged."""
    for end in ends:
        for name, pieces in end.pieces(sharing).items():
            yield (
                name,
                [
                    p._replace(
                        x=_merged(p.x, chain, sharing),
                        b=_merged(p.b, chain, sharing),
                        active=None if p.active is None else _merged(p.active, chain, sharing),
                    )
                    for p in pieces
                ],
            )


def _merged(t: Tensor, chain: Chain, sharing: NoiseSharing) -> Tensor:
    """Examples first; where the loss is one number, they become positions of a single example."""
    if chain.separable:
        return t
    return t.sum(0, keepdim=True) if sharing.batch else t.reshape(1, -1, *t.shape[2:])


def _signal(end: End, chain: Chain, sharing: NoiseSharing) -> Tensor:
    """E s: δ, or its mean over the units and examples that share noise and a loss."""
    b, over = sharing.summed(end.delta, end.place), sharing.units_per_number(chain, end.place)
    if sharing.batch and chain.whole:
        b = b.sum(0, keepdim=True)
    return end.delta if b is end.delta else (b / over).expand_as(end.delta)


def _is_all(parts: list[Piece], mean: Tensor) -> bool:
    """Whether Σ_n b_nᵀ X_n is all of Eĝ: not if a weight, or its output, is used twice."""
    each = [(p.b.flatten(0, 1).T @ p.x.flatten(0, 1)).repeat(p.copies, 1) for p in parts]
    size = sum(p.b.norm() * p.x.norm() for p in parts)
    off = mean.reshape(-1, each[0].shape[1]) - torch.cat(each)
    return bool(off.abs().max() <= 1e3 * torch.finfo(mean.dtype).eps * size)


def _variance_of_own_noise(piece: Piece, scatter: Tensor, kind: str) -> float:
    """Each example has its noise: Σ_n [C ‖X_n‖² Σ_m ‖b_mn‖² + ‖G_n‖²], G_n = b_nᵀ X_n, m over all
    sites; less 2 Σ_np ‖b_np‖²‖x_np‖² with signs. Ren et al. (2022), Table 1: its one dense site.
    Where only some channels have noise, C ‖X_n‖² is Σ_p C_np ‖x_np‖², C_np their number.
    """
    x, b, active = piece.x, piece.b, piece.active
    lengths = x.square().sum(2)  # (B, P)
    moved = b.shape[-1] * lengths if active is None else active.sum(2) * lengths
    value = (moved.sum(1) * scatter.diagonal()).sum() + _squares_of_examples(x, b)
    if kind == "rademacher":
        value = value - 2 * (b.square().sum(-1) * x.square().sum(-1)).sum()
    return value.item()


def _squares_of_examples(x: Tensor, b: Tensor) -> Tensor:
    """Σ_n ‖b_nᵀ X_n‖², by pairs of positions where these are fewer than the weights."""
    (_, positions, inputs), channels = x.shape, b.shape[-1]
    if positions * (inputs + channels) < inputs * channels:
        return ((b @ b.mT) * (x @ x.mT)).sum()
    return (b.mT @ x).square().sum()


def _variance_of_shared_noise(piece: Piece, scatter: Tensor, kind: str) -> float:
    """One noise for the batch: C Σ_nn' ⟨X_n, X_n'⟩ Σ_m ⟨b_mn, b_mn'⟩ + Σ_cpp' ⟨M_pp'c, M_p'pc⟩,
    M_pp'c = Σ_n b_npc x_np'; less 2 Σ_pc ‖M_ppc‖² with signs. NaN if M does not fit. Where only
    some channels have noise, C ⟨X_n, X_n'⟩ is Σ_p C_nn'p ⟨x_np, x_n'p⟩, C_nn'p those with noise in
    both examples, and x_np' in M is 0 where channel c has no noise.
    """
    x, b, active = piece.x, piece.b, piece.active
    if x.shape[1] ** 2 * x.shape[2] > MAX_PAIR_NUMBERS:
        return float("nan")
    rows = x.flatten(1)
    if active is None:
        products = b.shape[-1] * (rows @ rows.T)
    else:
        products = ((active.transpose(0, 1) @ active.permute(1, 2, 0))
                    * (x.transpose(0, 1) @ x.permute(1, 2, 0))).sum(0)  # fmt: skip
    value = (products * scatter).sum()
    if x.shape[1] == 1:  # a dense layer: M is the gradient itself
        whole = (b.flatten(1).T @ rows).square().sum()
        return (value + (-whole if kind == "rademacher" else whole)).item()
    for i, channel in enumerate(b.unbind(-1)):
        inputs = x if active is None else x * active[..., i : i + 1]
        M = torch.einsum("np,nqf->pqf", channel, inputs)
        value = value + (M * M.transpose(0, 1)).sum()
        if kind == "rademacher":
            value = value - 2 * M.diagonal().square().sum()
    return value.item()
