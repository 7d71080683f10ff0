"""Chains: stages, sites, boundaries, and a module that stays as it was."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    Claim,
    DirectFeedbackAlignment,
    ForwardGradient,
    Need,
    Site,
    UnsupportedError,
    require,
    stream,
)
from estimators.autodiff.calculus import cut_at_sites, pull_back, value_and_grad
from estimators.conformance import settings
from estimators.conformance.checks import NEARBY
from estimators.registry import discover

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2] * 2)
RNG = lambda: stream(0, "estimator")  # noqa: E731
ALL = [
    e
    for entry in discover().estimators.values()
    for e in settings(entry.cls)
    if getattr(e, "auxiliary", "") != "cnn"  # it reads images
]


def network(norm=None, inplace=False, bias=True):
    torch.manual_seed(0)
    middle = [] if norm is None else [norm]
    return nn.Sequential(
        OrderedDict(
            first=nn.Sequential(nn.Linear(4, 5, bias), *middle, Site(), nn.ReLU(inplace)),
            second=nn.Sequential(nn.Linear(5, 5, bias), Site(), nn.ReLU(inplace)),
            output=nn.Linear(5, 3),
        )
    ).double()


def params_of(module):
    return {n: p.detach() for n, p in module.named_parameters()}


def test_stages_places_and_boundaries_are_named():
    chain = Chain(network(), X, Y)
    assert chain.stages == ("first", "second", "output")
    assert [p.name for p in chain.places] == ["first.1", "second.1"]
    assert [p.shape for p in chain.places] == [(5,), (5,)]
    assert [p.name for p in chain.boundaries] == ["first", "second"]
    assert chain.stage_of("first.0.weight") == "first"


def test_a_module_of_its_own_is_one_stage():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3).double()

        def forward(self, x):
            return self.linear(x)

    chain = Chain(Net(), X, Y)
    assert chain.stages == ("",)
    assert chain.boundaries == ()
    assert chain.stage_of("linear.weight") == ""


def test_stages_without_parameters_belong_to_the_one_before():
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Identity(), nn.Linear(5, 3), nn.Identity()
    ).double()
    assert [p.name for p in Chain(module, X, Y).boundaries] == ["3"]


def test_the_chain_is_the_network():
    module = network()
    chain = Chain(module, X, Y)
    wanted = nn.functional.cross_entropy(module(X), Y)
    torch.testing.assert_close(chain(params_of(module)), wanted.detach())
    other = {n: p + 1 for n, p in params_of(module).items()}
    torch.testing.assert_close(
        chain(other),
        nn.functional.cross_entropy(torch.func.functional_call(module, other, (X,)), Y).detach(),
    )


def test_another_batch_shares_the_network():
    chain = Chain(network(), X, Y)
    half = chain.on(X[:3], Y[:3])
    params = params_of(chain.module)
    assert half.losses(half.forward(params)).shape == (3,)
    assert chain.losses(chain.forward(params)).shape == (6,)


def test_tied_parameters_are_replaced_together():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    module[1].weight = module[0].weight
    chain = Chain(module, X, torch.zeros(6, dtype=torch.long))
    exact = value_and_grad(chain, params_of(module))[1]
    chain(params_of(module))
    nn.functional.cross_entropy(module(X), chain.y).backward()
    torch.testing.assert_close(exact["0.weight"], module[0].weight.grad)


def test_the_module_is_given_back_after_an_error():
    module = network()
    before = dict(module.named_parameters())
    with pytest.raises(RuntimeError):
        Chain(module, X, Y)({n: torch.zeros(7, 7) for n in before})
    assert all(before[n] is p for n, p in module.named_parameters())


def test_an_unknown_parameter_is_refused():
    with pytest.raises(ValueError, match="no parameter 'weihgt'"):
        Chain(network(), X, Y)({"weihgt": torch.ones(1)})


def test_a_loss_of_another_shape_is_refused():
    chain = Chain(network(), X, Y, lambda output, y: output)
    with pytest.raises(ValueError, match=r"shape is \(6, 3\)"):
        chain(params_of(chain.module))
    chain = Chain(network(), X, Y, nn.functional.cross_entropy)
    with pytest.raises(ValueError, match="reduction='none'"):
        chain(params_of(chain.module))


def _is_honest_by_example(estimator):
    """Whether guesses are scaled for each example by one forward-mode pass for all of them."""
    return getattr(estimator, "source", "") == "honest" and estimator.unit.endswith("example")


@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_batch_statistics_are_read_only_and_the_loss_is_not_separable(estimator):
    module = network(nn.BatchNorm1d(5))
    chain = Chain(module, X, Y)
    assert not chain.separable
    before = {n: b.clone() for n, b in module.named_buffers()}
    params = params_of(module)
    if Need.SEPARABLE in estimator.needs() or _is_honest_by_example(estimator):
        with pytest.raises(UnsupportedError, match=r"on (its own|that) example alone"):
            require(estimator, chain, params)
        return
    state = estimator.init(chain, params, RNG())
    found = estimator.estimate(chain, params, state, RNG())
    assert all(torch.equal(before[n], b) for n, b in module.named_buffers())
    step = estimator.difference_step(params) or 0.0
    nearby = NEARBY * len(params) * step**2 if estimator.reports_nearby_loss else 1e-7
    torch.testing.assert_close(found.loss, chain(params), atol=nearby, rtol=0)
    module.eval()
    assert Chain(module, X, Y).separable


def test_per_example_coefficients_claim_nothing_where_examples_are_coupled():
    module = network(nn.BatchNorm1d(5))
    assert ActivityForwardGradient().claim(Chain(module, X, Y)) is Claim.BIASED
    module.eval()
    assert ActivityForwardGradient().claim(Chain(module, X, Y)) is Claim.UNBIASED


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("estimator", ALL, ids=repr)
def test_in_place_non_linearities_change_nothing(estimator, bias):
    found = []
    for inplace in (False, True):
        module = network(inplace=inplace, bias=bias)
        chain, params = Chain(module, X, Y), params_of(module)
        state = estimator.init(chain, params, RNG())
        found.append(estimator.estimate(chain, params, state, RNG()).grads)
    torch.testing.assert_close(found[0], found[1])


def test_coverage_says_which_parameters_are_estimated():
    chain = Chain(network(), X, Y)
    params = params_of(chain.module)
    for estimator in (ActivityForwardGradient(), DirectFeedbackAlignment()):
        found = estimator.coverage(chain, params)
        assert {n: c for n, c in found.items() if c != "estimated"} == {
            "output.weight": "exact",
            "output.bias": "exact",
        }
    assert set(Backprop().coverage(chain, params).values()) == {"exact"}
    assert set(ForwardGradient().coverage(chain, params).values()) == {"estimated"}


def test_a_parameter_that_reaches_nothing_has_no_signal():
    module = network()
    module.add_module("spare", nn.Identity())
    module.spare.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    chain = Chain(module, X, Y)
    found = ActivityForwardGradient().coverage(chain, params_of(module))
    assert found["spare.weight"] == "no signal"
    grads = Backprop().estimate(chain, params_of(module), None, RNG()).grads
    assert grads["spare.weight"] == 0


def test_a_signal_stays_in_its_segment():
    """A signal at the second site alone reaches the second map alone."""
    chain = Chain(network(), X, Y)
    cut = cut_at_sites(chain, params_of(chain.module))
    zeros = [torch.zeros_like(z) for z in cut.places]
    zeros[1] += 1
    grads = pull_back(cut, zeros)
    exact = value_and_grad(chain, params_of(chain.module))[1]
    for name, g in grads.items():
        if name.startswith("first"):
            assert not g.any()
        elif name.startswith("output"):
            torch.testing.assert_close(g, exact[name])
        else:
            assert g.any()


def test_true_signals_give_the_true_gradient():
    chain = Chain(network(), X, Y)
    cut = cut_at_sites(chain, params_of(chain.module))
    leaves, sites = {n: p.requires_grad_() for n, p in params_of(chain.module).items()}, []
    loss = chain.losses(chain.forward(leaves, at_site=lambda _, z: sites.append(z) or z)).mean()
    signals = torch.autograd.grad(loss, sites)
    exact = value_and_grad(chain, params_of(chain.module))[1]
    torch.testing.assert_close(pull_back(cut, signals), exact)


def test_a_site_whose_rows_are_not_examples_is_refused():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.site = nn.Linear(2, 3).double(), Site()

        def forward(self, x):
            return self.site(self.linear(x.reshape(12, 2))).reshape(6, 2, 3).mean(1)

    chain = Chain(Folded(), X, Y)
    with pytest.raises(UnsupportedError, match="12 rows for 6 examples"):
        ActivityForwardGradient().estimate(chain, params_of(chain.module), None, RNG())


def test_needs_are_told_with_what_would_meet_them():
    bare = Chain(nn.Linear(4, 3).double(), X, Y)
    with pytest.raises(
        UnsupportedError, match="activity_forward_gradient needs a network that marks"
    ):
        require(ActivityForwardGradient(), bare)
    with pytest.raises(
        UnsupportedError, match="direct_feedback_alignment needs a network of at least two"
    ):
        require(DirectFeedbackAlignment(), bare)
    for estimator in (Backprop(), ForwardGradient(), SPSA()):
        require(estimator, bare)
    with pytest.raises(UnsupportedError, match="no Site"):
        ActivityForwardGradient().estimate(bare, params_of(bare.module), None, RNG())
