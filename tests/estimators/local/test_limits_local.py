"""Local losses are backprop where the head of the only hidden stage is the network's own."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import Backprop, Chain, Site, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import cases
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.local.local_losses import LocalLosses

MLP = cases()[0]


def one_hidden_stage():
    hidden = nn.Sequential(nn.Linear(4, 5), Site(), nn.Tanh())
    module = nn.Sequential(OrderedDict(hidden=hidden, output=nn.Linear(5, 3))).double()
    chain = Chain(module, MLP.chain.x, MLP.chain.y)
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def with_the_networks_own_head(state, params):
    weight, bias = state["heads"]
    return {**state, "heads": {weight: params["output.weight"], bias: params["output.bias"]}}


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("inner", [Backprop(), FeedbackAlignment()], ids=["BP", "FA"])
def test_a_local_loss_with_the_networks_own_last_stage_for_its_head_is_backprop(inner, greedy):
    """Feedback alignment as inner estimator is exact with B = W, the head's weight."""
    chain, params = one_hidden_stage()
    estimator = LocalLosses(inner=inner, greedy=greedy)
    state = estimator.init(chain, params, stream(0, "init"))
    state = with_the_networks_own_head(state, params)
    if isinstance(inner, FeedbackAlignment):
        ((step, kept),) = state["inner"]
        assert len(kept) == 1
        state["inner"] = ((step, dict.fromkeys(kept, params["output.weight"])),)
    found = estimator.estimate(chain, params, state, stream(0, "estimator"))
    torch.testing.assert_close(dict(found.grads), value_and_grad(chain, params)[1])


LIMITS = {
    "LocalLosses": test_a_local_loss_with_the_networks_own_last_stage_for_its_head_is_backprop,
}
