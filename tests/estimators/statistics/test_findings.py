"""Sentences from a run's probes say what the definitions say."""

import pytest
import torch

from estimators import Backprop, ForwardGradient
from estimators.control.exact_plus_noise import ExactPlusNoise
from estimators.control.sign_of import SignOf
from estimators.core.objective import Chain
from estimators.measurement.estimates.observation import observe
from estimators.measurement.probe import probe
from estimators.statistics.diagnosis import Finding, with_batch
from estimators.statistics.findings import diagnose
from estimators.statistics.formatting import round_up
from estimators.statistics.probes import MEASURES, pooled

DRAWS = 16


@pytest.fixture(scope="module")
def point():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3)).double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randint(3, (8,))
    loss = torch.nn.functional.cross_entropy
    chain = Chain(net, x, y, lambda z, t: loss(z, t, reduction="none"))
    return chain, {n: p.detach() for n, p in net.named_parameters()}


def asked(point, estimator, probes=16):
    """What the server would ask of these probes, at fixed weights."""
    measured = {name: [] for name in MEASURES}
    for step in range(probes):
        at = probe(*point, {"it": (estimator, None)}, draws=DRAWS, step=step)
        for row in at.rows():
            if row.layer == "" and row.metric in measured:
                measured[row.metric].append(row.value)
    layers = {"": {"members": list(point[1]), "probes": measured}}
    return {"draws": DRAWS, "layers": layers, "coverage": None}


@pytest.mark.parametrize(
    ("estimator", "cause", "said"),
    [
        (Backprop(), "fine", "sound"),
        (ForwardGradient(), "variance", "draws averaged bring it to 0.5"),
        (ForwardGradient(scale="projected", tangents=64), "scale", "a learning rate"),
        (ExactPlusNoise(snr=0.1), "variance", "variance 1"),
    ],
)
def test_the_cause_is_found(point, estimator, cause, said):
    (finding,) = diagnose(asked(point, estimator))
    assert finding["cause"] == cause, finding
    assert said in finding["text"]


@pytest.mark.parametrize("probes", [1, 16])
def test_draws_on_unconverged_solves_are_said_first(point, probes):
    question = asked(point, Backprop(), probes)
    (before,) = diagnose(question)
    question["layers"][""]["unconverged"] = 3 * probes
    (finding,) = diagnose(question)
    share = f"{3 * probes} of {DRAWS * probes} draws (19 %) rest on a solve that did not converge"
    assert finding == {**before, "text": f"{share}; {before['text']}"}


@pytest.mark.parametrize("estimator", [ForwardGradient(), SignOf(), Backprop()])
def test_the_slope_is_had_back_from_what_is_on_record(point, estimator):
    question = asked(point, estimator, probes=64)
    measured = question["layers"][""]["probes"]
    rows = [{name: measured[name][i] for name in MEASURES} for i in range(64)]
    found = pooled(rows, DRAWS)
    *_, seen = observe(*point, {"it": (estimator, None)}, count=1024, sketched=False)
    summary = seen.summary()
    true = (summary.dots.mean(0) / summary.exact)[0].item()
    half = max(found["s_high"] - found["s_low"], 1e-9)
    assert abs(found["s"] - true) <= 1.5 * half + 1e-6
    size = ((summary.mean - summary.noise) / summary.exact)[0].item()
    assert found["across"] + found["s"] ** 2 == pytest.approx(size, rel=0.3)


def test_bad_input_is_said_in_words(point):
    question = asked(point, ForwardGradient())
    measured = question["layers"][""]["probes"]
    nan = [float("nan")] * 16

    def finding(**changed):
        probes = {**measured, **changed}
        layers = {"": {"members": ["w"], "probes": probes}}
        return diagnose({**question, "layers": layers})[0]

    assert finding(**{"exact/norm": [0.0] * 16, "snr": nan})["cause"] == "dead"
    assert finding(relative_variance=nan)["cause"] == "not finite"
    one = finding(**{name: [1.0, *nan[1:]] for name in MEASURES})
    assert (one["cause"], "wait for the next" in one["text"]) == ("unknown", True)
    silent = {**question, "coverage": dict.fromkeys(point[1], "no signal")}
    assert diagnose(silent)[0]["cause"] == "no signal"


@pytest.mark.parametrize(
    ("fixed", "said"),
    [(0.0, "so would a batch of about "), (8.0, "a larger batch alone is not enough")],
)
def test_an_anatomy_says_which_batch_would_do(point, fixed, said):
    question = asked(point, ForwardGradient())
    question["anatomy"] = {"batch": 8, "layers": {"": {"estimator": 8.0, "fixed": fixed}}}
    (finding,) = diagnose(question)
    assert said in finding["text"]
    if not fixed:  # all of it falls with the batch: as many times the batch as draws
        assert (
            f"a batch of about {round_up(8 * finding['draws']):,} instead of 8" in finding["text"]
        )


def test_what_no_batch_lowers_asks_for_a_larger_one():
    """e₀ + e₁/b ≤ E/K with E = 12, e₀ = 2, K = 3: b = 10/2."""
    noisy = Finding("", "variance", "noisy", 3)
    said = "noisy; so would a batch of about 40 instead of 8"
    assert with_batch(noisy, 8, 12.0, 2.0).text == said
    assert with_batch(noisy, 8, 12.0, 2.0, population=40).text == said
    less = with_batch(noisy, 8, 12.0, 2.0, population=39).text
    assert less == "noisy; no batch is large enough: the data set has 39 examples"
    unsure = with_batch(noisy, 8, 12.0, 2.0, fixed_se=1.5).text
    assert unsure == (
        "noisy; it is not clear whether a larger batch would help as much: measure more batches"
    )
    assert with_batch(Finding("", "fine", "sound", 1), 8, 12.0, 2.0).text == "sound"
