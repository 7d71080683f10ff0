"""What axe, the checker of accessibility, finds on a page."""

import json
from importlib.resources import files

from playwright.sync_api import Page

AXE = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Each violated rule with the first elements that violate it."""
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {json.dumps([node['html'][:200] for node in one['nodes'][:3]])}"
        for one in found["violations"]
    ]
