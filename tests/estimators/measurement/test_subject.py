"""What measure() takes of anybody's network, loss and batch, and how it refuses the rest."""

import json
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    DirectFeedbackAlignment,
    ForwardGradient,
    MeanOfDraws,
    Site,
    UnsupportedError,
    anatomy,
    compare,
    measure,
    sweep,
    what_if,
)
from estimators.core.noise import stream
from estimators.measurement.estimates.measures import measures_of
from estimators.measurement.estimates.observation import observe
from estimators.measurement.inputs.subject import subject
from estimators.measurement.results.draw_record import summary_of_first

RNG = stream(0, "data")
X, Y = torch.randn(6, 3, generator=RNG), torch.tensor([0, 1] * 3)
LOSS = nn.CrossEntropyLoss()


def net(width=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), Site(), nn.Tanh(), nn.Linear(width, 2))


NET = net()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.middle = nn.Embedding(5, 3), nn.Linear(3, 3)
        self.output = nn.Linear(3, 5, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x):
        return self.output(torch.tanh(self.middle(self.embedding(x))))


class Named(nn.Module):
    """Not an nn.Sequential, with an output that is no tensor, and a layer that is not used."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        return {"logits": self.used(x)}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


def convolution(dtype=torch.float32):
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)
    ).to(dtype)


@pytest.mark.parametrize(
    ("module", "x", "y", "loss"),
    [
        (Tied(), torch.arange(5), torch.arange(5), LOSS),
        (Named(), X, Y, lambda output, y: F.cross_entropy(output["logits"], y)),
        (Recurrent(), torch.randn(6, 4, 3, generator=RNG), Y, LOSS),
        (convolution(), torch.randn(6, 1, 6, 6, generator=RNG), Y, LOSS),
        (convolution(torch.float64), torch.randn(6, 1, 6, 6, generator=RNG).double(), Y, LOSS),
        (net(), X, torch.randn(6, 2, generator=RNG), nn.MSELoss()),
        (net(), X, Y, nn.CrossEntropyLoss(reduction="none")),
        (nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval(), X, Y, LOSS),
    ],
    ids=["tied", "named", "recurrent", "convolution", "double", "mse", "each", "dropout"],
)
def test_the_exact_gradient_is_autograd_s_and_the_module_is_left_alone(module, x, y, loss):
    before = {name: t.clone() for name, t in module.state_dict().items()}
    random = torch.get_rng_state()
    found = measure(module, loss, (x, y), [Backprop(), ForwardGradient(), SPSA()], draws=70)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    params = dict(module.named_parameters())
    exact = torch.autograd.grad(loss(module(x), y).mean(), params.values(), allow_unused=True)
    for name, g in zip(params, exact, strict=True):
        expected = 0.0 if g is None else g.norm().item()
        assert found.exact_norm[found.place(name)] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert found.value("cosine", "backprop") == pytest.approx(1)
    assert found.law_checks["forward_gradient"]["relative_variance"][0].verdict == "agrees"


def test_a_layer_without_a_gradient_is_named_and_not_divided_by():
    def loss(output, y):
        return F.cross_entropy(output["logits"], y)

    found = measure(Named(), loss, (X, Y), SPSA(), draws=16)
    assert "zero gradient in unused.weight, unused.bias" in str(found)
    assert "nan" not in str(found.table("tensor")).lower()
    dead = [row for row in found.why("tensor").rows if row[2] == "dead"]
    assert len(dead) == 2


def test_estimators_may_be_one_or_have_labels_of_their_own():
    assert list(measure(NET, LOSS, (X, Y), SPSA(), draws=2).values) == ["spsa"]
    found = measure(NET, LOSS, (X, Y), {"a": SPSA(), "b": SPSA()}, draws=2)
    assert list(found.values) == ["a", "b"]
    assert found.value("cosine", "a") != found.value("cosine", "b")


BAD = [
    ({"estimators": []}, ValueError, "estimators is empty; at least one"),
    ({"estimators": "spsa"}, TypeError, "estimators is a str; a list such as"),
    ({"estimators": [SPSA]}, TypeError, r"SPSA is a class; write SPSA\(\)"),
    ({"estimators": [SPSA(), 3]}, TypeError, "3 is no estimator; write one such as"),
    ({"estimators": {"": SPSA()}}, ValueError, "the label '' names no estimator"),
    ({"estimators": SPSA(pairs=0)}, ValueError, "pairs of spsa is 0; a whole number, at least 1"),
    ({"estimators": SPSA(eps="x")}, ValueError, "eps of spsa is 'x'; a number, more than 0"),
    (
        {"estimators": MeanOfDraws(inner=ForwardGradient(noise="gauss"))},
        ValueError,
        "noise of forward_gradient is 'gauss'; 'rademacher' or 'normal'",
    ),
    ({"draws": 0}, ValueError, "draws is 0; a whole number from 1 on"),
    ({"draws": 2.5}, ValueError, "draws is 2.5; a whole number"),
    ({"draws": True}, ValueError, "draws is True; a whole number"),
    ({"seed": -1}, ValueError, "seed is -1; a whole number from 0 on"),
    ({"batch": X}, ValueError, r"batch is a Tensor; a pair of tensors \(x, y\)"),
    ({"batch": (X, Y, Y)}, ValueError, r"batch is a tuple of 3; a pair"),
    ({"batch": (X.numpy(), Y)}, TypeError, "x is a ndarray; a torch.Tensor"),
    ({"batch": (X[:0], Y[:0])}, ValueError, r"x has the shape \(0, 3\); at least one example"),
    ({"batch": (X.double(), Y)}, ValueError, r"does not take x of torch.float64 \(6, 3\), its w"),
    ({"batch": (X[:, :2], Y)}, ValueError, r"the network does not take x of torch.float32 \(6, 2"),
    ({"batch": (X, Y[:4])}, ValueError, r"the loss does not take the output, .* with y of .*4"),
    ({"module": torch.tanh}, TypeError, "an nn.Module is allowed"),
    ({"module": nn.Flatten()}, ValueError, r"requires a gradient \(it has none\)"),
    ({"module": nn.Linear(3, 2).requires_grad_(False)}, ValueError, "all 2 are frozen"),
    ({"module": nn.LazyLinear(2)}, ValueError, "weight has no shape yet; call the module once"),
    ({"loss": "mse"}, TypeError, r"loss is a str; a function loss\(output, y\)"),
    ({"loss": lambda o, y: o}, ValueError, r"the loss gives the shape \(6, 2\); one number"),
    ({"loss": lambda o, y: 1.0}, TypeError, "the loss gives a float; a tensor of floating"),
    ({"loss": lambda o, y: o.argmax(1) != y}, TypeError, "torch.bool .* floating-point numbers"),
    ({"loss": lambda o, y: (o * torch.inf).sum()}, ValueError, "the loss is -?(inf|nan) at these"),
    (
        {"loss": lambda o, y: F.cross_entropy(F.dropout(o), y)},
        ValueError,
        "on the same batch again: something in the loss is random; call module.eval",
    ),
]


@pytest.mark.parametrize(("given", "kind", "text"), BAD, ids=[text[:32] for *_, text in BAD])
def test_what_cannot_be_is_refused_in_a_sentence(given, kind, text):
    asked = {"module": NET, "loss": LOSS, "batch": (X, Y), "estimators": [SPSA()], **given}
    with pytest.raises(kind, match=text):
        measure(**asked)


def test_all_that_cannot_serve_are_named_at_once():
    with pytest.raises(UnsupportedError) as told:
        measure(
            nn.Linear(3, 2), LOSS, (X, Y),
            [SPSA(), ActivityForwardGradient(), DirectFeedbackAlignment()],
        )  # fmt: skip
    assert "activity_forward_gradient needs" in str(told.value)
    assert "direct_feedback_alignment needs" in str(told.value)


def test_a_name_that_is_not_there_is_told_with_those_that_are():
    found = measure(NET, LOSS, (X, Y), SPSA(), draws=2)
    with pytest.raises(KeyError, match="no estimator 'x'; there are 'spsa'"):
        found.value("cosine", "x")
    with pytest.raises(KeyError, match="no layer 'y'; there are '', '0', '3'"):
        found.value("cosine", "spsa", "y")
    with pytest.raises(ValueError, match="level is 'all'; allowed are stage, tensor"):
        found.table("all")


def test_progress_is_told_in_sentences(monkeypatch):
    module = sys.modules["estimators.measurement.measure"]  # its name is the function's too
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.0)
    said = []
    measure(NET, LOSS, (X, Y), [SPSA(), Backprop()], draws=20, progress=said.append)
    assert said[0] == "spsa: 8 of 20 draws"
    assert said[-1] == "backprop: 20 of 20 draws"


def test_the_measures_on_the_way_are_those_of_so_few_draws():
    of = subject(NET, LOSS, (X, Y), [ForwardGradient(noise="normal")])
    (*_, whole), (*_, part) = (observe(of.chain, of.params, of.watched, k) for k in (100, 40))
    expected, found = part.values(), measures_of(summary_of_first(whole, 40))
    for metric in found.keys() - {"relative_squared_bias_se", "scaled_error_null"}:
        assert torch.allclose(found[metric], expected[metric], rtol=1e-5, atol=1e-7), metric


def test_merged_draws_have_measures_of_the_first_and_of_all():
    of = subject(NET, LOSS, (X, Y), [ForwardGradient()])
    (*_, one), (*_, more) = (observe(of.chain, of.params, of.watched, 40, seed=s) for s in (0, 1))
    one.merge(more)
    from estimators.measurement.results.draw_record import record

    found = record(one)
    assert list(found.course) == [8, 16, 32, 80]
    assert found.course[80]["relative_variance"] == tuple(one.values()["relative_variance"])


def test_a_sweep_holds_everything_else_still():
    found = sweep(NET, LOSS, (X, Y), [ForwardGradient(), SPSA()], "tangents", [4, 1], draws=40)
    assert found.values == (1, 4)
    assert list(found.measurements[0].values) == ["forward_gradient"]
    alone = measure(NET, LOSS, (X, Y), {"forward_gradient": ForwardGradient(tangents=4)}, draws=40)
    assert found.values_of("cosine", "forward_gradient")[1] == alone.value(
        "cosine", "forward_gradient"
    )
    inner = MeanOfDraws(inner=SPSA())
    held = sweep(NET, LOSS, (X, Y), inner, "inner.pairs", [1, 2], draws=4)
    assert len(held.values_of("relative_variance", "mean_of_draws(inner=spsa)", "0")) == 2
    assert "<table" in held._repr_html_()


def test_sweeps_over_the_batch_and_the_network():
    small = sweep(NET, LOSS, (X, Y), [SPSA()], "batch_size", [2, 6], draws=4)
    losses = [one.loss for one in small.measurements]
    assert losses[0] == pytest.approx(LOSS(NET(X[:2]), Y[:2]).item())
    wide = sweep(net, LOSS, (X, Y), [SPSA()], "width", [2, 8], draws=4)
    assert wide.parameters == (14, 50)
    assert str(wide).splitlines()[0] == "the network, 4 draws at each value of width"


@pytest.mark.parametrize(
    ("field", "values", "text"),
    [
        ("tangents", [1, 2], "field is 'tangents'; allowed are eps, pairs, noise, batch_size"),
        ("pairs", [1], r"values is \[1\]; a list of two or more"),
        ("pairs", [1, 1], "each may come once"),
        ("pairs", "12", "a list of two or more"),
        ("pairs", [0, 1], "pairs of spsa is 0; a whole number, at least 1"),
        ("eps", [1e-3, float("inf")], "finite numbers are allowed"),
        ("batch_size", [2, 7], "batch_size is 7; from 1 to the batch's 6"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(field, values, text):
    with pytest.raises(ValueError, match=text):
        sweep(NET, LOSS, (X, Y), [SPSA()], field, values, draws=2)


BATCHES = [(torch.randn(6, 3, generator=RNG), Y) for _ in range(6)]


def test_estimators_are_compared_on_the_same_batches():
    who = {"one": ForwardGradient(), "four": ForwardGradient(tangents=4), "again": SPSA()}
    found = compare(NET, LOSS, BATCHES, who, draws=64)
    better, same = found.pair("four", "one"), found.pair("one", "again")
    assert better.high < 0
    assert same.low < 0 < same.high
    assert "the first is larger" in str(found)
    assert len(found.table().rows) == 3
    with pytest.raises(KeyError, match="no estimator 'two'; there are 'one', 'four', 'again'"):
        found.pair("one", "two")


def test_a_comparison_takes_two_estimators_and_batches():
    with pytest.raises(ValueError, match="1 estimator was given; a comparison takes at least 2"):
        compare(NET, LOSS, BATCHES, [SPSA()], draws=2)
    with pytest.raises(ValueError, match="1 batches were given; a comparison takes 5 or more"):
        compare(NET, LOSS, BATCHES[:1], [SPSA(), Backprop()], draws=2)


def test_an_anatomy_in_one_line():
    found = anatomy(NET, LOSS, BATCHES, [Backprop(), ForwardGradient()], draws=4)
    assert found["backprop"].estimator[0] == 0
    assert found["forward_gradient"].estimator[0] > 0
    assert [row[0] for row in found.table().rows] == ["(network)", "", "0", "", "3", ""]
    with pytest.raises(ValueError, match="1 batches were given; a variance between them"):
        anatomy(NET, LOSS, BATCHES[:1], [SPSA()])
    with pytest.raises(KeyError, match="no estimator 'x'"):
        found["x"]


def test_one_step_draws_in_one_line():
    found = what_if(NET, LOSS, (X, Y), [Backprop(), SPSA()], draws=8, rates=[0.1, 0.01])
    one = found["backprop"]
    assert one.rates == (0.01, 0.1)
    moved = net()
    loss = LOSS(moved(X), Y)
    loss.backward()
    with torch.no_grad():
        for p in moved.parameters():
            p -= 0.1 * p.grad
    assert one.changes[:, 1].mean() == pytest.approx((LOSS(moved(X), Y) - loss).item(), rel=1e-3)
    assert "best learning" in str(found.table())
    assert len(what_if(NET, LOSS, (X, Y), SPSA(), draws=8).first.rates) > 3
    for rates in ([], [0.0], ["a"], [float("inf")], "0.1"):
        with pytest.raises(ValueError, match="above 0"):
            what_if(NET, LOSS, (X, Y), SPSA(), rates=rates)


def test_what_is_known_is_plain_json():
    found = measure(NET, LOSS, (X, Y), [ForwardGradient()], draws=130)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    row = next(r for r in plain["rows"] if r["metric"] == "relative_variance")
    assert row["law_check"] == "agrees"
    assert plain["findings"]["forward_gradient"][0]["cause"] == "variance"
    assert found.why().rows[0][3].startswith("variance")


def test_a_deep_network_is_printed_as_one_and_tabulated_whole():
    deep = nn.Sequential(*[nn.Linear(3, 3) for _ in range(24)])
    found = measure(deep, nn.CrossEntropyLoss(), (X, Y), SPSA(), draws=2)
    assert len(str(found).splitlines()) < 10
    assert "72 layers more: .table(), .table('tensor')" in str(found)
    assert str(found.table()).count("  spsa ") == 25


def test_with_an_anatomy_a_finding_says_what_a_larger_batch_does():
    found = measure(NET, LOSS, BATCHES[0], [ForwardGradient()], draws=200)
    split = anatomy(NET, LOSS, BATCHES, [ForwardGradient()], draws=4)
    alone, both = found.why().rows[0][3], found.why(anatomies=split.by_label).rows[0][3]
    assert both.startswith(alone)
    assert "batch" in both
    assert "batch" not in alone
