"""A zoom shows the visible range at the full budget, whatever the horizontal axis counts."""

import numpy as np
import pytest

from backend.figures import FigureError, Memory, MemoryRun, draw, note_text
from backend.figures.catalogue import modules

N = 20_000
SECONDS = np.cumsum(np.random.default_rng(1).random(N))


@pytest.fixture
def source() -> Memory:
    source, steps = Memory(), np.arange(N)
    facts = {
        "cost": {"spsa": 2.0, "backprop": 3.0},
        "drives": [(0, "spsa"), (700, "backprop")],
        "layers": [{"name": "head.weight", "stage": "head"}],
    }
    labels = {"driver": "backprop", "shadows": ["spsa"]}
    source.add_run("r1", MemoryRun(1, "a", {"batch_size": 32}, labels, facts=facts))
    values = np.random.default_rng(0).random(N)
    source.add("r1", "train/loss", steps, values)
    source.add("r1", "train/seconds", steps, SECONDS)
    source.add("r1", "estimator/angle", steps, values)
    for layer in ("", "head"):
        source.add("r1", "cosine", steps, values, layer=layer, estimator="spsa")
    source.add("r1", "relative_variance", steps, 1 + values, estimator="spsa")
    source.add("r1", "law/relative_variance", steps, 1 + values, estimator="spsa")
    return source


def zoomed(source, name="curve", **query):
    return draw(name, source, {"runs": "r1", **{key: str(value) for key, value in query.items()}})


def within(trace, left, right):
    return [x for x in trace["x"] if left <= x <= right]


def test_a_zoom_to_653_points_draws_them_all(source):
    drawn = zoomed(source, left=5000.5, right=5653.2)
    assert within(drawn["figure"]["data"][0], 5000.5, 5653.2) == list(range(5001, 5654))
    assert (drawn["shown"], drawn["count"], drawn["zoomed"]) == (653, 653, True)
    assert note_text(drawn).startswith("653 of 653 points in this range")
    whole = zoomed(source)
    assert len(within(whole["figure"]["data"][0], 5000.5, 5653.2)) < 100
    assert note_text(whole).startswith("1,000 of 20,000 points, extrema kept")


def test_the_line_goes_on_around_the_range_and_the_axis_stays(source):
    line, *_ = zoomed(source, left=5000, right=5653)["figure"]["data"]
    assert (line["x"][0], line["x"][-1]) == (0, N - 1)
    assert line["x"] == sorted(set(line["x"]))
    assert len(line["x"]) < 1000


def test_a_wide_range_is_thinned_and_says_so(source):
    drawn = zoomed(source, left=1000, right=9999)
    assert (drawn["shown"], drawn["count"]) == (1000, 9000)
    assert "1,000 of 9,000 points in this range, extrema kept" in note_text(drawn)


@pytest.mark.parametrize(
    ("x", "positions"),
    [
        ("examples", 32.0 * np.arange(N)),
        ("forwards", np.where(np.arange(N) < 700, 2.0, 3.0) * (np.arange(N) - 700) + 1400),
        ("seconds", SECONDS),
    ],
)
@pytest.mark.parametrize("ends", [(600, 900), (0, 100), (19_500, N - 1)])
def test_every_point_between_the_ends_is_drawn_on_every_axis(source, x, positions, ends):
    left, right = positions[ends[0]] - 0.25, positions[ends[1]] + 0.25
    inside = positions[(positions >= left) & (positions <= right)]
    line, *_ = zoomed(source, x=x, left=left, right=right)["figure"]["data"]
    assert np.allclose(within(line, left, right), inside, rtol=1e-12, atol=0)


def test_a_law_is_as_fine_as_its_points(source):
    data = zoomed(source, metric="relative_variance", left=5000, right=5652)["figure"]["data"]
    law = next(trace for trace in data if trace["name"].startswith("law of"))
    assert len(within(law, 5000, 5652)) == 653


@pytest.mark.parametrize("name", ["layer_panels", "driver_reports", "carpet", "layers"])
def test_every_figure_over_the_run_refines(source, name):
    assert {"left", "right"} <= set(modules()[name].INFO.parameters)
    query = {"metric": "cosine", "estimator": "spsa"} if name != "driver_reports" else {}
    drawn = zoomed(source, name, left=5000, right=5299, **query)
    assert len(within(drawn["figure"]["data"][0], 5000, 5299)) == 300
    assert drawn["zoomed"]
    assert len(within(zoomed(source, name, **query)["figure"]["data"][0], 5000, 5299)) < 30


def test_an_end_that_is_no_number_is_refused(source):
    with pytest.raises(FigureError, match="left is 'nan'; allowed is a finite number"):
        zoomed(source, left="nan")
