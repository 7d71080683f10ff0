"""Guesses and targets, run by the lab: their grid, their alignment, and what they report."""

from typing import Any

import pytest
from person import becomes, chart, enter, run_row, sees
from playwright.sync_api import Page, expect
from served import ServedLab

DRIVER = {"name": "guess_and_target", "unit": "tensor"}
CELLS = (("global", "local"), ("global", "normal"), ("local", "local"))


def configuration(target: str, guess: str) -> dict[str, Any]:
    return {
        "name": f"{guess} for {target}",
        "dataset": {"name": "two_moons"},
        "network": {"name": "mlp", "width": 8, "depth": 2},
        "estimator": {**DRIVER, "target_loss": target, "guess": guess},
        "steps": 40,
    }


@pytest.mark.timeout(150)
def test_a_study_of_targets_and_guesses_is_seen_as_a_grid(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)  # once the form is there, components are loaded
    configs = [configuration(*cell) for cell in CELLS]
    with lab.client() as client:
        posted = client.post(
            "/studies", json={"name": "small grid", "configs": configs}, timeout=60
        )
    assert posted.status_code == 201, posted.text
    study = posted.json()
    page.goto(f"{lab.url}/runs?study={study['id']}")
    for target, guess in CELLS:
        becomes(run_row(page, f"{guess} for {target}"), "finished", 60)
    chart(page, "study-grid")
    cells = sees(
        page,
        """() => {
          const [grid] = document.querySelector("[data-chart=study-grid]")?.data ?? [];
          const shown = (grid?.z ?? []).map((row) => [...row].map(Number.isFinite));
          const count = shown.flat().filter(Boolean).length;
          return count === 3 && grid.y.map((row, i) =>
            [row, ...grid.x.filter((_, j) => shown[i][j])]);
        }""",
    )
    assert {row[0]: sorted(row[1:]) for row in cells if len(row) > 1} == {
        "global": ["local", "normal"],
        "local": ["local"],
    }
    run_row(page, "local for global").get_by_role("checkbox").check()
    chart(page, "alignment-by-depth")
    sees(
        page,
        """() => (document.querySelector("[data-chart=alignment-by-depth]")?.data ?? [])
          .some((line) => line.y?.length >= 2)""",
    )
    reported = chart(page, "driver-reports")
    expect(reported).to_contain_text("Loss of the auxiliary")
    offered = page.locator("#chart-driver-reports").get_by_label("Quantity")
    expect(offered.get_by_role("option", name="Cosine of target and guess")).to_be_attached()
    offered.select_option(label="Cosine of target and guess")
    sees(
        page,
        """() => document.querySelector("[data-chart=driver-reports]")
          ?.data?.some((line) => line.name.startsWith("Cosine of target and guess"))""",
    )


@pytest.mark.timeout(150)
def test_runs_without_guesses_have_no_grid(page: Page, lab: ServedLab) -> None:
    """Though they have the measures that a grid of guesses would show."""
    enter(page, lab.start_url)
    config = {
        **configuration("global", "local"),
        "name": "no guess",
        "estimator": {"name": "backprop"},
        "steps": 1_000_000,
    }
    with lab.client() as client:
        posted = client.post("/runs", json=config)
        assert posted.status_code == 201, posted.text
        run = posted.json()["id"]
        page.goto(f"{lab.url}/runs?runs={run}")
        becomes(run_row(page, "no guess"), "running", 60)
        count = "document.querySelector('[data-chart=cosine]')?.data?.[0]?.x?.length ?? 0"
        seen = sees(page, f"() => {count}")
        sees(page, f"() => {count} >= {seen} + 3")
        expect(page.locator("[data-chart=guess-target-grid]")).to_have_count(0)
        expect(page.get_by_role("heading", name="Guesses and targets")).to_have_count(0)
        client.post(f"/runs/{run}/cancel")
    becomes(run_row(page, "no guess"), "cancelled", 60)
