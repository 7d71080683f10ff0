"""gpt in the lab: it trains, every kind of estimator drives or shadows it, and its claims hold."""

from collections import Counter

import pytest
import torch

from backend.catalogue import validate
from backend.config import MicroscopeConfig, RunConfig
from backend.training.control import Control
from backend.training.datasets.markov_text import MarkovText
from backend.training.loop import train
from backend.training.microscope.run import run_microscope
from backend.training.networks.gpt import GPT
from backend.training.records import Progress
from estimators import (
    SPSA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardGradient,
    LocalLosses,
    MeZO,
    NodePerturbation,
    discover,
    label,
    stream,
)
from estimators.conformance import CHECKS, Trial
from estimators.conformance.cases import Case
from estimators.conformance.every_check import OPTIONAL
from estimators.core.token_loss import token_cross_entropy
from tests.backend.training.descent import loss_falls

TEXT = {"name": "markov_text", "symbols": 6, "order": 1, "context": 8, "examples": 400}
TINY = {"name": "gpt", "width": 8, "heads": 2, "depth": 1, "mlp_ratio": 2}
REFUSED = {
    "guess_and_target": "local losses need an output of one number a class",
    "implicit_adjoint": "at least one equilibrium stage",
}
TIED = {**REFUSED, "local_losses": "tied", "guess_and_target": "tied"}


def configured(**changes):
    base = {
        "dataset": TEXT, "network": TINY, "estimator": {"name": "backprop"}, "steps": 4,
        "batch_size": 8, "device": "cpu", "probe": {"every": 2, "draws": 2},
    }  # fmt: skip
    return {**base, **changes}


def case():
    """Fewer than 150 weights, large enough for an attention that is not uniform."""
    network = GPT(width=4, heads=2, depth=1, mlp_ratio=1)
    rng = stream(3, "init")
    module = network.build((3,), 3, rng).double()
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.4, generator=rng)
    text = torch.randint(3, (5, 4), generator=rng)
    params = {n: p.detach().clone() for n, p in module.named_parameters()}
    return Case("gpt", Chain(module, text[:, :-1], text[:, 1:], token_cross_entropy), params)


@pytest.mark.parametrize("tied", [False, True])
def test_every_estimator_is_measured_in_a_run_or_refused_in_a_sentence(tied, gather):
    names = sorted(discover().estimators)
    network, refusals = {**TINY, "tied": tied}, TIED if tied else REFUSED
    said = {}
    for name in names:
        answer = validate(configured(network=network, estimator={"name": name}), [])
        if answer["errors"]:
            said[name] = " ".join(e["msg"] for e in answer["errors"])
    assert said.keys() == refusals.keys()
    assert all(refusals[name] in said[name] for name in said)
    shadows = [{"name": name} for name in names if name not in said and name != "backprop"]
    seen = Counter()
    for first in range(0, len(shadows), 15):
        run = configured(network=network, shadows=shadows[first : first + 15])
        found = gather(train(RunConfig.model_validate(run)))
        assert found.ended.status == "finished", found.ended
        seen.update({key[2]: 1 for key in found.points if key[0] == "cosine" and key[1] == ""})
    assert {"mezo", "forward_gradient", "direct_feedback_alignment"} <= seen.keys()
    assert len(seen) == len(shadows) + 1


def test_a_network_learns_what_the_text_s_symbols_follow(gather):
    """Below the entropy of single symbols, and not below that of the chain."""
    dataset = MarkovText(**{k: v for k, v in TEXT.items() if k != "name"})
    run = configured(
        network={**TINY, "width": 16}, steps=150, batch_size=32, probe={"budget": 0},
        optimizer={"name": "adamw", "lr": 0.01},
    )  # fmt: skip
    found = gather(train(RunConfig.model_validate(run)))
    share = dataset.load(0).train.y.flatten().bincount().double()
    single = torch.distributions.Categorical(share).entropy().item()
    loss = found.of("test/loss")[150]
    assert dataset.floor + 0.5 * (single - dataset.floor) > loss
    assert loss > dataset.floor - 0.2  # the text of the test part is short
    assert found.of("test/bits_per_token")[150] == pytest.approx(loss / 0.6931472, rel=1e-5)


@pytest.mark.parametrize(
    ("estimator", "steps"),
    [
        (Backprop(), 5),
        (MeZO(), 60),
        (ForwardGradient(), 60),
        (ForwardGradient(per="example"), 60),
        (LocalLosses(inner=Backprop()), 60),
        (LocalLosses(), 60),
        (ActivityForwardGradient(tangents=16), 60),
        (FeedbackAlignment(), 60),
    ],
    ids=lambda value: label(value) if not isinstance(value, int) else "",
)
def test_small_steps_lower_the_loss(estimator, steps):
    at = case()
    assert loss_falls(estimator, at.chain, at.params, steps=steps, length=0.01)


HELD = [
    Backprop(),
    MeZO(),
    SPSA(),
    ForwardGradient(),
    ActivityForwardGradient(),
    ActivityForwardGradient(masked_noise=False, noise="normal"),
    NodePerturbation(),
    DirectFeedbackAlignment(),
    LocalLosses(inner=Backprop()),
    LocalLosses(inner=Backprop(), greedy=False),
    LocalLosses(inner=ForwardGradient()),
]


@pytest.mark.parametrize("estimator", HELD, ids=label)
def test_claims_and_laws_hold_on_it(estimator):
    trial = Trial(estimator, case(), 60)
    for name, holds in CHECKS.items():
        if name not in OPTIONAL or OPTIONAL[name][0](trial):
            holds(trial)


@pytest.mark.parametrize("network", [TINY, {**TINY, "tied": True}], ids=["untied", "tied"])
def test_it_goes_on_from_a_checkpoint_and_is_seen_by_the_microscope(network, gather, tmp_path):
    run = RunConfig.model_validate(
        configured(network=network, steps=6, probe={"budget": 0}, optimizer={"name": "adamw"})
    )
    whole = gather(train(run, checkpoint_dir=tmp_path / "whole"))
    control = Control()
    for record in train(run, control, checkpoint_dir=tmp_path / "parts"):
        control.stop = control.stop or isinstance(record, Progress)
    resumed = gather(train(run, checkpoint_dir=tmp_path / "parts"))
    assert resumed.facts.resumed_at < 6
    assert resumed.ended.status == "finished"
    assert resumed.of("test/loss") == whole.of("test/loss")
    asked = {"run": "r1", "step": 6, "draws": 8}
    looked = MicroscopeConfig.model_validate({**run.model_dump(), "microscope": asked})
    seen = gather(run_microscope(looked, None, folder=tmp_path / "whole"))
    assert seen.ended.status == "finished", seen.ended
    assert list(seen.of("draw/cosine", "block1", "backprop")) == list(range(8))
