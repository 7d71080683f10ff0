"""Local losses over three blocks: their sum, and the claim where the blocks differ."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from estimators import (
    ActivityForwardGradient,
    Backprop,
    Chain,
    Claim,
    ForwardGradient,
    LocalLosses,
    Site,
    stream,
)
from estimators.conformance import cases
from estimators.perturbation._directions import slopes

PLACED = ("channel", "place")


def three_blocks():
    torch.manual_seed(0)
    sizes = {"first": (4, 5), "second": (5, 4), "third": (4, 3)}
    stages = {n: nn.Sequential(nn.Linear(*s), Site(), nn.Tanh()) for n, s in sizes.items()}
    module = nn.Sequential(OrderedDict(stages, output=nn.Linear(3, 3))).double()
    return on_rows(module)


def on_rows(module):
    rng = stream(0, "data")
    x = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    chain = Chain(module, x, torch.randint(3, (6,), generator=rng))
    return chain, {n: p.detach() for n, p in module.named_parameters()}


@pytest.mark.parametrize("greedy", [True, False])
def test_the_losses_of_three_blocks_are_summed(greedy):
    chain, params = three_blocks()
    estimator = LocalLosses(inner=Backprop(), greedy=greedy)
    state = estimator.init(chain, params, stream(0, "init"))
    leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
    h, total = chain.x, torch.zeros((), dtype=torch.float64)
    for name in ("first", "second", "third"):
        h = h.detach() if greedy else h
        h = torch.tanh(h @ leaves[f"{name}.0.weight"].T + leaves[f"{name}.0.bias"])
        weight, bias = (state["heads"][f"head of {name}.linear.{w}"] for w in ("weight", "bias"))
        total = total + nn.functional.cross_entropy(h @ weight.T + bias, chain.y)
    last = h.detach() @ leaves["output.weight"].T + leaves["output.bias"]
    total = total + nn.functional.cross_entropy(last, chain.y)
    wanted = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    found = estimator.estimate(chain, params, state, stream(0, "estimator"))
    torch.testing.assert_close(dict(found.grads), wanted)


@pytest.mark.parametrize("worse_first", [True, False])
def test_the_weakest_claim_of_its_blocks_is_theirs_together(worse_first):
    """Noise shared along places biases where there are several, and not where there is one."""
    one = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (4, 1)), Site(PLACED), nn.Flatten())
    many = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)), Site(PLACED), nn.Flatten())
    blocks = (many, one) if worse_first else (one, many)
    chain, _ = on_rows(nn.Sequential(*blocks, nn.Linear(4, 3)).double())
    inner = ActivityForwardGradient(unit="channel")
    estimator = LocalLosses(inner=inner)
    own = {inner.claim(segment) for segment in estimator._plan(chain).segments}
    assert own == {Claim.UNBIASED, Claim.BIASED}
    assert estimator.claim(chain) is Claim.BIASED


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_many_tangents_are_pushed_at_once_in_each_draw_not_the_first_alone(
    case, greedy, monkeypatch
):
    """What was found out in the first draw changes no bit of a later one, nor of a resumed run."""
    monkeypatch.setattr(slopes, "_slopes_in_turn", None)  # the way for what cannot be batched
    estimator = LocalLosses(inner=ForwardGradient(tangents=3), greedy=greedy)
    chain = Chain(case.chain.module, case.chain.x, case.chain.y)
    state = estimator.init(chain, case.params, stream(0, "init"))
    first, *later = (
        estimator.estimate(chain, case.params, state, stream(0, "estimator")) for _ in range(3)
    )
    for draw in later:
        for name, g in first.grads.items():
            assert torch.equal(draw.grads[name], g), name
        for name, head in first.state["heads"].items():
            assert torch.equal(draw.state["heads"][name], head), name


def segment_at_its_point():
    chain, params = three_blocks()
    segment = LocalLosses()._plan(chain).segments[1]
    own = {n: p.clone() for n, p in params.items() if n.startswith("second")}
    heads = {n: p.detach() for n, p in segment.module.named_parameters() if "head" in n}
    x = torch.randn(6, 5, dtype=torch.float64, generator=stream(1, "data"))
    return segment.at(x, chain.y, heads, own), own


def test_the_output_of_a_pass_at_the_point_is_kept_and_no_other():
    here, own = segment_at_its_point()
    here.forward({n: p + 0 for n, p in own.items()})
    assert here.outputs is None, "equal numbers in other tensors are not known to be equal"
    here.forward({n: p.detach().requires_grad_() for n, p in own.items()})
    assert here.outputs is not None


def test_parameters_that_were_changed_in_place_are_not_the_point():
    here, own = segment_at_its_point()
    own["second.0.weight"].mul_(2)
    here.forward(own)
    assert here.outputs is None


def test_another_view_of_the_same_memory_is_not_the_point():
    chain, params = three_blocks()
    segment = LocalLosses()._plan(chain).segments[0]
    own = {n: p for n, p in params.items() if n.startswith("first")}
    own["first.0.weight"] = torch.randn(5, 4, dtype=torch.float64)
    here = segment.at(chain.x, chain.y, {}, own)
    flipped = own["first.0.weight"].view(4, 5).T
    assert flipped.data_ptr() == own["first.0.weight"].data_ptr()
    here.forward({**own, "first.0.weight": flipped})
    assert here.outputs is None


def test_a_site_whose_activation_was_changed_in_place_is_not_the_point():
    here, own = segment_at_its_point()
    here.forward(own, at_site=lambda i, z: z.add_(1))
    assert here.outputs is None
    here.forward(own, at_site=lambda i, z: z.detach())
    assert here.outputs is not None
