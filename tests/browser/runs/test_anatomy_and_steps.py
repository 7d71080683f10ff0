"""Where the variance comes from and what a step would do: asked for, seen, and a fork started."""

import pytest
from axe import violations
from person import becomes, chart, enter, page_head, points, press_run, run_row, sees, small
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.mark.timeout(150)
def test_the_variance_is_dissected_and_a_step_is_tried_and_followed(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url)
    small(page, "to be forked", 40)
    press_run(page)
    becomes(run_row(page, "to be forked"), "finished")

    page.get_by_role("button", name="Microscope on run").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Look at").select_option("anatomy")
    expect(dialog.get_by_label("Draws", exact=True)).to_have_value("16")
    assert violations(page) == []
    dialog.get_by_label("Batches", exact=True).fill("1")
    dialog.get_by_role("button", name="Draw", exact=True).click()
    expect(dialog.locator(".problem:visible")).to_contain_text("2")
    dialog.get_by_label("Batches", exact=True).fill("8")
    dialog.get_by_role("button", name="Draw", exact=True).click()
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

    seen.get_by_role("button", name="Microscope").click()
    dialog.get_by_label("Look at").select_option("what_if")
    dialog.get_by_label("Draws", exact=True).fill("16")
    dialog.get_by_role("button", name="Draw", exact=True).click()
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
