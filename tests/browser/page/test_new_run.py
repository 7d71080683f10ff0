"""A new run: where it starts, its recipe, what follows a choice, and what will run."""

import json
import re
from typing import Any

import pytest
from person import RUN_PAGE, enter, press, run_form, setting
from playwright.sync_api import Locator, Page, expect
from served import ServedLab

pytestmark = pytest.mark.usefixtures("no_plots")

MOST_CONTROLS = 12
CONTROLS = """(form) => [...form.querySelectorAll("input, select, textarea, .slot, [type=submit]")]
  .filter((each) => each.checkVisibility()).length"""
HOSTILE = "<img src=x onerror=alert(1)> & \"quoted\" 'name'"
STUDY = """name: two methods
base: {dataset: {name: digits}, network: {name: mlp}, estimator: {name: backprop}, steps: 10}
methods: [{label: backprop}, {label: spsa, config: {estimator: {name: spsa}}}]
"""


def recipe(page: Page) -> Locator:
    return run_form(page).locator(".recipe")


def answered(page: Page, text: str) -> None:
    """Wait until the lab has said how large the network is."""
    expect(page.locator(".preview")).to_contain_text(text, timeout=20_000)


def find(page: Page, text: str) -> Locator:
    """Search a setting and go to it; the control that has the focus."""
    page.get_by_role("combobox", name="Find a setting").fill(text)
    page.keyboard.press("Enter")
    return page.locator(":focus")


def test_n_and_enter_start_a_run(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    page.keyboard.press("n")
    button = page.get_by_role("button", name="Run", exact=True)
    expect(button).to_be_focused(timeout=30_000)
    assert run_form(page).evaluate(CONTROLS) <= MOST_CONTROLS
    page.keyboard.press("Enter")
    page.wait_for_url(RUN_PAGE)


def test_settings_are_found_and_several_values_make_a_study(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url, "/new")
    rate = find(page, "lr")
    expect(rate).to_have_value("0.0001")
    rate.fill("0.01, 0.1")
    find(page, "seed").fill("0…2")
    find(page, "iterations").fill("5")
    page.get_by_role("combobox", name="Find a setting").fill("mom")
    expect(page.get_by_role("option").first).to_have_text("Momentum0.9Optimiser")
    page.keyboard.press("Escape")
    page.locator("[data-slot=network]").click()
    expect(page.get_by_label("Network", exact=True)).to_be_focused()
    setting(page, "Width").fill("16")

    expect(page.locator(".preview .what")).to_have_text(
        "A study of 6 runs: 2 learning rates × 3 seeds."
    )
    expect(page.locator("summary").filter(has_text="Optimiser")).to_contain_text("1 changed")
    chip = page.locator(".change").filter(has_text="lr")
    expect(chip).to_contain_text("0.0001 → 0.01, 0.1")
    page.get_by_role("button", name="Undo length").click()
    expect(recipe(page)).to_contain_text("20,000 steps")
    setting(page, "Length").fill("5")

    page.reload()
    expect(recipe(page)).to_contain_text("rate 0.01, 0.1")
    answered(page, "6 runs")
    page.get_by_role("button", name="Run the study").click()
    page.wait_for_url(re.compile(r"/studies/\w+"))
    expect(page.get_by_text(re.compile("6 runs|of 6")).first).to_be_visible(timeout=20_000)


def test_a_surface_brings_what_suits_it(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new")
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_value("Forward gradient on digits")
    setting(page, "Data set").focus()
    setting(page, "Data set").select_option(label="Surface")
    said = page.locator(".followed")
    expect(said).to_contain_text("Network is now Point: MLP does not suit Surface.")
    expect(recipe(page)).to_contain_text(re.compile("Train\\s+Point.*measured alone", re.DOTALL))
    expect(name).to_have_value("Forward gradient on surface")
    expect(setting(page, "Data set")).to_be_focused()
    expect(page.get_by_label("Loss", exact=True)).to_be_hidden()

    said.get_by_role("button", name="Undo").click()
    expect(recipe(page)).to_contain_text("MLP 2 × 128")
    setting(page, "Data set").select_option(label="Surface")
    expect(recipe(page)).to_contain_text("Point")
    driver = setting(page, "Driver")
    fdfa = driver.locator("option", has_text="FDFA")
    expect(fdfa).to_contain_text("does not suit", timeout=30_000)
    driver.select_option("fdfa")
    press(page)
    expect(driver).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("1 field needs attention")).to_be_visible()
    field = driver.locator("xpath=ancestor::div[contains(@class, 'field')][1]")
    expect(field).not_to_contain_text("make it an nn.Sequential", timeout=20_000)
    field.get_by_role("button", name="Drive by Forward gradient").click()
    expect(page.get_by_text("1 field needs attention")).to_have_count(0)
    name.fill("mine")
    setting(page, "Driver").select_option("spsa")
    expect(name).to_have_value("mine")
    setting(page, "Length").fill("20")
    press(page)
    page.wait_for_url(RUN_PAGE)
    with lab.client() as client:
        started = client.get(f"/runs/{page.url.rpartition('/')[2]}").json()
    assert started["name"] == "mine"
    assert started["config"]["network"]["name"] == "point"


def test_text_survives_the_form(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected.append("422")
    enter(page, lab.start_url, "/new?preset=weights_or_activities")
    expect(recipe(page)).to_contain_text("LocalMixer")
    answered(page, "weights in")
    before = page.get_by_role("region", name="YAML").inner_text()
    page.get_by_role("button", name="YAML").click()
    text = page.get_by_label("A run's configuration or a study, YAML or JSON")
    expect(text).to_have_value(re.compile("local_mixer"))
    page.get_by_role("button", name="Use it in the form").click()
    expect(text).to_be_hidden()
    answered(page, "weights in")
    assert page.get_by_role("region", name="YAML").inner_text() == before

    page.get_by_role("button", name="YAML").click()
    text.fill(before.replace("local_mixer", "local_mixer, colour: red"))
    page.get_by_role("button", name="Use it in the form").click()
    expect(page.locator("#run-yaml-answer")).to_contain_text("colour")
    text.fill("- 1")
    text.press("Control+Enter")
    expect(page.locator("#run-yaml-answer")).to_contain_text("is a mapping")

    page.get_by_label("Open a file").set_input_files(
        {"name": "methods.yaml", "mimeType": "text/yaml", "buffer": STUDY.encode()}
    )
    page.get_by_role("button", name="Go on with it there").click()
    page.wait_for_url("**/studies")
    expect(page.get_by_label("The study, in YAML or JSON")).to_have_value(STUDY)


@pytest.fixture(scope="module")
def run(lab: ServedLab) -> dict[str, Any]:
    """A finished run with a hostile name."""
    return lab.finished(lab.start_run(HOSTILE, 20)["id"])


def test_a_run_is_where_another_starts(page: Page, lab: ServedLab, run: dict[str, Any]) -> None:
    enter(page, lab.start_url, f"/new?from={run['number']}")
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_value(HOSTILE)
    assert "from=" not in page.url, "a reload keeps what was changed"
    setting(page, "Seed").fill("7")
    expect(page.locator(".changes")).to_contain_text(f"Differs from #{run['number']} {HOSTILE}")
    page.reload()
    expect(page.locator(".changes")).to_contain_text("seed 0 → 7")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".changes")).to_have_count(0)
    answered(page, "at the speed of run")

    search = page.get_by_label("Search presets, papers and runs")
    search.fill("onerror")
    ours = page.get_by_role("link", name=re.compile(f"^#{run['number']} "))
    expect(ours).to_be_visible()
    search.fill("rosenbrock")
    expect(page.get_by_role("link", name=re.compile("Rosenbrock's function"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Two dimensions")).click()
    expect(recipe(page)).to_contain_text("Point")
    expect(name).to_have_value("Forward gradient on surface")
    search.fill("nothing at all")
    expect(page.get_by_text("Nothing fits “nothing at all”.")).to_be_visible()


def test_the_lab_s_silence_is_told_and_the_draft_stays(
    page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("net::ERR_FAILED")
    enter(page, lab.start_url, "/new")
    answered(page, "weights in")
    page.route("**/api/runs", lambda route: route.abort())
    setting(page, "Seed").fill("11")
    press(page)
    expect(run_form(page).get_by_role("alert")).to_contain_text("does not answer")
    expect(setting(page, "Seed")).to_have_value("11")
    kept = page.evaluate("sessionStorage.getItem('gradlab draft')")
    assert json.loads(kept)["config"]["seed"] == 11
