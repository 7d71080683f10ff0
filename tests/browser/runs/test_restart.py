"""The server goes away while a run goes on; the page says so, and comes back by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from person import becomes, enter, last_x, passes, points, press_run, run_row, small
from playwright.sync_api import Page, expect
from served import ServedLab

BANNER = "the server does not answer. Nothing is lost; trying again"


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[ServedLab]:
    served = ServedLab(tmp_path, slots=1)
    served.start()
    yield served
    served.stop()


@pytest.mark.timeout(120)
def test_a_killed_server_is_waited_for(page: Page, own_lab: ServedLab, expected: list[str]) -> None:
    expected.append("ERR_")
    enter(page, own_lab.start_url)
    small(page, "outlives", 10_000_000)
    press_run(page)
    points(page, "loss", "train", 20)
    before = last_x(page, "loss", "train")
    own_lab.kill()
    expect(page.get_by_text(BANNER)).to_be_visible(timeout=20_000)
    own_lab.start()
    expect(page.get_by_text(BANNER)).to_have_count(0, timeout=30_000)
    row = run_row(page, "outlives")
    becomes(row, "running")
    points(page, "loss", "train", 20)
    passes(page, "loss", "train", before)
    row.get_by_role("button", name="Cancel").click()
    becomes(row, "cancelled")
