"""The list of runs: every run can be reached, and what is gone is said to be."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from person import enter, run_row
from playwright.sync_api import BrowserContext, Page, expect
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
    context.clock.install()
    enter(page, full.start_url)
    other = context.new_page()
    enter(other, full.start_url)
    run_row(other, "run-258").get_by_role("checkbox").check()
    (deleted,) = ids(full, "run-258")
    expect(other).to_have_url(re.compile(deleted))
    row = run_row(page, "run-258")
    row.get_by_role("button", name="Delete").press("Enter")
    expect(row).to_have_count(0)
    expect(run_row(page, "run-257").locator(".run-name")).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="Run 258 was deleted.")).to_be_visible()
    expect(run_row(other, "run-258")).to_be_visible()
    page.clock.fast_forward(10_000)
    expect(run_row(other, "run-258")).to_have_count(0)
    expect(other.get_by_role("button", name="Dismiss")).to_be_visible()
    expect(other).not_to_have_url(re.compile(deleted))
    other.get_by_role("button", name="Dismiss").click()
    expect(other.locator(".departed")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


@pytest.mark.timeout(60)
def test_one_press_brings_back_what_several_deleted(page: Page, full: ServedLab) -> None:
    enter(page, full.start_url)
    rows = page.locator(".run")
    expect(rows).to_have_count(50)
    newest = [rows.nth(i).get_attribute("data-run") for i in range(3)]
    for run in newest:
        page.locator(f".run[data-run={run}]").get_by_role("button", name="Delete").click()
        expect(page.locator(f".run[data-run={run}]")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    for at, run in enumerate(newest):
        expect(rows.nth(at)).to_have_attribute("data-run", str(run))
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    assert {*newest} <= full.runs()


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
