"""The field of a data set in files: what is there, what to do, and a download, live."""

import shutil
from pathlib import Path

import pytest
from axe import violations
from person import enter, press, setting
from playwright.sync_api import Locator, Page, expect
from served import ServedLab

from backend.data_folders.exclusive import alone
from tests.backend.data_folders.fake_hub import parquet

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def data(lab: ServedLab):
    """The lab's folder of data sets, removed afterwards."""
    folder = lab.home / "datasets"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def small(folder: Path) -> None:
    folder.mkdir()
    for part, count in (("train", 30), ("test", 9)):
        (folder / f"{part}-0.parquet").write_bytes(parquet(count, seed=count))


def choose(page: Page, lab: ServedLab) -> Locator:
    """The field Folder of images in Parquet files."""
    enter(page, lab.start_url, "/new")
    setting(page, "Data set").select_option("parquet_images")
    return page.locator(".data-folder")


def test_a_data_set_is_absent_then_being_prepared_then_here(
    page: Page, lab: ServedLab, data: Path, expected: list[str]
) -> None:
    expected.append("422")
    field = choose(page, lab)
    said = field.get_by_role("status")
    absent = f"the data set mnist is not in {data}: run `gradlab data get mnist` where there is a "
    expect(said).to_contain_text(absent)
    expect(field.get_by_role("button", name="Download mnist")).to_be_visible()
    bar = field.get_by_role("progressbar", name="Download of mnist")
    expect(bar).not_to_be_visible()
    press(page)
    expect(field.locator(".problem[id^=folder]")).to_contain_text(absent, timeout=20_000)
    expect(said).to_be_empty()  # the same sentence does not stand there twice
    with alone(data / "mnist") as tell:
        tell(2 * 2**20, 16 * 2**20)
        expect(field).to_contain_text("2.0 MiB of 16.0 MiB, 12 %", timeout=10_000)
        expect(said).to_have_text("mnist is being prepared.")
        expect(bar).to_have_attribute("aria-valuetext", "2.0 MiB of 16.0 MiB, 12 %")
        expect(field.get_by_role("button", name="Download mnist")).not_to_be_visible()
        assert violations(page) == []
        small(data / "mnist")
    expect(said).to_contain_text("is here", timeout=10_000)
    expect(bar).not_to_be_visible()


def test_what_cannot_be_fetched_is_told_at_the_field(
    page: Page, lab: ServedLab, data: Path, expected: list[str]
) -> None:
    expected.append("422")
    page.set_viewport_size({"width": 360, "height": 740})
    field = choose(page, lab)
    small(data / "own")
    field.get_by_text("Another data set from the Hugging Face hub").click()
    name = field.get_by_label("Owner/name")
    name.fill("../secret")
    name.press("Enter")
    expect(field.get_by_text("'../secret' is no data set of the hub; its name is")).to_be_visible()
    expect(name).to_be_focused()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    page.evaluate("() => dispatchEvent(new Event('focus'))")
    choice = field.get_by_label("Folder", exact=True)
    expect(choice.locator("option")).to_contain_text(["own", "mnist (not here)"])
    choice.select_option("own")
    expect(field.get_by_role("status")).to_contain_text("own is here")
    (data / "own" / "train-0.parquet").unlink()
    page.evaluate("() => dispatchEvent(new Event('focus'))")
    expect(field.get_by_role("status")).to_contain_text("the data set own has no file train-*")
