"""Findings of runs whose numbers are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw
from backend.figures.drawing.run_events import NAME
from backend.figures.findings import Finding, findings_of, ordered, serious
from backend.figures.words.sentences import LONGEST

NOISY, BIASED, EXACT = "forward_gradient", "direct_feedback_alignment", "backprop"
STAGES = ("hidden1", "hidden2", "head")
STEPS = np.arange(0, 640, 16)
DRAWS = 16
LAYERS = [{"name": f"{stage}.weight", "stage": stage} for stage in STAGES]
SOLVER = (
    "64 of 64 examples did not converge in a solve of an equilibrium at step {} (2 forward "
    "iterations, relative residual up to 0.56), so that the estimate is not that of the "
    "equilibrium: raise the limit"
)


def a_run(*labels, **more):
    return MemoryRun(
        1, "a run", {"batch_size": 32, "probe": {"draws": DRAWS}, **more.pop("config", {})},
        {"driver": labels[0] if labels else EXACT, "shadows": list(labels[1:])},
        facts={
            "layers": LAYERS, "unbiased": {NOISY: True, EXACT: True}, "cost": {NOISY: 4.5},
        },
        **{"status": "finished", **more},
    )  # fmt: skip


def source_of(run):
    source = Memory()
    source.add_run("r", run)
    return source


def measure(source, label, layer, *, variance, slope, across, probes=40, exact=1.0):
    """The measures of an estimator with E ĝ = slope g + √across u and the variance, u ⟂ g, as
    probes of `DRAWS` draws have them but for noise of a thousandth."""
    rng = np.random.default_rng(len(label) + len(layer))
    wobble = 1 + 0.001 * rng.standard_normal(probes)
    size, steps = slope**2 + across, STEPS[:probes]
    noise = variance / DRAWS
    length = math.sqrt(size + noise)
    values = {
        "relative_variance": variance * wobble,
        "relative_variance_se": 0.01 * variance * wobble,
        "relative_squared_bias": (1 - 2 * slope + size) * wobble if size != 1 else 0 * wobble,
        "relative_squared_bias_se": 1e-3 * (noise + 1e-9) * wobble,
        "snr": size / variance * wobble if variance else np.full(probes, np.nan),
        "cosine_mean": slope / length * wobble,
        "norm_ratio": math.sqrt(size + variance) * wobble,
        "along": slope * wobble,
        "cosine": np.minimum(slope / math.sqrt(size + variance) * wobble, 1.0)
        if variance or across
        else np.ones(probes),
        "scaled_error": 1 - slope**2 / (size + variance) + 0 * wobble,
    }
    for metric, series in values.items():
        source.add("r", metric, steps, series, layer=layer, estimator=label)
    names = {(s.metric, s.layer) for s in source.series("r")}
    if ("exact/norm", layer) not in names:
        source.add("r", "exact/norm", steps, np.full(probes, exact), layer=layer)


def everywhere(source, label, **numbers):
    for layer in ("", *STAGES):
        measure(source, label, layer, **numbers)


def titles(source):
    return [finding.title for finding in findings_of(source, "r")]


def of_kind(source, kind):
    (finding,) = [each for each in findings_of(source, "r") if each.kind == kind]
    return finding


def test_an_estimator_that_fails_by_variance_says_how_many_draws_help():
    source = source_of(a_run(NOISY))
    everywhere(source, NOISY, variance=31_000.0, slope=1.0, across=0.0)
    finding = of_kind(source, "variance")
    assert finding.title == "Forward gradient fails by variance, in every layer."
    assert finding.text == "31,000 draws would halve its error."
    assert (finding.severity, finding.estimator, finding.where) == (1, NOISY, "variance")


def test_an_estimator_that_is_exact_in_one_layer_is_right_there_alone():
    source = source_of(a_run(BIASED))
    measure(source, BIASED, "head", variance=0.0, slope=1.0, across=0.0)
    measure(source, BIASED, "hidden1", variance=0.0, slope=-0.014, across=1.0)
    measure(source, BIASED, "hidden2", variance=0.0, slope=0.076, across=1.0)
    measure(source, BIASED, "", variance=0.0, slope=0.5, across=0.7)
    finding = of_kind(source, "right in some")
    assert finding.title == "DFA is right in head alone."
    assert finding.text == (
        "hidden1 and hidden2 point −1.4 and 7.6 % along. It is biased: more draws cannot help."
    )


def test_a_crossing_is_told_with_its_draws_and_its_cost():
    source = source_of(a_run(NOISY, BIASED))
    everywhere(source, NOISY, variance=85.0, slope=1.0, across=0.0)
    everywhere(source, BIASED, variance=0.0, slope=1.0, across=1.0)
    finding = of_kind(source, "crossing")
    assert finding.title == "Forward gradient overtakes DFA at 85 draws."
    assert finding.text.endswith("It costs 1.5 backprops a draw.")


def test_a_sound_estimator_is_no_finding():
    source = source_of(a_run(EXACT))
    everywhere(source, EXACT, variance=0.0, slope=1.0, across=0.0)
    assert titles(source) == []


def test_an_unbiased_estimator_that_points_uphill_is_a_fault():
    source = source_of(a_run(NOISY))
    everywhere(source, NOISY, variance=0.1, slope=-1.0, across=0.0)
    finding = of_kind(source, "uphill")
    assert finding.title == "Forward gradient points uphill."
    assert finding.severity == 2
    assert "its sign is wrong" in finding.text


@pytest.mark.parametrize(("status", "count"), [("running", 1), ("finished", 0)])
def test_before_five_probes_nothing_is_said_of_estimators(status, count):
    source = source_of(a_run(NOISY, BIASED, status=status))
    for label in (NOISY, BIASED):
        measure(source, label, "", variance=9.0, slope=1.0, across=0.0, probes=3)
    assert titles(source) == ["Too early to say: 3 of 5 probes."] * count


def test_a_layer_whose_gradient_is_zero_since_some_probe_is_dead():
    source = source_of(a_run(EXACT))
    norms = np.where(np.arange(40) < 25, 0.5, 0.0)
    source.add("r", "exact/norm", STEPS, norms, layer="hidden2")
    source.add("r", "exact/norm", STEPS, np.ones(40), layer="head")
    finding = of_kind(source, "dead layer")
    assert finding.title == f"No gradient in hidden2 since step {STEPS[25]:,}."
    assert (finding.severity, finding.step, finding.layer) == (2, STEPS[25], "hidden2")
    source.add("r", "cosine", STEPS, np.ones(40), layer="hidden2", estimator=EXACT)
    data = draw("curve", source, {"runs": "r", "metric": "cosine", "layer": "hidden2"})["figure"]
    (marked,) = [trace for trace in data["data"] if trace["name"] == NAME]
    assert marked["x"] == [STEPS[25]]


@pytest.mark.parametrize("last", [[0.0, 0.0, 1.0], [math.nan] * 3, [0.5, 0.0, 0.0]])
def test_a_gradient_that_is_not_zero_three_times_in_a_row_is_alive(last):
    source = source_of(a_run(EXACT))
    source.add("r", "exact/norm", [0, 16, 32, 48], [1.0, *last], layer="hidden2")
    assert titles(source) == []


@pytest.mark.parametrize(("factor", "count"), [(1.0, 0), (1.4, 1)])
def test_a_variance_that_differs_from_its_law_breaks_the_theory(factor, count):
    source = source_of(a_run(NOISY))
    rng = np.random.default_rng(0)
    law = np.full(40, 1000.0)
    for layer in ("", *STAGES):
        measured = factor * law * (1 + 0.02 * rng.standard_normal(40))
        source.add("r", "relative_variance", STEPS, measured, layer=layer, estimator=NOISY)
        source.add("r", "law/relative_variance", STEPS, law, layer=layer, estimator=NOISY)
    made = [each for each in findings_of(source, "r") if each.kind == "theory violated"]
    assert len(made) == count
    for finding in made:
        assert finding.title == "Forward gradient breaks its theory in every layer."
        assert finding.text.startswith("Its variance is 1.4 × what theory gives.")
        assert (finding.severity, finding.where) == (2, "layers")


def test_solves_that_do_not_converge_are_one_finding():
    source = source_of(a_run(EXACT))
    source.add_event("r", 3, "finding", SOLVER.format(3))
    source.add_event("r", 40, "finding", f"{SOLVER.format(40)} (10 such steps so far)")
    finding = of_kind(source, "solver")
    assert finding.title == "A solve of an equilibrium did not converge."
    assert (finding.severity, finding.step, finding.last) == (2, 3, 40)
    assert finding.text == (
        "64 of 64 examples, 10 such steps so far. "
        "Raise the limit of iterations or take another solver."
    )


def test_another_finding_of_a_run_is_told_in_its_own_words():
    source = source_of(a_run(EXACT))
    source.add_event("r", 7, "finding", "the activation grows; " + "long words " * 20)
    finding = of_kind(source, "recorded")
    assert finding.title == "The activation grows."
    assert finding.text.count("long words") == 20


def losses(y, **more):
    source = source_of(a_run(EXACT, **more))
    source.add("r", "train/loss", np.arange(len(y)), y, unit="nats")
    return source


def test_what_the_loss_does_is_told_and_marked_on_its_curve():
    rng = np.random.default_rng(0)
    y = np.maximum(2.0 - np.arange(8000) / 1000, 0.5) * np.exp(0.05 * rng.standard_normal(8000))
    y[[3000, 6000]] = 2.0, 4.0
    source = losses(y)
    spike, level = of_kind(source, "spike"), of_kind(source, "plateau")
    assert spike.title == "Training loss spikes 2 times, highest at step 6,000."
    assert (spike.severity, spike.step, spike.last) == (1, 6000, 6000)
    assert level.title == f"Training loss is level since step {level.step:,}."
    assert 1400 <= level.step <= 1800
    data = draw("curve", source, {"runs": "r", "metric": "train/loss"})["figure"]["data"]
    (marked,) = [trace for trace in data if trace["name"] == NAME]
    assert marked["x"] == [level.step, 3000, 6000]
    assert "plateau: training loss is level from here" in marked["text"][0]
    assert "spike: training loss from 0.51 to 2" in marked["text"][1]


@pytest.mark.parametrize(("parent", "severity"), [(None, 2), ("another", 1)])
def test_a_loss_that_never_falls_is_a_fault_unless_it_goes_on_from_another(parent, severity):
    class Forked(MemoryRun):
        pass

    run = a_run(EXACT)
    Forked.parent = parent
    source = losses(2.3 * np.exp(0.01 * np.random.default_rng(1).standard_normal(1000)))
    source.add_run("r", Forked(**vars(run)))
    assert of_kind(source, "plateau").severity == severity


def test_a_loss_that_rises_asks_for_a_lower_rate_and_hides_what_the_log_repeats():
    y = np.exp(np.abs(np.arange(1000) - 400) / 300)
    source = losses(y)
    text = "the training loss was 7.4 at the end, 2 times its first value (3.8); a lower rate"
    source.add_event("r", 999, "finding", text)
    finding = of_kind(source, "rise")
    assert (finding.severity, finding.action) == (2, "lower rate")
    assert 350 <= finding.step <= 450


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("the loss was not finite at step 214; a lower learning rate may help",
         "A lower learning rate may help."),
        ("the estimate of spsa was not finite at step 213, first in head.weight",
         "The estimate of spsa was not finite at step 213, first in head.weight. "
         "Run it again at a lower learning rate."),
        (None, "Run it again at a lower learning rate."),
    ],
)  # fmt: skip
def test_a_run_that_diverged_says_where_why_and_what_to_do(error, text):
    class Ended(MemoryRun):
        pass

    Ended.error, Ended.step = error, 214
    source = losses([*np.full(214, 2.0), math.nan])
    source.add_run("r", Ended(**vars(a_run(EXACT, status="diverged"))))
    finding = findings_of(source, "r")[0]
    assert (finding.title, finding.text) == ("The loss became NaN at step 214.", text)
    assert (finding.severity, finding.step, finding.action) == (3, 214, "lower rate")


def test_a_run_that_failed_says_why():
    class Ended(MemoryRun):
        pass

    Ended.error, Ended.step = "Traceback:\n  File 'a.py'\nValueError: no such column", 29
    source = Memory()
    source.add_run("r", Ended(**vars(a_run(EXACT, status="failed"))))
    (finding,) = findings_of(source, "r")
    assert finding.title == "The run failed at step 29."
    assert finding.text == "ValueError: no such column. Setup & log has the whole report."
    assert (finding.severity, finding.action) == (3, "duplicate")


def test_the_most_severe_come_first_then_by_step():
    made = [
        Finding("a", 1, "A."), Finding("b", 1, "B.", step=5), Finding("c", 3, "C.", step=9),
        Finding("d", 2, "D."), Finding("e", 2, "E.", step=1),
    ]  # fmt: skip
    assert [each.kind for each in ordered(made)] == ["c", "e", "d", "b", "a"]
    assert serious(made) == 3


def test_hostile_names_keep_titles_short_and_in_one_line():
    label, stage = "x" * 300, "a\n" * 200
    run = a_run(label)
    rows = [{"name": f"{stage}.weight", "stage": stage}, *LAYERS]
    source = source_of(replace(run, facts={**run.facts, "layers": rows}))
    for layer in ("", stage, *STAGES):
        measure(source, label, layer, variance=1000.0, slope=1.0, across=0.0)
    source.add("r", "law/relative_variance", STEPS, np.full(40, 9.0), layer=stage, estimator=label)
    made = findings_of(source, "r")
    assert {"variance", "theory violated"} <= {each.kind for each in made}
    assert all(len(each.title) <= LONGEST and each.title.isprintable() for each in made)


def test_a_run_without_anything_has_no_finding():
    assert titles(source_of(MemoryRun(1, status="queued"))) == []
    microscope = a_run(EXACT, config={"microscope": {"draws": 40}})
    assert titles(source_of(microscope)) == []
