"""The page of one run: what a newcomer reads there, does there, and finds again."""

import re
from itertools import pairwise
from typing import Any

import pytest
from axe import violations
from person import becomes, enter, points, run_row, sees
from playwright.sync_api import Locator, Page, expect
from served import ServedLab

LONG = 10_000_000


def status(page: Page) -> Locator:
    return page.locator(".run-page-head .status")


@pytest.fixture(scope="module")
def run(lab: ServedLab) -> dict[str, Any]:
    """A finished run of three estimators, whose hidden layers are few."""
    steps, probe = 600, {"every": 50, "draws": 16}
    return lab.finished(lab.start_run("read here", steps, probe=probe)["id"])


@pytest.mark.timeout(120)
def test_the_overview_says_who_points_best_and_in_which_layer(
    page: Page, lab: ServedLab, run: dict[str, Any]
) -> None:
    enter(page, lab.start_url, f"/runs/{run['number']}")
    board = page.locator(".scoreboard")
    dfa = board.get_by_role("row").filter(has_text="Direct feedback alignment")
    expect(dfa.locator(".lead")).to_have_text(re.compile(r"^−?\d[\d.]* %$"))
    layers = [float(text.replace("−", "-")) for text in dfa.locator(".heat").all_inner_texts()]
    assert layers[-1] == 100, "its head is exact"
    assert all(value < 50 for value in layers[:-1]), "its hidden layers stand beside it"
    with lab.client() as client:
        rows = client.get(f"/runs/{run['id']}/scoreboard").json()["rows"]
    shown = board.locator("tbody .lead").all_inner_texts()
    assert shown == [row["along"]["text"] for row in rows]

    points(page, "cosine", "")
    expect(page.locator("#chart-cosine .takeaway")).to_contain_text("along, its head exact")
    expect(page.locator("#chart-loss .takeaway")).to_contain_text("loss is")
    names = page.locator("#chart-cosine .at-ends [data-entry]")
    expect(names).to_have_count(3)
    boxes = sorted(box["y"] for name in names.all() if (box := name.bounding_box()))
    assert all(low + 12 <= high for low, high in pairwise(boxes))

    page.locator("#chart-cosine .nsewdrag").hover()
    sees(
        page,
        """() => {
      const under = (key) => {
        const plot = document.querySelector(`[data-chart=${key}]`);
        const line = plot.parentElement.querySelector(".crosshair");
        const {xaxis} = plot._fullLayout;
        const width = xaxis.p2l(1) - xaxis.p2l(0);
        const at = xaxis.p2l(parseFloat(line.style.left) - xaxis._offset);
        return line.hidden ? null : {at, width};
      };
      const [here, there] = ["cosine", "loss"].map(under);
      return here && there && Math.abs(here.at - there.at) <= here.width + there.width;
    }""",
    )

    height = page.evaluate("document.querySelector('#main').getBoundingClientRect().height")
    assert height <= 1.5 * 900, "the overview takes at most a screen and a half"
    assert violations(page) == []


@pytest.mark.timeout(120)
def test_tabs_keys_and_the_palette_lead_everywhere(
    page: Page, lab: ServedLab, run: dict[str, Any]
) -> None:
    number = run["number"]
    enter(page, lab.start_url, f"/runs/{number}")
    for key, place in ("]", "variance"), ("]", "layers"), ("m", "microscope"), ("]", "setup"):
        page.keyboard.press(key)
        page.wait_for_url(f"**/runs/{number}/{place}")
    expect(page.get_by_label("Settings as YAML")).to_contain_text("forward_gradient")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save run-{number}.yaml").click()
    assert "every: 50" in download.value.path().read_text()
    page.keyboard.press("[")
    page.wait_for_url(f"**/runs/{number}/microscope")
    marks = page.get_by_role("radio")
    expect(marks.last).to_have_attribute("aria-checked", "true")
    page.keyboard.press("ArrowLeft")
    expect(marks.last).to_have_attribute("aria-checked", "false")
    page.wait_for_url("**step=*")

    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search or jump to")
    search.fill("read here")
    expect(page.get_by_role("option").first).to_contain_text(f"#{number} read here")
    assert violations(page) == []
    search.press("Enter")
    page.wait_for_url(f"**/runs/{number}")
    page.keyboard.press("/")
    search.fill("duplicate")
    search.press("Enter")
    expect(page.get_by_role("heading", level=1, name="New run")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs*")


@pytest.mark.timeout(120)
def test_a_shadow_takes_over_from_the_scoreboard(page: Page, lab: ServedLab) -> None:
    made = lab.start_run("handed over", LONG, probe={"every": 20, "draws": 4})
    enter(page, lab.start_url, f"/runs/{made['number']}")
    expect(status(page)).to_have_text("running", timeout=30_000)
    page.get_by_role("button", name="Let Direct feedback alignment drive").click()
    row = page.locator(".scoreboard tr[data-estimator=direct_feedback_alignment]")
    expect(row).to_contain_text("drives", timeout=30_000)
    expect(page.locator(".chip-now")).to_contain_text("Direct feedback alignment")
    page.keyboard.press(" ")
    expect(status(page)).to_have_text("paused", timeout=30_000)
    sees(page, "() => document.title.includes('handed over')")


@pytest.mark.timeout(90)
@pytest.mark.usefixtures("no_plots")
def test_a_deletion_is_taken_back_for_ten_seconds(page: Page, lab: ServedLab) -> None:
    kept = lab.finished(lab.start_run("kept after all", 5, seed=1)["id"])
    enter(page, lab.start_url, f"/runs/{kept['number']}")
    page.get_by_role("button", name=f"Delete run {kept['number']}").click()
    page.wait_for_url("**/runs")
    expect(run_row(page, "kept after all")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    becomes(run_row(page, "kept after all"), "finished")
    run_row(page, "kept after all").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("was deleted.")).to_be_visible()
    # Who leaves the lab does not want it back.
    page.goto("about:blank")
    with lab.client() as client:
        while client.get(f"/runs/{kept['id']}").status_code == 200:
            pass
