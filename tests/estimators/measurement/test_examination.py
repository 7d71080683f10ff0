"""What estimators take for granted of an objective is examined before anything is measured."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    Claim,
    ForwardGradient,
    InfoNCE,
    NodePerturbation,
    Site,
    UnsupportedError,
    anatomy,
    compare,
    measure,
    sweep,
    what_if,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.conformance import every_case
from estimators.core.noise import stream
from estimators.measurement.inputs import derivatives
from estimators.measurement.inputs.derivatives import disagreement
from estimators.measurement.inputs.losses import chain_of
from estimators.measurement.inputs.nearby import examinable
from estimators.measurement.inputs.subject import subject

RNG = stream(0, "data")
B = 8
X = torch.randn(B, 4, generator=RNG)
Y = torch.arange(B) % 3
REAL = torch.randn(B, generator=RNG)
CE = nn.CrossEntropyLoss()
ACTIVITY = ActivityForwardGradient()


class Is(nn.Module):
    """A module from a function."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, h):
        return self.run(h)


def net(*middle, out=3, width=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), Site(), *middle, nn.Tanh(), nn.Linear(width, out))


def at(module, loss=CE, batch=(X, Y), estimators=ACTIVITY, **given):
    return subject(module, loss, batch, estimators, **given)


def zero_head(module):
    nn.init.zeros_(module[-1].weight)
    return module


def contrast(output, y):
    """Each value depends on all examples; of a single one it is 0."""
    return -output.log_softmax(0).gather(1, y.unsqueeze(1)).squeeze(1)


def mask(h):
    """1 in the second row."""
    return (torch.arange(len(h)) == 1).unsqueeze(1)


COUPLED = {
    "centring": (net(Is(lambda h: h - h.mean(0))), CE, Y, "module 2 (Is)"),
    "behind a head of zero": (zero_head(net(Is(lambda h: h - h.mean(0)))), CE, Y, "module 2"),
    "in pairs": (net(Is(lambda h: h + 0.1 * h.roll(1, 0))), CE, Y, "module 2"),
    "all with the first": (net(Is(lambda h: h - h[:1].tanh())), CE, Y, "module 2"),
    "all with the second": (net(Is(lambda h: h - h[1:2].tanh())), CE, Y, "module 2"),
    "one with all": (net(Is(lambda h: h + mask(h) * h.sum(0))), CE, Y, "module 2"),
    "attention": (net(Is(lambda h: (h @ h.T).softmax(1) @ h)), CE, Y, "module 2"),
    "by the largest": (net(Is(lambda h: h / h.abs().amax(0))), CE, Y, "module 2"),
    "values": (net(), contrast, Y, "not the mean of the losses of its single examples"),
    "mean": (net(), lambda o, y: contrast(o, y).mean(), Y, "not the mean of the losses"),
    "contrastive": (net(), InfoNCE(stop_gradient=False), Y, "the loss couples the examples"),
    "column against row": (net(out=1), nn.MSELoss(), REAL, r"the output has the shape (8, 1)"),
    "row against column": (
        nn.Sequential(*net(out=1), nn.Flatten(0)), nn.MSELoss(), REAL.view(B, 1), "(8, 1)",
    ),
    "targets": (
        net(out=1), lambda o, y: (o - y).square().mean(1), REAL, "the output has the shape",
    ),
    "class weights": (net(), nn.CrossEntropyLoss(torch.tensor([1.0, 2, 3])), Y, "class weights"),
    "padding": (net(), CE, torch.where(Y == 2, -100, Y), "ignore_index"),
}  # fmt: skip


@pytest.mark.parametrize("holds", [1, torch.ones(3, dtype=torch.bfloat16).diag()])
def test_half_precision_hides_no_coupling(holds):
    """Also where the loss holds numbers in half precision, and does not run in another."""

    def loss(output, y):
        return contrast(output @ holds if isinstance(holds, torch.Tensor) else output, y).mean()

    found = at(net().bfloat16(), loss, (X.bfloat16(), Y))
    assert found.chain.whole
    assert found.notices


class Shuffled(nn.Module):
    """A mean of squares; its values by example are those of the next example."""

    reduction = "mean"

    def forward(self, output, y):
        each = (output - y).square().mean(1)
        return each.mean() if self.reduction == "mean" else each.roll(1, 0)


def test_what_reduction_gives_is_not_trusted():
    module, y = net(), torch.randn(B, 3, generator=RNG)
    chain, _ = chain_of(module, Shuffled(), X, y)
    expected = (module(X) - y).square().mean(1)
    assert torch.allclose(chain.losses(chain.forward({})), expected, rtol=1e-5)


def test_a_loss_of_pairs_that_uses_the_targets_of_others_is_one_number():
    def pairs(output, y):
        if len(output) % 2:
            raise ValueError("pairs have an even number of rows")
        return (output.mean(1) - y.mean()).square()

    found = at(net(), pairs, (X, REAL))
    assert found.chain.whole
    assert "the targets of others" in found.notices[0]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("module", "loss", "y", "text"), COUPLED.values(), ids=COUPLED)
def test_coupled_examples_are_found(module, loss, y, text):
    found = at(module, loss, (X, y))
    assert not found.chain.separable
    assert found.chain.whole
    assert text in found.notices[0]
    assert "the same coefficient" in found.notices[0]
    params = dict(module.named_parameters())
    value = loss(module(X), y).mean().item()
    assert found.chain(params).item() == pytest.approx(value, rel=1e-5)
    with pytest.raises(ValueError, match="separable is True, and "):
        at(module, loss, (X, y), separable=True)
    with pytest.raises(UnsupportedError, match="needs a loss that is a mean over examples"):
        at(module, loss, (X, y), ForwardGradient(per="example"))
    assert not at(module, loss, (X, y), SPSA()).notices  # it makes no use of single examples


def test_a_coupled_objective_is_not_claimed_to_be_more_than_it_is():
    module = net(Is(lambda h: h - h.mean(0)), width=3).double()
    found = measure(module, CE, (X[:4].double(), Y[:4]), ACTIVITY, draws=1024)
    assert not found.verdicts["activity_forward_gradient"][0].biased
    assert "Notice: module 2 (Is) couples" in str(found)
    assert found.to_dict()["notices"] == list(found.notices)


class Attention(nn.Module):
    """Over the positions of one example."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 3)
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        h = self.embed(x)
        return self.head(self.attend(h, h, h, need_weights=False)[0].mean(1))


def batch_norm():
    module = net(nn.BatchNorm1d(6))
    module(X)
    return module.eval()


def inference():
    with torch.inference_mode():
        return X.clone()


UNCOUPLED = {
    "plain": (net(), CE, X, Y),
    "layer norm": (net(nn.LayerNorm(6)), CE, X, Y),
    "group norm": (net(nn.GroupNorm(2, 6)), CE, X, Y),
    "batch norm in evaluation": (batch_norm(), CE, X, Y),
    "attention over positions": (Attention(), CE, torch.randint(5, (B, 7), generator=RNG), Y),
    "half precision": (net().bfloat16(), CE, X.bfloat16(), Y),
    "equal examples": (net(), CE, torch.zeros(B, 4), Y),
    "one example": (net(Is(lambda h: h - h.mean(0) + h)), CE, X[:1], Y[:1]),
    "many examples": (net(), CE, X.repeat(9, 1), Y.repeat(9)),
    "as many positions, which come first": (
        nn.Sequential(Is(lambda x: x.transpose(0, 1)), nn.Linear(4, 3)),
        lambda o, y: F.cross_entropy(o[-1], y, reduction="none"),
        torch.randn(B, B, 4, generator=RNG), Y,
    ),
    "inference mode": (net(), CE, inference(), Y),
    "keys behind a stop-gradient": (net(), InfoNCE(), X, Y),
    "a head of zero": (zero_head(net()), lambda o, y: F.cross_entropy(o, y), X, Y),
}  # fmt: skip


@pytest.mark.parametrize(("module", "loss", "x", "y"), UNCOUPLED.values(), ids=UNCOUPLED)
def test_examples_that_are_not_coupled_stay_apart(module, loss, x, y):
    sites = any(isinstance(m, Site) for m in module.modules())
    found = at(module, loss, (x, y), NodePerturbation() if sites else SPSA())
    assert found.chain.separable
    assert ACTIVITY.claim(found.chain) is Claim.UNBIASED
    coupled = [text for text in found.notices if "coefficient" in text]
    assert not coupled


class Positions(nn.Module):
    """Logits of 3 classes at each of 5 positions, (B, 3, 5)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.out = nn.Linear(4, 15)

    def forward(self, x):
        return self.out(x).unflatten(1, (3, 5))


@pytest.mark.parametrize("loss", [CE, lambda o, y: F.cross_entropy(o, y)])
def test_a_mean_over_positions_is_one_over_examples_too_unless_some_are_left_out(loss):
    y = torch.randint(3, (B, 5), generator=RNG)
    module = Positions()
    chain, _ = chain_of(module, loss, X, y)
    each = chain.losses(chain.forward({}))
    expected = F.cross_entropy(module(X), y, reduction="none").mean(1)
    assert torch.allclose(each, expected, rtol=1e-5)
    y[0, 1:] = -100  # then positions count, and examples no longer count alike
    chain, why = chain_of(module, loss, X, y)
    assert chain.whole
    assert why


def test_an_anatomy_of_padded_batches_takes_the_loss_that_was_given():
    torch.manual_seed(0)
    module = nn.Sequential(Positions())
    full = torch.randint(3, (B, 5), generator=RNG)
    padded = torch.where(torch.arange(5) < 1 + Y.unsqueeze(1), full, -100)
    batches = [(X, full), (X.flip(0), padded)]
    chain = subject(module, CE, batches[0], Backprop(), others=batches[1:]).chain
    for x, y in batches:
        assert chain.on(x, y)({}).item() == pytest.approx(CE(module(x), y).item(), rel=1e-6)


def branching(output, y):
    """A closure that cannot run on a batch of tensors without their values."""
    return F.cross_entropy(output, y) if y.max() > -1 else output.sum()


OWN_WEIGHT = torch.linspace(1, 2, 3)
SPLIT = {
    "sum": (nn.CrossEntropyLoss(reduction="sum"), Y, True),
    "a function": (F.cross_entropy, Y, True),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), Y, True),
    "closure": (lambda o, y: F.cross_entropy(o, y), Y, False),
    "sum in a closure": (lambda o, y: F.cross_entropy(o, y, reduction="sum") / 7, Y, False),
    "branching closure": (branching, Y, False),
    "partial": (partial(F.cross_entropy, label_smoothing=0.1), Y, False),
    "squares": (nn.MSELoss(), torch.randn(B, 3, generator=RNG), True),
    "sum of squares": (nn.MSELoss(reduction="sum"), torch.randn(B, 3, generator=RNG), True),
    "KL by batch": (
        lambda o, y: F.kl_div(o.log_softmax(1), y, reduction="batchmean"),
        torch.rand(B, 3, generator=RNG).softmax(1), False,
    ),
    "KL": (nn.KLDivLoss(reduction="batchmean"), torch.rand(B, 3, generator=RNG).softmax(1), True),
    "its own numbers": (lambda o, y: ((o - OWN_WEIGHT) ** 2).mean(), Y, False),
}  # fmt: skip


@pytest.mark.parametrize(("loss", "y", "by_reduction"), SPLIT.values(), ids=SPLIT)
def test_a_mean_is_split_into_its_examples(loss, y, by_reduction):
    module = net().double()
    x, y = X.double(), y.double() if y.is_floating_point() else y
    chain, why = chain_of(module, loss, x, y)
    assert chain.separable, why
    params = {n: p.detach().requires_grad_() for n, p in module.named_parameters()}
    each = chain.losses(chain.forward(params))
    assert each.shape == (B,)
    value = loss(module(x), y)
    assert chain(params).item() == pytest.approx(value.item(), rel=1e-12)
    total = loss(module(x[:1]), y[:1]) / loss(module(x[1:2]), y[1:2])
    assert (each[0] / each[1]).item() == pytest.approx(total.item(), rel=1e-9)
    mine = torch.autograd.grad(chain(params), list(params.values()))
    its = torch.autograd.grad(value, list(module.parameters()))
    for a, b in zip(mine, its, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-13)
    assert not by_reduction or "EachExample" not in type(chain._losses).__name__


def test_a_closure_and_half_precision_keep_the_variance():
    ask = partial(measure, estimators=ACTIVITY, draws=256)
    names = "relative_variance", "activity_forward_gradient"
    plain = ask(net(), CE, (X, Y)).value(*names)
    closure = ask(net(), lambda o, y: F.cross_entropy(o, y), (X, Y)).value(*names)
    half = ask(net().bfloat16(), CE, (X.bfloat16(), Y)).value(*names)
    assert closure == pytest.approx(plain, rel=1e-3)
    assert half == pytest.approx(plain, rel=0.2)


class NoGrad(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, h):
        with torch.no_grad():
            return torch.tanh(self.inner(h))


class _Square(torch.autograd.Function):
    """h² whose derivatives are `reverse` and `forward` times h."""

    @staticmethod
    def forward(h, reverse, forward):
        return h * h

    @staticmethod
    def setup_context(ctx, inputs, output):
        h, ctx.reverse, ctx.forward = inputs
        ctx.save_for_backward(h)
        ctx.save_for_forward(h)

    @staticmethod
    def backward(ctx, g):
        return ctx.reverse * ctx.saved_tensors[0] * g, None, None

    @staticmethod
    def jvp(ctx, t, *_):
        return ctx.forward * ctx.saved_tensors[0] * t


def square(reverse, forward):
    return Is(lambda h: _Square.apply(h, reverse, forward))


STEM = nn.Sequential(NoGrad(), Is(lambda h: h))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (net(NoGrad()), r"in module 2 \(NoGrad\), reverse mode stops"),
        (net(STEM), r"in module 2.0 \(NoGrad\)"),
        (net(square(1, 2)), r"in module 2 \(Is\), reverse mode stops or differs"),
        (net(square(2, 1)), r"forward mode is wrong in module 2 \(Is\)"),
    ],
    ids=["no_grad", "nested", "wrong backward", "wrong jvp"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_mode_that_is_another_function_is_refused(module, text, dtype):
    for estimator in (ForwardGradient(), ACTIVITY):
        with pytest.raises(UnsupportedError, match=text):
            at(module.to(dtype), batch=(X.to(dtype), Y), estimators=estimator)


def test_only_those_that_use_forward_mode_are_refused_where_it_alone_is_wrong():
    assert not at(net(square(2, 1)), estimators=[Backprop(), SPSA()]).notices


@pytest.mark.parametrize(
    "middle",
    [Is(lambda h: h.detach() + 0.01 * h), Is(lambda h: h + h.sin().data), square(1, 1)],
    ids=["detach", "data", "surrogate"],
)
def test_a_loss_that_changes_otherwise_than_its_derivative_says_is_marked(middle):
    found = measure(net(middle), CE, (X, Y), [Backprop(), SPSA()], draws=2)
    assert "because of module 2" in str(found)
    assert "Notice: " in str(found.why())


def frozen():
    module = net(NoGrad())
    for p in (*module[0].parameters(), *module[2].parameters()):
        p.requires_grad_(False)
    return module


def images(*layers):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Flatten(), nn.LazyLinear(3))


IMAGES = torch.randint(0, 3, (B, 1, 8, 8), generator=RNG).float().clamp(max=1)
WIDE = nn.Sequential(nn.Linear(4, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                     nn.Linear(512, 3))  # fmt: skip
KINKED = {
    "relu": (WIDE, X),
    "at zero": (nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)), 0 * X),
    "zero weights": (zero_head(net(nn.ReLU())), X),
    "ties in a pool": (images(nn.ReLU(), nn.MaxPool2d(2)), IMAGES),
    "clipped": (net(nn.Hardtanh(-0.1, 0.1), nn.ReLU6(), nn.Hardswish()), X),
    "sorted": (net(Is(lambda h: h.sort(1).values + h.amax(1, True))), X),
    "steep": (net(Is(lambda h: 30 * h), nn.LayerNorm(6)), 100 * X),
    "saturated": (nn.Sequential(net(), Is(lambda h: 200 * h)), X),
    "frozen before no_grad": (frozen(), X),
    "batch norm": (net(nn.BatchNorm1d(6)), X),
}


@pytest.mark.parametrize(("module", "x"), KINKED.values(), ids=KINKED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kinks_and_rounding_are_no_disagreement(module, x, dtype):
    with torch.no_grad():
        module(x.to(next(module.parameters()).dtype))  # a lazy layer gets its shape
    module, batch = module.to(dtype), (x.to(dtype), Y)
    found = at(module, CE, batch, [ForwardGradient(), SPSA()])
    assert not found.notices
    assert disagreement(found.chain, found.params) is None  # in the given precision too


def test_the_examination_is_in_double_precision_where_the_network_runs_in_it():
    chain = Chain(net(), X.repeat(9, 1), Y.repeat(9))
    params = {n: p.detach() for n, p in chain.module.named_parameters()}
    few, theta = examinable(chain, params)
    assert {p.dtype for p in theta.values()} == {torch.float64}
    assert len(few.x) == 16
    constant = torch.eye(6)
    fixed = Chain(net(Is(lambda h: h @ constant)), X, Y)
    assert examinable(fixed, params)[1] is params


OWN = np.random.default_rng()
RANDOM = {
    "dropout": lambda h: F.dropout(h, 0.5, True),
    "noise": lambda h: h + 1e-6 * torch.randn_like(h),
    "seldom": lambda h: h * (1 + (torch.rand(()) < 0.3)),
    "numpy": lambda h: h * float(np.random.rand()),
    "python": lambda h: h * random.random(),
    "a generator of its own": lambda h: h * float(OWN.random()),
    "kept generators": lambda h: h * forked(),
    "rrelu": lambda h: F.rrelu(h, training=True),
}


def forked():
    with torch.random.fork_rng([]):
        return torch.rand(())


@pytest.mark.parametrize("run", RANDOM.values(), ids=RANDOM)
def test_a_random_network_is_refused_and_named(run):
    module = net(Is(run))
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(ValueError, match=r"something in module 2 \(Is\) is random; call module"):
        at(module)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


class Around(nn.Module):
    """Two layers, with `run` between them in the forward pass itself."""

    def __init__(self, run):
        super().__init__()
        self.run, self.first, self.second = run, nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.second(self.run(self.first(x)))


def test_the_module_that_is_named_is_not_the_next_one():
    """A module whose inputs differ only passes on what the module around it did."""
    with pytest.raises(ValueError, match=r"something in the network \(Around\) is random"):
        at(Around(lambda h: h + torch.randn_like(h)))
    module = nn.Sequential(Site(), Around(lambda h: h - h.mean(0)))
    (told,) = at(module).notices
    assert told.startswith("module 1 (Around) couples the examples")


def penalised(module):
    return lambda o, y: CE(o, y) + 1e-3 * sum(p.square().sum() for p in module.parameters())


@pytest.mark.parametrize("estimator", [Backprop(), SPSA(), ForwardGradient()])
def test_a_loss_that_reads_the_weights_is_refused(estimator):
    module = net()
    with pytest.raises(UnsupportedError, match=r"reads weights .*0\.weight, 0\.bias.* and 1 more"):
        at(module, penalised(module), estimators=estimator)


class WithPenalty(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = net()

    def forward(self, x):
        return self.inside(x), 1e-3 * sum(p.square().sum() for p in self.parameters())


def test_a_penalty_from_the_forward_pass_and_a_loss_with_weights_of_its_own_are_served():
    measured = at(
        WithPenalty(), lambda o, y: CE(o[0], y) + o[1], estimators=[Backprop(), ForwardGradient()]
    )
    module = measured.chain.module
    output, penalty = module(X)
    exact = torch.autograd.grad(CE(output, Y) + penalty, list(module.parameters()))
    given = value_and_grad(measured.chain, measured.params)[1].values()
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(given, exact, strict=True))
    head = nn.Linear(3, 3)
    assert at(net(), lambda o, y: CE(head(o), y), estimators=[Backprop(), SPSA()]).watched


def seeded(h):
    torch.manual_seed(3)
    return h * torch.rand(h.shape[1])


@pytest.mark.parametrize(
    "middle",
    [nn.BatchNorm1d(6), Is(seeded), nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))],
    ids=["running statistics", "the same numbers each time", "power iteration"],
)
def test_what_is_no_noise_is_served(middle):
    assert at(net(middle), estimators=[Backprop(), SPSA()]).watched


def test_gradlab_check_examines_its_networks(monkeypatch):
    assert every_case.__wrapped__()
    doubled = lambda *given: tuple(2 * t for t in push_forward(*given))  # noqa: E731
    monkeypatch.setattr(derivatives, "push_forward", doubled)
    with pytest.raises(UnsupportedError, match=r"forward mode is wrong in module hidden1\.0"):
        every_case.__wrapped__()


def test_every_public_function_refuses_and_tells():
    batches = [(X, Y)] * 2
    ways = {
        "measure": lambda m, e: measure(m, CE, (X, Y), e, draws=2),
        "sweep": lambda m, e: sweep(m, CE, (X, Y), e, "batch_size", [4, 8], draws=2),
        "network": lambda m, e: sweep(lambda _: m, CE, (X, Y), e, "width", [4, 8], draws=2),
        "compare": lambda m, e: compare(m, CE, batches, {"a": e, "b": e}, draws=2),
        "anatomy": lambda m, e: anatomy(m, CE, batches, e, draws=2),
        "what_if": lambda m, e: what_if(m, CE, (X, Y), e, draws=2),
    }
    noisy, stopped = net(Is(RANDOM["dropout"])), net(NoGrad())
    coupled = net(Is(lambda h: h - h.mean(0)))
    for name, way in ways.items():
        with pytest.raises(ValueError, match="is random"):
            way(noisy, ACTIVITY)
        with pytest.raises(UnsupportedError, match="reverse mode stops"):
            way(stopped, ForwardGradient())
        told = str(way(coupled, ACTIVITY))
        assert told.count("Notice: module 2 (Is) couples") == 1, name
