"""A study from its file to its verdict: started, watched, held, and mended on its page."""

import re

import yaml
from axe import violations
from person import SECONDS, sees
from playwright.sync_api import Page, expect
from served import ServedLab

STUDY = """
name: two rates
base:
  dataset: {name: two_moons}
  network: {name: mlp, width: 8, depth: 1}
  estimator: {name: backprop}
  steps: 40
  probe: {budget: 0}
  optimizer: {name: sgd, lr: 0.1}
methods:
  - {label: slow, config: {optimizer: {name: sgd, lr: 0.001}}}
  - {label: fast, config: {optimizer: {name: sgd, lr: 0.5}}}
seeds: [0, 1]
baseline: slow
"""
WAIT = SECONDS * 1000
"""ms; the first question to a lab waits until its components are known."""
CELLS = """(count) => {
  const data = document.querySelector("[data-chart=study_matrix]")?.data ?? [];
  return data[0]?.text?.flat().filter(Boolean).length === count;
}"""


def test_a_study_from_its_file_to_its_verdict(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    page.goto(lab.start_url.replace("/#", "/studies#"))
    field = page.get_by_label("The study, in YAML or JSON")
    start = page.get_by_role("button", name="Start the study")
    answer = page.locator("#study-answer")
    expect(answer).to_have_text("Valid: 2 variants, 12 runs.", timeout=WAIT)
    field.fill(STUDY.replace("seeds: [0, 1]", "seeds: [0, 0]"))
    expect(answer).to_contain_text("seeds 0 comes twice", timeout=WAIT)
    expect(start).to_be_disabled()
    page.get_by_label("Or open a file").set_input_files(
        {"name": "study.yaml", "mimeType": "application/yaml", "buffer": STUDY.encode()}
    )
    expect(answer).to_have_text("Valid: 2 variants, 4 runs.", timeout=WAIT)
    assert violations(page) == []
    with lab.client() as client:  # the study waits for a slot while it is paused
        base = {**yaml.safe_load(STUDY)["base"], "name": "occupies a slot", "steps": 10_000_000}
        others = [client.post("/runs", json=base).json()["id"] for _ in range(lab.slots)]
    start.click()

    expect(page.get_by_role("heading", name="two rates")).to_be_visible(timeout=WAIT)
    study = page.url.rpartition("/")[2]
    order = page.get_by_role("group", name="Orders to the study").get_by_role("button")
    order.filter(has_text="Pause").click()
    expect(page.locator(".study-head .status")).to_have_text("paused", timeout=WAIT)
    pause = order.filter(has_text="Pause")
    expect(pause).to_have_attribute("title", "The study is paused.")
    with lab.client() as client:
        runs = client.get(f"/studies/{study}").json()["runs"]
        client.post(f"/runs/{runs[-1]['id']}/cancel").raise_for_status()
    failed = page.locator(".study-failures li")
    expect(failed).to_contain_text("fast, seed 1: ", timeout=WAIT)
    assert violations(page) == []

    order.filter(has_text="Retry failed").click()
    expect(failed).to_have_count(0, timeout=WAIT)
    order.filter(has_text="Resume").click()
    with lab.client() as client:
        for run in others:
            client.post(f"/runs/{run}/cancel").raise_for_status()
    expect(page.locator(".study-head .status")).to_have_text("finished", timeout=WAIT)
    expect(page.locator(".study-progress")).to_have_text("4 of 4 runs")
    sees(page, CELLS, 4)
    rows = page.get_by_role("region", name="Table of the study").locator("tbody tr")
    expect(rows).to_contain_text([re.compile(r"fast.* ± .*2 of 2"), re.compile("slow.*2 of 2")])
    page.get_by_role("button", name="variant").click()
    page.get_by_role("button", name="variant").click()
    expect(rows.first).to_contain_text("slow")
    assert page.url.endswith(f"/studies/{study}?sort=-variant")
    expect(page.locator("#verdicts li").first).to_contain_text("fast")
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="Switch between light and dark").click()
    wide = "() => document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide), "no sideways scroll"
    assert violations(page) == []

    page.get_by_role("link", name="Studies").click()
    expect(page.get_by_role("link", name="two rates")).to_have_attribute(
        "href", f"/studies/{study}"
    )
    page.go_back()
    expect(rows.first).to_contain_text("slow")
