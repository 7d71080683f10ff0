"""Presses and keys: each counts or says that it does not; the focus and the scroll are kept."""

import json

import pytest
from person import (
    RUN_PAGE,
    becomes,
    enter,
    go,
    press,
    press_run,
    run_row,
    show,
    small,
    step_of,
)
from playwright.sync_api import Page, Route, expect
from served import ServedLab

pytestmark = pytest.mark.usefixtures("no_plots")

LONG = 10_000_000
PRESSES = 3


@pytest.mark.timeout(90)
def test_every_press_of_run_counts(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    held: list[Route] = []
    page.route("**/api/runs", lambda route: held.append(route), times=1)
    small(page, "pressed often", 5)
    for _ in range(PRESSES):
        press(page)
    expect(page.get_by_text(f"Starting {PRESSES} runs…")).to_be_visible()
    held[0].continue_()
    page.wait_for_url(RUN_PAGE)
    go(page, "/runs")
    expect(run_row(page, "pressed often")).to_have_count(PRESSES, timeout=60_000)
    assert "/runs/" not in page.url, "who has gone elsewhere stays there"

    small(page, "refused", -1)
    expect(page.get_by_text("Starting")).to_have_count(0)
    press(page)
    expect(page.get_by_text("1 field needs attention")).to_be_visible()
    expect(page.get_by_text("Starting")).to_have_count(0)
    small(page, "after a refusal", 5)
    press_run(page)
    becomes(run_row(page, "after a refusal"), "finished")


@pytest.mark.timeout(120)
def test_orders_by_keyboard_keep_the_focus(page: Page, lab: ServedLab) -> None:
    show(page, lab, "by keyboard", LONG)
    row = run_row(page, "by keyboard")
    becomes(row, "running")
    row.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    becomes(row, "paused")
    expect(row.get_by_role("button", name="Resume")).to_be_focused()

    at = step_of(row)
    held: list[Route] = []
    page.route("**/step", lambda route: held.append(route))
    for _ in range(3):
        row.get_by_role("button", name="Step").press("Enter")
    expect(row.get_by_role("button", name="Step")).to_have_text("Stepping…")
    sent = [json.loads(route.request.post_data or "")["to"] for route in held]
    assert sent == [at + 1, at + 2, at + 3]
    for route in held:
        route.continue_()
    expect(row.locator(".run-steps")).to_contain_text(f"{at + 3:,} /")
    becomes(row, "paused")
    expect(row.get_by_role("button", name="Step")).to_be_focused()

    row.get_by_role("button", name="Resume").press("Enter")
    becomes(row, "running")
    expect(row.get_by_role("button", name="Pause")).to_be_focused()

    row.get_by_text("Details", exact=True).click()
    row.get_by_text("Configuration", exact=True).click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    row.locator(".facts pre").press("Space")
    row.get_by_role("button", name="Cancel").press("Enter")
    becomes(row, "cancelled")
    expect(row.locator(".run-name")).to_be_focused()
    assert "pause" not in asked, "the space bar in a text scrolls"


def test_single_keys_can_be_switched_off(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    title = page.get_by_role("heading", level=1)
    page.get_by_role("button", name="Help and keys").click()
    switch = page.get_by_role("checkbox", name="Single-key shortcuts")
    expect(switch).to_be_checked()
    switch.uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.reload()
    expect(title).to_have_text("Runs")
    page.keyboard.press("n")
    expect(title).to_have_text("Runs")
    page.get_by_role("button", name="Help and keys").click()
    switch.check()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(title).to_have_text("New run")


@pytest.mark.timeout(90)
def test_a_microscope_asked_for_before_the_catalogue_has_its_settings_when_it_is_there(
    page: Page, lab: ServedLab
) -> None:
    run = lab.finished(lab.start_run("looked at early", 5)["id"])
    held: list[Route] = []
    page.route("**/api/catalogue", lambda route: held.append(route), times=1)
    enter(page, lab.start_url, f"/runs?runs={run['id']}")
    row = run_row(page, "looked at early")
    row.get_by_role("link", name="Microscope on run").click()
    expect(page.get_by_role("heading", name="Checkpoint of step 5")).to_be_visible()
    settings = page.locator(".instrument-settings")
    settings.locator("summary").click()
    expect(settings.locator("form")).to_have_count(0)
    held[0].continue_()
    expect(settings.get_by_label("Seed", exact=True)).to_be_visible()
