"""What a colleague gets: a page that only shows, and a file that opens anywhere."""

import re
from pathlib import Path

import pytest
from paper import contrast, printed
from person import WATCH, becomes, chart, enter, points, run_row, sees, show
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from served import ServedLab


def share(page: Page, lab: ServedLab, name: str) -> None:
    """A finished run of that name, shown and shared."""
    show(page, lab, name, 200)
    becomes(run_row(page, name), "finished")
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Title").fill("Three estimators")
    page.get_by_role("button", name="Make a link").click()


@pytest.mark.timeout(120)
def test_the_link_shows_and_does_nothing_else(page: Page, lab: ServedLab, browser: Browser) -> None:
    share(page, lab, "for a colleague")
    url = page.get_by_label("Read-only link").input_value()
    expect(page.get_by_text("works on this machine only")).to_be_visible()

    stranger = browser.new_context(color_scheme="dark")
    stranger.add_init_script(WATCH)
    shown = stranger.new_page()
    errors: list[str] = []
    shown.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    shown.goto(url)
    expect(shown.get_by_role("heading", name="Three estimators")).to_be_visible()
    points(shown, "loss", "train", 50)
    points(shown, "accuracy", "test")
    expect(shown.get_by_role("cell", name=re.compile(r"^[0-9.]+ %$"))).to_be_visible()
    points(shown, "cosine", "activity_forward_gradient")
    chart(shown, "carpet-0")
    sees(shown, "() => document.querySelector('[data-chart=carpet-0]').data?.[0]?.z?.length")
    for name in ("Run", "Pause", "Delete", "Share"):
        assert shown.get_by_role("button", name=name, exact=True).count() == 0
    # Charts that were never in view are drawn too, before the page is printed.
    sees(shown, "() => !document.querySelector('[data-chart]:not(.js-plotly-plot)')")
    sheets = printed(shown, "[data-chart]")
    assert len(sheets) >= 15
    assert [sheet for sheet in sheets if not sheet["drawn"] or sheet["width"] > 700] == []
    assert all(contrast(sheet["ink"], "#ffffff") >= 4.5 for sheet in sheets)
    assert shown.evaluate("() => window.violations") == []
    assert errors == []
    for path in ("/api/runs", "/api/catalogue", "/api/stream", "/api/figures/curve?runs=x"):
        assert stranger.request.get(lab.url + path).status == 401
    stranger.close()


@pytest.mark.timeout(120)
def test_what_is_gone_is_said_and_a_link_is_revoked(
    page: Page, lab: ServedLab, browser: Browser, expected: list[str]
) -> None:
    expected.append("404")
    both = [lab.start_run(name, 5)["id"] for name in ("kept", "to be deleted")]
    enter(page, lab.start_url, f"/runs?runs={','.join(both)}")
    for name in ("kept", "to be deleted"):
        becomes(run_row(page, name), "finished")
    held: list[Route] = []
    page.route("**/api/dashboards", lambda route: held.append(route), times=1)
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Title").fill("Two runs")
    make = page.get_by_role("button", name="Make a link")
    make.click()
    expect(page.get_by_role("button", name="Making the link…")).to_be_disabled()
    page.get_by_label("Title").press("Enter")
    held[0].continue_()
    url = page.get_by_label("Read-only link").input_value()
    revoke = page.get_by_role("button", name="Revoke the link to Two runs")
    expect(revoke).to_have_count(1)
    with lab.client() as client:
        client.delete(f"/runs/{run_row(page, 'to be deleted').get_attribute('data-run')}")

    shown = browser.new_page()
    shown.goto(url)
    expect(shown.get_by_text("1 run of this page was deleted in the lab.")).to_be_visible()
    expect(shown.get_by_role("region", name="Runs")).to_contain_text("kept")
    revoke.click()
    page.get_by_role("button", name="Really revoke the link to Two runs").click()
    expect(revoke).to_have_count(0)
    shown.reload()
    expect(shown.get_by_text("This link leads nowhere: it was revoked")).to_be_visible()
    shown.close()


def test_a_dead_link_says_so(page: Page, lab: ServedLab, expected: list[str]) -> None:
    expected += ["404", "422"]
    shell = (Path(__file__).parents[3] / "frontend/shared.html").read_text()
    gone = f"{lab.url}/s/{'x' * 43}"
    page.route(gone, lambda route: route.fulfill(body=shell, content_type="text/html"))
    page.goto(gone)
    expect(page.get_by_text("This link leads nowhere: it was revoked, or mistyped")).to_be_visible()


@pytest.mark.timeout(120)
def test_the_file_opens_offline(
    page: Page, lab: ServedLab, browser: Browser, tmp_path: Path
) -> None:
    share(page, lab, "for the archive")
    with page.expect_download() as download:
        page.get_by_role("link", name="One HTML file").click()
    file = tmp_path / "shared.html"
    download.value.save_as(file)

    offline = browser.new_context(
        offline=True, viewport={"width": 1280, "height": 2400}, color_scheme="dark"
    )
    opened = offline.new_page()
    asked: list[str] = []
    opened.on("request", lambda r: asked.append(r.url))
    opened.goto(file.as_uri())
    sees(
        opened,
        """() => [...document.querySelectorAll(".js-plotly-plot")].filter((plot) =>
           plot.data?.some((trace) => trace.x?.length || trace.z?.length)).length >= 3""",
    )
    assert "for the archive" in opened.inner_text("body")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    sheets = printed(opened, "figure > .chart")
    assert len(sheets) >= 10
    assert [sheet for sheet in sheets if not sheet["drawn"] or sheet["width"] > 700] == []
    assert all(contrast(sheet["ink"], "#ffffff") >= 4.5 for sheet in sheets)
    offline.close()


def test_a_stranger_is_told_how_to_get_in(
    context: BrowserContext, page: Page, lab: ServedLab, expected: list[str]
) -> None:
    expected.append("401")
    page.goto(lab.url)
    expect(page.get_by_role("heading", name="This lab is closed to strangers")).to_be_visible()
    page.get_by_label("Start URL or token").fill("wrong")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_text("not this lab's token")).to_be_visible()
    page.get_by_label("Start URL or token").fill(lab.start_url)
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("link", name="New run")).to_be_visible(timeout=20_000)
    assert context.cookies()[0].get("httpOnly")
