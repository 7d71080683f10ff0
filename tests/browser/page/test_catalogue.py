"""A new figure needs no line of JavaScript: the page draws what the catalogue lists."""

from typing import Any

import pytest
from person import becomes, chart, run_row, sees, show
from playwright.sync_api import Page, Route, expect
from served import ServedLab

NEW: dict[str, Any] = {
    "name": "brand_new",
    "title": "Brand new",
    "help": "What it draws.",
    "reading": "How to read it.",
    "parameters": ["runs", "level", "scale", "estimator"],
}
PICK = {"parameter": "scale", "title": "Its scale", "empty": "", "own": True}


def with_a_new_figure(catalogue: dict[str, Any]) -> dict[str, Any]:
    """The catalogue with one figure more, below all others of the last section."""
    (curve,) = [figure for figure in catalogue["figures"] if figure["name"] == "curve"]
    entry = {
        **curve["charts"][0],
        "key": "brand-new", "title": "Brand new", "help": NEW["help"], "reading": NEW["reading"],
        "places": [{"page": "run", "section": "layers", "order": 99}], "asks": {}, "size": "wide",
        "picks": [{**PICK, "choices": catalogue["parameters"]["scale"]["choices"]}],
        "colours_runs": False, "per_estimator": True, "unless": None,
    }  # fmt: skip
    return {**catalogue, "figures": [*catalogue["figures"], {**NEW, "charts": [entry]}]}


def answer(route: Route) -> None:
    trace = {"type": "scatter", "x": [1, 2], "y": [1, 2], "name": "its line", "line": {}}
    figure = {"data": [trace], "layout": {"xaxis": {}, "yaxis": {}, "height": 300}}
    parts = {"shown": 2, "count": 5, "selection": "evenly chosen", "note": ["One.", "Two."]}
    route.fulfill(json={"figure": figure, **parts, "meta": {}, "zoomed": False, "details": []})


@pytest.mark.timeout(120)
def test_a_new_figure_stands_on_the_page(page: Page, lab: ServedLab) -> None:
    page.route(
        "**/api/figures",
        lambda route: route.fulfill(json=with_a_new_figure(route.fetch().json())),
    )
    page.route("**/api/figures/brand_new?*", answer)
    show(page, lab, "with a new figure", 40)
    becomes(run_row(page, "with a new figure"), "finished")
    chart(page, "brand-new-1")
    sees(page, "() => document.querySelector('[data-chart=brand-new-1]').data?.[0].x.length === 2")
    shown = page.locator("#chart-brand-new-1")
    expect(shown.get_by_role("heading")).to_have_text("activity_forward_gradient")
    note = shown.locator(".chart-note")
    expect(note).to_have_text("2 of 5 points, evenly chosen; One.; Two.", use_inner_text=True)
    shown.get_by_role("button", name="About activity_forward_gradient").focus()
    expect(page.get_by_role("tooltip").filter(has_text="How to read it.")).to_be_visible()
    shown.get_by_label("Its scale").select_option("linear")
    with page.expect_request(
        lambda request: all(
            part in request.url
            for part in ("brand_new?", "level=tensor", "scale=linear", "=activity_forward_gradient")
        )
    ):
        page.get_by_label("Rows", exact=True).select_option(label="tensors")
    assert "level=tensor" in page.url
    assert "scale=" not in page.url, "a choice for one chart alone"
