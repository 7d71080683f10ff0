"""Checks of the state: whether draws depend on it, and whether `advance` moves it as draws do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from estimators.conformance.trial import Trial
from estimators.core.noise import stream

NO_STATE = "no state"
STEPS = 12
"""Steps within which a change of the state must show in the estimates."""
SEEDS = 12
"""Next states that are looked at to see whether they move, and whether they are random: one bit
of noise stays the same in all of them once in 2,000 times."""
MOVES = 100
"""Pairs of next states that are compared where the next state is random."""
OFF = 6.0
"""Standard errors by which the means of two random next states may differ."""
CLOSE = 1e-9
"""Relative difference between two next states that rounding explains."""


def tensors_in(x: Any, name: str) -> dict[str, Tensor]:
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
    return {k: t for key, y in items for k, t in tensors_in(y, f"{name}[{key!r}]").items()}


def has_state(trial: Trial) -> bool:
    """Whether the state holds tensors."""
    return bool(tensors_in(trial.state, "the state"))


def uses_its_state(trials: Sequence[Trial]) -> str:
    """In some setting, each tensor of the state changes an estimate or another tensor of it.

    The state is that after two estimates, since some do not read the one that they begin with. A
    counter (one number) may be without effect, but not a state of counters alone.
    """
    effects: dict[str, set[str]] = {}
    numbers: dict[str, int] = {}
    for trial in trials:
        state = later_state(trial)
        numbers |= {name: t.numel() for name, t in tensors_in(state, "the state").items()}
        usual: Steps = []
        for name in tensors_in(state, "the state"):
            seen = effects.setdefault(name, set())
            if not _is_shown(seen, effects):
                usual = usual or _steps(trial, state)
                seen.add(_effect(trial, state, name, usual))
    if not effects:
        return NO_STATE
    assert any("grads" in seen for seen in effects.values()), (
        f"changing the state changes no estimate within {STEPS} steps, in any setting: estimate "
        "ignores it"
    )
    ignored = [name for name, seen in effects.items() if seen == {""} and numbers[name] > 1]
    assert not ignored, (
        f"changing {', '.join(ignored)} changes no estimate within {STEPS} steps, in any setting: "
        "estimate ignores it"
    )
    return "an estimate depends on it"


def _is_shown(seen: set[str], effects: Mapping[str, set[str]]) -> bool:
    """Whether nothing that another setting shows of a tensor could change the outcome."""
    changes_an_estimate = any("grads" in others for others in effects.values())
    return "grads" in seen or ("state" in seen and changes_an_estimate)


Steps = list[tuple[dict[str, Tensor], dict[str, Tensor]]]


def _steps(trial: Trial, state: Any) -> Steps:
    """The gradients of the first steps, and the tensors of the state after each."""
    steps: Steps = []
    for step in range(STEPS):
        estimate = trial.estimate(trial.case.params, state, stream(step, "estimator", "state"))
        state = estimate.state
        steps.append((dict(estimate.grads), tensors_in(state, "the state")))
    return steps


def _effect(trial: Trial, state: Any, name: str, usual: Steps) -> str:
    """ "grads" or "state", by what a change of one tensor changes first; empty for nothing."""
    changed = _replaced(state, "the state", name, _moved)
    effect = ""
    for step, (grads, states) in enumerate(usual):
        try:
            estimate = trial.estimate(
                trial.case.params, changed, stream(step, "estimator", "state")
            )
        except (Exception, SystemExit):
            return "grads"  # a state that makes no sense is refused, hence read
        if any(not torch.equal(g, estimate.grads[n]) for n, g in grads.items()):
            return "grads"
        changed = estimate.state
        others = tensors_in(changed, "the state")
        if any(n != name and not _same(t, others.get(n)) for n, t in states.items()):
            effect = "state"
    return effect


def _moved(t: Tensor) -> Tensor:
    """Another value of the same kind, far enough away to be seen."""
    if t.dtype is torch.bool:
        return ~t
    if not t.is_floating_point():
        return t + 1
    rng = torch.Generator(t.device).manual_seed(5)
    noise = torch.empty_like(t).normal_(generator=rng)
    return t + noise * (0.1 + t.abs())


def _replaced(x: Any, name: str, target: str, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested data with the tensor called `target` changed, the rest as it is."""
    if isinstance(x, Tensor):
        return change(x) if name == target else x
    if isinstance(x, Mapping):
        return {k: _replaced(y, f"{name}[{k!r}]", target, change) for k, y in x.items()}
    if isinstance(x, list | tuple):
        items = [_replaced(y, f"{name}[{i!r}]", target, change) for i, y in enumerate(x)]
        if hasattr(x, "_fields"):
            return type(x)(*items)
        return type(x)(items)
    return x


def advances_its_state(trial: Trial) -> None:
    """`advance` returns the state that an estimate would, without a graph, and changes nothing."""
    for state in (trial.fresh_state(), later_state(trial)):
        before = {name: t.clone() for name, t in tensors_in(state, "the state").items()}
        following = tensors_in(_advanced(trial, state, 0), "the state")
        for name, t in tensors_in(state, "the state").items():
            assert torch.equal(t, before[name]), (
                f"{name} was changed by advance; return a new state"
            )
        for name, t in following.items():
            assert not t.requires_grad, f"{name} requires grad after advance: detach it"
        if before or following:
            _compare_moves(trial, state, before)


def later_state(trial: Trial) -> Any:
    """The state after two estimates."""
    state = trial.fresh_state()
    for step in range(2):
        state = trial.estimate(trial.case.params, state, stream(step, "estimator", "later")).state
    return state


def _advanced(trial: Trial, state: Any, seed: int) -> Any:
    rng = stream(seed, "estimator", "advance")
    return trial.estimator.advance(trial.case.chain, trial.case.params, state, rng)


def _drawn(trial: Trial, state: Any, seed: int) -> dict[str, Tensor]:
    rng = stream(seed, "estimator", "advance")
    return tensors_in(trial.estimate(trial.case.params, state, rng).state, "the state")


def _compare_moves(trial: Trial, state: Any, before: dict[str, Tensor]) -> None:
    """Compare the next states of `estimate` and `advance`, on average where they are random."""
    drawn = [_drawn(trial, state, seed) for seed in range(SEEDS)]
    advanced = [_tensors_advanced(trial, state, seed) for seed in range(SEEDS)]
    assert set(drawn[0]) == set(advanced[0]), (
        f"estimate returns a state with {_listed(drawn[0])}, advance with {_listed(advanced[0])}"
    )
    random = []
    for name, t in drawn[0].items():
        assert t.shape == advanced[0][name].shape, (
            f"{name} has shape {tuple(t.shape)} after estimate and "
            f"{tuple(advanced[0][name].shape)} after advance"
        )
        moves, follows = (
            any(not _same(each[name], before.get(name)) for each in states)
            for states in (drawn, advanced)
        )
        assert follows or not moves, (
            f"estimate moves {name} and advance does not: as a shadow it would stay frozen; "
            "define advance"
        )
        if any(not _same(t, each[name]) for each in drawn):
            random.append(name)
            continue
        difference = (t.double() - advanced[0][name].double()).abs()
        assert all(_close(t, each[name]) for each in advanced), (
            f"{name} after advance differs from that after estimate by up to "
            f"{difference.max().item():.3g}"
        )
    if random:
        _compare_means(trial, state, random)


def _tensors_advanced(trial: Trial, state: Any, seed: int) -> dict[str, Tensor]:
    return tensors_in(_advanced(trial, state, seed), "the state")


def _compare_means(trial: Trial, state: Any, names: list[str]) -> None:
    drawn = [_drawn(trial, state, seed) for seed in range(MOVES)]
    advanced = [_tensors_advanced(trial, state, seed) for seed in range(MOVES)]
    for name in names:
        a = torch.stack([each[name].double() for each in drawn])
        b = torch.stack([each[name].double() for each in advanced])
        away = (a.mean(0) - b.mean(0)).abs()
        error = ((a.var(0) + b.var(0)) / MOVES).sqrt()
        size = a.abs().max()
        off = torch.where(away > CLOSE * size, away / error, 0.0).max().item()
        assert off <= OFF, (
            f"{name} after advance is not what it is after estimate: their means over {MOVES} "
            f"draws differ by {off:.1f} standard errors"
        )


def _same(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and a.shape == b.shape and torch.equal(a, b)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    scale = CLOSE * a.double().abs().max().item() if a.numel() else 0.0
    return bool(((a.double() - b.double()).abs() <= scale).all())


def _listed(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(tensors) or "no tensor"
