"""Takeaways of figures: short, in whole sentences, and never more than the intervals allow."""

import re
from dataclasses import replace

import numpy as np
import pytest

from backend.figures import Memory, draw
from backend.figures.catalogue import modules
from backend.figures.data.metrics import MEASURES
from backend.figures.words.sentences import LONGEST
from tests.backend.figures.conftest import LAYERS, run
from tests.backend.figures.full_source import full_source, run_of

HOSTILE = [
    "<b>bold</b>\n%{x}",
    "a" * 200 + "1",
    "a" * 200 + "2",
    "mean_of_draws(inner=activity_forward_gradient(noise=rademacher), draws=4)",
    "spsa",
]


def source_of(labels, values, layers=("",), metrics=("cosine",), probes=8) -> Memory:
    """A run in which `values(metric, label index, layer)` gives the middle and the noise."""
    source, rng = Memory(), np.random.default_rng(3)
    source.add_run("r1", replace(run(), labels={"driver": labels[0], "shadows": labels[1:]}))
    for at, label in enumerate(labels):
        for metric in metrics:
            for layer in layers:
                middle, noise = values(metric, at, layer)
                drawn = middle + noise * rng.standard_normal(probes)
                source.add("r1", metric, 8 * np.arange(probes), drawn, layer=layer, estimator=label)
    return source


def says(source: Memory, metric: str = "cosine", figure: str = "curve", **more: str) -> str:
    return draw(figure, source, {"runs": "r1", "metric": metric, **more})["takeaway"]


def assert_readable(sentence: str) -> None:
    assert len(sentence) <= LONGEST
    assert sentence.isprintable()
    assert sentence == " ".join(sentence.split())
    assert not sentence or sentence[-1] in ".…"
    assert not re.search(r"\b1 (probes|draws|runs|seeds|estimators|layers|checks)\b", sentence)
    assert not re.search(r"\bnan\b|None|\de[+-]\d", sentence)
    sentence = re.sub(r"\S+ to \S+", "", sentence)  # an interval shows where its ends differ
    shares = re.sub(r"99\.\d\d? %", "", sentence)  # of what is almost whole
    assert not re.search(r"[1-9]\.\d{2}|0\.0*[1-9]\d{2}|[1-9]{3}", shares)
    assert sentence[:1].upper() == sentence[:1]


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_figure_says_a_sentence_that_fits(name):
    answer = draw(name, full_source(), {"runs": run_of(name)})
    assert_readable(answer["takeaway"])


@pytest.mark.parametrize("count", [1, 3, len(HOSTILE)])
@pytest.mark.parametrize("layer", ["", "head.linear.weight"])
def test_hostile_names_in_any_number_are_told_in_a_sentence_that_fits(count, layer):
    metrics = [m for m in MEASURES if not m.endswith("_null")]
    rng = np.random.default_rng(count)
    source = source_of(
        HOSTILE[:count],
        lambda metric, at, layer: (10.0 ** rng.integers(-8, 12) * (at + 1), 10.0**-at),
        LAYERS,
        metrics,
    )
    for name in ("curve", "ranking", "carpet", "carpets", "layers", "layer_panels", "bias_variance",
                 "paired", "alignment_by_depth"):  # fmt: skip
        for metric in metrics if name == "curve" else metrics[:3]:
            taken = modules()[name].INFO.parameters
            asked = {"layer": layer} if "layer" in taken else {}
            assert_readable(says(source, metric, name, **asked))


def test_under_five_probes_it_is_too_early():
    for probes in range(1, 5):
        source = source_of(["spsa", "fdfa"], lambda *_: (0.5, 0.1), probes=probes)
        assert says(source) == f"Too early to say: {probes} of 5 probes."
    assert says(source_of(["spsa"], lambda *_: (0.5, 0.0), probes=5)).startswith("SPSA points 50 %")


def test_without_points_nothing_is_said():
    assert says(source_of(["spsa"], lambda *_: (0.5, 0.0), probes=0)) == ""


def test_two_means_are_ordered_only_where_they_can_be_told_apart():
    apart = source_of(["fdfa", "spsa"], lambda _m, at, _l: (0.5 + at / 10, 0.001))
    assert says(apart) == "SPSA points 60 % along the gradient, FDFA 50 %."
    equal = source_of(["fdfa", "spsa"], lambda _m, at, _l: (0.5 + at / 1000, 0.1))
    assert says(equal).endswith("cannot be told apart by cosine.")
    assert "points" not in says(equal)


def test_an_alignment_that_may_be_zero_is_not_told():
    said = says(source_of(["forward_gradient"], lambda *_: (0.0, 0.1)))
    assert said.startswith("No alignment found of forward gradient: −")


def test_at_most_three_are_named_and_the_others_are_counted():
    labels = ["fdfa", "spsa", "forward_gradient", "backprop", "stale"]
    said = says(source_of(labels, lambda _m, at, _l: (0.1 + at / 10, 1e-4)))
    assert said == "Stale points 50 % along the gradient, best of 5 estimators, worst FDFA 10 %."


def test_the_layer_is_named_unless_it_is_the_whole_network():
    source = source_of(["fdfa"], lambda *_: (0.5, 1e-4), ("", "head"))
    assert says(source).startswith("FDFA points")
    assert says(source, layer="head").startswith("In head, FDFA points")


def test_a_stage_that_is_exact_for_the_best_is_told():
    values = lambda _m, at, layer: (1.0 if layer == "head" else 0.2, 0.0)  # noqa: E731
    source = source_of(["fdfa"], values, ("", "hidden1", "hidden2", "head"))
    assert says(source) == "FDFA points 20 % along the gradient, its head exact."


def test_a_draw_without_variance_does_not_scatter():
    labels = ["fdfa", "direct_feedback_alignment", "forward_gradient"]
    values = lambda _m, at, _l: (0.0 if at < 2 else 24_000.0, 0.0)  # noqa: E731
    said = says(source_of(labels, values, metrics=["relative_variance"]), "relative_variance")
    assert said == "FDFA and DFA do not scatter, forward gradient 24,000 ×."


def test_no_bias_is_found_within_its_error_and_one_is_told_beyond():
    def values(metric, at, layer):
        if metric == "relative_variance":
            return 10.0, 0.0
        return (0.1, 0.0) if metric.endswith("_se") else ((0.1, 3.0)[at], 0.01)

    metrics = ["relative_variance", "relative_squared_bias", "relative_squared_bias_se"]
    name = "relative_squared_bias"
    both = says(source_of(["spsa", "fdfa"], values, metrics=metrics), name)
    assert both == "FDFA is biased by 3 × the squared gradient, no bias of SPSA found."
    # 0.1 is 2.8 times its standard error, 0.1 / √8.
    alone = says(source_of(["spsa"], values, metrics=metrics), name)
    assert re.fullmatch(r"No bias of SPSA found, below 0\.\d+ × the squared gradient\.", alone)


def test_the_loss_is_that_of_the_most_telling_part_and_a_diverged_run_is_no_number():
    source = Memory()
    source.add_run("r1", run(12))
    source.add("r1", "train/loss", np.arange(100), 2 - np.arange(100) / 100)
    loss = "train/loss,validation/loss,test/loss"
    assert says(source, loss) == "Training loss is 1.0 at step 99, from 2.0 at first."
    source.add("r1", "validation/loss", np.arange(0, 100, 10), np.full(10, 1.25))
    assert says(source, loss) == "Validation loss is 1.2 at step 99, training 1.0."
    source.add_run("r2", run(13))
    odd = np.where(np.arange(100) < 50, 2.0, np.nan)
    source.add("r2", "train/loss", np.arange(100), odd)
    alone = draw("curve", source, {"runs": "r2", "metric": loss})["takeaway"]
    assert alone == "The loss stopped being a number at step 50."
    both = draw("curve", source, {"runs": "r1,r2", "metric": loss})["takeaway"]
    assert both == "Training loss: #12 1.0, 1 diverged."


def test_many_runs_are_told_by_the_ends():
    source = Memory()
    for number in range(1, 7):
        source.add_run(f"r{number}", run(number))
        source.add(f"r{number}", "validation/accuracy", np.arange(9), np.full(9, number / 10))
    runs = ",".join(f"r{number}" for number in range(1, 7))
    answer = draw("curve", source, {"runs": runs, "metric": "validation/accuracy"})
    assert answer["takeaway"] == ("Highest validation accuracy of 6 runs: #6 60 %, lowest #1 10 %.")
