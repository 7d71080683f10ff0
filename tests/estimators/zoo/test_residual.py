"""Residual networks × every registered estimator: equal to torch alone, or refused."""

import pytest
import torch

from estimators import (
    FDFA,
    ActivityForwardGradient,
    Backprop,
    DirectFeedbackAlignment,
    LocalLosses,
    Need,
    label,
)
from estimators.autodiff.calculus import cut_at_sites, pull_back
from estimators.feedback._direct import DirectFeedback
from estimators.feedback._feedback_weights import Transporting
from estimators.measurement.inputs.subject import Subject
from estimators.perturbation._activities.draws import _deltas
from tests.estimators.zoo import references, signal_reference
from tests.estimators.zoo.judge import _rng, admitted, compare, snapshot, verdict
from tests.estimators.zoo.residual import RESIDUAL, RESNETS
from tests.estimators.zoo.test_zoo import ESTIMATORS

FITTING = [e for e in ESTIMATORS if Need.EQUILIBRIUM not in e.needs()]
FEEDBACK = [e for e in ESTIMATORS if isinstance(e, Transporting | DirectFeedback)]
SITES = ActivityForwardGradient
LOCAL = [
    LocalLosses(inner, greedy=greedy)
    for inner in (Backprop(), SITES(), SITES(masked_noise=False))
    for greedy in (True, False)
]


def each(networks):
    """Each network; at night alone, if its depth and its normalisation are those of two others."""
    return pytest.mark.parametrize(
        "foreign",
        [
            pytest.param(f, id=f.name, marks=pytest.mark.nightly if f.name in COMBINED else ())
            for f in networks
        ],
    )


COMBINED = ("8_blocks, batch", "8_blocks, layer", "16_blocks, group", "16_blocks, layer")
each_network, each_resnet = each(RESIDUAL), each(RESNETS)


def subject_of(foreign):
    point = admitted(foreign.build())
    assert isinstance(point, Subject), point
    return point.chain, point.params


GUESS = "guess_and_target"
"""Its default has a scalar for each output and example."""


@each_network
def test_every_estimator_is_right_or_refuses(foreign):
    """Only scalars for each example are refused, where batch normalisation couples examples."""
    network = foreign.build()
    before, point = snapshot(network), admitted(network)
    assert isinstance(point, Subject), point
    wrong = []
    for estimator in FITTING:
        try:
            said = verdict(foreign, network, point, estimator)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        by_example = getattr(estimator, "per", "") == "example" or label(estimator) == GUESS
        coupled = not point.chain.separable and by_example
        if bool(said) is not coupled or (coupled and "couples" not in said):
            wrong.append(f"{label(estimator)}: {said}")
        after = snapshot(network)
        wrong += [f"{label(estimator)} changes {k}" for k in before if after[k] != before[k]]
    assert not wrong, "\n".join(wrong)


def test_every_method_of_feedback_is_among_them():
    assert len(FEEDBACK) == 9
    assert {type(e) for e in FEEDBACK} >= {DirectFeedbackAlignment, FDFA}


@each_network
@pytest.mark.parametrize("method", FEEDBACK, ids=label)
def test_signals_go_through_the_sum_of_a_block(method, foreign):
    chain, params = subject_of(foreign)
    state = method.init(chain, params, _rng())
    if isinstance(method, FDFA):  # its feedback starts at zero
        state = (state[0], torch.randn_like(state[1]), *state[2:])
    found = method.estimate(chain, params, state, _rng())
    if isinstance(method, Transporting):
        wanted = signal_reference.through_layers(method, foreign, params, state, _rng())
    else:
        wanted = signal_reference.straight_to_stages(foreign, chain, state)
    compare(dict(found.grads), wanted, torch.float64)
    exact = references.exact_gradient(foreign)
    first = next(iter(params))
    assert not torch.allclose(found.grads[first], exact[first])


@each_network
@pytest.mark.parametrize("noise", ["normal", "rademacher"])
def test_forward_direct_feedback_learns_from_the_tangent_through_both_paths(noise, foreign):
    chain, params = subject_of(foreign)
    method = FDFA(rate=0.3, noise=noise)
    state = method.init(chain, params, _rng())
    state = (state[0], torch.randn_like(state[1]), *state[2:])
    found = method.estimate(chain, params, state, _rng()).state[1]
    wanted = signal_reference.learnt_feedback(method, foreign, chain, state, _rng())
    compare({"B": found}, {"B": wanted}, torch.float64)


@each_network
def test_signals_at_the_sites_add_up_to_the_gradient(foreign):
    """Σ_l (∂z_l/∂θ)ᵀ δ_l: every path is counted once, also one that passes a site."""
    chain, params = subject_of(foreign)
    deltas = _deltas(chain, params)
    found = pull_back(cut_at_sites(chain, params), deltas)
    compare(found, references.exact_gradient(foreign), torch.float64)


@each_resnet
@pytest.mark.parametrize("method", LOCAL, ids=label)
def test_local_losses_train_each_block_by_its_own_head(method, foreign):
    chain, params = subject_of(foreign)
    state = method.init(chain, params, _rng())
    found = method.estimate(chain, params, state, _rng()).grads
    wanted = signal_reference.of_blocks(method, foreign, state, _rng())
    compare(dict(found), wanted, torch.float64)
