"""A zoom shows every point of its range, and stays while its axis does."""

import numpy as np
import pytest
from drawn import PLOT, ask, axis, place
from person import enter, sees
from playwright.sync_api import Page, expect
from served import ServedLab

from backend.figures import Memory, MemoryRun

N = 20_000
APPEND = """async ([id, steps]) => (await import("/static/stream.js")).announce("points", {
  run: "r1",
  series: [{id, metric: "cosine", layer: "", estimator: "spsa", steps, values: steps.map(() => 0)}],
})"""
NOTE = "#chart-tried .chart-note"


@pytest.fixture
def source() -> Memory:
    source, rng = Memory(), np.random.default_rng(0)
    for at, run in enumerate(("r1", "r2"), 1):
        source.add_run(run, MemoryRun(at, run, {"batch_size": 32}, {"driver": "spsa"}))
        for layer, size in (("", 0.1), ("head", 1.0)):
            source.add(
                run, "cosine", np.arange(N), size * rng.random(N), layer=layer, estimator="spsa"
            )
    return source


def drag(page: Page) -> None:
    """Zoom into a part of the chart."""
    box = page.locator("[data-chart=tried] .nsewdrag").bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 150, steps=4)
    page.mouse.up()


def visible(page: Page) -> list[float]:
    left, right = axis(page)
    shown = page.evaluate(f"() => {PLOT}.data[0].x")
    return [x for x in shown if left <= x <= right]


def test_a_zoom_is_refined_and_kept_where_the_axis_is_the_same(
    page: Page, lab: ServedLab, source: Memory
) -> None:
    enter(page, lab.start_url)
    place(page, source, "curve", metric="cosine")
    expect(page.locator(NOTE)).to_contain_text("1,000 of 20,000 points, extrema kept")
    whole = axis(page)
    drag(page)
    expect(page.locator(NOTE)).to_contain_text("points shown in this range")
    x, y = axis(page), axis(page, "yaxis")
    assert x[1] - x[0] < 1000
    assert visible(page) == list(range(int(np.ceil(x[0])), int(x[1]) + 1))
    expect(page.locator(NOTE)).to_contain_text(f"{len(visible(page))} of {len(visible(page))}")

    ask(page, metric="cosine", layer="head")
    assert axis(page) == x
    assert axis(page, "yaxis")[1] > 0.9, "another layer has a vertical axis of its own"
    ask(page, metric="cosine")
    assert (axis(page), axis(page, "yaxis")) == (x, y)
    ask(page, metric="cosine", runs="r1,r2")
    assert (axis(page), axis(page, "yaxis")) == (x, y)

    ask(page, metric="cosine")
    before = page.locator(NOTE).inner_text()
    page.evaluate(APPEND, [1, [N, N + 1]])
    sees(page, f"() => {PLOT}.data[0].x.at(-1) === {N + 1}")
    assert (axis(page), axis(page, "yaxis")) == (x, y)
    assert page.locator(NOTE).inner_text() == before, "the new points are outside of the range"

    page.get_by_role("button", name="Show the whole range").click()
    sees(page, f"() => {PLOT}._fullLayout.xaxis.range[1] > {N - 1}")
    assert axis(page) == pytest.approx(whole)
    assert "left" not in page.evaluate("() => window.asked.at(-1)")
    expect(page.get_by_role("button", name="Show the whole range")).to_be_hidden()


def double_click(page: Page) -> None:
    """Plotly takes two clicks as one pair within 300 ms, which a busy browser may miss."""
    for last in (False, False, True):
        page.locator("[data-chart=tried] .nsewdrag").dblclick()
        try:
            expect(page.locator(NOTE)).to_contain_text("1,000 of 20,000 points, extrema kept")
            return
        except AssertionError:
            if last:
                raise


def test_a_double_click_shows_the_whole_range(page: Page, lab: ServedLab, source: Memory) -> None:
    enter(page, lab.start_url)
    place(page, source, "curve", metric="cosine")
    whole = axis(page)
    drag(page)
    expect(page.locator(NOTE)).to_contain_text("points shown in this range")
    double_click(page)
    assert axis(page) == pytest.approx(whole)
