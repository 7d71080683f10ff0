"""The adjoint map: asked for at a checkpoint, filled, and read with its slider and its picks."""

import pytest
from axe import violations
from person import becomes, chart, enter, instrument, points, sees
from playwright.sync_api import Page, expect
from served import ServedLab

CONFIG = {
    "name": "with an equilibrium", "dataset": {"name": "digits"},
    "network": {"name": "implicit_mlp", "width": 8}, "estimator": {"name": "implicit_adjoint"},
    "optimizer": {"name": "sgd", "lr": 0.1}, "steps": 5, "batch_size": 16, "probe": {"budget": 0},
}  # fmt: skip
WRONG = [
    ("Steps k", "0, 3", "1, 3", "steps holds 0"),
    ("Damping λ", "2", "0.5, 1", "damping holds 2.0"),
    ("Factors c", "-1", "0.5, 1", "factors holds -1.0"),
    ("Solvers", "foo", "anderson", "solvers holds 'foo'"),
]
"""A field of the form, a text that is refused, one that is allowed, and what is said below it."""
CELLS = """(text) => document.querySelector("[data-chart=adjoint-map]")?.data
  ?.find((trace) => trace.type === "heatmap")?.hovertext.flat().every((t) => t.includes(text))"""
"""Whether every cell of the map says this on hover."""
NUMBERS = """() => JSON.stringify(document.querySelector("[data-chart=adjoint-map]").data
  .find((trace) => trace.type === "heatmap").text)"""


@pytest.mark.timeout(150)
def test_the_map_is_asked_for_and_read(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    with lab.client() as client:
        posted = client.post("/runs", json=CONFIG, timeout=60).raise_for_status().json()
    number = lab.finished(posted["id"])["number"]
    enter(page, lab.start_url)
    settings = instrument(page, number, "adjoint_map", CONFIG["steps"])
    expect(settings.get_by_label("Draws", exact=True)).to_have_value("5")
    expect(settings.get_by_text("Estimators", exact=True)).to_be_hidden()
    assert violations(page) == []
    settings.get_by_label("Steps k", exact=True).fill("1, 3")
    settings.get_by_label("Damping λ", exact=True).fill("0.5, 1")
    settings.get_by_label("Factors c", exact=True).fill("0.5, 1")
    settings.get_by_label("Solvers", exact=True).fill("anderson")
    for label, wrong, right, words in WRONG:
        control = settings.get_by_label(label, exact=True)
        control.fill(wrong)
        settings.get_by_role("button", name="Draw", exact=True).click()
        own = settings.locator(".field", has=page.get_by_label(label, exact=True)).locator(
            ".problem:visible"
        )
        expect(own).to_contain_text(words)
        expect(settings.locator(".problem:visible")).to_have_count(1)
        control.fill(right)
    settings.get_by_role("button", name="Draw", exact=True).click()
    seen = page.locator(".run[data-kind=microscope]").first
    becomes(seen, "finished", 60)
    expect(seen).to_contain_text("measurements")

    chart(page, "adjoint-map")
    sees(page, CELLS, "npg, k = ")
    whole = page.evaluate(NUMBERS)
    slider = page.get_by_label("Factor c of the state", exact=True)
    expect(slider).to_have_attribute("max", "1")
    value = page.locator("output.slider-value")
    expect(value).to_contain_text("1, ρ(J) = ")
    slider.press("ArrowLeft")
    expect(value).to_contain_text("0.5, ρ(J) = ")
    assert "factor=0.5" in page.url
    sees(page, f"(before) => ({NUMBERS})() !== before", whole)
    page.get_by_role("figure", name="Adjoint map").get_by_label(
        "Adjoint", exact=True
    ).select_option("upg")
    sees(page, CELLS, "upg, k = ")
    other = page.evaluate(NUMBERS)
    page.get_by_label("Colour", exact=True).select_option("relative_error")
    sees(page, f"(before) => ({NUMBERS})() !== before", other)
    page.get_by_label("Layer", exact=True).select_option("head")
    expect(page.locator("#chart-adjoint-map")).to_contain_text("head")

    points(page, "adjoint-costs", "npg, anderson", 2)
    expect(page.locator("#chart-adjoint-cost-table")).to_contain_text("unrolled")
    chart(page, "descent-condition")
    expect(page.locator("#chart-descent-condition")).to_contain_text("factor 0.5")
    assert violations(page) == []
