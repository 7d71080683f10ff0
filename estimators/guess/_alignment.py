"""How a block's target and guess lie to each other, for the batch and for its examples."""

from collections.abc import Mapping

import torch
from torch import Tensor

from estimators.guess._projection import (
    Vectors,
    along_guess,
    at_least_single,
    products,
)

Alignment = dict[str, Tensor]
"""{measure: (), float}."""

_COLUMNS = 2**18
"""Columns that are in float64 at a time."""


def compare(t: Vectors, s: Vectors, *, by_example: bool, summed: bool) -> Alignment:
    """Cosine, relative difference and norm ratio of target and guess, and the cosine of the target
    with its projections on the guess and on the span of the batch's guesses.

    Args:
        t: The target of each unit; (B, *shape) by example.
        s: The guess of each unit.
        by_example: Whether rows are examples.
        summed: Whether the batch's vector is the sum of its examples', as gradients are; else all
            of them side by side, as outputs are.

    Returns:
        `guess_cosine`, `guess_difference` ‖t − s‖/‖t‖, `guess_norm_ratio` ‖s‖/‖t‖,
        `projection_cosine`, and by example the same with `_by_example` (means over examples) and
        `span_cosine`. A measure of a vector of length zero is 0.
    """
    p = along_guess(products(t, s, by_example), s, by_example=by_example, divide=True).vectors
    if not by_example:
        return _measures(*(_rows(v, False) for v in (t, s, p)))
    rows = tuple(_rows(v, True) for v in (t, s, p))
    batch = [r.sum(0, keepdim=True) if summed else r.reshape(1, -1) for r in rows]
    each = {f"{name}_by_example": value for name, value in _measures(*rows).items()}
    return {**_measures(*batch), **each, **_span(rows[0], rows[1], summed)}


def _measures(t: Tensor, s: Tensor, p: Tensor) -> Alignment:
    """Means over rows."""
    length = torch.linalg.vector_norm(t, dim=1)
    return {
        "guess_cosine": _cosine(t, s).mean(),
        "guess_difference": _ratio(torch.linalg.vector_norm(t - s, dim=1), length).mean(),
        "guess_norm_ratio": _ratio(torch.linalg.vector_norm(s, dim=1), length).mean(),
        "projection_cosine": _cosine(t, p).mean(),
    }


def _span(t: Tensor, s: Tensor, summed: bool) -> Alignment:
    """The cosine of targets with their projections on the span of all guesses, by rows (B, D)."""
    gram, cross = _inner(s, s), _inner(s, t)
    # A span has no lengths. Of directions that differ by rounding alone it has one.
    lengths = gram.diagonal().sqrt()[:, None]
    unit = torch.where(lengths > 0, 1 / lengths, torch.zeros_like(lengths))
    gram, cross = unit * gram * unit.T, unit * cross
    relative = max(
        torch.finfo(s.dtype).eps ** 2 * max(s.shape), len(s) * torch.finfo(gram.dtype).eps
    )
    # ‖P t‖² = cᵀ G⁺ c with c = S t: rows of equal or zero guesses are no trouble to G⁺.
    inverse = torch.linalg.pinv(gram, rtol=relative, hermitian=True)
    squares = t.double().square().sum(1)
    each = (cross * (inverse @ cross)).sum(0).clamp(min=0)
    cosines = _ratio(each, squares).sqrt().clamp(max=1)
    if summed:
        whole = cross.sum(1)
        total = t.double().sum(0).square().sum()
        batch = _ratio((whole * (inverse @ whole)).sum().clamp(min=0), total)
    else:
        batch = _ratio(each.sum(), squares.sum())
    means = {
        "span_cosine": batch.sqrt().clamp(max=1),
        "span_cosine_by_example": cosines.mean(),
    }
    return {name: value.to(t.dtype) for name, value in means.items()}


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows in float64, (B, B), a part of the columns at a time."""
    parts = zip(a.split(_COLUMNS, 1), b.split(_COLUMNS, 1), strict=True)
    products = [x.double() @ y.double().T for x, y in parts]
    return torch.stack(products).sum(0)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return _ratio(torch.linalg.vecdot(a, b), lengths)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b == 0, torch.zeros_like(a), a / b)  # what is not finite stays so


def _rows(vectors: Vectors, by_example: bool) -> Tensor:
    """A block's vectors side by side: a row, or a row for each example."""
    single = [at_least_single(v) for v in vectors.values()]
    parts = [v.flatten(1) if by_example else v.reshape(1, -1) for v in single]
    return torch.cat(parts, 1)


def by_measure(blocks: Mapping[str, Alignment]) -> dict[str, dict[str, Tensor]]:
    """{block: {measure: value}} as {measure: {block: value}}."""
    measures: dict[str, dict[str, Tensor]] = {}
    for block, values in blocks.items():
        for name, value in values.items():
            measures.setdefault(name, {})[block] = value
    return measures
