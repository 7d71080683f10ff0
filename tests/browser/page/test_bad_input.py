"""What a person mistypes is answered in words, beside the field."""

import re

import pytest
from person import (
    becomes,
    chart,
    enter,
    fill,
    points,
    press,
    press_run,
    run_form,
    run_row,
    setting,
    small,
)
from playwright.sync_api import Page, Route, expect
from served import ServedLab

no_plots = pytest.mark.usefixtures("no_plots")


def beside(page: Page, label: str) -> str:
    field = page.locator("form.run-form").get_by_label(label, exact=True).first
    expect(field).to_have_attribute("aria-invalid", "true", timeout=20_000)
    ids = field.get_attribute("aria-describedby") or ""
    problems = [page.locator(f"#{one}") for one in ids.split() if one.endswith("-problem")]
    return problems[0].inner_text()


@no_plots
def test_each_problem_stands_beside_its_field(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    before = lab.runs()
    fill(page, Width="-3")
    press(page)
    assert "-3" in beside(page, "Width")
    expect(page.locator("form.run-form").get_by_label("Width", exact=True)).to_be_focused()
    fill(page, Width="many")
    press(page)
    assert "many" in beside(page, "Width")
    fill(page, Width="16", Length=str(10**12))
    press(page)
    assert "1000000000000" in beside(page, "Length").replace(",", "")
    assert lab.runs() == before


@no_plots
def test_a_late_refusal_does_not_mark_what_was_typed_since(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    waiting: list[Route] = []
    page.route("**/api/runs", lambda route: waiting.append(route))
    fill(page, Width="-3")
    press(page)
    width = page.locator("form.run-form").get_by_label("Width", exact=True)
    expect(page.locator("form.run-form .starting")).to_have_text("Starting 1 run…")
    width.fill("16")
    (asked,) = waiting
    asked.continue_()
    refused = page.locator("form.run-form").get_by_text("What you asked for before is refused: ")
    expect(refused).to_contain_text("-3")
    expect(width).not_to_have_attribute("aria-invalid", "true")


@no_plots
def test_problems_are_counted_and_found(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    fill(page, Seed="x", Width="-1")
    form.locator("summary").filter(has_text="seed x").click()
    expect(form.get_by_label("Seed", exact=True)).to_be_hidden()
    press(page)
    expect(form.get_by_role("button", name="2 fields need attention")).to_be_visible()
    width = form.get_by_label("Width", exact=True)
    expect(width).to_be_focused()
    width.fill("16")
    form.get_by_role("button", name="1 field needs attention").click()
    expect(form.get_by_label("Seed", exact=True)).to_be_focused()


@no_plots
def test_a_shadow_that_is_the_driver_is_pointed_out(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    setting(page, "Shadows").select_option("forward_gradient")
    warning = form.get_by_text("The shadow Forward gradient equals the driver")
    expect(warning).to_be_visible()
    setting(page, "Tangents").fill("4")
    expect(warning).to_have_count(0)


@no_plots
def test_two_shadows_of_one_estimator_are_told_apart(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    for _ in range(2):
        setting(page, "Shadows").select_option("forward_gradient")
    chip = form.locator(".shadow", has_text="Forward gradient").last
    summary = chip.locator("summary").first
    summary.click()
    chip.get_by_label("Tangents", exact=True).fill("4")
    chip.get_by_label("Noise", exact=True).select_option("sphere")
    summary.click()
    expect(summary).to_contain_text("tangents=4, noise=sphere")
    expect(form.locator(".shadow").get_by_text("tangents=4")).to_have_count(1)


def test_a_name_is_text(page: Page, lab: ServedLab) -> None:
    name = "<script>alert(1)</script><b>&amp;%{x}"
    page.on("dialog", lambda dialog: complaint(dialog.message))
    enter(page, lab.start_url)
    small(page, name, 30)
    press_run(page)
    row = run_row(page, name)
    becomes(row, "finished")
    expect(row.locator(".run-name")).to_contain_text(name)
    points(page, "loss", "train")
    chart(page, "loss")
    line = page.locator("#chart-loss .legend button").first
    expect(line).to_have_attribute("title", re.compile(re.escape("<script>alert(1)")))
    assert page.locator("main script").count() == 0


def complaint(message: str) -> None:
    raise AssertionError(f"a name was run: {message}")


@no_plots
def test_what_was_typed_is_kept(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    rate = setting(page, "Learning rate")
    rate.fill("1e-3")
    setting(page, "Seed").fill("7")
    expect(rate).to_have_value("1e-3")
    setting(page, "Shadows").select_option("spsa")
    expect(form.get_by_role("button", name="Remove shadow SPSA")).to_be_visible()
    form.get_by_role("button", name="Remove shadow SPSA").click()
    expect(form.get_by_role("button", name="Remove shadow SPSA")).to_have_count(0)


@no_plots
def test_fields_that_the_other_choices_leave_unused_are_named_and_hidden(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    fill(page, Driver="Guess and target")
    width, guesser = (
        form.get_by_label(name, exact=True) for name in ("Auxiliary width", "Guesser")
    )
    expect(form.get_by_label("Auxiliary", exact=True)).to_be_visible()
    expect(width).to_be_hidden()
    expect(guesser).to_be_hidden()
    expect(form).to_contain_text("Not used with these choices: Guesser, Auxiliary width.")
    fill(page, Auxiliary="cnn")
    expect(width).to_be_visible()
    fill(page, Guess="estimator")
    expect(guesser).to_be_visible()
    expect(width).to_be_hidden()
    fill(page, **{"Target loss": "local"})
    expect(form.locator(".unused:visible")).to_have_count(0)
    # The cnn reads no vectors: the refusal stands at the field that it names.
    press(page)
    assert "auxiliary is cnn" in beside(page, "Auxiliary")


@no_plots
def test_a_problem_of_an_unused_field_is_seen(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    form = run_form(page)
    fill(page, Driver="Guess and target", Auxiliary="cnn")
    fill(page, **{"Auxiliary width": "0"})
    fill(page, Guess="normal")
    width = form.get_by_label("Auxiliary width", exact=True)
    expect(width).to_be_hidden()
    press(page)
    assert "auxiliary_width is 0" in beside(page, "Auxiliary width")
    fill(page, Guess="rademacher")
    expect(width).to_be_visible()
