"""`report`: the reproduction report of the gallery as Markdown, from what a lab has measured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from estimators.statistics.formatting import counted

HEAD = """# Reproduction report

What the entries of the gallery measured, beside the published figures. `gradlab gallery --report`
writes this page from the newest study of each entry that has ended; `gradlab gallery NAME`, or
*Run* on the page of the entry, makes the study again.

Published figures and measured ones are never those of the same experiment: what differs is listed
with each entry. The provenance of a published figure is given in brackets. Measured: mean over
seeds ± half of Student's 95 % interval.
"""


class Picture(NamedTuple):
    """A figure of an entry."""

    title: str
    path: str
    """From the report."""
    note: str
    """What the figure says below itself."""


class Reported(NamedTuple):
    """An entry with what its study measured."""

    entry: Mapping[str, Any]
    """As `GET /api/gallery/{name}` answers."""
    words: Mapping[str, Any]
    """The study's table in words: `{above, heads, rows, below}`."""
    pictures: Sequence[Picture]


def study_to_report(studies: Sequence[Mapping[str, Any]]) -> str | None:
    """The id of the newest finished study of an entry, of full length on the paper's data if there
    is one; None without any. `studies` are those of the entry, newest first."""
    ended = [each for each in studies if each["status"] == "finished"]
    best = [each for each in ended if each["length"] == "full" and not each["stand_in"]]
    return next((each["id"] for each in best or ended), None)


def report(entries: Iterable[Reported], missing: Sequence[str]) -> str:
    """The whole page; `missing` are titles of entries without a finished study."""
    parts, paper = [HEAD], ""
    for each in entries:
        if each.entry["paper"]["key"] != paper:
            paper = each.entry["paper"]["key"]
            parts.append(f"## {each.entry['paper']['title']}\n\n{_citation(each.entry)}\n")
        parts.append(_section(each))
    if missing:
        names = "".join(f"- {title}\n" for title in missing)
        parts.append(f"## Not run\n\nThese entries have no finished study in this lab:\n\n{names}")
    return "\n".join(parts)


def _citation(entry: Mapping[str, Any]) -> str:
    paper = entry["paper"]
    return f"[{paper['citation']}](https://arxiv.org/abs/{paper['arxiv']})"


def _section(each: Reported) -> str:
    entry = each.entry
    study = next(some for some in entry["studies"] if some["id"] == entry["study"])
    claim = entry["claim"]
    lines = [
        f"### {entry['title']}",
        entry["question"],
        f"The paper: {claim['text']} ({claim['read']})" if claim else "",
        f"{_made(entry, study)}. Entry: `{entry['name']}`.",
        *(_comparison(comparison) for comparison in entry["comparisons"]),
        *_results(each.words),
        "What differs from the paper:",
        "".join(f"- {text}\n" for text in entry["differences"][study["length"]]).rstrip(),
        *(f"![{shown.title}]({shown.path})\n\n{shown.note}".rstrip() for shown in each.pictures),
    ]
    return "\n\n".join(filter(None, lines)) + "\n"


def _results(words: Mapping[str, Any]) -> list[str]:
    """The table of the study; nothing of a study of one variant, whose figures are its result."""
    if len(words["rows"]) < 2:
        return []
    below = "  \n".join(filter(None, [words["above"], words["below"]]))
    return [_table(words["heads"], words["rows"]), below]


def _made(entry: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """When, where, at which length and by which versions."""
    made = entry["made"]
    data = entry["data"]
    stand_in = f", on {data['stand_in']} in place of {data['title']}" if study["stand_in"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return (
        f"{made['date'][:10]}, {study['length']} length{stand_in}, {counted(made['runs'], 'run')}, "
        f"{made['machine']}, {versions}"
    )


def _comparison(comparison: Mapping[str, Any]) -> str:
    unit = f", {comparison['unit']}" if comparison["unit"] else ""
    rows = [
        [row["label"], f"{row['published']:g}", row["words"] or "–", str(row["seeds"] or "–")]
        for row in comparison["rows"]
    ]
    table = _table(["method", "published", "measured here", "seeds"], rows)
    said = f"{comparison['quantity']}{unit}. Published: {comparison['source']}"
    parts = [f"{said} ({comparison['read']}).", table]
    return "\n\n".join([*parts, *([f"{comparison['order']}."] if comparison["order"] else [])])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
