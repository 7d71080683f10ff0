"""The list of runs: every run can be reached, and what is gone is said to be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from person import enter, run_row
from playwright.sync_api import BrowserContext, Page, Route, expect
from served import ServedLab

from backend.store import Store, open_engine

pytestmark = pytest.mark.usefixtures("no_plots")

OLD = 260


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    """A lab with more runs than the server gives at once."""
    home = tmp_path_factory.mktemp("full")
    fill(home)
    served = ServedLab(home)
    served.start()
    yield served
    served.stop()


def fill(home: Path) -> None:
    engine = open_engine(f"sqlite:///{home / 'lab.db'}")
    store = Store(engine)
    labels = {"driver": "backprop", "shadows": []}
    config = {"steps": 10, "estimator": {"name": "backprop"}, "optimizer": {"name": "sgd"}}
    runs = [
        {"config": {**config, "name": f"run-{n:03}"}, "labels": labels} for n in range(1, OLD + 1)
    ]
    for run in store.create_runs(runs)[0]:
        store.steer(run.id, "cancel")
    engine.dispose()


def ids(lab: ServedLab, *names: str) -> list[str]:
    with lab.client() as client:
        pages = [client.get("/runs", params={"search": name}).json()["runs"] for name in names]
    return [page[0]["id"] for page in pages]


@pytest.mark.timeout(90)
def test_every_run_can_be_reached(page: Page, full: ServedLab, expected: list[str]) -> None:
    expected.append("404")
    enter(page, full.start_url)
    rows = page.locator(".run")
    for listed in (50, 100, 150, 200, 250):
        expect(rows).to_have_count(listed)
        page.get_by_role("button", name=f"Show older runs ({OLD - listed})").click()
    expect(rows).to_have_count(OLD)
    expect(page.get_by_role("button", name="Show older runs")).to_have_count(0)
    expect(rows.last).to_contain_text("run-001")

    page.reload()
    expect(rows).to_have_count(50)
    page.get_by_label("Search runs").fill("RUN-00")
    expect(rows).to_have_count(9)
    page.get_by_label("Search runs").fill("#37")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("run-037")
    page.get_by_label("Search runs").fill("backprop")
    page.get_by_role("button", name="Show older runs (").first.click()
    expect(rows).to_have_count(110)
    page.get_by_label("Search runs").fill("no such run")
    expect(page.get_by_text("No run has “no such run”")).to_be_visible()
    page.get_by_label("Search runs").fill("")
    expect(rows).to_have_count(110)


@pytest.mark.timeout(60)
def test_a_deleted_run_leaves_every_tab_and_the_focus_stays(
    page: Page, context: BrowserContext, full: ServedLab
) -> None:
    enter(page, full.start_url)
    other = context.new_page()
    enter(other, full.start_url)
    run_row(other, "run-258").get_by_role("checkbox").check()
    expect(run_row(other, "run-258")).to_be_visible()
    row = run_row(page, "run-258")
    row.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(row.get_by_role("button", name="Really delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row).to_have_count(0)
    expect(run_row(page, "run-257").locator(".run-name")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="Run 258 was deleted.")).to_be_visible()
    expect(run_row(other, "run-258")).to_have_count(0)
    expect(other.get_by_text("Run 258 (run-258) was deleted.")).to_be_visible()
    assert "runs=" not in other.url
    other.get_by_role("button", name="Dismiss").click()
    expect(other.get_by_text("Run 258 (run-258) was deleted.")).to_have_count(0)


@pytest.mark.timeout(60)
def test_a_press_too_many_deletes_no_other_run(page: Page, full: ServedLab) -> None:
    enter(page, full.start_url)
    rows = page.locator(".run")
    expect(rows).to_have_count(50)
    first, second = (rows.nth(i).get_attribute("data-run") for i in (0, 1))
    box = rows.first.get_by_role("button", name="Delete").bounding_box()
    assert box
    at = (box["x"] + 20, box["y"] + 10)
    page.mouse.click(*at)
    deleted = page.locator(f".run[data-run={first}]")
    while deleted.count():
        page.mouse.click(*at)
    page.mouse.click(*at)
    page.mouse.click(*at)
    expect(page.get_by_text("This press was not counted")).to_be_visible()
    kept = page.locator(f".run[data-run={second}]")
    expect(kept.get_by_role("button", name="Really delete")).to_have_count(0)
    with full.client() as client:
        assert client.get(f"/runs/{second}").is_success


@pytest.mark.timeout(60)
def test_presses_during_a_slow_deletion_and_after_it_delete_no_other_run(
    page: Page, context: BrowserContext, full: ServedLab
) -> None:
    """However long the server takes, only a press some time after the deletion is a new one."""
    context.clock.install()
    enter(page, full.start_url)
    held_back: list[Route] = []

    def hold_back(route: Route) -> None:
        held_back.append(route) if route.request.method == "DELETE" else route.continue_()

    page.route("**/api/runs/*", hold_back)
    rows = page.locator(".run")
    first, second = (rows.nth(i).get_attribute("data-run") for i in (0, 1))
    box = rows.first.get_by_role("button", name="Delete").bounding_box()
    assert box
    at = (box["x"] + 20, box["y"] + 10)
    page.mouse.click(*at)
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.mouse.click(*at)
    page.clock.fast_forward(5000)
    page.mouse.click(*at)
    expect(page.get_by_text("This press was not counted")).to_be_visible()
    assert len(held_back) == 1

    page.clock.fast_forward(5000)
    held_back[0].continue_()
    expect(page.locator(f".run[data-run={first}]")).to_have_count(0)
    page.mouse.click(*at)
    kept = page.locator(f".run[data-run={second}]")
    expect(kept.get_by_role("button", name="Really delete")).to_have_count(0)
    page.clock.fast_forward(5000)
    page.mouse.click(*at)
    expect(kept.get_by_role("button", name="Really delete")).to_be_visible()


@pytest.mark.timeout(60)
def test_an_address_with_a_deleted_run_shows_the_rest(
    page: Page, full: ServedLab, expected: list[str]
) -> None:
    expected += ["404", "422"]
    gone, old = ids(full, "run-255", "run-002")
    with full.client() as client:
        client.delete(f"/runs/{gone}").raise_for_status()
    enter(page, full.start_url)
    page.goto(f"{full.url}/?runs={gone},{old},no%20id&focus={gone}")
    expect(page.get_by_text(f"Run {gone} is not in this lab: it was deleted")).to_be_visible()
    expect(page.get_by_text("Run no id is not in this lab: it was deleted")).to_be_visible()
    expect(run_row(page, "run-002").get_by_role("checkbox")).to_be_checked()
    assert page.url.endswith(f"/runs?runs={old}")
