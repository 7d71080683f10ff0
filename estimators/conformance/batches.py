"""Batched and oracle draws compared, draw by draw, with single estimates from the same noise."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.conformance.trial import Trial
from estimators.core.contract import BatchedDraws, Params, batched_draws_of
from estimators.core.noise import stream

SIZES = (1, 3, 2, 66)
"""Batches in which the draws are made; then all of them at once. More than 64, since code that
makes draws in chunks is most often wrong at the border between two of them."""
ORACLE_DRAWS = 6
"""Draws of an oracle that are compared."""
COUNT = sum(SIZES)
ROUNDING = 1e-8
"""Largest difference in float64, as a share of a draw's largest entry."""


def compare_batches(trial: Trial) -> None:
    """Raise AssertionError if the batched draws are not those of `estimate`.

    Honest and projected draws are compared, at the case's weights and at a weight that is not a
    number, where both ways must give the same entries that are not finite.
    """
    finite = dict(trial.case.params)
    for params in (finite, _with_nan(finite)):
        exact = value_and_grad(trial.case.chain, params)[1]
        offered = [
            source
            for source in (None, exact)
            if _batches(trial, params, source, _rng()) is not None
        ]
        if not offered:
            continue
        singles = _singles(trial, params, COUNT)
        for source in offered:
            _compare(trial, params, source, singles)
        if len(offered) == 2 and params is finite:
            _assert_uses(trial, params, exact)


def compare_oracle(trial: Trial) -> None:
    """Raise AssertionError if the oracle's draws are not those of `estimate`."""
    if not offers_oracle(trial):
        return
    params, rng = trial.case.params, _rng()
    exact = trial.tensors(trial.exact)
    for k, single in enumerate(_singles(trial, params, ORACLE_DRAWS)):
        made = trial.estimator.oracle(trial.case.chain, params, trial.state, exact, rng)
        assert made is not None, "oracle returns None at a later call"
        assert set(made.grads) == set(params), (
            f"oracle gives the names {sorted(made.grads)}, the parameters are {sorted(params)}"
        )
        row = trial.flat(made.grads)
        assert _same(row, single), (
            f"oracle: draw {k + 1} {_difference(row, [single], 0, trial)}. Does a subclass change "
            "estimate alone?"
        )


def offers_oracle(trial: Trial) -> bool:
    """Whether `oracle` gives a draw at the case's weights."""
    exact = trial.tensors(trial.exact)
    state, chain = trial.state, trial.case.chain
    return trial.estimator.oracle(chain, trial.case.params, state, exact, _rng()) is not None


def _assert_uses(trial: Trial, params: Params, exact: Params) -> None:
    """Twice the gradient must give other draws, where draws without a gradient exist too.

    An estimator that offers projected draws alone may make them of other exact derivatives.
    """
    rows = []
    for factor in (1, 2):
        scaled = {name: factor * g for name, g in exact.items()}
        batches = _batches(trial, params, scaled, _rng())
        assert batches is not None, f"batched_draws returns None for {factor} times the gradient"
        rows.append(_rows(trial, batches, COUNT))
    assert not torch.equal(*rows) or not rows[0].any(), (
        "batched_draws ignores exact: with twice the gradient it gives the same draws. Project the "
        "gradient that is given, or return None where exact is given"
    )


def offers_batches(trial: Trial) -> bool:
    """Whether `batched_draws` gives honest or projected draws at the case's weights."""
    params = trial.case.params
    exact = value_and_grad(trial.case.chain, params)[1]
    return any(_batches(trial, params, source, _rng()) is not None for source in (None, exact))


def _singles(trial: Trial, params: Params, count: int) -> list[Tensor]:
    rng = _rng()
    return [
        trial.flat(trial.estimate(params, trial.state, rng).grads).detach() for _ in range(count)
    ]


def _compare(trial: Trial, params: Params, exact: Params | None, singles: Sequence[Tensor]) -> None:
    way = "honest" if exact is None else "projected"
    for sizes in (SIZES, (COUNT,)):
        batches = _batches(trial, params, exact, _rng())
        assert batches is not None, "batched_draws returns None at the second call"
        rows = torch.cat([_rows(trial, batches, size) for size in sizes])
        for k, row in enumerate(rows):
            if not _same(row, singles[k]):
                text = (
                    "one batch" if len(sizes) == 1 else f"batches of {', '.join(map(str, sizes))}"
                )
                difference = _difference(row, singles, k, trial)
                raise AssertionError(f"batched_draws ({way}), {text}: draw {k + 1} {difference}")


def _batches(
    trial: Trial, params: Params, exact: Params | None, rng: Generator
) -> BatchedDraws | None:
    return batched_draws_of(trial.estimator, trial.case.chain, params, trial.state, exact, rng)


def _rows(trial: Trial, batches: BatchedDraws, count: int) -> Tensor:
    """The next draws as vectors, (k, d), after their names, shapes and types are checked."""
    stack, params = batches(count), trial.case.params
    assert set(stack) == set(params), (
        f"batched_draws gives the names {sorted(stack)}, the parameters are {sorted(params)}"
    )
    for name, p in params.items():
        t = stack[name]
        assert t.shape == (count, *p.shape), (
            f"batched_draws was asked for {count} draws and gives {name} the shape "
            f"{tuple(t.shape)}, not {(count, *p.shape)}"
        )
        assert t.dtype == p.dtype, f"batched_draws gives {name} as {t.dtype}, not {p.dtype}"
        assert not t.requires_grad, f"batched_draws: {name} still requires grad: detach it"
    return torch.stack([trial.flat({n: t[k] for n, t in stack.items()}) for k in range(count)])


def _difference(row: Tensor, singles: Sequence[Tensor], k: int, trial: Trial) -> str:
    """How a draw differs from the k-th single estimate, in words."""
    single = singles[k]
    if not torch.equal(row.isfinite(), single.isfinite()):
        return "is not finite in other entries than the draw of estimate from the same noise"
    if _same(-row, single):
        return "is the negative of the draw that estimate makes of the same noise"
    others = [j for j, other in enumerate(singles) if _same(row, other)]
    if others:
        return f"is draw {others[0] + 1} of estimate: it must use the noise in the same order"
    errors = {n: t.abs().max().item() for n, t in trial.tensors(row - single).items()}
    name = max(errors, key=lambda n: errors[n])
    return (
        f"differs by up to {errors[name]:.3g} (in {name}) from the draw that estimate makes of "
        "the same noise; they must agree up to rounding"
    )


def _same(row: Tensor, single: Tensor) -> bool:
    finite = single.isfinite()
    if not torch.equal(row.isfinite(), finite):
        return False
    scale = single[finite].abs().max().item() if finite.any() else 0.0
    return bool(((row - single)[finite].abs() <= ROUNDING * scale).all())


def _with_nan(params: Params) -> Params:
    """The parameters with one entry that is not a number."""
    name, first = next(iter(params.items()))
    broken = first.clone()
    broken.view(-1)[0] = torch.nan
    return {**params, name: broken}


def _rng() -> Generator:
    return stream(3, "estimator")
