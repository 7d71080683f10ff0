"""A sweep over the network: values are offered, points come, slopes are said, the axis switches."""

import pytest
from axe import violations
from person import becomes, chart, enter, instrument, points, sees
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.mark.timeout(120)
def test_a_networks_width_is_swept(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    number = lab.finished(lab.start_run("to be swept", 20)["id"])["number"]
    enter(page, lab.start_url)
    settings = instrument(page, number, "sweep", 20)
    settings.get_by_label("Draws", exact=True).fill("128")
    field, values = settings.get_by_label("Sweep"), settings.get_by_label("Values", exact=True)
    field.select_option(label="tangents")
    expect(values).to_have_value("1, 4, 16, 64")
    field.select_option(label="network: width")
    expect(settings).to_contain_text("the weights of a checkpoint belong to width")
    assert violations(page) == []
    values.fill("4, 0")
    settings.get_by_role("button", name="Draw", exact=True).click()
    expect(settings.locator(".problem:visible")).to_have_text("width is 0; it must be at least 1.")
    values.fill("4, 8, 16")
    settings.get_by_role("button", name="Draw", exact=True).click()

    becomes(page.locator(".run[data-kind=microscope]").first, "finished", 60)
    assert points(page, "sweep-variance", "forward_gradient", 3) == 3
    expect(chart(page, "sweep-variance")).to_be_visible()
    page.get_by_label("Against").select_option(label="number of parameters, d")
    sees(
        page,
        """() => document.querySelector("[data-chart=sweep-variance]").layout?.xaxis.title.text
           .startsWith("parameters")""",
    )
    expect(page.locator("#chart-sweep-variance")).to_contain_text("slope of")
    expect(page.locator("#chart-sweep-variance")).to_contain_text(
        "every network at its initialisation"
    )
    assert "against=parameters" in page.url
    assert violations(page) == []
