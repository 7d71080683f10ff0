"""What is on paper: the state of a page when its PDF is made, and how well text is read on it."""

from typing import Any

from playwright.sync_api import Page

LOOK = """(charts) => addEventListener("beforeprint", () => {
  window.printed = [...document.querySelectorAll(charts)].map((plot) => {
    const svg = plot.querySelector(".main-svg");
    const text = svg && [...svg.querySelectorAll("text")].find((text) => text.textContent);
    return {drawn: Boolean(svg), width: svg?.clientWidth ?? 0, ink: text ? text.style.fill : ""};
  });
})"""


def printed(page: Page, charts: str) -> list[dict[str, Any]]:
    """Make a PDF; of each chart, whether it is drawn, its width in pixels and a text's colour."""
    page.evaluate(LOOK, charts)
    assert page.pdf().startswith(b"%PDF")
    return page.evaluate("() => window.printed")


def contrast(ink: str, paper: str) -> float:
    """The contrast ratio of two CSS colours, `rgb(0, 0, 0)` or `#000000`, by WCAG 2."""
    light, dark = sorted((_luminance(ink), _luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    if colour.startswith("#"):
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        parts = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [
        part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
