"""Small pictures of figures: what of a figure is drawn, and that any text is safe in them."""

from itertools import pairwise
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from backend.figures import as_json
from backend.figures.drawing import canvas
from backend.figures.picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*traces, **layout):
    tally = canvas.Tally(1, 1, "all")
    return as_json(canvas.finish(traces, tally, title="t", **layout))


def parts(text, kind):
    return list(ElementTree.fromstring(text).iter(f"{SVG}{kind}"))


def path_of(text, colour):
    return next(p.get("d") for p in parts(text, "path") if p.get("stroke") == colour)


def corners(path):
    return [tuple(map(float, point.split(","))) for point in path.strip("M").split("L")]


def test_a_line_goes_from_the_lower_left_to_the_upper_right():
    line = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#112233"})
    (x0, y0), (x1, y1) = corners(path_of(picture(drawn(line)), "#112233"))
    assert x0 < x1
    assert y0 > y1, "pixels count downwards"
    assert all(0 <= x <= 320 for x in (x0, x1))
    assert all(0 <= y <= 180 for y in (y0, y1))


def test_decades_are_evenly_spaced_on_a_log_axis():
    line = go.Scatter(x=[1, 10, 100], y=[1, 2, 3], mode="lines", line={"color": "#112233"})
    points = corners(path_of(picture(drawn(line, xaxis={"type": "log"})), "#112233"))
    gaps = [second[0] - first[0] for first, second in pairwise(points)]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.11), "pixels are rounded to a tenth"


def test_cells_have_the_colours_of_the_scale():
    cells = go.Heatmap(
        z=[[0.0, 1.0], [0.5, None]], colorscale=[[0, "#000000"], [1, "#ffffff"]], zmin=0, zmax=1
    )
    fills = [rect.get("fill") for rect in parts(picture(drawn(cells)), "rect")]
    assert fills == ["rgb(0,0,0)", "rgb(255,255,255)", "rgb(128,128,128)"]


def test_panels_keep_to_their_own_place():
    top = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#110000"})
    bottom = go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "#001100"}, xaxis="x2", yaxis="y2"
    )
    text = picture(
        drawn(top, bottom, yaxis={"domain": [0.6, 1]}, yaxis2={"domain": [0, 0.4]}, xaxis2={})
    )
    lowest_of_top = max(y for _, y in corners(path_of(text, "#110000")))
    highest_of_bottom = min(y for _, y in corners(path_of(text, "#001100")))
    assert lowest_of_top < highest_of_bottom


def test_words_are_escaped_and_names_are_listed_once():
    lines = [
        go.Scatter(x=[0, 1], y=[at, 1], name="a < b & c", mode="lines", showlegend=at == 0)
        for at in (0, 1)
    ]
    text = picture(drawn(*lines, xaxis={"title": {"text": "x &lt; y<br>more"}}), named=True)
    words = [each.text for each in parts(text, "text")]
    assert words.count("a < b & c") == 1
    assert "x < y" in words


def test_a_figure_without_points_is_still_a_picture():
    assert parts(picture(drawn()), "rect") == []


def test_numbers_that_are_not_finite_or_not_positive_leave_a_gap():
    line = go.Scatter(
        x=[0, 1, 2, 3, 4, 5, 6], y=[1.0, 2.0, float("nan"), 3.0, -1.0, 5.0, 10.0], mode="lines",
        line={"color": "#112233"},
    )  # fmt: skip
    text = picture(drawn(line, yaxis={"type": "log"}))
    assert "nan" not in text.lower()
    pieces = [corners(p.get("d")) for p in parts(text, "path") if p.get("stroke") == "#112233"]
    assert [len(piece) for piece in pieces] == [2, 1, 2]


def test_whiskers_are_within_the_plot():
    line = go.Scatter(
        x=[0, 1], y=[1.0, 2.0], mode="markers", marker={"color": "#112233"},
        error_y={"type": "data", "symmetric": False, "array": [5.0, 0], "arrayminus": [3.0, 0]},
    )  # fmt: skip
    whisker = path_of(picture(drawn(line)), "#112233")
    low, high = (float(part.rpartition(",")[2]) for part in whisker.split("V"))
    assert 4 < high < low < 176


def test_a_raised_power_stays_raised():
    line = go.Scatter(x=[0, 1], y=[0, 1], mode="lines")
    axis = {"tickvals": [0, 1], "ticktext": ["1", "10<sup>−2</sup>"]}
    words = [each.text for each in parts(picture(drawn(line, yaxis=axis), named=True), "text")]
    assert "10⁻²" in words
