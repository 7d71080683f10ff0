"""The table of verdicts: what a microscope's draws tell of a bias, layer by layer."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.microscope.verdict import FALSE_VERDICTS, bounded

LAYERS = ("", "hidden1", "head", "hidden1.weight", "head.weight")
FORWARD, SIGN = "forward_gradient", "sign_of"


def seen(draws: int = 1024, **more) -> Memory:
    """A microscope's run of two estimators, without a verdict yet."""
    source = Memory()
    config = {"microscope": {"run": "r0", "step": 8, "draws": draws, "sweep": None, **more}}
    facts = {"layers": [{"name": n, "stage": n.split(".")[0]} for n in LAYERS if "." in n]}
    labels = {"driver": FORWARD, "shadows": [SIGN]}
    source.add_run("m1", MemoryRun(2, "seen", config=config, labels=labels, facts=facts))
    return source


def told(source: Memory, label: str, by: Mapping[str, Sequence[float]], draws=1024) -> None:
    for layer, values in by.items():
        for name, value in zip(("biased", "bias", "bound"), values, strict=True):
            source.add("m1", f"verdict/{name}", [draws], [value], layer=layer, estimator=label)


def judged() -> Memory:
    source = seen()
    told(source, FORWARD, dict.fromkeys(LAYERS, (0.0, 0.01, 0.0381)))
    of_sign = dict.fromkeys(LAYERS, (1.0, 3.0, 3.2))
    of_sign |= {"head": (0.0, 0.0, 0.02), "hidden1": (1.0, 0.01, 0.2), "": (1.0, 3.0, 3.2)}
    told(source, SIGN, of_sign)
    for layer in LAYERS:
        source.add("m1", "exact/norm", [0], [0.0 if layer == "head" else 1.0], layer=layer)
    return source


def asked(source: Memory, **query: str):
    drawn = draw("verdict", source, {"runs": "m1", **query})
    json.dumps(drawn, allow_nan=False)
    return drawn


def cells(drawn) -> dict[tuple[str, str], tuple[str, str]]:
    """(column, row) to (kind's symbol, words)."""
    return {
        (x, y): (one["marker"]["symbol"], text)
        for one in drawn["figure"]["data"]
        for x, y, text in zip(one["x"], one["y"], one["text"], strict=True)
    }


def test_each_layer_has_a_symbol_and_words_that_say_the_same():
    found = cells(asked(judged()))
    assert found[FORWARD, "whole network"] == ("circle-open", "< 0.039")
    assert found[SIGN, "whole network"] == ("x", "+3")
    assert found[SIGN, "hidden1"] == ("x-open", "across")
    assert found[SIGN, "head"] == ("circle-x-open", "")
    assert {y for _, y in found} == {"whole network", "hidden1", "head"}
    tensors = cells(asked(judged(), level="tensor"))
    assert {y for _, y in tensors} == {"whole network", "hidden1.weight", "head.weight"}


def test_the_sentence_has_bound_draws_reference_and_false_convictions():
    note = note_text(asked(judged()))
    assert "no bias found: forward_gradient (relative bias along g < 0.039)" in note
    assert "sign_of (+3 along g ± 0.2; in 1 of 2 layers: hidden1)" in note
    assert "1,024 draws, compared with the exact gradient" in note
    assert "3.6 % of verdicts (measured: 35 of 960)" in note


def test_a_target_of_its_own_is_named():
    source = judged()
    source.add("m1", "verdict/target", [1024], [1.0], estimator=SIGN)
    assert "sign_of against a target of its own" in note_text(asked(source))


def test_the_measured_rate_is_the_documented_one():
    text = (Path(__file__).parents[4] / "docs" / "measurement" / "calibration.md").read_text()
    assert f"measured: {FALSE_VERDICTS[0]} of {FALSE_VERDICTS[1]}" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"draws": 256}, "one takes at least 512 draws, 256 more than these"),
        ({"draws": 20_000}, "one takes at most 10,000 draws, these are 20,000"),
        ({"draws": 600}, "it comes with the last of 600 draws"),
        ({"sweep": {"field": "tangents"}}, "a sweep keeps no draws to judge"),
    ],
)
def test_where_there_is_no_verdict_it_is_said_why(given, words):
    assert words in note_text(asked(seen(**given)))


def test_verdicts_that_cannot_be_told_are_not_innocent():
    source = seen()
    told(source, FORWARD, {"": (math.nan,) * 3})
    source.add("m1", "draw/nonfinite", [1024], [600], estimator=FORWARD)
    drawn = asked(source)
    assert cells(drawn)[FORWARD, "whole network"] == ("diamond-open", "?")
    assert (
        "forward_gradient: 600 of 1,024 draws (59 %) were not finite and are left out"
        in note_text(drawn)
    )
    assert "no bias found" not in note_text(drawn)


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.0401, "0.041"), (0.04, "0.04"), (0.997, "1"), (14.2, "15"), (8e-6, "10⁻⁵")],
)
def test_a_bound_is_rounded_up(bound, text):
    assert bounded(bound) == text


def test_two_hundred_layers_fit():
    source = seen()
    layers = ["", *(f"s{i}" for i in range(200))]
    told(source, FORWARD, dict.fromkeys(layers, (0.0, 0.0, 0.04)))
    drawn = asked(source)["figure"]
    assert len(drawn["data"][0]["y"]) == 201
    assert 1500 < drawn["layout"]["height"] < 2200
    assert drawn["data"][0]["mode"] == "markers", "words would run into each other"
