"""What a person does with the page, and what they see: points are read back from the charts."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
from served import ServedLab

SECONDS = 30
RUN_PAGE = re.compile(r"/runs/\d+")

WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`));
"""

_WAIT = """([arg]) => new Promise((seen, gaveUp) => {
  const end = performance.now() + %d * 1000;
  const look = () => {
    let value, problem = "";
    try { value = (%s)(arg); } catch (error) { problem = ` (${error})`; }
    if (value) seen(value);
    else if (performance.now() > end) gaveUp(new Error("not seen in time: " + %r + problem));
    else setTimeout(look, 30);
  };
  look();
})"""


def sees(page: Page, condition: str, arg: Any = None, seconds: int = SECONDS) -> Any:
    """Wait until a function of the page is truthy. The page's CSP forbids Playwright's own way."""
    return page.evaluate(_WAIT % (seconds, condition, condition), [arg])


def chart(page: Page, key: str) -> Locator:
    """A chart by its key, scrolled into view, since only then does it live."""
    found = page.locator(f"[data-chart={key}]")
    found.scroll_into_view_if_needed()
    return found


def points(page: Page, key: str, name: str = "", least: int = 1, seconds: int = SECONDS) -> int:
    """Wait for at least `least` points in the trace whose legend begins with `name`."""
    chart(page, key)
    return sees(
        page,
        """([key, name, least]) => {
          const data = document.querySelector(`[data-chart="${key}"]`)?.data ?? [];
          const trace = data.find((one) => one.name?.startsWith(name) && one.x?.length);
          return trace && trace.x.length >= least && trace.x.length;
        }""",
        [key, name, least],
        seconds,
    )


def passes(page: Page, key: str, name: str, x: float) -> None:
    """Wait until the trace whose legend begins with `name` has gone beyond `x`."""
    sees(
        page,
        """([key, name, x]) => document.querySelector(`[data-chart="${key}"]`)?.data
           ?.find((one) => one.name?.startsWith(name) && one.x?.length)?.x.at(-1) > x""",
        [key, name, x],
    )


def tool(page: Page, chart: str, name: str) -> None:
    """Choose from the menu of the chart with this title, by keyboard."""
    tools = page.get_by_role("group", name=f"{chart}: tools", exact=True)
    tools.locator("summary").press("Enter")
    tools.get_by_role("button", name=name).press("Enter")
    expect(tools.locator("summary")).to_be_focused()


def legend(page: Page, key: str) -> list[str]:
    return page.evaluate(
        "(key) => document.querySelector(`[data-chart='${key}']`).data.map((t) => t.name)", key
    )


def last_x(page: Page, key: str, name: str) -> float:
    return sees(
        page,
        """([key, name]) => document.querySelector(`[data-chart="${key}"]`)?.data
           ?.find((one) => one.name?.startsWith(name) && one.x?.length)?.x.at(-1)""",
        [key, name],
    )


def enter(page: Page, start_url: str, place: str = "/runs") -> None:
    """Open the lab at the address of a page: that of the runs, unless it is said."""
    page.goto(start_url.replace("/#", f"{place}#"))
    expect(page.locator("#main :is(h1, h2):visible").first).to_be_visible(timeout=30_000)


def show(page: Page, lab: ServedLab, name: str, steps: int) -> None:
    """Start a small run without the form, and open its charts on the page of the runs."""
    run = lab.start_run(name, steps)["id"]
    enter(page, lab.start_url, f"/runs?runs={run}")


def go(page: Page, address: str) -> None:
    """Go to another page of the lab, as a link of it does."""
    page.evaluate(
        """(address) => {
          const link = document.createElement("a");
          link.href = address;
          document.body.append(link);
          link.click();
          link.remove();
        }""",
        address,
    )


def run_form(page: Page) -> Locator:
    """The form of a new run; its page is opened if another one is."""
    form = page.locator("form.run-form")
    if form.count() == 0 and not page.url.split("?")[0].split("#")[0].endswith("/new"):
        page.get_by_role("link", name="New run").click()
    expect(form).to_be_visible(timeout=30_000)
    return form


UNFOLD = """(e) => {
  for (let at = e.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
}"""


def setting(page: Page, label: str) -> Locator:
    """The control of the form with this label, in view: its group is opened."""
    control = run_form(page).get_by_label(label, exact=True).first
    control.evaluate(UNFOLD)
    return control


def fill(page: Page, **fields: str) -> None:
    """Fill fields of the form by their labels."""
    for label, value in fields.items():
        field = setting(page, label.replace("_", " "))
        if field.evaluate("(e) => e.tagName") == "SELECT":
            field.select_option(label=value)
        else:
            field.fill(value)


def small(page: Page, name: str, steps: int) -> None:
    """A run that a busy machine takes in its stride."""
    fill(page, Name=name, Width="16", Depth="1", Length=str(steps))


def press(page: Page) -> None:
    """Press Run, whatever comes of it."""
    run_form(page).get_by_role("button", name="Run", exact=True).click()


def press_run(page: Page) -> str:
    """Start what the form says, then show it beside the runs that were shown; returns its id."""
    press(page)
    page.wait_for_url(RUN_PAGE)
    return show_with_others(page)


def show_with_others(page: Page) -> str:
    """From a run's page to the page of runs, with it among those in the charts; returns its id."""
    run = page.evaluate("async () => (await (await fetch(`/api${location.pathname}`)).json()).id")
    charted = page.evaluate("window.charted ?? ''").split(",")
    runs = ",".join(dict.fromkeys([*filter(None, charted), run]))
    page.evaluate("(runs) => { window.charted = runs; }", runs)
    go(page, f"/runs?runs={runs}&focus={run}")
    return run


def run_row(page: Page, name: str) -> Locator:
    return page.locator(".run").filter(has=page.get_by_role("button", name=name))


def page_head(page: Page) -> Locator:
    """The head of the page of a run: its name, state and recipe."""
    return page.locator(".run-page-head")


def instrument(page: Page, run: int, name: str, step: int) -> Locator:
    """The settings of an instrument of the microscope at a checkpoint of the run with a number."""
    go(page, f"/runs/{run}/microscope?step={step}&instrument={name}")
    settings = page.locator(".instrument-settings")
    settings.evaluate("(details) => { details.open = true; }")
    form = settings.locator("form")
    expect(form).to_be_visible()
    return form


def step_of(row: Locator) -> int:
    text = row.locator(".run-steps").inner_text()
    found = re.match(r"([\d,]+) /", text)
    assert found, text
    return int(found[1].replace(",", ""))


def becomes(row: Locator, status: str, seconds: int = SECONDS) -> None:
    expect(row.locator(".status")).to_have_text(status, timeout=seconds * 1000)
