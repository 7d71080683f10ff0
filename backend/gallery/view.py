"""What the gallery shows of an entry: words, published beside measured, figures, differences.

The page, the report and `gradlab gallery` read the same answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.figures.catalogue import modules
from backend.figures.studies import drawing
from backend.gallery.catalogue import GalleryEntry, recorded_picture
from backend.gallery.compare import compare
from backend.gallery.entry import Length, ShownFigure
from backend.studies.progress import Progress, StudyPlan
from backend.studies.results import baseline_pairs, shown_of
from estimators.statistics.formatting import counted

PROVENANCE: Mapping[str, str] = {
    "P": "read in the paper",
    "R": "read in a repository",
    "N": "read in an abstract or another secondary text",
}
NOT_THE_SAME = (
    "The published figures are of the paper's own experiment, from which this one differs as "
    "listed below."
)


def card(entry: GalleryEntry, *, stand_in: bool) -> dict[str, Any]:
    """An entry in the list: its words and what it needs."""
    words, data = entry.entry, entry.entry.data
    return {
        "name": entry.name,
        "title": words.title,
        "question": words.question,
        "paper": {**entry.paper.model_dump(), "citation": entry.paper.citation},
        "minutes": words.minutes.model_dump(),
        "recorded": recorded_picture(entry.name) is not None,
        "data": data and {
            "folder": data.folder,
            "title": data.title,
            "stand_in": data.stand_in,
            "present": not stand_in,
        },
    }  # fmt: skip


def claim(entry: GalleryEntry) -> dict[str, str] | None:
    """What the paper says, and where that was read."""
    said = entry.entry.claim
    return said and {"text": said.text, "provenance": said.provenance,
                     "read": PROVENANCE[said.provenance]}  # fmt: skip


def differences(entry: GalleryEntry, length: Length, *, stand_in: bool) -> list[str]:
    """What differs from the paper's experiment, a sentence each."""
    return entry.entry.differences_at(length, stand_in=stand_in)


def made(facts: Mapping[str, Any], date: str, runs: int) -> dict[str, Any]:
    """When and where runs were made, from the facts of one of them."""
    threads = facts.get("threads")
    on_threads = f", {counted(threads, 'thread')} a run" if threads else ""
    return {
        "date": date,
        "runs": runs,
        "machine": f"{facts.get('hardware') or facts.get('device')}{on_threads}",
        "versions": facts.get("versions", {}),
    }


def comparisons(entry: GalleryEntry, plan: StudyPlan, found: Progress) -> list[dict[str, Any]]:
    """Published figures beside those of a study, a table for each published quantity."""
    table = shown_of(plan, found).table
    baselines = dict(baseline_pairs(plan))
    each = [compare(some, table, baselines) for some in entry.entry.published]
    return [
        {**comparison.document(), "read": PROVENANCE[comparison.published.provenance]}
        for comparison in each
        if comparison.pairs
    ]


def figures(entry: GalleryEntry, found: Progress) -> list[dict[str, Any]]:
    """`{key, figure, source, title, help, query}`: the entry's figures in their order.

    `query` asks the catalogue's figure of runs; it has no runs before the first one was made.
    """
    return [_placed(at, shown, found) for at, shown in enumerate(entry.entry.figures)]


def _placed(at: int, shown: ShownFigure, found: Progress) -> dict[str, Any]:
    run_figure = shown.source == "runs"
    info = modules()[shown.name].INFO if run_figure else drawing.info(shown.name)
    query = {"runs": ",".join(_runs(shown, found)), **shown.asks} if run_figure else {"runs": ""}
    return {
        "key": f"{shown.name.replace('_', '-')}-{at}",
        "figure": shown.name,
        "source": shown.source,
        "title": shown.title or info.title,
        "help": f"{info.help} {info.reading}".strip(),
        "query": query,
    }


MOST_RUNS = 64
"""Runs that a figure of an entry shows."""


def _runs(shown: ShownFigure, found: Progress) -> Sequence[str]:
    """The reported runs of the chosen methods: the first seeds of each."""
    of_variant: dict[str, list[str]] = {}
    for run in found.reported():
        label = run.cell.variant
        chosen = not shown.methods or label in shown.methods
        if chosen and len(of_variant.setdefault(label, [])) < shown.seeds:
            of_variant[label].append(run.id)
    return [run for runs in of_variant.values() for run in runs][:MOST_RUNS]
