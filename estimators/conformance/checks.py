"""The checks: each takes a trial and raises AssertionError with a plain sentence."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from estimators.conformance.batches import compare_batches, offers_batches
from estimators.conformance.laws import enough, worst
from estimators.conformance.trial import Trial
from estimators.core.contract import Claim, Cost, Estimate
from estimators.core.noise import stream

MAX_DRAWS = 2000
"""Draws after which a check decides, where fewer leave a doubt."""
DOUBT, CERTAIN = 3.5, 20.0
"""Deviations from a law, in standard errors, between which a check takes more draws."""
STEPS, STEPS_BETWEEN_LOSSES = 300, 20
"""Steps of a descent, and steps after which its loss is computed."""

Check = Callable[[Trial], None]


def estimates(trial: Trial) -> None:
    """`estimate` returns an Estimate."""
    estimate = trial.first
    assert isinstance(estimate, Estimate), f"estimate gave {estimate!r:.80}, not an Estimate"


def is_frozen(trial: Trial) -> None:
    """A frozen dataclass whose fields all have a default."""
    cls = type(trial.estimator)
    frozen = dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert frozen, (
        f"{cls.__name__} is not a frozen dataclass: write @dataclass(frozen=True) above it"
    )
    assert cls() is not None
    same = hash(trial.estimator) == hash(copy.copy(trial.estimator))
    assert same, "equal settings must hash equally"


def has_names_and_shapes(trial: Trial) -> None:
    """There is one finite tensor for each parameter, of its shape, type and device."""
    grads, params = trial.first.grads, trial.case.params
    assert set(grads) == set(params), (
        f"grads has the names {sorted(grads)}, the parameters are {sorted(params)}"
    )
    for name, p in params.items():
        g = grads[name]
        assert g.shape == p.shape, f"{name} has shape {tuple(g.shape)}, not {tuple(p.shape)}"
        assert g.dtype == p.dtype, f"{name} is {g.dtype}, the parameter is {p.dtype}"
        assert g.device == p.device, f"{name} is on {g.device}, the parameter on {p.device}"
        assert g.isfinite().all(), f"{name} is not finite"


def reports_the_loss(trial: Trial) -> None:
    """`loss` is the objective's value at the point, ()."""
    loss, true = trial.first.loss, trial.case.chain(trial.case.params)
    assert loss.shape == (), f"loss has shape {tuple(loss.shape)}; it must be one number"
    assert torch.allclose(loss, true), f"loss is {loss.item()}, the objective's is {true.item()}"


def repeats_with_the_seed(trial: Trial) -> None:
    """The same seed gives the same bits, since all noise comes from `rng`."""
    first, again = trial.first.grads, trial.again().grads
    for name, g in first.items():
        assert torch.equal(g, again[name]), (
            f"{name} differs between two draws of one seed: take all noise from rng"
        )


def leaves_inputs_alone(trial: Trial) -> None:
    """Parameters, state, module, batch and torch's global generator are not changed."""
    chain, params, state = trial.case.chain, trial.case.params, trial.fresh_state()
    tensors = {**_tensors(state, "the state"), **chain.module.state_dict(keep_vars=True)}
    tensors |= {f"params[{n!r}]": p for n, p in params.items()}
    tensors |= {"x": chain.x, "y": chain.y}
    before = {name: (t.detach().clone(), t.requires_grad) for name, t in tensors.items()}
    global_state = torch.get_rng_state()
    trial.estimate(params, state, stream(0, "estimator"))
    for name, t in tensors.items():
        value, flag = before[name]
        assert torch.equal(t.detach(), value), (
            f"{name} was changed; an estimate must change none of its arguments"
        )
        assert t.requires_grad == flag, f"requires_grad of {name} was changed"
    for name, p in chain.module.named_parameters():
        assert p.grad is None, f"{name}.grad was filled; return the gradient instead"
    assert torch.equal(global_state, torch.get_rng_state()), (
        "torch's global generator was used; take all noise from rng"
    )


def leaks_no_graph(trial: Trial) -> None:
    """Nothing that is returned keeps autograd's graph."""
    estimate = trial.first
    returned = {**_tensors(dict(estimate.grads), "grads"), "loss": estimate.loss}
    returned |= _tensors(estimate.state, "state") | _tensors(dict(estimate.info), "info")
    for name, t in returned.items():
        assert not t.requires_grad, f"{name} still requires grad: detach it"


def advances_its_state(trial: Trial) -> None:
    """`advance` returns the next state, without a graph, and does not change its argument."""
    state = trial.fresh_state()
    before = {name: t.clone() for name, t in _tensors(state, "the state").items()}
    rng, chain = stream(0, "estimator"), trial.case.chain
    following = trial.estimator.advance(chain, trial.case.params, state, rng)
    for name, t in _tensors(state, "the state").items():
        assert torch.equal(t, before[name]), f"{name} was changed by advance; return a new state"
    for name, t in _tensors(following, "the state").items():
        assert not t.requires_grad, f"{name} requires grad after advance: detach it"


def declares_its_cost(trial: Trial) -> None:
    """`cost` returns a `Cost` above zero."""
    cost = trial.estimator.cost(trial.case.chain)
    assert isinstance(cost, Cost), f"cost gave {cost!r}, not a Cost"
    assert cost.forward_equivalents > 0, (
        "cost declares no pass at all; an estimate takes at least one"
    )


def keeps_its_claim(trial: Trial) -> None:
    """EXACT equals the gradient; the mean of UNBIASED does, within 5 standard errors."""
    claim = trial.estimator.claim(trial.case.chain)
    assert isinstance(claim, Claim), f"claim gave {claim!r}, not a Claim"
    target = trial.estimator.target(trial.case.chain, trial.case.params, trial.state)
    true = trial.exact if target is None else trial.flat(target)
    if claim is Claim.EXACT:
        error = (trial.flat(trial.first.grads) - true).abs().max().item()
        assert error < 1e-8, f"claims to be exact, but is {error:.2g} off"
    elif claim is Claim.UNBIASED:
        _assert_unbiased(_enough(trial, true), true)


def _enough(trial: Trial, true: Tensor) -> Tensor:
    """Few draws, which suffice for most estimators; three times as many while a doubt is left."""
    count = trial.few
    while count < MAX_DRAWS and _doubtful(trial.draws(count), true):
        count = min(MAX_DRAWS, 3 * count)
    return trial.draws(count)


def _doubtful(draws: Tensor, true: Tensor) -> bool:
    """Whether the mean is farther off than most unbiased ones: 2 SE along g, 3.3 elsewhere."""
    mean, se, expected = _mean_and_error(draws, true)
    off = (mean - expected).abs() / (se + 1e-9)
    return bool(off[-1] > 2 or (off > 3.3).any())


def _assert_unbiased(draws: Tensor, true: Tensor) -> None:
    """Test each coordinate, and the projection on the gradient, which shows a wrong scale best."""
    mean, se, expected = _mean_and_error(draws, true)
    off = (mean - expected).abs() / (se + 1e-9)
    off[-1] *= 1.25  # a single number: 4 SE are as rare for it as 5 SE among hundreds
    i = int(off.argmax())
    place = "along the gradient" if i == len(true) else f"in coordinate {i}"
    assert off[i] <= 5, (
        f"claims to be unbiased, but {place} the mean of {len(draws)} draws is "
        f"{mean[i].item():.4g} instead of {expected[i].item():.4g}, "
        f"{((mean - expected).abs() / (se + 1e-9))[i].item():.1f} standard errors off"
    )


def _mean_and_error(draws: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, standard error, expectation) of each coordinate, last of the part along g."""
    along = (draws @ true / true.square().sum()).unsqueeze(1)
    columns = torch.cat([draws, along], 1)
    expected = torch.cat([true, true.new_ones(1)])
    return columns.mean(0), columns.std(0) / len(draws) ** 0.5, expected


def obeys_its_law(trial: Trial) -> None:
    """Variance and mean of every tensor agree with `law`, within 5 standard errors."""
    law = trial.law
    if law is None:
        return
    exact = trial.tensors(trial.exact)
    count = enough(law, exact, trial.few // 2)
    deviation = worst(law, exact, trial.draws(count))
    while DOUBT < deviation.off < CERTAIN and count < MAX_DRAWS:
        count = min(MAX_DRAWS, 3 * count)
        deviation = worst(law, exact, trial.draws(count))
    assert deviation.off <= 5, (
        f"{deviation.what}: {deviation.off:.1f} standard errors off in {count} draws"
    )


def batches_its_draws(trial: Trial) -> None:
    """`batched_draws`, if it is offered, gives the draws of `estimate` from the same noise."""
    compare_batches(trial)


def descends(trial: Trial) -> None:
    """300 small steps lower the loss, if the estimate points along the gradient on average."""
    if not trial.default:
        return
    draws = trial.draws(trial.few // 2)
    slopes = draws @ trial.exact
    if slopes.mean() <= 3 * slopes.std() / len(draws) ** 0.5:
        return  # a biased estimator need not descend
    rate = 0.2 * slopes.mean() / draws.square().sum(1).mean()
    first = trial.case.chain(trial.case.params).item()
    last = _descended(trial, rate, 0.95 * first)
    assert last < 0.95 * first, (
        f"{STEPS} small steps change the loss from {first:.4g} to {last:.4g}; they should lower it"
    )


def _descended(trial: Trial, rate: Tensor, enough: float) -> float:
    """The loss after 300 steps, or sooner once it is below `enough`."""
    state, params = trial.state, dict(trial.case.params)
    rng = stream(1, "estimator")
    last = float("inf")
    for step in range(1, STEPS + 1):
        estimate = trial.estimate(params, state, rng)
        state = estimate.state
        params = {n: p - rate * estimate.grads[n] for n, p in params.items()}
        if step % STEPS_BETWEEN_LOSSES == 0 and (last := trial.case.chain(params).item()) < enough:
            break
    return last


def _named(*functions: Check) -> dict[str, Check]:
    return {function.__name__.replace("_", " "): function for function in functions}


WITHOUT_DRAWS = _named(is_frozen, declares_its_cost)
"""Checks that need no estimate."""

CHECKS = _named(
    is_frozen,
    has_names_and_shapes,
    reports_the_loss,
    repeats_with_the_seed,
    leaves_inputs_alone,
    leaks_no_graph,
    advances_its_state,
    declares_its_cost,
    keeps_its_claim,
    obeys_its_law,
    batches_its_draws,
    descends,
)

OPTIONAL: dict[str, tuple[Callable[[Trial], bool], str]] = {
    "obeys its law": (lambda trial: trial.law is not None, "no law offered"),
    "batches its draws": (offers_batches, "no batched draws offered"),
}
"""Checks of what an estimator need not offer: whether it does, and what to say if it does not."""


def _tensors(x: Any, name: str) -> dict[str, Tensor]:
    """The tensors in nested plain data, each under a name that says where it is."""
    if isinstance(x, Tensor):
        return {name: x}
    if isinstance(x, Mapping):
        items = list(x.items())
    elif isinstance(x, list | tuple):
        items = list(enumerate(x))
    else:
        assert x is None or isinstance(x, bool | int | float | str), (
            f"{name} holds {type(x).__name__}; a checkpoint keeps only tensors and numbers in "
            "dicts and tuples"
        )
        items = []
    return {k: t for key, y in items for k, t in _tensors(y, f"{name}[{key!r}]").items()}
