"""What axe, the checker of accessibility, finds on a page, in each look."""

import json
from importlib.resources import files
from typing import Literal

from playwright.sync_api import Page

LOOKS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1440, 900, "light"),
    "dark": (1440, 900, "dark"),
    "phone": (360, 740, "light"),
}
"""Width and height of the window in pixels, and what the reader prefers."""
AXE = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def wear(page: Page, look: str) -> int:
    """Give the page that look, without motion; its width in pixels."""
    width, height, scheme = LOOKS[look]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    return width


def violations(page: Page) -> list[str]:
    """Each violated rule with the first elements that violate it."""
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {json.dumps([node['html'][:200] for node in one['nodes'][:3]])}"
        for one in found["violations"]
    ]
