"""Every page has an address: links, the browser's buttons and nonsense lead where they should."""

import re
from typing import Any

import pytest
from axe import violations
from person import enter, go, run_form
from playwright.sync_api import Locator, Page, expect
from served import ServedLab

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture(scope="module")
def run(lab: ServedLab) -> dict[str, Any]:
    """A finished run."""
    return lab.finished(lab.start_run("addressed", 5, seed=7)["id"])


def title(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def pages_link(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Pages").get_by_role("link", name=name)


@pytest.mark.timeout(60)
def test_back_and_forward_restore_page_and_view(
    page: Page, lab: ServedLab, run: dict[str, Any]
) -> None:
    enter(page, lab.start_url, f"/runs?runs={run['id']}")
    axis = page.get_by_label("Horizontal axis")
    axis.select_option("examples")
    page.evaluate("window.isSameDocument = true")
    pages_link(page, "Studies").click()
    expect(title(page)).to_have_text("Studies")
    expect(page).to_have_title("Studies · Gradient Lab")
    expect(pages_link(page, "Studies")).to_have_attribute("aria-current", "page")
    expect(page.locator("#main")).to_be_focused()
    assert page.url == f"{lab.url}/studies", "a view of the runs is no part of it"
    go(page, f"/runs/{run['id']}")
    page.wait_for_url(f"**/runs/{run['number']}")
    go(page, f"/runs/{run['number']}/setup")
    expect(title(page)).to_have_text("addressed")
    expect(pages_link(page, "Runs")).to_have_attribute("aria-current", "page")
    overview = page.get_by_role("link", name="Overview")
    overview.click()
    expect(overview).to_have_attribute("aria-current", "page")

    for _ in range(4):
        page.go_back()
    expect(title(page)).to_have_text("Runs")
    expect(axis).to_have_value("examples")
    expect(page.locator(".run input:checked")).to_have_count(1)
    for _ in range(3):
        page.go_forward()
    expect(title(page)).to_have_text("addressed")
    expect(page.get_by_label("Settings as YAML")).to_be_visible()
    assert page.evaluate("window.isSameDocument"), "nothing is loaded anew"


@pytest.mark.timeout(60)
def test_nonsense_is_said_to_be_nonsense(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected += ["404", "422"]
    enter(page, lab.start_url, "/studies/no/such")
    expect(title(page)).to_have_text("There is no such page")
    expect(page.get_by_text("The lab has no page at /studies/no/such.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Go to the home page").click()
    page.wait_for_url(re.compile("/$"))
    expect(title(page)).not_to_have_text("There is no such page")
    enter(page, lab.start_url, "/nonsense")
    expect(title(page)).to_have_text("There is no such page")
    for number in ("999999999", "none", "%E0%A4%A", "-1"):
        go(page, f"/runs/{number}")
        expect(title(page)).to_have_text("There is no such run")
        page.get_by_role("link", name="See all runs").click()
        expect(title(page)).to_have_text("Runs")


@pytest.mark.timeout(60)
def test_a_page_that_does_not_load_says_so(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("net::ERR_FAILED")
    enter(page, lab.start_url)
    page.route("**/static/gallery/list.js", lambda route: route.abort())
    pages_link(page, "Gallery").click()
    expect(title(page)).to_have_text("This page did not load")
    assert violations(page) == []
    page.unroute_all()
    page.get_by_role("button", name="Load the page again").click()
    expect(title(page)).to_have_text("Gallery")


@pytest.mark.timeout(60)
def test_links_and_keys_open_pages(page: Page, lab: ServedLab, run: dict[str, Any]) -> None:
    enter(page, lab.start_url)
    with page.context.expect_page() as opened:
        pages_link(page, "Studies").click(modifiers=["Control"])
    expect(title(opened.value)).to_have_text("Studies")
    expect(title(page)).to_have_text("Runs")

    search = page.get_by_label("Search runs")
    search.press("n")
    expect(search).to_have_value("n")
    page.locator("#main").focus()
    page.keyboard.press("n")
    expect(title(page)).to_have_text("New run")
    assert page.url == f"{lab.url}/new"

    go(page, f"/runs/{run['number']}")
    page.get_by_role("link", name=f"Duplicate and edit run {run['number']}").click()
    form = run_form(page)
    expect(form.get_by_label("Name", exact=True)).to_have_value("addressed")
    expect(form.get_by_label("Seed", exact=True)).to_have_value("7")


@pytest.mark.timeout(60)
def test_a_run_that_somebody_deletes_leaves_a_word_in_its_place(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("404")
    goes = lab.finished(lab.start_run("goes", 5)["id"])
    enter(page, lab.start_url, f"/runs/{goes['id']}?theme=dark")
    expect(title(page)).to_have_text("goes")
    assert page.url == f"{lab.url}/runs/{goes['number']}?theme=dark"
    with lab.client() as client:
        client.delete(f"/runs/{goes['id']}").raise_for_status()
    expect(title(page)).to_have_text("There is no such run")
