"""Ranking, the plane of bias and variance, a notebook's measurement; colours."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw, measurement, note_text
from backend.figures.drawing import style


def traces(drawn):
    return drawn["figure"]["data"]


def test_best_first_and_lost_estimators_last(empty):
    for label, error in [("a", 0.5), ("b", 0.1), ("c", np.nan)]:
        empty.add("r1", "scaled_error", range(10), [error] * 10, estimator=label)
    drawn = draw("ranking", empty, {"runs": "r1"})
    assert [one["name"] for one in traces(drawn)] == ["b", "a", "c"]
    assert traces(drawn)[2]["x"] == [None]
    assert "8 of 8 probes were not finite" in traces(drawn)[2]["text"][0]


def test_names_stand_above_their_rows_so_that_a_phone_has_room_for_the_plot(empty):
    names = ["b", "<a>", "local_losses(inner=forward_gradient(tangents=16, noise=sphere))"]
    for place, label in enumerate(names):
        empty.add("r1", "scaled_error", [0], [place / 10], estimator=label)
    layout = draw("ranking", empty, {"runs": "r1"})["figure"]["layout"]
    told = [(one["text"], one["y"], one["yanchor"]) for one in layout["annotations"]]
    assert told[:2] == [("b", 0, "bottom"), ("&lt;a&gt;", 1, "bottom")]
    assert told[2][0].endswith("…")
    assert not layout["yaxis"]["showticklabels"]
    assert layout["margin"]["l"] <= 16


def test_larger_is_better_where_it_is(empty):
    for label, cosine in [("a", 0.5), ("b", 0.9)]:
        empty.add("r1", "cosine", [0], [cosine], estimator=label)
    drawn = draw("ranking", empty, {"runs": "r1", "metric": "cosine"})
    assert [one["name"] for one in traces(drawn)] == ["b", "a"]


def test_whiskers_span_the_pooled_probes_and_are_called_what_they_are(empty):
    empty.add("r1", "scaled_error", range(10), np.arange(10) / 10, estimator="a")
    drawn = draw("ranking", empty, {"runs": "r1", "window": "3"})
    (dot,) = traces(drawn)
    assert dot["x"] == pytest.approx([0.8])
    assert dot["error_x"]["array"] == pytest.approx([0.1])
    assert "mean of the last 3 probes" in note_text(drawn)
    assert "not a confidence interval" in note_text(drawn)


def test_one_probe_is_not_called_a_mean_of_eight(empty):
    for name in ("scaled_error", "relative_variance", "relative_squared_bias"):
        empty.add("r1", name, [0], [0.5], estimator="a")
    for figure in ("ranking", "bias_variance"):
        note = note_text(draw(figure, empty, {"runs": "r1", "units": "raw"}))
        assert "the only probe so far" in note
        assert "mean of the last" not in note
        assert "means of the last" not in note


def test_the_ranking_of_the_network_says_which_stages_are_exact_for_whom(empty):
    given = {"a": (0.2, 1.0), "b": (0.1, 1.0), "backprop": (1.0, 1.0), "c": (0.1, 0.9)}
    for label, cosines in given.items():
        empty.add("r1", "cosine", range(3), [0.5] * 3, estimator=label)
        empty.add("r1", "scaled_error", range(3), [0.5] * 3, estimator=label)
        for layer, cosine in zip(("hidden1", "head"), cosines, strict=True):
            empty.add("r1", "cosine", range(3), [cosine] * 3, layer=layer, estimator=label)
    note = note_text(draw("ranking", empty, {"runs": "r1"}))
    assert note.startswith("head is exact for a, b: choose a layer where none is exact")
    assert "is exact" not in note_text(draw("ranking", empty, {"runs": "r1", "layer": "head"}))


def test_a_stage_that_scatters_is_not_exact(empty):
    for layer, cosine, variance in [("h", 0.1, 1.0), ("head", 1.0, 0.5)]:
        empty.add("r1", "cosine", [0], [cosine], layer=layer, estimator="a")
        empty.add("r1", "relative_variance", [0], [variance], layer=layer, estimator="a")
    assert "is exact" not in note_text(draw("ranking", empty, {"runs": "r1"}))


def test_bias_that_noise_explains_is_hollow_with_its_raw_value(empty):
    for label, bias, error in [("a", -0.04, 0.1), ("b", 0.09, 0.01), ("c", 0.09, 0.1)]:
        empty.add("r1", "relative_variance", range(4), [4.0] * 4, estimator=label)
        empty.add("r1", "relative_squared_bias", range(4), [bias] * 4, estimator=label)
        empty.add("r1", "relative_squared_bias_se", range(4), [error] * 4, estimator=label)
    drawn = draw("bias_variance", empty, {"runs": "r1", "units": "raw"})
    marks = {one["name"]: one for one in traces(drawn) if one["mode"] == "markers"}
    hollow = {name for name, one in marks.items() if one["marker"]["symbol"].endswith("-open")}
    assert hollow == {"a", "c"}
    # Four probes of error 0.1 each: half of it for their mean.
    assert "-0.04 ± 0.05 (standard error)" in marks["a"]["text"][0]


def test_exact_backprop_sits_at_the_origin(empty):
    for metric in ("relative_variance", "relative_squared_bias"):
        empty.add("r1", metric, [0], [0.0], estimator="backprop")
    for metric, value in [("cosine", 1.0), ("norm_ratio", 1.0), ("scaled_error", 0.0)]:
        empty.add("r1", metric, [0], [value], estimator="backprop")
    (mark,) = [
        one
        for one in traces(draw("bias_variance", empty, {"runs": "r1"}))
        if one["mode"] == "markers"
    ]
    assert (mark["x"], mark["y"]) == ([0.0], [0.0])
    assert not mark["marker"]["symbol"].endswith("-open")


class Row(NamedTuple):
    metric: str
    layer: str
    estimator: str
    value: float


class Measured:
    def rows(self):
        yield Row("exact/norm", "", "", 1.0)
        for label in ("forward_gradient", "backprop"):
            for layer in ("", "hidden1", "hidden1.weight"):
                yield Row("cosine", layer, label, 0.5)
                yield Row("relative_variance", layer, label, float(label != "backprop"))
                yield Row("relative_squared_bias", layer, label, float("nan"))


def test_a_measurement_is_drawn_with_a_panel_a_measure():
    figure = measurement(Measured())
    plain = figure.to_plotly_json()
    assert [
        plain["layout"][f"xaxis{i}"]["title"]["text"].partition("<br>")[0] for i in ("", 2, 3)
    ] == [
        "cosine with the exact gradient",
        "relative variance of one draw",
        "relative squared bias",
    ]
    assert plain["layout"]["yaxis"]["ticktext"] == ["(network)", "hidden1", "hidden1.weight"]
    json.dumps(plain, allow_nan=False)


def test_an_estimator_has_one_colour_in_every_figure(source):
    seen: dict[str, set[str]] = {}
    for name in ("curve", "layer_panels", "ranking", "bias_variance"):
        for one in traces(draw(name, source, {"runs": "r1", "metric": "cosine"})):
            if one.get("mode") != "lines":
                colour = one.get("line", {}).get("color") or one["marker"]["color"]
                seen.setdefault(one["name"], set()).add(colour)
    assert seen == {label: {style.colour(label)} for label in seen}
    assert len(seen) == 4


def test_the_plane_of_ten_runs_is_not_stretched_by_a_diverged_one():
    """The axes reached to 10⁸, and all points lay at the origin."""
    source = Memory()
    for number in range(1, 11):
        labels = {"driver": "forward_gradient", "shadows": ["direct_feedback_alignment"]}
        source.add_run(f"r{number}", MemoryRun(number, f"run {number}", labels=labels))
        factor = 1e14 if number == 10 else 1 + 0.1 * number
        for label, variance, bias in (
            ("forward_gradient", 400, 0.01), ("direct_feedback_alignment", 0.5, 0.9),
        ):  # fmt: skip
            for name, value in (("variance", variance), ("squared_bias", bias)):
                values = np.full(8, value * factor)
                source.add(f"r{number}", f"relative_{name}", np.arange(8), values, estimator=label)
    ids = ",".join(f"r{number}" for number in range(1, 11))
    drawn = draw("bias_variance", source, {"runs": ids, "units": "raw"})
    layout, marks = drawn["figure"]["layout"], []
    for trace in traces(drawn):
        if trace["mode"] == "markers":
            marks.append(trace)
    end = layout["xaxis"]["range"][1]
    wide = [m for m in marks if "forward" in m["name"] and "triangle" not in m["marker"]["symbol"]]
    assert len(wide) == 9
    assert all(0.5 * end < m["x"][0] < end for m in wide), "apart from the origin"
    far = [m for m in marks if m["marker"]["symbol"].startswith("triangle-right")]
    assert len(far) == 1
    assert "beyond the range" in far[0]["text"][0]
    assert "marked at its edge" in note_text(drawn)
    assert len("; ".join(drawn["note"])) <= 100
    assert [m["name"] for m in marks if m["showlegend"]] == ["forward gradient", "DFA"]


def test_colours_do_not_depend_on_the_process_or_on_the_company():
    assert style.colour("my_estimator") in style.OTHERS
    assert style.colour("my_estimator") == style.colour("my_estimator")
    assert style.colour("backprop") == style.GREY
    assert style.colour("forward_gradient") == style.VERMILION


def test_variants_of_an_estimator_are_shades_with_markers_of_their_own():
    labels = [f"forward_gradient(tangents={k})" for k in (1, 2, 4, 8, 16)] + ["forward_gradient #2"]
    assert len({style.colour(label) for label in labels}) == 6
    assert len({style.symbol(label) for label in labels}) == 6


def test_two_runs_have_the_same_marker_an_estimator_in_every_figure(source):
    for run_id, label in [("r1", "activity_forward_gradient"), ("r2", "forward_gradient #2")]:
        source.add_run(run_id, source.run("r1"))
        for metric in ("cosine", "relative_variance", "relative_squared_bias"):
            source.add(run_id, metric, [0], [0.5], estimator=label)
    seen: dict[str, set[str]] = {}
    for runs in ("r1,r2", "r2,r1", "r2"):
        for name in ("curve", "ranking", "bias_variance"):
            for one in traces(draw(name, source, {"runs": runs, "metric": "cosine"})):
                label = one["name"].partition(" · ")[0].partition("<br>")[0]
                if one["mode"] != "lines":
                    mark = one["marker"]["symbol"].removesuffix("-open")
                    seen.setdefault(label, set()).add(mark)
    assert seen == {label: {style.symbol(label)} for label in seen}
    assert {"activity_forward_gradient", "forward_gradient #2"} <= set(seen)


def test_built_in_estimators_share_no_marker_with_any_other():
    built_in = {style.symbol(label) for label in style.FIXED}
    assert len(built_in) == len(style.FIXED)
    assert not built_in & {style.symbol(f"e{i}") for i in range(30)}


def test_no_two_built_in_estimators_look_alike():
    looks = {name: (style.colour(name), style.symbol(name)) for name in style.USUAL}
    twins = [(a, b) for a in looks for b in looks if a < b and looks[a] == looks[b]]
    assert twins == []


ADJOINTS = [f"implicit_adjoint(adjoint={name})" for name in style.ADJOINTS]


def test_adjoints_of_an_equilibrium_have_colours_far_apart():
    labels = [label for label in ADJOINTS if "shine" not in label]
    pairs = combinations([style.colour(label) for label in labels], 2)
    assert not any(style._alike(*pair) for pair in pairs)


def test_adjoints_of_an_equilibrium_are_seen_on_a_dark_page():
    """WCAG 2.2 asks for a contrast of 3 of what a chart needs to be read."""
    tokens = (Path(__file__).parents[4] / "frontend/styles/tokens.css").read_text("utf-8")
    dark = re.findall(r"--surface: (#\w{6});", tokens)[1]
    assert luminance(dark) < 0.05
    dim = [
        label
        for label in ADJOINTS
        if (luminance(style.ink(label).dark) + 0.05) / (luminance(dark) + 0.05) < 3
    ]
    assert dim == []


def luminance(colour: str) -> float:
    """The relative luminance of a colour of sRGB, as WCAG defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
