"""A seeded sketch of draws: 256 numbers each, which keep inner products on average.

Each weight has a random sign and one of 256 places (Charikar, Chen and Farach-Colton, 2002): the
sketch of a draw is the sum of its signed weights at each place. It is linear, so that the sketch
of a difference is the difference of the sketches.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from estimators.core.contract import Params
from estimators.core.noise import stream
from estimators.core.vectors import as_rows
from estimators.measurement.draws.rows import Rows

PLACES = 256
"""Numbers in the sketch of a draw."""
DIRECTIONS = 8
"""Of each tensor's sketch this many are kept: inner products with fixed random directions."""


class Sketch:
    """Sketches of draws: K × 256 numbers, and 8 for each of T tensors, K × T × 8."""

    def __init__(self, exact: Params, seed: int = 0) -> None:
        self._places = {
            # One number is both place and sign: at the places 256 … 511 the sign is negative.
            name: torch.randint(
                2 * PLACES,
                (g.numel(),),
                generator=stream(seed, "probe", "sketch", name),
                dtype=torch.int32,
            ).to(g.device)
            for name, g in exact.items()
        }
        whole, each = self._of({name: g.unsqueeze(0) for name, g in exact.items()})
        self._exact, self._exact_of_each = whole[0], each[0]
        self._wholes = Rows(PLACES, dtype=whole.dtype)
        self._eachs = Rows(*each.shape[1:], dtype=each.dtype)

    def add(self, draws: Mapping[str, Tensor]) -> None:
        """Add k draws, (k, *shape) for each tensor."""
        whole, each = self._of(draws)
        self._wholes.add(whole)
        self._eachs.add(each)

    def merge(self, other: "Sketch") -> None:
        """Add the draws of another sketch of the same seed."""
        self._wholes.add(other._wholes.all)
        self._eachs.add(other._eachs.all)

    @property
    def draws(self) -> Tensor:
        """The sketch of each draw, (K, 256)."""
        return self._wholes.all.double()

    @property
    def exact(self) -> Tensor:
        """The sketch of the exact gradient, (256,)."""
        return self._exact.double()

    def errors(self, target: Params | None = None) -> Tensor:
        """⟨ĝ_k − t, r⟩ along 8 fixed random directions r of each tensor, (K, T, 8).

        t is `target`, or the exact gradient.
        """
        sketch = self._exact_of_each
        if target is not None:
            sketch = self._of({name: target[name].unsqueeze(0) for name in self._places})[1][0]
        return self._eachs.all.double() - sketch.double()

    def _of(self, draws: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        sketches = [self._tensor(as_rows(draws[name]), at) for name, at in self._places.items()]
        each = torch.stack(sketches, 1)  # (k, T, 256)
        folded = each.unflatten(2, (DIRECTIONS, -1)).sum(3)
        return each.sum(1).cpu(), folded.cpu()

    def _tensor(self, rows: Tensor, at: Tensor) -> Tensor:
        out = rows.new_zeros(len(rows), 2 * PLACES)
        for row, sums in zip(rows, out, strict=True):
            sums.index_add_(0, at, row)
        return out[:, :PLACES] - out[:, PLACES:]


def cloud(dots: Tensor, exact: Tensor, sketch: Sketch) -> tuple[Tensor, Tensor, float]:
    """The draw cloud: x = ⟨ĝ_k, û_g⟩, y = the first principal component, and its share.

    `dots` are ⟨ĝ_k, g⟩, (K,), and `exact` is ‖g‖². The component is that of the residuals
    ĝ − ⟨ĝ, û_g⟩ û_g, by their sketches; its share is that of their variance. Both axes are in
    units of ‖g‖. Draws that are not finite are NaN. A zero g has no axis: all NaN.
    """
    x, y = torch.full_like(dots, torch.nan), torch.full_like(dots, torch.nan)
    rows = sketch.draws
    good = dots.isfinite() & rows.isfinite().all(1)
    if not exact > 0 or good.sum() < 2:
        return x, y, float("nan")
    x[good] = dots[good] / exact
    residual = rows[good] / exact.sqrt() - torch.outer(x[good], sketch.exact / exact.sqrt())
    residual = residual - residual.mean(0)
    u, s, v = torch.linalg.svd(residual, full_matrices=False)
    sign = torch.where(v[0, v[0].abs().argmax()] < 0, -1.0, 1.0)  # an axis has two ends
    y[good] = sign * u[:, 0] * s[0]
    total = s.square().sum().item()
    return x, y, s[0].square().item() / total if total else 0.0
