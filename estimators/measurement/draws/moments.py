"""Moments of draws, streamed and merged in the memory of one mean gradient.

Means and sums of squares are updated chunk by chunk, or merged with those of another process,
without loss of digits (Chan, Golub and LeVeque, 1979). Beside them seven numbers of each draw and
tensor are kept; they add over tensors, so that those of a stage are the sums of its tensors'. The
length of a draw, its inner product with g and its error are computed from the draw itself: as
differences of larger numbers they would be rounding where the draw, or its error, is zero. Live
probes use `estimators.measurement.draws.sums` instead; its docstring says why.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from estimators.core.contract import Params
from estimators.core.vectors import as_rows
from estimators.measurement.draws.rows import (
    Rows,
    finite_rows,
    squares_of_rows,
    unit_products,
    units_of,
)
from estimators.measurement.draws.summary import Summary, clean, grouped, over

CPU_ENTRIES = 2**16
"""Entries of draws that are processed at a time on a CPU: half a MiB in float64."""
ACCELERATOR_ENTRIES = 2**23
"""The same on an accelerator, where many small pieces would be slower."""
NUMBERS = 7
"""Numbers that are kept of each draw and tensor."""


class Moments:
    """K draws of T tensors compared with the exact gradient g; float64."""

    def __init__(self, exact: Params) -> None:
        self.exact = exact
        self.count = torch.zeros(len(exact), dtype=torch.int64)
        """Finite draws of each tensor, (T,)."""
        self.mean = [
            torch.zeros(g.numel(), dtype=torch.float64, device=g.device) for g in exact.values()
        ]
        """ḡ of each tensor, flat."""
        self.scatter = torch.zeros(len(exact), dtype=torch.float64)
        """Σ_k ‖ĝ_k − ḡ‖², (T,)."""
        self._rows = Rows(len(exact), NUMBERS)

    @property
    def numbers(self) -> Tensor:
        """Seven numbers of each draw and tensor, (K, T, 7); NaN where they are not defined.

        ⟨ĝ_k, g⟩; ‖ĝ_k‖²; the innovation (k − 1)/k ‖ĝ_k − ḡ_{k−1}‖², whose mean is tr Var ĝ; the
        product ⟨ĝ_k − g, ḡ_{k−1} − g⟩ with the mean of the draws before, whose mean is ‖Eĝ − g‖²;
        k − 1; ‖ĝ_k − g‖²; and Σ ⟨ĝ_k, g⟩² over the tensor's units.
        """
        return self._rows.all

    def __len__(self) -> int:
        """Draws so far, finite or not."""
        return len(self._rows)

    @property
    def nonfinite(self) -> int:
        """Draws with an entry that is not finite in some tensor."""
        return int((~self.numbers[..., 1].isfinite()).any(1).sum())

    def add(self, draws: Mapping[str, Tensor]) -> None:
        """Add k draws, (k, *shape) for each tensor."""
        numbers = [
            self._add(t, as_rows(draws[name]), g) for t, (name, g) in enumerate(self.exact.items())
        ]
        self._rows.add(torch.stack(numbers, 1))

    def _add(self, t: int, rows: Tensor, g: Tensor) -> Tensor:
        good = finite_rows(rows)
        kept = rows if good.all() else rows[good.to(rows.device)]
        numbers = torch.full((len(rows), NUMBERS), torch.nan, dtype=torch.float64)
        if len(kept):
            numbers[good] = self._take(t, kept, g)
        return numbers

    def _take(self, t: int, rows: Tensor, g: Tensor) -> Tensor:
        """Update the moments by the inner products of k draws about the mean so far."""
        units, g = units_of(g), g.reshape(-1)
        n, k, m = int(self.count[t]), len(rows), self.mean[t]
        if n == 0:
            m.copy_(rows[0])  # any point serves as the first mean; one near them keeps digits
        # ⟨x_i, x_j⟩ and ⟨x_i, m − g⟩ of x = ĝ − m, (k, k + 1); ⟨ĝ, g⟩, ‖ĝ‖², ‖ĝ − g‖² and
        # Σ ⟨ĝ, g⟩² over units, (4, k).
        total = torch.zeros(k, k + 1, dtype=torch.float64, device=rows.device)
        own = torch.zeros(4, k, dtype=torch.float64, device=rows.device)
        drift = torch.zeros((), dtype=torch.float64, device=rows.device)  # ‖m − g‖²
        inner = max(1, len(g) // max(1, units))  # a piece is of whole units
        size = max(inner, _piece(g) // k // inner * inner)  # its passes stay in the cache
        for piece, e, c in zip(rows.split(size, 1), g.split(size), m.split(size), strict=True):
            x, e = piece.double(), e.double()
            own[0] += x @ e
            own[1] += squares_of_rows(x)
            own[2] += squares_of_rows(x - e)
            own[3] += unit_products(x, e, len(e) // inner).square().sum(1)
            x = x - c if x.dtype == piece.dtype else x.sub_(c)
            shift = c - e
            total[:, :k] += x @ x.T
            total[:, k] += x @ shift
            drift += shift @ shift
            c += x.sum(0) / (n + k)
        total, own, drift = total.cpu(), own.cpu(), drift.cpu()
        gram = total[:, :k]
        self.count[t] += k
        about = gram.diagonal().sum() - gram.sum() / k  # about the chunk's own mean
        self.scatter[t] += about + gram.sum() / k * n / (n + k)
        return _sequential_numbers(n, gram, torch.cat([total[:, k], drift.view(1)]), own)

    def merge(self, other: "Moments") -> None:
        """Add the draws of another, of the same exact gradient."""
        for t, (m, other_mean) in enumerate(zip(self.mean, other.mean, strict=True)):
            a, b = int(self.count[t]), int(other.count[t])
            if not b:
                continue
            distance = 0.0
            size = _piece(m)
            for x, y in zip(m.split(size), other_mean.split(size), strict=True):
                shift = y.to(x.device) - x
                distance += shift.square().sum().item()
                x += shift * (b / (a + b))
            self.scatter[t] += other.scatter[t] + distance * a * b / (a + b)
            self.count[t] += b
        self._rows.add(other.numbers)

    def summary(self, groups: Tensor) -> Summary:
        """The summary of groups of tensors; `groups` is 0/1, (T, G)."""
        dots, squares, _, products, before, errors, flipped = self.numbers.unbind(-1)
        dots, squares, products, errors, flipped = (
            grouped(x, groups) for x in (dots, squares, products, errors, flipped)
        )
        along, second, exact, offset = self._products().unbind()
        # Deviations from the mean are rounded at 1e-16 of it, their squares at the square of that.
        trace = over(clean(self.scatter, 1e-14 * self.count * second), self.count - 1)
        noise = over(trace, self.count)
        exact, along, second, offset, trace, noise = (
            grouped(x, groups) for x in (exact, along, second, offset, trace, noise)
        )
        bias = bias_variance(products, _fewest_before(before, groups))
        flipped_mean = grouped(self._flipped_mean(), groups)
        sizes = torch.tensor([g.numel() for g in self.exact.values()], dtype=groups.dtype) @ groups
        return Summary(
            dots, squares, errors, exact, along, second, offset, trace, noise, bias, flipped,
            flipped_mean, sizes,
        )  # fmt: skip

    def _flipped_mean(self) -> Tensor:
        """Σ ⟨ḡ, g⟩² over the units of each tensor, (T,); NaN without a draw."""
        squares = [
            unit_products(m.unsqueeze(0), g.reshape(-1).double(), units_of(g)).square().sum().cpu()
            for m, g in zip(self.mean, self.exact.values(), strict=True)
        ]
        return torch.where(self.count > 0, torch.stack(squares), torch.nan)

    def across_variance(self, groups: Tensor) -> Tensor:
        """The variance of the estimate of ‖Eĝ‖² − ⟨Eĝ, g⟩²/‖g‖², the part of the mean across g,
        (G,).

        It is computed as that of the squared bias, of the draws without their part along g.
        """
        dots, products, before = (self.numbers[..., i] for i in (0, 3, 4))
        past = grouped(_past(dots, before), groups)
        exact = grouped(self._products()[2], groups)
        dots, products = grouped(dots, groups), grouped(products, groups)
        across = products + dots + past - exact - dots * past / exact
        return bias_variance(across, _fewest_before(before, groups))

    def innovations(self, groups: Tensor) -> Tensor:
        """Uncorrelated estimates of tr Var ĝ, one for each draw but the first, (K, G)."""
        return grouped(self.numbers[..., 2], groups)

    def _products(self) -> Tensor:
        """⟨ḡ, g⟩, ‖ḡ‖², ‖g‖² and ‖ḡ − g‖² of each tensor, (4, T); NaN without a draw."""
        products = torch.zeros(4, len(self.mean), dtype=torch.float64)
        for t, (m, g) in enumerate(zip(self.mean, self.exact.values(), strict=True)):
            size = _piece(m)
            for x, y in zip(m.split(size), g.reshape(-1).split(size), strict=True):
                y = y.double()
                off = x - y
                products[:, t] += torch.stack([x @ y, x @ x, y @ y, off @ off]).cpu()
        of_mean = torch.tensor([[True], [True], [False], [True]])
        return torch.where(of_mean & (self.count == 0), torch.nan, products)


def _piece(t: Tensor) -> int:
    return CPU_ENTRIES if t.device.type == "cpu" else ACCELERATOR_ENTRIES


def _sequential_numbers(n: int, gram: Tensor, offset: Tensor, own: Tensor) -> Tensor:
    """The numbers of k draws that follow n others, from the products about their mean m.

    `own` are ⟨ĝ, g⟩, ‖ĝ‖², ‖ĝ − g‖² and Σ ⟨ĝ, g⟩² over units of each draw, (4, k).
    """
    k = len(gram)
    before = torch.arange(n, n + k, dtype=torch.float64)  # draws before each one
    share = before.clamp(min=1)
    lower = gram.tril(-1)
    to_past = lower.sum(1) / share  # ⟨ĝ_j − m, ḡ_{j−1} − m⟩
    past = torch.cat([gram.new_zeros(1), (2 * lower.sum(1) + gram.diagonal()).cumsum(0)[:-1]])
    moved = past / share.square()  # ‖ḡ_{j−1} − m‖²
    innovation = (gram.diagonal() - 2 * to_past + moved).clamp(min=0) * before / (before + 1)
    along, drift = offset[:k], offset[k]
    shifted = torch.cat([along.new_zeros(1), along.cumsum(0)[:-1]]) / share
    products = to_past + along + shifted + drift
    first = before == 0  # no draw comes before the first
    innovation[first] = products[first] = torch.nan
    return torch.stack([own[0], own[1], innovation, products, before, own[2], own[3]], 1)


def _past(dots: Tensor, before: Tensor) -> Tensor:
    """⟨ḡ_{k−1}, g⟩ of the draws that `before` counts, (K, T); NaN where there are none."""
    kept = dots.nan_to_num(0.0)
    total = kept.cumsum(0) - kept
    places = torch.arange(len(dots)).unsqueeze(1).expand_as(dots)
    begun = torch.where(before == 0, places, 0).cummax(0).values  # merged draws start a new count
    return torch.where(before > 0, (total - total.gather(0, begun)) / before, torch.nan)


def _fewest_before(before: Tensor, groups: Tensor) -> Tensor:
    """The smallest number of draws before, over a group's tensors, (K, G)."""
    inside = torch.where(groups > 0, before.unsqueeze(-1), torch.inf)  # (K, T, G)
    return inside.nan_to_num(torch.inf, torch.inf).amin(1)


def bias_variance(products: Tensor, before: Tensor) -> Tensor:
    """The variance of the mean of ⟨x_a, x_b⟩ over pairs of draws, x = ĝ − g with mean e, covariance
    Σ.

    It is 4 eᵀΣe/K + 2 tr Σ²/(K(K − 1)) (Hoeffding, 1948). The squared deviation of the k-th product
    with the mean of the draws before is A + B/(k − 1) on average, A = eᵀΣe and B = A + tr Σ²: both
    are fitted by least squares, weighted with k − 1. `products` and `before` are (K, G).
    """
    good = products.isfinite() & before.isfinite() & (before > 0)
    k = good.sum(0)
    w = torch.where(good, before, 0.0)
    x = torch.where(good, 1 / before.clamp(min=1), 0.0)
    h = torch.where(good, products, 0.0)
    centre = _quotient(w * h, w)
    y = (h - centre).square()
    mx, my = _quotient(w * x, w), _quotient(w * y, w)
    dx = torch.where(good, x - mx, 0.0)
    slope = _quotient(w * dx * (y - my), w, (w * dx * dx).sum(0))
    flat = (my - slope * mx).clamp(min=0)
    both = torch.where(slope > 0, slope, 0.0)
    # Where a part came out negative and was set to 0, the other is fitted again alone.
    both = torch.where(flat == 0, _quotient(w * y * x, w, (w * x * x).sum(0)), both)
    flat = torch.where(slope <= 0, my, flat)
    squares = (both - flat).clamp(min=0)
    draws = k + 1
    variance = 4 * flat / draws + 2 * squares / (draws * (draws - 1)).clamp(min=1)
    return torch.where(k > 1, variance, torch.nan)


def _quotient(x: Tensor, w: Tensor, scale: Tensor | None = None) -> Tensor:
    """Σ x over Σ w, or over `scale`; 0 where that is 0."""
    below = w.sum(0) if scale is None else scale
    return torch.where(below > 0, x.sum(0) / below.clamp(min=1e-300), 0.0)
