"""The page is true after a gap, says when it is not live, and works in any number of windows."""

from collections.abc import Iterator
from typing import Any

import pytest
from cable import Cable
from person import becomes, enter, run_row
from playwright.sync_api import BrowserContext, Page, Route, expect
from served import ServedLab

LOST = "Not live since"
LONG = 10_000_000
NO_PLOTS = "**/plotly*"


@pytest.fixture
def cable(lab: ServedLab, expected: list[str]) -> Iterator[Cable]:
    """A connection that the test disturbs: the browser logs each request that it loses."""
    expected.append("net::ERR_")
    made = Cable(lab.port)
    yield made
    made.close()


def ask(lab: ServedLab, method: str, path: str, **body: Any) -> Any:
    """What somebody else does in the lab, while a page does not hear of it."""
    with lab.client() as client:
        answer = client.request(method, path, timeout=60, json=body or None)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def started(lab: ServedLab, name: str, steps: int = LONG) -> dict[str, Any]:
    """A small run that somebody else starts."""
    greeting = ask(lab, "GET", "/catalogue")["greeting"]
    network = {"name": "mlp", "width": 16, "depth": 1}
    return ask(
        lab, "POST", "/runs", **{**greeting, "name": name, "steps": steps, "network": network}
    )


@pytest.mark.timeout(90)
@pytest.mark.usefixtures("no_plots")
def test_what_happens_in_a_gap_is_on_the_page(
    cable: Cable, page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("404")
    goes, stays = started(lab, "goes", 5), started(lab, "stays")
    enter(page, f"{cable.url}/#token={lab.token}")
    becomes(run_row(page, "goes"), "finished")
    run_row(page, "goes").get_by_role("checkbox").check()
    becomes(run_row(page, "stays"), "running")

    cable.cut()
    expect(page.get_by_text(LOST)).to_be_visible()
    expect(run_row(page, "stays").locator(".status")).to_have_text("last seen running")
    ask(lab, "DELETE", f"/runs/{goes['id']}")
    ask(lab, "POST", f"/runs/{stays['id']}/pause")
    started(lab, "came", 5)
    cable.mend()
    becomes(run_row(page, "came"), "finished")
    becomes(run_row(page, "stays"), "paused")
    expect(run_row(page, "goes")).to_have_count(0)
    expect(page.get_by_text(f"Run {goes['number']} (goes) was deleted.")).to_be_visible()
    expect(page.get_by_text(LOST)).to_have_count(0)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("no_plots")
def test_a_server_that_falls_silent_is_not_live(
    cable: Cable, page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("404")
    run, goes = started(lab, "asleep"), started(lab, "goes quietly", 5)
    enter(page, f"{cable.url}/#token={lab.token}")
    becomes(run_row(page, "goes quietly"), "finished")
    becomes(run_row(page, "asleep"), "running")
    cable.stall()
    expect(page.get_by_text(LOST)).to_be_visible(timeout=20_000)
    expect(run_row(page, "asleep").locator(".status")).to_have_text("last seen running")
    ask(lab, "DELETE", f"/runs/{goes['id']}")
    ask(lab, "POST", f"/runs/{run['id']}/cancel")
    started(lab, "came meanwhile", 5)
    cable.mend()
    becomes(run_row(page, "asleep"), "cancelled")
    becomes(run_row(page, "came meanwhile"), "finished")
    expect(run_row(page, "goes quietly")).to_have_count(0)
    expect(page.get_by_text(LOST)).to_have_count(0)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("no_plots")
def test_news_outlives_a_list_that_was_read_before_it(page: Page, lab: ServedLab) -> None:
    goes = started(lab, "in an old list", 5)
    while ask(lab, "GET", f"/runs/{goes['id']}")["status"] != "finished":
        pass
    old = ask(lab, "GET", "/runs?limit=50")
    held: list[Route] = []
    page.route("**/api/runs?limit=50", lambda route: held.append(route), times=1)
    with page.expect_request("**/api/runs?limit=50"):
        enter(page, lab.start_url)
    started(lab, "news", 5)
    becomes(run_row(page, "news"), "finished")
    ask(lab, "DELETE", f"/runs/{goes['id']}")
    count = ask(lab, "GET", "/runs")["total"]
    # An event after the deletion, so that the page has heard of it.
    started(lab, "after it", 5)
    expect(run_row(page, "after it")).to_be_visible()
    held[0].fulfill(json=old)
    expect(page.get_by_text(f"{count + 1} in this lab")).to_be_visible()
    becomes(run_row(page, "news"), "finished")
    expect(run_row(page, "in an old list")).to_have_count(0)


@pytest.mark.timeout(120)
def test_seven_windows_share_one_stream(
    cable: Cable, context: BrowserContext, lab: ServedLab
) -> None:
    context.route(NO_PLOTS, lambda route: route.fulfill(body="", content_type="text/javascript"))
    windows = [context.new_page() for _ in range(7)]
    for window in windows:
        enter(window, f"{cable.url}/#token={lab.token}")
    run = started(lab, "in every window", 5)
    for window in windows:
        becomes(run_row(window, "in every window"), "finished")
    assert cable.streams == 1
    windows.pop(0).close()
    ask(lab, "DELETE", f"/runs/{run['id']}")
    for window in windows:
        expect(run_row(window, "in every window")).to_have_count(0)
        assert window.evaluate("window.violations") == []
    assert cable.streams == 1


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("no_plots")
def test_without_shared_workers_a_page_has_its_own_stream(page: Page, lab: ServedLab) -> None:
    page.add_init_script("delete window.SharedWorker")
    enter(page, lab.start_url)
    started(lab, "heard alone", 5)
    becomes(run_row(page, "heard alone"), "finished")
