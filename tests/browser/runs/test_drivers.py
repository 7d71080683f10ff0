"""A person lets another estimator drive, in mid-run."""

from person import becomes, enter, fill, page_head, press_run, run_row, sees
from playwright.sync_api import Page, expect
from served import ServedLab


def test_a_driver_is_switched_and_the_former_one_is_watched(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url)
    fill(page, Name="switched", Width="16", Depth="1", Length="1000000")
    press_run(page)
    row = run_row(page, "switched")
    becomes(row, "running")
    row.get_by_text("Change driver or learning rate").click()
    expect(row.get_by_role("button", name="Apply")).to_be_in_viewport(ratio=1)
    row.get_by_label("Learning rate").fill("much")
    row.get_by_label("Driver").select_option(label="Another estimator…")
    row.get_by_label("Estimator", exact=True).select_option("spsa")
    row.get_by_role("button", name="Apply").click()
    expect(row.get_by_text("lr is 'much'; it must be a number")).to_be_visible()
    row.get_by_label("Learning rate").fill("0.0001")
    row.get_by_role("button", name="Apply").click()
    expect(row.get_by_label("Driver").locator("option").first).to_have_text("spsa (unchanged)")
    sees(page, "() => document.querySelector('[data-chart=carpet-0]')")
    page.get_by_text("Why, layer by layer").click()
    why = page.locator(".why")
    why.get_by_label("Estimator").select_option("forward_gradient")
    expect(why.locator("caption")).to_contain_text("forward_gradient in run #")
    expect(why.get_by_role("rowheader", name="whole network")).to_be_visible()
    expect(why.locator("tr[data-cause=variance]").first).to_contain_text("draws averaged bring it")
    row.get_by_text("Details").click()
    expect(row.locator(".events")).to_contain_text("driver changed from forward_gradient to spsa")
    row.get_by_role("button", name="Cancel run").click()
    becomes(row, "cancelled")
    expect(row.get_by_text("Change driver or learning rate")).to_have_count(0)
    row.get_by_text("Fork from a checkpoint").click()
    fork = row.locator("form").filter(has=page.get_by_role("button", name="Start the fork"))
    fork.get_by_label("From the checkpoint of step").select_option("0")
    fork.get_by_label("Steps in all").fill("50")
    fork.get_by_role("button", name="Start the fork").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("fork of run")
    becomes(page_head(page), "finished")
