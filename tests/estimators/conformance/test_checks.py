"""Every registered estimator, in several settings, on a dense and a convolutional network."""

import dataclasses
from functools import partial

import pytest
import torch

from estimators import Backprop, Claim, Estimate, Estimator, ForwardGradient, Need, discover
from estimators.conformance import ACROSS, CHECKS, Trial, check, every_case, served, settings
from estimators.conformance.verdicts import verdict_of

FOUND = {name: entry.cls for name, entry in discover().estimators.items()}


@pytest.mark.timeout(600)  # a slow machine takes minutes for those with many settings
@pytest.mark.parametrize("name", FOUND)
def test_contract(name):
    broken = [f"{v.name}: {v.detail}" for v in check(FOUND[name]) if not v.passed]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("name", FOUND)
def test_an_estimate_is_the_same_where_autograd_is_switched_off(name):
    for case in every_case():
        if served(estimator := FOUND[name](), case):
            trial = Trial(estimator, case)
            with torch.no_grad():
                found = trial.flat(trial.again().grads)
            assert torch.equal(found, trial.flat(trial.again().grads)), case.name


def test_every_estimator_serves_a_case_in_each_setting():
    """Those that are refused say why by a need: `served` knows nothing else."""
    for cls in FOUND.values():
        for estimator in settings(cls):
            assert any(served(estimator, case) for case in every_case()), estimator


def test_each_count_is_tried_at_two_settings():
    for cls in FOUND.values():
        for f in dataclasses.fields(cls):
            if isinstance(f.default, int):
                assert len({getattr(e, f.name) for e in settings(cls)}) >= 2, (cls, f.name)


def test_each_inner_estimator_is_tried_exact_unbiased_and_with_state():
    for cls in FOUND.values():
        for f in dataclasses.fields(cls):
            if isinstance(getattr(cls(), f.name), Estimator):
                kinds = {type(getattr(e, f.name)).__name__ for e in settings(cls)}
                wanted = {"Backprop", "ForwardGradient", "DirectFeedbackAlignment"}
                assert kinds >= wanted, (cls, f.name)


def test_networks_are_tiny():
    for case in every_case():
        assert sum(p.numel() for p in case.params.values()) <= 300


@dataclasses.dataclass(frozen=True)
class Doubled(Backprop):
    """Twice the gradient, said to be exact."""

    def estimate(self, objective, params, state, rng, /):
        grads, loss, *_ = Backprop().estimate(objective, params, state, rng)
        return Estimate({n: 2 * g for n, g in grads.items()}, loss)


def test_a_broken_claim_is_told_in_a_sentence():
    verdicts = {v.name: v for v in check(Doubled)}
    failed = [name for name, v in verdicts.items() if not v.passed]
    assert failed == ["keeps its claim", "obeys its law"]
    assert "the law says 0: inf standard errors off" in verdicts["obeys its law"].detail
    assert "claims to be exact, but output.bias is 0.66 off" in verdicts["keeps its claim"].detail


@dataclasses.dataclass(frozen=True)
class Crashing(Backprop):
    """Fails."""

    def estimate(self, objective, params, state, rng, /):
        raise RuntimeError("no such kernel")


def test_a_crash_is_a_verdict_and_what_it_hides_is_not_checked():
    verdicts = {v.name: v for v in check(Crashing())}
    assert verdicts["estimates"].passed is False
    assert "RuntimeError: no such kernel" in verdicts["estimates"].detail
    assert isinstance(verdicts["estimates"].error, RuntimeError)
    assert [name for name, v in verdicts.items() if v.passed] == ["is frozen"]
    for name in ("keeps its claim", "descends", "leaks no graph"):
        assert verdicts[name].passed is None


@dataclasses.dataclass(frozen=True)
class Empty(Backprop):
    """Returns nothing."""

    def estimate(self, objective, params, state, rng, /):
        return None


@dataclasses.dataclass(frozen=True)
class Needy(Backprop):
    """Cannot be asked what it needs."""

    def needs(self):
        raise KeyError("needs")


def test_an_estimate_that_is_none_and_needs_that_fail_are_told():
    assert "gave None, not an Estimate" in check(Empty())[0].detail
    (verdict,) = check(Needy)
    assert "KeyError: 'needs'" in verdict.detail


@dataclasses.dataclass(frozen=True)
class Careless(Backprop):
    """Draws from torch's global generator, and says so nowhere."""

    def claim(self, objective, /):
        return Claim.BIASED

    def needs(self):
        return (Need.LOSS,)

    def estimate(self, objective, params, state, rng, /):
        return Estimate({n: torch.randn_like(p) for n, p in params.items()}, objective(params))


def test_noise_from_elsewhere_is_noticed():
    trial = Trial(Careless(), every_case()[0])
    made = {name: partial(function, trial) for name, function in CHECKS.items()}
    made["declares its cost"] = partial(ACROSS["declares its cost"], [trial])
    failed = {name for name, function in made.items() if not verdict_of(name, function).passed}
    assert failed == {
        "repeats with the seed",
        "leaves inputs alone",
        "obeys its law",
        "declares its cost",
    }


def scaled(factor):
    """A forward gradient times `factor`, said to be unbiased."""

    @dataclasses.dataclass(frozen=True)
    class Scaled(ForwardGradient):
        """Wrong by a factor."""

        def estimate(self, objective, params, state, rng, /):
            grads, loss, *_ = super().estimate(objective, params, state, rng)
            return Estimate({n: factor * g for n, g in grads.items()}, loss)

    return Scaled


@dataclasses.dataclass(frozen=True)
class Summed(ForwardGradient):
    """Forgets 1/K: right at the defaults, wrong at two directions."""

    def estimate(self, objective, params, state, rng, /):
        grads, loss, *_ = super().estimate(objective, params, state, rng)
        return Estimate({n: self.tangents * g for n, g in grads.items()}, loss)


@dataclasses.dataclass(frozen=True)
class Lopsided(ForwardGradient):
    """Half the gradient in its last tensor, where that has company."""

    def estimate(self, objective, params, state, rng, /):
        grads, loss, *_ = super().estimate(objective, params, state, rng)
        last = next(reversed(params)) if len(params) > 1 else None
        return Estimate({n: g / 2 if n == last else g for n, g in grads.items()}, loss)


PLANTED = [scaled(-1)(), scaled(1.5)(), scaled(0.7)(), Summed(tangents=2), Lopsided()]


@pytest.mark.parametrize("planted", PLANTED)
def test_few_draws_still_convict(planted):
    trial = Trial(planted, every_case()[0])
    with pytest.raises(AssertionError, match="claims to be unbiased"):
        CHECKS["keeps its claim"](trial)


def test_an_unbiased_estimator_is_acquitted_whatever_the_noise():
    for noise in ("normal", "rademacher", "sphere"):
        trial = Trial(ForwardGradient(noise=noise), every_case()[0])
        CHECKS["keeps its claim"](trial)


@dataclasses.dataclass(frozen=True)
class Noisier(ForwardGradient):
    """Half as much noise again as the law that it has from its class."""

    def estimate(self, objective, params, state, rng, /):
        grads, loss, *_ = super().estimate(objective, params, state, rng)
        more = {n: torch.empty_like(g).normal_(std=0.7, generator=rng) for n, g in grads.items()}
        return Estimate(
            {n: g + more[n] * g.norm() / g.numel() ** 0.5 for n, g in grads.items()}, loss
        )


@dataclasses.dataclass(frozen=True)
class Trembling(Backprop):
    """Exact on average, with noise that its law knows nothing of."""

    def claim(self, objective, /):
        return Claim.UNBIASED

    def estimate(self, objective, params, state, rng, /):
        grads, loss, *_ = super().estimate(objective, params, state, rng)
        more = {n: torch.empty_like(g).normal_(generator=rng) for n, g in grads.items()}
        return Estimate({n: g + 0.1 * more[n] for n, g in grads.items()}, loss)


@pytest.mark.parametrize("planted", [Noisier(), Trembling()])
def test_scatter_that_is_not_the_law_s_is_convicted(planted):
    trial = Trial(planted, every_case()[0])
    CHECKS["keeps its claim"](trial)
    with pytest.raises(AssertionError, match="scatters about its law's mean by"):
        CHECKS["obeys its law"](trial)
