"""The likely cause where a measure disagrees with its law, and how a sweep tells it."""

import sys

import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.data import law_checks
from estimators.registry import discover

SPSA = "spsa"


def swept(name=SPSA, errors=True):
    source = Memory()
    of = {"run": "r0", "draws": 64, "sweep": {"field": "eps", "values": [0.01, 1.0]}}
    config = {"microscope": of, "estimator": {"name": name}, "network": {"name": "mlp"}}
    source.add_run("m1", MemoryRun(2, config=config, labels={"driver": name}))
    for metric, values in {
        "relative_variance": [1.1e4, 1e8], "relative_variance_se": [2e3, 0.9e8],
        "law/relative_variance": [1e4, 1e4], "relative_squared_bias": [3.0, 2e3],
        "relative_squared_bias_se": [50.0, 1e6], "law/relative_squared_bias": [0.0, 0.0],
    }.items():  # fmt: skip
        if errors or not metric.endswith("variance_se"):
            source.add("m1", f"sweep/{metric}", [0, 1], values, estimator=name)
    return source


@pytest.mark.parametrize("errors", [True, False])
def test_a_sweep_says_that_the_step_is_too_long(errors):
    note = note_text(draw("sweep", swept(errors=errors), {"runs": "m1"}))
    said = "disagrees with its law at 1 (1e+04 times the law: "
    assert f"spsa {said}the step is too long for the leading order)" in note
    note = note_text(draw("sweep", swept("usf"), {"runs": "m1"}))
    assert f"usf {said}implementation or assumption wrong)" in note


def test_a_sweep_holds_the_bias_against_the_scatter_of_the_law():
    note = note_text(draw("sweep", swept(), {"runs": "m1", "metric": "relative_squared_bias"}))
    assert "spsa disagrees with its law at 1 (the mean is further off than" in note


@pytest.mark.parametrize("name", ["measures_table", "convergence", "law_checks"])
def test_other_figures_say_it_too(name):
    source = swept()
    for metric, value in {
        "relative_variance": 1e8, "relative_variance_se": 0.9e8, "law/relative_variance": 1e4,
        "relative_squared_bias": 2e3, "relative_squared_bias_se": 1e6,
        "law/relative_squared_bias": 0.0,
    }.items():  # fmt: skip
        source.add("m1", metric, [8, 64], [value] * 2, estimator=SPSA)
    made = draw(name, source, {"runs": "m1"})
    said = note_text(made) + "".join(one.get("name", "") for one in made["figure"]["data"])
    assert law_checks.LONG_STEP in said
    assert law_checks.CODE_OR_ASSUMPTION not in said


def test_of_several_only_those_with_a_step_are_said_to_have_a_long_one():
    run = MemoryRun(
        1,
        config={"estimator": {"name": "clip_norm", "inner": {"name": "mezo"}}, "shadows": []},
        labels={"driver": "clip_norm"},
    )
    assert law_checks.likely_cause(run, "clip_norm") == law_checks.LONG_STEP
    assert law_checks.likely_causes([(run, "clip_norm"), (run, "usf")]) == (
        f"{law_checks.CODE_OR_ASSUMPTION}; of clip_norm: {law_checks.LONG_STEP}"
    )


def test_they_are_the_laws_to_leading_order():
    written = {
        name
        for name, entry in discover().estimators.items()
        if entry.kind == "builtin"
        and {"LEADING", "law_of_differences"} & vars(sys.modules[entry.cls.__module__]).keys()
    }
    assert written == {*law_checks.LEADING_ORDER}
