"""The exported page as a reader has it: a file on a disk, no network, a real browser."""

import pytest

from backend.sharing import html

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
LOOSE = """() => {
  const chart = document.getElementById("r0-loss");
  globalThis.zoomed = new Promise((done) => {
    chart.once("plotly_relayout", () => done(chart.layout.xaxis.range));
  });
}"""


@pytest.fixture(scope="module")
def opened(source, browser, tmp_path_factory):
    """The page in an offline browser of a phone's width, and what it said or asked for."""
    path = tmp_path_factory.mktemp("export") / "run.html"
    path.write_text(html(source, ["r1", "r2"], "Two runs"), encoding="utf-8")
    context = browser.new_context(
        offline=True, viewport={"width": 360, "height": 800}, color_scheme="dark"
    )
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    yield page, heard
    context.close()


def show(page, chart: str) -> None:
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    playwright.expect(page.locator(f"#{chart} .main-svg").first).to_be_visible()


def test_charts_zoom_and_switch_offline_without_a_word_or_a_request(opened):
    page, heard = opened
    show(page, "r0-loss")
    page.evaluate(LOOSE)
    box = page.locator("#r0-loss .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 42, steps=4)
    page.mouse.up()
    low, high = page.evaluate("() => globalThis.zoomed")
    assert 0 < low < high < 3000

    show(page, "r0-cosine")
    heading = page.locator("#r0-cosine .gtitle")
    playwright.expect(heading).to_have_text("Alignment (cosine)")
    page.get_by_role("combobox", name="Layer").select_option(label="hidden1")
    playwright.expect(heading).to_have_text("Alignment (cosine) · hidden1")

    show(page, "r0-carpet")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert [words for words in heard if words != page.url] == []


def test_a_narrower_window_leaves_charts_in_their_cards(opened, browser):
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.goto(opened[0].url)
    show(page, "r0-cosine")
    page.set_viewport_size({"width": 600, "height": 800})
    page.wait_for_function("""() => document.querySelector("#r0-cosine")._fullLayout.width < 600""")
    legend, place, drawn = page.evaluate(
        """() => {
          const chart = document.querySelector("#r0-cosine");
          const bottom = (node) => node.getBoundingClientRect().bottom;
          return [bottom(chart.querySelector(".legend")), bottom(chart), bottom(
            chart.querySelector(".main-svg"))];
        }"""
    )
    assert legend <= place + 1
    assert drawn <= place + 1
    page.close()


def test_hover_tells_the_value(opened):
    page, _ = opened
    show(page, "r0-ranking")
    page.locator("#r0-ranking .point").first.hover(force=True)
    hover = page.locator("#r0-ranking .hovertext").first
    playwright.expect(hover).to_contain_text("…")
    # The page's own box, opaque: what lies below must not be read through it.
    playwright.expect(hover.locator("path").first).to_have_css("fill", "rgb(29, 33, 38)")
    bar = page.locator("#r0-loss .modebar-group").first
    playwright.expect(bar).to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_hostile_name_is_shown_literally(opened):
    page, _ = opened
    name = "</script><script>alert(1)</script>"
    playwright.expect(page.get_by_role("heading", name=name)).to_be_visible()
    hover = page.evaluate("() => document.querySelector('#r0-loss').data[0].hovertemplate")
    assert "&lt;script&gt;" in hover


def test_configuration_downloads(opened):
    page, _ = opened
    with page.expect_download() as download:
        page.get_by_role("button", name="Download config.yaml").first.click()
    assert download.value.suggested_filename == "config.yaml"
    assert "seed: 7" in download.value.path().read_text()
