"""An experiment of a paper from its card to its figures, by one click."""

import re

from axe import violations
from person import SECONDS, sees
from playwright.sync_api import Page, expect
from served import ServedLab

WAIT = SECONDS * 1000


def test_an_entry_from_its_card_to_its_figures(page: Page, lab: ServedLab) -> None:
    page.goto(lab.start_url.replace("/#", "/gallery#"))
    cards = page.locator(".gallery-card")
    expect(cards.first).to_be_visible(timeout=WAIT)
    assert violations(page) == []
    card = cards.filter(has_text="Beale's function")
    expect(card).to_contain_text("about 30 s (full length: 3 min)")
    card.get_by_role("link").click()

    expect(page.get_by_role("heading", name="Beale's function")).to_be_visible(timeout=WAIT)
    expect(page.locator(".gallery-head")).to_contain_text("Not run here yet.")
    differences = page.get_by_role("region", name="What differs from the paper")
    expect(differences.get_by_role("listitem")).not_to_have_count(0)
    start = page.get_by_role("button", name="Run (about 30 s)")
    start.click()
    running = page.get_by_role("button", name="Running")
    expect(running).to_have_attribute("aria-disabled", "true", timeout=WAIT)
    expect(page.locator(".gallery-state .status")).to_have_text("running", timeout=WAIT)
    # Every figure that the entry names is drawn from the runs so far, before the study ends.
    sees(page, """() => document.querySelector("[data-chart=path-0]")?.data?.length > 1""")
    sees(page, """() => document.querySelector("[data-chart=curve-1]")?.data?.length >= 1""")

    page.get_by_role("link", name="Its study: table, tuning, runs, pause and cancel").click()
    expect(page.locator(".study-head .status")).to_be_visible(timeout=WAIT)
    with lab.client() as client:  # a fast machine has finished it by now: then this is refused
        client.post(f"/studies/{page.url.rpartition('/')[2]}/cancel")
    ended = re.compile("cancelled|finished")
    expect(page.locator(".study-head .status")).to_have_text(ended, timeout=WAIT)
    page.go_back()  # nothing moves there any more
    expect(page.locator(".gallery-state .status")).to_have_text(ended, timeout=WAIT)
    sees(page, """() => document.querySelector("[data-chart=path-0]")?.data?.length > 1""")
    assert violations(page) == []
    page.go_forward()
    page.get_by_role("link", name="Gallery").click()
    picture = cards.filter(has_text="Beale's function").locator("img")
    expect(picture).to_be_visible(timeout=WAIT)
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320


def test_an_address_with_an_entry_that_there_is_not(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("404")
    page.goto(lab.start_url.replace("/#", "/gallery/nothing#"))
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("the gallery has no entry 'nothing'", timeout=WAIT)
    problem.get_by_role("link", name="All entries").click()
    expect(page.get_by_role("heading", name="Gallery")).to_be_visible(timeout=WAIT)
