"""Everybody can use it: axe finds nothing, in light, in dark, on a phone; nothing sticks out."""

import pytest
from axe import LOOKS, violations, wear
from person import becomes, chart, enter, points, press_run, run_row, setting, small
from playwright.sync_api import BrowserContext, Page, expect
from served import ServedLab


@pytest.fixture(scope="module")
def address(shared_context: BrowserContext, lab: ServedLab) -> str:
    """The address of a page with a finished run in the charts."""
    page = shared_context.new_page()
    enter(page, lab.start_url)
    small(page, "looked at", 150)
    press_run(page)
    becomes(run_row(page, "looked at"), "finished")
    found = page.url
    page.close()
    return found


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.timeout(120)
def test_axe_finds_nothing(look: str, page: Page, lab: ServedLab, address: str) -> None:
    width = wear(page, look)
    enter(page, lab.start_url)
    page.goto(address)
    points(page, "loss", "train")
    points(page, "cosine", "activity_forward_gradient")
    chart(page, "carpet-0")
    page.locator(".chip summary").first.click()
    page.locator(".run-facts summary").first.click()
    chart(page, "accuracy")
    page.get_by_role("group", name="Loss: tools").get_by_label("Show as a table").click()
    expect(page.get_by_role("region", name="Loss, as a table")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_axe_finds_nothing_at_the_door_and_in_dialogs(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("401")
    page.goto(lab.url)
    expect(page.get_by_label("Start URL or token")).to_be_visible()
    assert violations(page) == []
    enter(page, lab.start_url)
    page.get_by_role("button", name="Help and keys").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_keys_and_help_work_without_a_mouse(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the lab")).to_be_focused()
    help_text = page.get_by_text("Units in each hidden layer")
    setting(page, "Depth").focus()
    expect(help_text).to_be_hidden()
    setting(page, "Width").focus()
    expect(help_text).to_be_visible()
