"""A person runs, watches, steers, reloads."""

import pytest
from person import (
    becomes,
    chart,
    enter,
    fill,
    last_x,
    legend,
    passes,
    points,
    press_run,
    run_row,
    sees,
    small,
    step_of,
)
from playwright.sync_api import Page, Route, expect
from served import ServedLab

MEASURES = ("cosine", "scaled-error", "relative-variance", "relative-squared-bias", "norm-ratio")
LONG = 1_000_000


@pytest.mark.timeout(120)
def test_from_run_to_every_chart(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    assert "token" not in page.url
    small(page, "first", LONG)
    fill(page, Driver="Forward gradient", Optimiser="SGD")
    press_run(page)
    row = run_row(page, "first")
    becomes(row, "running")
    points(page, "loss", "train", 20)
    points(page, "loss", "validation")
    points(page, "accuracy", "validation")
    for key in MEASURES:
        points(page, key, "forward_gradient", 2)
        assert len({name for name in legend(page, key) if name}) >= 3, "a driver and two shadows"
    switch = page.get_by_role("group", name="Measures: lines").get_by_role("button").first
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    sees(page, "() => document.querySelector('[data-chart=cosine]').data[0].visible !== true")
    switch.click()
    page.get_by_label("Layer", exact=True).select_option("hidden1")
    points(page, "cosine", "direct_feedback_alignment")
    assert "layer=hidden1" in page.url
    chart(page, "carpet-0")
    shape = sees(
        page,
        """() => {
          const map = document.querySelector("[data-chart=carpet-0]").data?.[0];
          return map?.z?.[0]?.length && [map.z.length, map.z[0].length, map.x.length];
        }""",
    )
    assert shape[0] == 2, "a row a stage: hidden1 and the head"
    assert shape[1] == shape[2]
    chart(page, "ranking")
    sees(page, "() => document.querySelector('[data-chart=ranking]').data?.length >= 3")
    row.get_by_role("button", name="Cancel").click()
    becomes(row, "cancelled")


@pytest.mark.timeout(120)
def test_steering_and_a_second_run_beside(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    small(page, "steered", LONG)
    press_run(page)
    row = run_row(page, "steered")
    points(page, "loss", "train", 5)
    held: list[Route] = []
    page.route("**/pause", lambda route: held.append(route))
    row.get_by_role("button", name="Pause").click()
    expect(row.locator(".status")).to_have_text("pausing…")
    expect(row.get_by_role("button", name="Pause")).to_be_disabled()
    expect(row.get_by_role("button", name="Cancel")).to_be_enabled()
    held[0].continue_()
    becomes(row, "paused")
    at = step_of(row)
    row.get_by_role("button", name="Step").click()
    expect(row.locator(".run-steps")).to_contain_text(f"{at + 1:,} /", timeout=20_000)
    becomes(row, "paused")
    chart(page, "loss")
    sees(
        page,
        """(step) => document.querySelector("[data-chart=loss]").data
           .some((one) => one.name.startsWith("train") && one.x.at(-1) >= step)""",
        at,
    )
    page.locator("h1").click()
    page.keyboard.press("Space")
    becomes(row, "running")

    small(page, "beside", LONG)
    press_run(page)
    second = run_row(page, "beside")
    becomes(second, "running")
    chart(page, "loss")
    sees(
        page,
        """() => new Set(document.querySelector("[data-chart=loss]").data
           .flatMap((one) => (one.x.length && one.meta?.run) || [])).size === 2""",
    )
    for one in (row, second):
        one.get_by_role("button", name="Cancel").click()
        becomes(one, "cancelled")
        expect(one.get_by_role("progressbar")).to_be_visible()


@pytest.mark.timeout(120)
def test_a_reload_brings_everything_back(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    small(page, "reloaded", LONG)
    press_run(page)
    points(page, "loss", "train", 5)
    page.get_by_label("Horizontal axis").select_option("examples")
    before = page.url
    page.reload()
    assert page.url == before
    row = run_row(page, "reloaded")
    becomes(row, "running")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_label("Horizontal axis")).to_have_value("examples")
    points(page, "loss", "train", 5)
    now = last_x(page, "loss", "train")
    passes(page, "loss", "train", now)
    row.get_by_role("button", name="Cancel").click()
    becomes(row, "cancelled")
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
