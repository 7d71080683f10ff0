"""`measure`: a module, a loss and a batch of one's own, without a server."""

import functools
import json
from dataclasses import replace

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
    Site,
    UnsupportedError,
    measure,
    sweep,
)
from estimators.core.noise import stream
from estimators.measurement.inputs.losses import chain_of
from estimators.perturbation._directions import draws as weight_draws


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, 2))


BATCH = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1] * 3)


def test_measure_in_a_notebook():
    found = measure(
        network(), nn.CrossEntropyLoss(), BATCH,
        [ForwardGradient(), ForwardGradient(), ActivityForwardGradient(tangents=4),
         DirectFeedbackAlignment(), SPSA(), Backprop()],
        draws=8,
    )  # fmt: skip
    assert list(found.values) == [
        "forward_gradient", "forward_gradient #2", "activity_forward_gradient(tangents=4)",
        "direct_feedback_alignment", "spsa", "backprop",
    ]  # fmt: skip
    assert found.value("cosine", "forward_gradient") != found.value("cosine", "forward_gradient #2")
    text = str(found)
    assert text.splitlines()[0].startswith("8 draws at loss ")
    stages = [layer for layer in found.layers if layer not in found.tensors]
    assert stages == ["", "0", "3"]
    for label in found.values:
        assert text.count(f"  {label}  ") == len(stages)
        assert str(found.table("tensor")).count(f"  {label}  ") == len(found.layers)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["draws"] == 8


def test_an_oracle_makes_the_same_draws_and_the_label_says_whose(monkeypatch):
    estimators = [ForwardGradient(), ActivityForwardGradient(), SPSA()]
    asked = network().double(), nn.CrossEntropyLoss(), (BATCH[0].double(), BATCH[1]), estimators
    honest = measure(*asked, draws=64)
    monkeypatch.delattr(weight_draws, "_pushed_forward")  # nothing is pushed forward
    oracle = measure(*asked, draws=64, source="oracle")
    assert list(oracle.sources.values()) == ["oracle", "oracle", "honest"]
    assert "draws: oracle, but honest of spsa; " in str(oracle)
    assert "draws: honest; " in str(honest)
    assert {row.get("source") for row in oracle.to_dict()["rows"]} == {None, "honest", "oracle"}
    for label, one in honest.drawn.items():
        for mine, its in (
            (one.cosine, oracle.drawn[label].cosine),
            (one.along, oracle.drawn[label].along),
        ):
            assert torch.allclose(mine, its, rtol=1e-9, atol=1e-11), label
        for metric, values in honest.values[label].items():
            assert oracle.values[label][metric] == pytest.approx(
                values, rel=1e-7, abs=1e-9, nan_ok=True
            )


def test_a_sweep_says_at_which_values_there_is_no_oracle():
    asked = network(), nn.CrossEntropyLoss(), BATCH, [ForwardGradient(), SPSA()]
    found = sweep(*asked, "noise", ["normal", "rademacher"], draws=8, source="oracle")
    assert str(found).count("draws: oracle, but honest of spsa; ") == 1
    one = [ForwardGradient()]
    found = sweep(*asked[:3], one, "combine", ["mean", "orthogonal"], draws=8, source="oracle")
    assert "draws: oracle, but honest of forward_gradient at combine orthogonal" in str(found)


def test_another_source_is_refused():
    with pytest.raises(ValueError, match="source is 'law'; honest or oracle is allowed"):
        measure(network(), nn.CrossEntropyLoss(), BATCH, [Backprop()], source="law")


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.functional.cross_entropy,
        functools.partial(nn.functional.cross_entropy, reduction="none"),
        nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none"),
    ],
)
def test_losses_are_split_into_examples(loss):
    found = measure(network(), loss, BATCH, [Backprop(), ActivityForwardGradient()], draws=2)
    with torch.no_grad():
        assert found.loss == pytest.approx(loss(network()(BATCH[0]), BATCH[1]).mean().item())


def test_a_loss_over_several_outputs_is_split_as_its_mean():
    x = BATCH[0]
    chain, _ = chain_of(network(), nn.MSELoss(), x, torch.ones(6, 2))
    assert chain.separable
    assert chain.losses(chain.forward({})).shape == (6,)


def test_a_loss_that_cannot_be_split_stays_one_number():
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    chain, why = chain_of(network(), loss, *BATCH)
    assert not chain.separable
    assert chain.whole
    assert "class weights" in why
    estimator = ActivityForwardGradient()
    assert estimator.claim(chain) is Claim.UNBIASED
    found = measure(network(), loss, BATCH, [Backprop(), estimator], draws=2)
    assert found.loss == pytest.approx(loss(network()(BATCH[0]), BATCH[1]).item(), rel=1e-5)


def test_measure_leaves_frozen_parameters_out():
    net = network()
    net[0].bias.requires_grad_(False)
    found = measure(net, nn.CrossEntropyLoss(), BATCH, [Backprop(), SPSA()], draws=2)
    assert "0.bias" not in found.layers


@pytest.mark.parametrize(
    ("module", "estimator", "text"),
    [
        (nn.Linear(3, 2), ActivityForwardGradient(), r"put Site\(\) before each non-linearity"),
        (nn.Linear(3, 2), DirectFeedbackAlignment(), "make it an nn.Sequential of several"),
    ],
)
def test_an_unserved_estimator_is_refused_in_words(module, estimator, text):
    with pytest.raises(UnsupportedError, match=text):
        measure(module, nn.CrossEntropyLoss(), BATCH, [estimator])


def test_a_loss_without_derivative_is_refused():
    def error(output, y):
        return (output.argmax(1) != y).float()

    with pytest.raises(UnsupportedError, match="no derivative"):
        measure(network(), error, BATCH, [ForwardGradient()])


def test_dropout_in_training_mode_is_refused():
    module = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"module\.eval\(\)"):
        Chain(module, *BATCH)
    module.eval()
    Chain(module, *BATCH)


def test_a_loss_that_couples_examples_can_be_said_to():
    module = nn.Sequential(nn.Linear(3, 2), Site(), nn.Tanh(), nn.Linear(2, 2))
    x, y = torch.randn(4, 3, generator=stream(0, "data")), torch.tensor([0, 1, 0, 1])

    def contrast(output, y):  # each value depends on all examples
        return -output.log_softmax(0).gather(1, y.unsqueeze(1)).squeeze(1)

    chains = [chain_of(module, contrast, x, y, separable)[0] for separable in (None, False)]
    assert [chain.whole for chain in chains] == [True, False]
    claims = [ActivityForwardGradient().claim(chain) for chain in chains]
    assert claims == [Claim.UNBIASED, Claim.BIASED]
    measured = measure(module, contrast, (x, y), [Backprop()], draws=2, separable=False)
    assert measured.value("cosine", "backprop") == 1


def test_rounding_is_printed_as_0():
    made = measure(network().double(), nn.CrossEntropyLoss(), (BATCH[0].double(), BATCH[1]),
                   {"exact": Backprop(), "fg": ForwardGradient()}, draws=64)  # fmt: skip
    text = str(made.table("tensor"))
    assert "-0 " not in text
    assert "e-1" not in text
    values = {m: tuple(-1.3e-15 for _ in x) for m, x in made.values["exact"].items()}
    again = replace(made, values={**made.values, "exact": values}, laws={"exact": values})
    row = next(r for r in again.table().rows if r[1] == "exact")
    assert (row[4], row[6]) == ("0", "0")


class Sometimes(Backprop):
    """A third of its draws is not finite."""

    def estimate(self, objective, params, state, rng, /):
        made = super().estimate(objective, params, state, rng)
        bad = torch.rand((), generator=rng) < 0.33
        return made._replace(grads={n: g / (0 if bad else 1) for n, g in made.grads.items()})


def test_a_verdict_that_is_not_told_has_its_reason():
    made = measure(network(), nn.CrossEntropyLoss(), BATCH, {"bad": Sometimes(), "ok": Backprop()},
                   draws=512)  # fmt: skip
    lost = made.nonfinite["bad"]
    rows = {row[1]: row for row in made.table().rows[:4]}
    assert rows["bad"][-1] == f"– ({512 - lost} finite draws of 512)"
    why = made.why().rows[0]
    told = f"{lost} of 512 draws ({100 * lost / 512:.0f} %) were not finite; of the finite ones: "
    assert why[3].startswith(told)
    assert (
        measure(network(), nn.CrossEntropyLoss(), BATCH, [Backprop()], draws=1)
        .table()
        .title.startswith("1 draw at loss")
    )
