"""Findings of a run: beside its status, in its row, in the card of its page and where they lead."""

import re

import pytest
from axe import violations
from person import becomes, enter, go, run_row
from playwright.sync_api import Browser, Page, expect
from served import ServedLab

PLAIN = {
    "name": "converges", "dataset": {"name": "digits"},
    "network": {"name": "implicit_mlp", "width": 8}, "estimator": {"name": "backprop"},
    "optimizer": {"name": "sgd", "lr": 0.1}, "steps": 10, "batch_size": 16, "probe": {"budget": 0},
}  # fmt: skip
WARNED = {**PLAIN, "name": "does not", "network": {**PLAIN["network"], "limit": 2}}
WILD = {
    **PLAIN, "name": "too fast", "network": {"name": "mlp", "width": 8},
    "optimizer": {"name": "sgd", "lr": 1e3}, "steps": 50,
}  # fmt: skip
TITLE = "A solve of an equilibrium did not converge."
RECORDED = "16 of 16 examples did not converge in a solve of an equilibrium at step 0 ("


@pytest.mark.timeout(240)
def test_findings_are_seen_where_a_run_is_and_lead_to_a_remedy(
    page: Page, lab: ServedLab, browser: Browser
) -> None:
    with lab.client() as client:
        made = [
            client.post("/runs", json=config, timeout=60).raise_for_status().json()
            for config in (PLAIN, WARNED, WILD)
        ]
        numbers = [run["number"] for run in made]
        ids = [run["id"] for run in made]
        board = client.post("/dashboards", json={"title": "two", "runs": ids[:2]}).json()["id"]
        link = client.post(f"/dashboards/{board}/share").raise_for_status().json()["url"]

    enter(page, lab.start_url)
    row = run_row(page, WARNED["name"])
    becomes(row, "finished", 60)
    expect(row.locator(".findings-count")).to_have_text("1 finding")
    line = row.locator(".run-findings")
    expect(line.locator("summary")).to_have_text(TITLE)
    line.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(line.get_by_role("listitem")).to_contain_text("16 of 16 examples, 10 such steps so far.")
    assert violations(page) == []
    other = run_row(page, PLAIN["name"])
    becomes(other, "finished", 60)
    expect(other.locator(".run-findings")).to_have_count(0)
    expect(other.locator(".findings-count")).to_have_count(0)
    becomes(run_row(page, WILD["name"]), "diverged", 60)

    go(page, f"/runs/{numbers[1]}")
    card = page.get_by_role("region", name="Findings")
    expect(card.get_by_role("listitem").first).to_contain_text(TITLE)
    expect(page.locator(".run-page-head .findings-count")).to_have_text("1 finding")
    expect(card.get_by_role("status")).to_have_text(TITLE)
    expect(card.get_by_role("link", name="Microscope")).to_have_attribute(
        "href", f"/runs/{numbers[1]}/microscope"
    )
    assert violations(page) == []
    card.get_by_role("link", name=f"Log: {TITLE}").click()
    expect(page).to_have_url(re.compile(rf"/runs/{numbers[1]}/setup$"))
    expect(page.get_by_role("heading", name="Log")).to_be_visible()

    go(page, f"/runs/{numbers[2]}")
    first = card.get_by_role("listitem").first
    expect(first).to_contain_text("The run diverged at step 50.")
    first.get_by_role("link", name="Duplicate & edit at 100").click()
    expect(page).to_have_url(re.compile(r"/new$"))
    changed = page.locator(".changes .change")
    expect(changed).to_have_count(1)
    expect(changed).to_contain_text("1,000 → 100")

    shared = browser.new_page()
    shared.goto(link)
    expect(shared.locator(".note.warning")).to_have_count(2)
    expect(shared.locator(".note.warning").first).to_contain_text(f"does not: {RECORDED}")
    shared.close()
