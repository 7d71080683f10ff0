"""Findings of a run, such as unconverged solves: seen on its card without opening anything."""

import pytest
from axe import violations
from person import becomes, enter, run_row
from playwright.sync_api import Browser, Page, expect
from served import ServedLab

PLAIN = {
    "name": "converges", "dataset": {"name": "digits"},
    "network": {"name": "implicit_mlp", "width": 8}, "estimator": {"name": "backprop"},
    "optimizer": {"name": "sgd", "lr": 0.1}, "steps": 10, "batch_size": 16, "probe": {"budget": 0},
}  # fmt: skip
WARNED = {**PLAIN, "name": "does not", "network": {**PLAIN["network"], "limit": 2}}
FIRST = "16 of 16 examples did not converge in a solve of an equilibrium at step 0 ("
IS_CLIPPED = "(summary) => summary.scrollWidth > summary.clientWidth && summary.clientHeight < 40"


@pytest.mark.timeout(150)
def test_findings_are_seen_on_the_card_and_on_a_shared_page(
    page: Page, lab: ServedLab, browser: Browser
) -> None:
    with lab.client() as client:
        runs = [
            client.post("/runs", json=config, timeout=60).raise_for_status().json()["id"]
            for config in (PLAIN, WARNED)
        ]
        board = client.post("/dashboards", json={"title": "two", "runs": runs}).json()["id"]
        link = client.post(f"/dashboards/{board}/share").raise_for_status().json()["url"]
    enter(page, lab.start_url)
    row = run_row(page, WARNED["name"])
    becomes(row, "finished", 60)
    findings = row.locator(".run-findings")
    summary = findings.locator("summary")
    expect(summary).to_be_visible()
    expect(summary).to_contain_text(f"2 findings: {FIRST}")
    expect(summary.locator("svg")).to_be_visible()
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert summary.evaluate(IS_CLIPPED)
    assert (summary.get_attribute("title") or "").startswith(FIRST)
    assert violations(page) == []

    summary.focus()
    page.keyboard.press("Enter")
    texts = findings.get_by_role("listitem")
    expect(texts).to_have_count(2)
    expect(texts.first).to_contain_text(FIRST)
    expect(texts.last).to_contain_text("at step 9")
    expect(texts.last).to_contain_text("(10 such steps so far)")
    assert violations(page) == []

    other = run_row(page, PLAIN["name"])
    becomes(other, "finished", 60)
    expect(other.locator(".run-findings")).to_have_count(0)

    shared = browser.new_page()
    shared.goto(link)
    expect(shared.locator(".note.warning")).to_have_count(2)
    expect(shared.locator(".note.warning").first).to_contain_text(f"does not: {FIRST}")
    shared.close()
