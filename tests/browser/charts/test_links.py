"""A study's grid of targets and guesses: each cell leads to its runs, and back."""

import pytest
from axe import violations, wear
from person import enter, run_row, sees, tool
from playwright.sync_api import Page, expect
from served import ServedLab
from study import fill

Study = tuple[ServedLab, str, dict[str, list[str]]]
CENTRE = """([row, column]) => {
  const plot = document.querySelector("[data-chart=study-grid]");
  const {x, y} = plot.data[0];
  const {xaxis, yaxis} = plot._fullLayout;
  const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
  return [
    box.left + xaxis.c2p(x.indexOf(column)), box.top + yaxis.c2p(y.indexOf(row)),
  ];
}"""

HEAR = """() => document.querySelector("[data-chart=study-grid]").on("plotly_click", ({points}) => {
  const [{data, pointNumber: [row, column]}] = points;
  window.clicked = data.text[row][column];
})"""


@pytest.fixture(scope="module")
def study(lab: ServedLab) -> Study:
    """A lab with a study, whose runs have ended."""
    return lab, *fill(lab.home)


def opened(page: Page, study: Study) -> str:
    """The page of the study by its link alone; its address."""
    lab, found, _ = study
    enter(page, lab.start_url)
    page.goto(f"{lab.url}/runs?study={found}")
    page.locator("[data-chart=study-grid]").scroll_into_view_if_needed()
    sees(page, "() => document.querySelector('[data-chart=study-grid].has-links')")
    return page.url


@pytest.mark.timeout(90)
def test_a_cell_leads_to_its_runs_and_the_browser_leads_back(page: Page, study: Study) -> None:
    ids = study[2]
    address = opened(page, study)
    expect(page.get_by_role("heading", name="Study Guesses of targets")).to_be_visible()
    expect(page.locator(".run")).to_have_count(8)
    x, y = page.evaluate(CENTRE, ["global", "normal"])
    page.mouse.move(x - 9, y)
    plot = page.locator("[data-chart=study-grid] .hoverlayer")
    expect(plot).to_contain_text("mean over 2 seeds, 95 % t-interval")
    page.mouse.click(x, y)
    wanted = ids["global-normal"]
    page.wait_for_url(f"**runs={','.join(wanted)}&focus={wanted[0]}&study={study[1]}")
    row = run_row(page, "global-normal, seed 0")
    expect(row).to_have_attribute("data-focused", "true")
    expect(row.locator(".run-name")).to_be_focused()
    for seed in (0, 1):
        shown = run_row(page, f"global-normal, seed {seed}").get_by_role("checkbox")
        expect(shown).to_be_checked()
    page.go_back()
    expect(page.locator(".run input:checked")).to_have_count(0)
    assert page.url == address
    page.go_forward()
    expect(page.locator(".run input:checked")).to_have_count(2)


@pytest.mark.timeout(90)
def test_a_cell_adds_its_runs_to_those_that_are_shown(page: Page, study: Study) -> None:
    ids = study[2]
    opened(page, study)
    for shown in ("backprop, seed 0", "global-normal, seed 1"):
        run_row(page, shown).get_by_role("checkbox").check()
    page.locator("[data-chart=study-grid]").scroll_into_view_if_needed()
    x, y = page.evaluate(CENTRE, ["global", "normal"])
    page.mouse.click(x, y)
    expect(page.locator(".run input:checked")).to_have_count(3)
    first, second = ids["global-normal"]
    page.wait_for_url(f"**runs={ids['backprop'][0]},{second},{first}&focus={first}&**")
    expect(run_row(page, "global-normal, seed 0").locator(".run-name")).to_be_focused()
    tool(page, "Targets and guesses", "Show as a table")
    link = page.get_by_role("link", name="Open 2 runs of local, local")
    address = link.get_attribute("href") or ""
    assert (
        f"{second},{first},{','.join(ids['local-local'])}&focus={ids['local-local'][0]}" in address
    )
    link.press("Enter")
    expect(page.locator(".run input:checked")).to_have_count(5)


@pytest.mark.timeout(90)
def test_a_cell_without_a_run_says_so_and_leads_nowhere(page: Page, study: Study) -> None:
    address = opened(page, study)
    plot = page.locator("[data-chart=study-grid]")
    expect(plot.get_by_text("no run", exact=True).first).to_be_visible()
    page.evaluate(HEAR)
    x, y = page.evaluate(CENTRE, ["local", "normal"])
    page.mouse.click(x, y)
    assert sees(page, "() => window.clicked") == "no run"
    assert page.url == address


@pytest.mark.timeout(90)
def test_the_table_has_the_numbers_and_links_for_the_keyboard(page: Page, study: Study) -> None:
    ids = study[2]
    opened(page, study)
    tool(page, "Targets and guesses", "Show as a table")
    table = page.get_by_role("region", name="Targets and guesses, as a table")
    expect(table.locator("thead")).to_contain_text("guess")
    expect(table).to_contain_text("mean over 2 seeds, 95 % t-interval")
    expect(table).to_contain_text("no run has this target and guess")
    expect(table).to_contain_text("backprop")
    links = table.get_by_role("link")
    expect(links).to_have_count(4)
    link = table.get_by_role("link", name="Open 2 runs of local, local")
    link.press("Enter")
    page.wait_for_url(f"**runs={','.join(ids['local-local'])}&focus=**")
    expect(run_row(page, "local-local, seed 1").get_by_role("checkbox")).to_be_checked()


@pytest.mark.timeout(90)
def test_all_runs_of_a_study_are_shown_with_one_press(
    page: Page, study: Study, expected: list[str]
) -> None:
    opened(page, study)
    page.get_by_role("button", name="Show all runs of this study").click()
    expect(page.locator(".run input:checked")).to_have_count(8)
    page.locator(".run summary", has_text="Details").first.click()
    page.get_by_role("button", name="Leave the study").click()
    expect(page.get_by_role("heading", name="Study Guesses of targets")).to_have_count(0)
    assert "study=" not in page.url
    expected.append("409")  # a study that the store alone made has no table
    page.get_by_role("link", name="Its study").click()
    page.wait_for_url(f"**/studies/{study[1]}")
    page.get_by_role("link", name="Its runs").click()
    expect(page.get_by_role("heading", name="Study Guesses of targets")).to_be_visible()


@pytest.mark.timeout(60)
def test_a_study_that_is_not_there_says_so(page: Page, study: Study, expected: list[str]) -> None:
    expected.append("404")
    lab = study[0]
    enter(page, lab.start_url)
    page.goto(f"{lab.url}/runs?study=y0123456789abcdef")
    expect(page.get_by_text("There is no study y0123456789abcdef in this lab.")).to_be_visible()


@pytest.mark.parametrize("look", ["dark", "phone"])
@pytest.mark.timeout(90)
def test_axe_finds_nothing_on_a_study(look: str, page: Page, study: Study) -> None:
    width = wear(page, look)
    opened(page, study)
    page.locator("[data-chart=study-depth]").scroll_into_view_if_needed()
    sees(page, "() => document.querySelector('[data-chart=study-depth]')?._fullData?.length > 0")
    tool(page, "Targets and guesses", "Show as a table")
    expect(page.get_by_role("link", name="Open 2 runs of local, local")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
