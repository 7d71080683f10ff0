"""A chart outside of the page: its SVG file is read on white, and its legend is whole on paper."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from drawn import place
from paper import contrast
from person import enter, tool
from playwright.sync_api import Page
from served import ServedLab

from backend.figures import Memory, MemoryRun

TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture
def source() -> Memory:
    """A run whose driver was switched, so that a label stands above the plot."""
    source = Memory()
    facts = {"drives": [(0, "backprop"), (2, "spsa")]}
    labels = {"driver": "spsa", "shadows": []}
    source.add_run("r1", MemoryRun(1, "a", {"batch_size": 32}, labels, facts=facts))
    source.add("r1", "train/loss", [0, 1, 2, 3], [3.0, 2.0, 1.0, 0.5])
    return source


def test_every_text_is_read_on_white_in_the_dark(
    page: Page, lab: ServedLab, source: Memory, tmp_path: Path
) -> None:
    page.emulate_media(color_scheme="dark")
    enter(page, lab.start_url)
    place(page, source, "curve")
    with page.expect_download() as download:
        tool(page, "Tried", "Download as SVG")
    download.value.save_as(tmp_path / "tried.svg")
    drawing = ElementTree.parse(tmp_path / "tried.svg").getroot()
    paper = next(drawing.iter("{http://www.w3.org/2000/svg}rect"))
    assert "fill: rgb(255, 255, 255)" in (paper.get("style") or "")
    fills = {
        text.text or "": re.findall(r"fill: ?([^;]+);", text.get("style") or "")
        for text in drawing.iter(TEXT)
        if "".join(text.itertext()).strip()
    }
    assert len(fills) > 5
    assert any("driver" in text for text in fills)
    for text, found in fills.items():
        assert contrast(found[0], "#ffffff") >= 4.5, (text, found)


def test_on_paper_every_line_is_named(page: Page, lab: ServedLab) -> None:
    source, names = Memory(), [f"estimator_{i}" for i in range(14)]
    labels = {"driver": names[0], "shadows": names[1:]}
    source.add_run("r1", MemoryRun(1, "many", {"batch_size": 32}, labels))
    for name in names:
        source.add("r1", "cosine", range(10), [0.5] * 10, estimator=name)
    enter(page, lab.start_url)
    place(page, source, "curve", metric="cosine")
    unnamed = (
        "[...document.querySelectorAll('#chart-tried .legend button')].filter((b) => b.hidden)"
    )
    assert page.evaluate(f"() => {unnamed}.length") == 2
    page.evaluate(f"""() => addEventListener("beforeprint", () => {{
      window.unnamed = {unnamed}.map((button) => button.textContent);
    }})""")
    page.pdf()
    assert page.evaluate("() => window.unnamed") == ["+2 more"]
