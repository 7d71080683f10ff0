"""Names as text: plotly reads a little HTML and templates in every string that it draws."""

LONGEST = 48


def plain(text: str) -> str:
    """The text so that plotly draws it literally, whatever it holds."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("%{", "%&#123;")


def clipped(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning with an ellipsis; before `plain`, which it could cut in two."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def run_name(number: int | None, name: str) -> str:
    """The name of a run in legends and titles, escaped; without a number, its name alone."""
    numbered = name if number is None else f"#{number} {name}"
    return plain(clipped(numbered.strip()))
