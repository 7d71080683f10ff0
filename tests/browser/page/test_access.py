"""Everybody can use it: axe finds nothing, in light, in dark, on a phone; nothing sticks out."""

from typing import Any

import pytest
from axe import LOOKS, violations, wear
from person import chart, enter, go, points, run_form, setting, tool
from playwright.sync_api import Page, expect
from served import ServedLab


@pytest.fixture(scope="module")
def run(lab: ServedLab) -> dict[str, Any]:
    """A finished run."""
    return lab.finished(lab.start_run("looked at", 150)["id"])


def check(page: Page, width: int) -> None:
    """The page has one title, breaks no rule, and does not scroll sideways."""
    expect(page.locator("h1")).to_have_count(1)
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.timeout(120)
def test_axe_finds_nothing(look: str, page: Page, lab: ServedLab, run: dict[str, Any]) -> None:
    width = wear(page, look)
    enter(page, lab.start_url, f"/runs?runs={run['id']}")
    points(page, "loss", "train")
    points(page, "cosine", "activity_forward_gradient")
    chart(page, "carpet-0")
    page.locator(".run-facts summary").first.click()
    chart(page, "accuracy")
    tool(page, "Loss", "Show as a table")
    expect(page.get_by_role("region", name="Loss, as a table")).to_be_visible()
    check(page, width)

    go(page, f"/runs/{run['number']}")
    points(page, "loss", "train")
    page.get_by_role("group", name="Recipe").get_by_text("Fork from a checkpoint").click()
    expect(page.get_by_role("button", name="Start the fork")).to_be_visible()
    check(page, width)
    title = page.get_by_role("heading", level=1)
    title.click()
    expect(page.get_by_role("button", name="Start the fork")).to_be_hidden()
    page.get_by_role("link", name="Setup & log").click()
    expect(page.get_by_label("Settings as YAML")).to_be_visible()
    check(page, width)

    form = run_form(page)
    check(page, width)
    for group in form.locator(".setting-group > summary").all():
        group.click()
    form.locator(".shadow summary").first.click()
    check(page, width)


def test_axe_finds_nothing_at_the_door_and_in_dialogs(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("401")
    page.goto(lab.url)
    expect(page.get_by_label("Start URL or token")).to_be_visible()
    check(page, 1440)
    enter(page, lab.start_url)
    page.get_by_role("button", name="Help and keys").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_keys_and_help_work_without_a_mouse(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the lab")).to_be_focused()
    help_text = run_form(page).get_by_text("Units in each hidden layer")
    setting(page, "Depth").focus()
    expect(help_text).to_be_hidden()
    setting(page, "Width").focus()
    expect(help_text).to_be_visible()
