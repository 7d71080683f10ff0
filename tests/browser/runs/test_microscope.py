"""A checkpoint under the microscope: chosen on its tab, seen live, drawn again."""

import pytest
from axe import violations
from person import becomes, chart, enter, go, instrument, points, sees
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.mark.timeout(120)
def test_a_checkpoint_is_looked_at_and_drawn_again(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    number = lab.finished(lab.start_run("to be seen", 40)["id"])["number"]
    enter(page, lab.start_url, f"/runs/{number}/microscope")
    rail = page.get_by_role("region", name="Checkpoint of step")
    expect(rail.get_by_role("heading")).to_have_text("Checkpoint of step 40")
    page.keyboard.press("ArrowLeft")
    expect(rail.get_by_role("heading")).not_to_have_text("Checkpoint of step 40")
    page.go_back()
    expect(rail.get_by_role("heading")).to_have_text("Checkpoint of step 40")
    rail.get_by_role("radio", name="Step 0, the initialisation").click()
    expect(page.get_by_text("Draws: nothing was measured at this checkpoint yet.")).to_be_visible()
    settings = instrument(page, number, "draws", 0)
    assert violations(page) == []
    settings.get_by_label("Draws", exact=True).fill("1")
    settings.get_by_role("button", name="Draw", exact=True).click()
    expect(settings.locator(".problem:visible")).to_contain_text("2")
    settings.get_by_label("Draws", exact=True).fill("64")
    settings.get_by_label("Drawn", exact=True).select_option("oracle")
    settings.get_by_role("button", name="Draw", exact=True).click()

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

    seen.get_by_role("button", name="Draw again").click()
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
