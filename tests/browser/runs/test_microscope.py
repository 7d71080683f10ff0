"""A checkpoint under the microscope: asked for in a dialog, seen live, drawn again."""

import pytest
from axe import violations
from person import becomes, chart, enter, go, points, press_run, run_row, sees, small
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.mark.timeout(120)
def test_a_checkpoint_is_looked_at_and_drawn_again(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url)
    small(page, "to be seen", 40)
    press_run(page)
    becomes(run_row(page, "to be seen"), "finished")

    page.get_by_role("button", name="Microscope on run").first.click()
    dialog = page.get_by_role("dialog")
    checkpoint = dialog.get_by_label("Checkpoint")
    expect(checkpoint.get_by_role("option", name="step 0, the initialisation")).to_be_attached()
    assert violations(page) == []
    dialog.get_by_label("Draws", exact=True).fill("1")
    dialog.get_by_role("button", name="Draw", exact=True).click()
    expect(dialog.locator(".problem:visible")).to_contain_text("2")
    dialog.get_by_label("Draws", exact=True).fill("64")
    checkpoint.select_option(label="step 0, the initialisation")
    dialog.get_by_label("Drawn", exact=True).select_option("oracle")
    dialog.get_by_role("button", name="Draw", exact=True).click()

    looks, seen = page.locator(".looks a"), page.locator(".run[data-kind=microscope]")
    expect(looks).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("to be seen")
    becomes(seen, "finished", 60)
    expect(seen).to_contain_text("64 / 64 draws")
    assert points(page, "cloud-0", "draws", 64) == 64
    points(page, "histogram-cosine")
    expect(page.locator("#chart-histogram-cosine")).to_contain_text(
        "honest draws (by the estimator itself) of direct_feedback_alignment"
    )
    points(page, "convergence", "activity_forward_gradient")
    expect(page.locator("#chart-measures-table")).to_contain_text("Relative variance")

    chart(page, "verdict")
    expect(page.locator("#chart-verdict")).to_contain_text("448 more than these")
    points(page, "law-checks", "✓ agrees", 1)
    points(page, "paired", "activity_forward_gradient")

    chart(page, "bias-variance")
    page.get_by_label("Draws averaged, K").fill("3")
    sees(
        page,
        """() => document.querySelector("[data-chart=bias-variance]").layout?.xaxis.title.text
           .includes("K = 8 draws")""",
    )
    assert "k=8" in page.url
    assert violations(page) == []

    seen.get_by_role("button", name="Resample").click()
    expect(looks).to_have_count(2)
    expect(looks.first).to_have_attribute("aria-current", "true")
    expect(seen).to_contain_text("seed 1 · oracle draws")
    newest = page.url
    looks.last.click()
    expect(seen).to_contain_text("seed 0 · oracle draws")
    page.go_back()
    expect(seen).to_contain_text("seed 1 · oracle draws")
    page.get_by_role("link", name="Overview").click()
    points(page, "loss", "train")

    # The address of a microscope's own number leads to its place, and Back to where one was.
    go(page, f"/runs/{newest.rpartition('=')[2]}")
    page.wait_for_url(newest)
    page.go_back()
    points(page, "loss", "train")
