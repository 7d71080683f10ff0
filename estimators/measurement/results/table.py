"""A table as text, and as HTML with every cell escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Rows = Sequence[Sequence[str]]
MAX_RULE = 60
"""Most characters of the line below a heading, and of a cell that does not wrap."""


@dataclass(frozen=True, repr=False)
class Table:
    """A table that prints as aligned text and that a notebook shows as HTML."""

    title: str
    head: Sequence[str]
    rows: Rows
    note: str = ""
    """How to read the numbers; printed below them."""
    words: int = 2
    """How many of the first columns are words."""
    sentence: bool = False
    """Whether the last column is words too."""
    notices: Sequence[str] = ()
    """What the reader must know before the numbers; each printed on a line of its own."""

    def __str__(self) -> str:
        below = "".join(f"\nNotice: {notice}." for notice in self.notices)
        return (
            text_table(self.title, self.head, self.rows, self.note, self.words, self.sentence)
            + below
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        below = "".join(f"<p><b>Notice:</b> {escape(notice)}.</p>" for notice in self.notices)
        return (
            html_table(self.title, self.head, self.rows, self.note, self.words, self.sentence)
            + below
        )


def text_table(
    title: str,
    head: Sequence[str],
    rows: Rows,
    note: str = "",
    words: int = 2,
    sentence: bool = False,
) -> str:
    """The table as text: words aligned left, numbers right, headings on two lines."""
    upper, lower = zip(*map(_halves, head), strict=True)
    cells = [row for row in (upper, lower) if any(row)]
    widths = [max(map(len, column)) for column in zip(*cells, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        placed = [
            c.ljust(w) if side == "left" else c.rjust(w)
            for c, w, side in zip(cells, widths, _sides(len(cells), words, sentence), strict=True)
        ]
        return "  ".join(placed).rstrip()

    rule = "  ".join("─" * min(w, MAX_RULE) for w in widths)
    return "\n".join([title, *map(line, cells), rule, *map(line, rows), *([note] if note else [])])


def _halves(words: str) -> tuple[str, str]:
    """A heading on two lines, cut where it is narrowest; a single word on the lower line."""
    parts = words.split()
    cuts = [(" ".join(parts[:i]), " ".join(parts[i:])) for i in range(len(parts))]
    return min(cuts, key=lambda pair: max(map(len, pair)))


def html_table(
    title: str,
    head: Sequence[str],
    rows: Rows,
    note: str = "",
    words: int = 2,
    sentence: bool = False,
) -> str:
    """The table as HTML, every cell escaped."""
    header = "".join(f"<th>{escape(c)}</th>" for c in head)
    sides = _sides(len(head), words, sentence)
    body = "".join(f"<tr>{''.join(map(_cell, row, sides))}</tr>" for row in rows)
    below = f"<p><small>{escape(note)}</small></p>" if note else ""
    return (
        f'<table><caption style="text-align:left">{escape(title)}</caption>'
        f"<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>{below}"
    )


def _sides(count: int, words: int, sentence: bool) -> list[str]:
    return ["left" if i < words or (sentence and i == count - 1) else "right" for i in range(count)]


def _cell(text: str, side: str) -> str:
    wrap = "pre" if len(text) <= MAX_RULE else "normal"
    return f'<td style="text-align:{side};white-space:{wrap};padding:2px 8px">{escape(text)}</td>'
