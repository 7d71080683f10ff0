"""Where the variance comes from and what a step would do: asked for, seen, and a fork started."""

import pytest
from axe import violations
from person import becomes, chart, enter, instrument, page_head, points, sees
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.mark.timeout(150)
def test_the_variance_is_dissected_and_a_step_is_tried_and_followed(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    number = lab.finished(lab.start_run("to be forked", 40)["id"])["number"]
    enter(page, lab.start_url)
    settings = instrument(page, number, "anatomy", 40)
    expect(settings.get_by_label("Draws", exact=True)).to_have_value("16")
    assert violations(page) == []
    settings.get_by_label("Batches", exact=True).fill("1")
    settings.get_by_role("button", name="Draw", exact=True).click()
    expect(settings.locator(".problem:visible")).to_contain_text("2")
    settings.get_by_label("Batches", exact=True).fill("8")
    settings.get_by_role("button", name="Draw", exact=True).click()
    seen = page.locator(".run[data-kind=microscope]").first
    becomes(seen, "finished", 60)
    points(page, "anatomy", "activity_forward_gradient: noise of the data", 3)
    expect(page.locator("#chart-advice")).to_contain_text("larger batch")
    points(page, "budget", "direct_feedback_alignment: measured")
    page.get_by_label("Budget, draws a gradient", exact=True).select_option("64")
    sees(page, "() => !document.querySelector('[data-chart=budget]').data.some((t) => "
               "t.name.endsWith('measured'))")  # fmt: skip
    assert "budget=64" in page.url
    assert violations(page) == []

    settings = instrument(page, number, "what_if", 40)
    settings.get_by_label("Draws", exact=True).fill("16")
    settings.get_by_role("button", name="Draw", exact=True).click()
    stepped = page.locator(".run[data-kind=microscope]").first
    expect(stepped).to_contain_text("what-if step")
    becomes(stepped, "finished", 60)
    points(page, "what_if", "mean of the steps", 5)
    chart(page, "loss-change")
    page.get_by_label("Learning rate η", exact=True).select_option(index=3)
    expect(page.locator("#chart-best-rates")).to_contain_text("direct_feedback_alignment")
    assert violations(page) == []

    page.get_by_label("Learning rate η", exact=True).select_option("")
    page.get_by_role("button", name="Fork the run from here").click()
    fork = page.get_by_role("dialog")
    rate = fork.get_by_label("Learning rate", exact=True)
    expect(fork.get_by_text("The run's own at this step: 0, the end of its")).to_be_visible()
    best = fork.get_by_role("button", name="Best of one step")
    expect(fork.get_by_text("It is no rate to train with")).to_be_visible()
    best.click()
    expect(best).to_contain_text(f": {rate.input_value()}")
    chosen = float(rate.input_value())
    fork.get_by_label("Driver").select_option(label="direct_feedback_alignment")
    assert violations(page) == []
    fork.get_by_role("button", name="Start the fork").click()
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("fork of run")
    expect(title).to_contain_text("at step 40")
    becomes(page_head(page), "finished", 60)
    expect(page_head(page)).to_contain_text("80 of 80 steps")
    expect(page.get_by_role("group", name="Recipe")).to_contain_text(f"{chosen:g}")
