"""Local losses: the rows of Ren et al.'s table 3, against gradients written out by hand."""

import dataclasses
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
    ClipNorm,
    DirectFeedbackAlignment,
    ExactPlusNoise,
    ForwardGradient,
    Momentum,
    SignOf,
    Site,
    Stale,
    UnsupportedError,
    cross_entropy,
    require,
    stream,
)
from estimators.combine.mean_of_draws import MeanOfDraws
from estimators.conformance import cases
from estimators.core.optimizers import adam, adam_state
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.local.blocks import LocalHead
from estimators.local.local_losses import LocalLosses
from estimators.perturbation.node_perturbation import NodePerturbation

UNITS = ("patch", "group", "channel")
G, C, P, OUT = 2, 4, 3, 3


def local(inner, greedy=True, **fields):
    return LocalLosses(inner=inner, greedy=greedy, **fields)


ROWS = {
    "BP": Backprop(),
    "L-BP": local(Backprop(), greedy=False),
    "LG-BP": local(Backprop()),
    "FA": FeedbackAlignment(),
    "L-FA": local(FeedbackAlignment(), greedy=False),
    "LG-FA": local(FeedbackAlignment()),
    "DFA": DirectFeedbackAlignment(),
    "FG-W": ForwardGradient(),
    "FG-A": ActivityForwardGradient(),
    "LG-FG-W": local(ForwardGradient()),
    "LG-FG-A": local(ActivityForwardGradient()),
}
"""The eleven rows of the paper's table 3, each a composition."""


class Swapped(nn.Module):
    """A linear map over patches."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(P, P)

    def forward(self, h):
        return self.linear(h.flatten(2).transpose(1, 2)).transpose(1, 2)


def block(entries, token):
    first = [Swapped(), nn.LayerNorm(C, elementwise_affine=False), Site(("patch", "channel")),
             nn.Tanh()]  # fmt: skip
    mix = nn.Sequential(
        *(first if token else []),
        nn.Linear(entries, C),
        nn.Unflatten(2, (G, C // G)),
        Site(UNITS),
        nn.Tanh(),
        nn.Linear(C // G, C // G),
        Site(UNITS),
        nn.Tanh(),
    )
    return nn.Sequential(OrderedDict(mix=mix, head=LocalHead(C, OUT, UNITS)))


class Pool(nn.Module):
    def forward(self, h):
        return h.mean(1).flatten(1)


def mixer():
    """Two blocks as LocalMixer has them, the second with token mixing: 150 numbers."""
    stages = OrderedDict(
        block0=block(2, False),
        block1=block(C, True),
        readout=nn.Sequential(Pool(), nn.Linear(C, OUT)),
    )
    module = nn.Sequential(stages).double()
    rng = stream(0, "init")
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.6, generator=rng)
    x = torch.randn(5, P, 2, generator=rng, dtype=torch.float64)
    y = torch.randint(OUT, (5,), generator=rng)
    return Chain(module, x, y), {n: p.detach().clone() for n, p in module.named_parameters()}


CHAIN, PARAMS = mixer()


def by_hand(greedy):
    """∇ of Σ_b ℓ_b + ℓ, every loss behind a stop-gradient where it belongs."""
    module = CHAIN.module
    h, total = CHAIN.x, torch.zeros(())
    for name in ("block0", "block1"):
        stage = module.get_submodule(name)
        h = stage(h.detach() if greedy else h)
        total = total + cross_entropy(stage.head.linear(h.mean(1).flatten(1)), CHAIN.y).mean()
    total = total + cross_entropy(module.readout(h.detach()), CHAIN.y).mean()
    grads = torch.autograd.grad(total, list(module.parameters()))
    return dict(zip(PARAMS, grads, strict=True))


def start(estimator, chain=CHAIN, params=PARAMS):
    return estimator.init(chain, params, stream(0, "init", "state"))


def draw(estimator, chain=CHAIN, params=PARAMS, seed=0):
    state = start(estimator, chain, params)
    return estimator.estimate(chain, params, state, stream(seed, "estimator"))


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_runs(row):
    estimator = ROWS[row]
    require(estimator, CHAIN, PARAMS)
    found = draw(estimator)
    assert {n: g.shape for n, g in found.grads.items()} == {n: p.shape for n, p in PARAMS.items()}
    torch.testing.assert_close(found.loss, CHAIN(PARAMS))
    if row != "FG-W":  # it perturbs every parameter, those too that the loss does not see
        for name in (n for n in PARAMS if ".head." in n):
            assert bool(found.grads[name].any()) == row.startswith("L")


@pytest.mark.parametrize("greedy", [True, False])
def test_exact_local_losses_are_the_gradient_written_out(greedy):
    estimator = local(Backprop(), greedy)
    assert estimator.claim(CHAIN) is Claim.EXACT
    found = draw(estimator).grads
    torch.testing.assert_close(dict(found), by_hand(greedy), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("row", ["LG-FG-A", "LG-FG-W", "LG-FA"])
def test_the_target_is_the_exact_local_gradient_whoever_estimates_it(row, greedy):
    estimator = local(ROWS[row].inner, greedy)
    target = estimator.target(CHAIN, PARAMS, start(estimator))
    torch.testing.assert_close(dict(target), by_hand(greedy), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("row", ["LG-FG-A", "LG-FG-W", "LG-FA", "L-FA"])
def test_heads_and_readout_are_exact(row):
    estimator = ROWS[row]
    exact = by_hand(estimator.greedy)
    coverage = estimator.coverage(CHAIN, PARAMS)
    heads = [n for n in PARAMS if n.startswith("readout") or ".head." in n]
    found = draw(estimator).grads
    assert {coverage[n] for n in heads} == {"exact"}
    assert "estimated" in coverage.values()
    for name in heads:
        torch.testing.assert_close(found[name], exact[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wrap", [ClipNorm, Momentum, Stale, SignOf, MeanOfDraws])
def test_a_head_is_a_layer_to_wrapped_feedback_and_its_gradient_is_exact_all_the_same(wrap):
    plain, wrapped = local(FeedbackAlignment()), local(wrap(inner=FeedbackAlignment()))
    require(wrapped, CHAIN, PARAMS)
    first, exact = draw(plain).grads, by_hand(True)
    found = draw(wrapped).grads
    for name in PARAMS:
        if name.startswith("readout") or ".head." in name:
            torch.testing.assert_close(found[name], exact[name], rtol=1e-10, atol=1e-12)
        else:
            assert torch.equal(found[name].sign(), first[name].sign()), name


@dataclasses.dataclass(frozen=True)
class Shoving(Backprop):
    """Moves every site by a finite amount in a first pass, then is exact."""

    def estimate(self, objective, params, state, rng, /):
        objective.forward(params, at_site=lambda _, z: z + 0.5)
        return super().estimate(objective, params, state, rng)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("inner", [SPSA(eps=0.5), Shoving()], ids=["weights", "sites"])
def test_a_pass_at_moved_weights_or_sites_is_not_what_the_next_block_sees(inner, greedy):
    found, exact = draw(local(inner, greedy)).grads, by_hand(greedy)
    for name in (n for n in PARAMS if n.startswith("readout") or ".head." in n):
        torch.testing.assert_close(found[name], exact[name], rtol=1e-10, atol=1e-12)


def test_local_losses_nest_and_wrap():
    inside = local(MeanOfDraws(ForwardGradient(), draws=3))
    outside = MeanOfDraws(local(ForwardGradient()), draws=3)
    for estimator in (inside, outside):
        require(estimator, CHAIN, PARAMS)
        assert estimator.claim(CHAIN) is Claim.UNBIASED
        exact = by_hand(True)
        torch.testing.assert_close(
            draw(estimator).grads["readout.1.weight"], exact["readout.1.weight"]
        )


def flat(grads):
    return torch.cat([grads[n].reshape(-1) for n in PARAMS])


def draws(estimator, count, seed=1):
    state, rng = start(estimator), stream(seed, "estimator")
    return torch.stack(
        [flat(estimator.estimate(CHAIN, PARAMS, state, rng).grads) for _ in range(count)]
    )


@pytest.mark.parametrize(
    ("patchwise", "groupwise"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_perturbed_local_losses_are_unbiased_whatever_has_a_loss(patchwise, groupwise):
    """Token maps perturb all groups of a patch: their signal sums the losses of the groups."""
    inner = ActivityForwardGradient(tangents=16)
    estimator = local(inner, patchwise=patchwise, groupwise=groupwise)
    assert estimator.claim(CHAIN) is Claim.UNBIASED
    found = draws(estimator, 50)
    exact = flat(by_hand(True))
    error = (found.mean(0) - exact).abs()
    assert (error <= 5 * found.std(0) / len(found) ** 0.5 + 1e-9).all()
    slope = found @ exact / exact.square().sum()
    assert abs(slope.mean() - 1) <= 5 * slope.std() / len(found) ** 0.5


def test_a_loss_for_each_unit_scatters_less():
    def variance(**fields):
        found = draws(local(ActivityForwardGradient(), **fields), 150)
        return found.var(0).sum().item()

    block = variance(patchwise=False, groupwise=False)
    patch = variance(groupwise=False)
    both = variance()
    assert both < 0.85 * patch < 0.7 * block


def test_fed_back_local_losses_with_the_true_weights_are_exact():
    """L-FA and LG-FA with B = W, the local heads included."""
    for greedy in (True, False):
        estimator = local(FeedbackAlignment(), greedy)
        state = start(estimator)
        inner = tuple(
            (step, {name: PARAMS[name] for name in kept}) for step, kept in state["inner"]
        )
        kept = {name for _, weights in inner for name in weights}
        assert {"block0.head.linear.weight", "block1.head.linear.weight"} < kept
        found = estimator.estimate(
            CHAIN, PARAMS, {**state, "inner": inner}, stream(0, "estimator")
        ).grads
        torch.testing.assert_close(dict(found), by_hand(greedy), rtol=1e-9, atol=1e-12)


def test_differences_have_one_loss_a_block_for_replicas_differ_in_derivatives_alone():
    estimator = local(NodePerturbation(eps=1e-6, draws=8))
    found, exact = draws(estimator, 150), flat(by_hand(True))
    slope = found @ exact / exact.square().sum()
    assert abs(slope.mean() - 1) <= 5 * slope.std() / len(found) ** 0.5


# --- heads that are made ---


MLP = cases()[0]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_heads_are_made_where_a_network_brings_none_and_learn(case):
    estimator = local(Backprop(), head_rate=0.05)
    state = start(estimator, case.chain, case.params)
    names = {n.rpartition(".linear.")[0] for n in state["heads"]}
    assert names == {f"head of {stage}" for stage in case.chain.stages[:-1]}
    watched = state
    first = last = None
    for _ in range(60):
        found = estimator.estimate(case.chain, case.params, state, stream(0, "estimator"))
        watched = estimator.advance(case.chain, case.params, watched, stream(0, "estimator"))
        state, last = found.state, found.info["local_loss"]
        first = last if first is None else first
    assert all(last[stage] < first[stage] - 0.1 for stage in last)
    torch.testing.assert_close(watched["heads"], state["heads"])


def test_adam_is_torchs():
    values = {"a": torch.randn(3, 2).double(), "b": torch.randn(2).double()}
    theirs = [v.clone().requires_grad_() for v in values.values()]
    optimizer, state = torch.optim.Adam(theirs, lr=0.1), adam_state(values)
    for _ in range(5):
        grads = {n: v.sin() + 0.1 for n, v in values.items()}
        for p, g in zip(theirs, grads.values(), strict=True):
            p.grad = g.clone()
        optimizer.step()
        values, state = adam(values, grads, state, 0.1)
    for mine, p in zip(values.values(), theirs, strict=True):
        torch.testing.assert_close(mine, p.detach(), rtol=1e-12, atol=1e-12)


# --- refusals ---


def test_signals_past_blocks_that_losses_flow_through_are_refused():
    with pytest.raises(UnsupportedError, match="make it greedy"):
        require(local(DirectFeedbackAlignment(), greedy=False), CHAIN, PARAMS)


def test_what_inner_lacks_is_told_with_the_block_that_lacks_it():
    module = nn.Sequential(
        OrderedDict(
            first=nn.Sequential(nn.Linear(4, 5), Site(), nn.Tanh()),
            second=nn.Sequential(nn.Linear(5, 5), nn.Tanh()),
            output=nn.Linear(5, 3),
        )
    ).double()
    with pytest.raises(UnsupportedError, match=r"second with a head of its own: .*Site"):
        require(local(ActivityForwardGradient()), Chain(module, MLP.chain.x, MLP.chain.y))


def test_an_output_that_is_no_row_of_logits_is_refused():
    module = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (3, 2))))
    chain = Chain(module.double(), MLP.chain.x, MLP.chain.y, lambda o, _: o.square().sum((1, 2)))
    with pytest.raises(UnsupportedError, match=r"\(B, classes\)"):
        require(local(Backprop()), chain)


def test_a_weight_that_two_blocks_share_is_refused_in_words():
    case = cases()[0]
    a, b = nn.Linear(4, 4).double(), nn.Linear(4, 4).double()
    b.weight = a.weight
    module = nn.Sequential(a, nn.Tanh(), b, nn.Tanh(), nn.Linear(4, 3).double())
    with pytest.raises(UnsupportedError, match=r"2\.weight is tied .* untie it"):
        require(LocalLosses(inner=Backprop()), Chain(module, case.chain.x, case.chain.y))


def test_an_estimator_that_wraps_direct_feedback_works_within_a_block():
    case, rng = cases()[0], stream(0, "estimator")
    estimator = LocalLosses(inner=ClipNorm(inner=DirectFeedbackAlignment(), norm=1e6))
    require(estimator, case.chain, case.params)
    state = estimator.init(case.chain, case.params, stream(0, "init"))
    plain = LocalLosses(inner=DirectFeedbackAlignment())
    own = plain.init(case.chain, case.params, stream(0, "init"))
    wanted = plain.estimate(case.chain, case.params, own, rng).grads
    torch.testing.assert_close(
        dict(estimator.estimate(case.chain, case.params, state, rng).grads), dict(wanted)
    )


@pytest.mark.parametrize("wrap", [MeanOfDraws, Momentum, Stale, ClipNorm, SignOf])
def test_what_wraps_local_losses_aims_where_they_do(wrap):
    case = cases()[0]
    estimator = wrap(inner=LocalLosses(inner=Backprop()))
    state = estimator.init(case.chain, case.params, stream(0, "init"))
    inner = state["inner"] if wrap in (Momentum, Stale) else state
    wanted = estimator.inner.target(case.chain, case.params, inner)
    torch.testing.assert_close(estimator.target(case.chain, case.params, state), wanted)
    noisy = ExactPlusNoise(noise="shape", inner=estimator.inner)
    assert noisy.target(case.chain, case.params, inner) is None
