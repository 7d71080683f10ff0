"""Print the results of a tuned study of guesses and targets as Markdown, a row a configuration.

`python -m docs.study_table RESULTS.json HOME` reads what `gradlab tune` wrote and the home of the
lab that made the runs. The cosines of target and guess are those of the lab's own figures: the
means of each run's latest reports, then over the seeds.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from backend.figures.data.query import parse
from backend.figures.data.select import driver
from backend.figures.guesses.cells import Reader
from backend.figures.guesses.members import Member
from backend.store.engine import open_engine
from backend.store.store import Store

COSINE = "estimator/guess_cosine"
SECONDS = "train/seconds"
NONE = "–"


def main(results: Path, home: Path) -> None:
    """Print the table."""
    document = json.loads(results.read_text())
    seeds = document["study"]["seeds"]
    chosen: dict[str, list[Any]] = {entry["label"]: [] for entry in document["results"]}
    store = Store(open_engine(f"sqlite:///{home.resolve() / 'lab.db'}"))
    for run in document["runs"]:
        if run["seed"] in seeds:
            chosen[run["label"]].append(store.run(run["run"]))
    blocks = _blocks(store, [run for runs in chosen.values() for run in runs])
    baseline = _seconds(store, chosen[document["study"]["baseline"]])
    heads = ["", "rate", "test accuracy, %", "difference", *blocks, "time"]
    print(_row(heads), _row(["---"] * len(heads)), sep="\n")
    for entry in document["results"]:
        runs = chosen[entry["label"]]
        time = f"{_seconds(store, runs) / baseline:.2f}" if runs else NONE
        cosines = [_cosine(store, runs, block) for block in blocks]
        print(_row([entry["label"], _rate(entry), *_accuracy(entry), *cosines, time]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(entry: Mapping[str, Any]) -> str:
    edge = "*" if "edge" in entry["note"] else ""
    return NONE if entry["rate"] is None else f"{entry['rate']:g}{edge}"


def _accuracy(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The mean with half of its interval, and the difference from the baseline with its own."""
    if entry["mean"] is None:
        return NONE, NONE
    half, difference = entry["half_width"], entry["difference"]
    mean = f"{100 * entry['mean']:.1f}" + (f" ± {100 * half:.1f}" if half is not None else "")
    if difference is None:
        return mean, ""
    ends = (f"{100 * difference[end]:+.1f}" for end in ("low", "high"))
    return mean, f"{100 * difference['mean']:+.1f} ({' … '.join(ends)})"


def _blocks(store: Store, runs: Sequence[Any]) -> list[str]:
    """The blocks of which a run reports the cosine of target and guess."""
    series = (each for run in runs for each in store.series(run.id) if each.metric == COSINE)
    return list(dict.fromkeys(each.layer for each in series))


def _cosine(store: Store, runs: Sequence[Any], block: str) -> str:
    read = []
    for run in runs:
        reader = Reader(store, parse({"runs": run.id, "layer": block}))
        read.append(reader.read(Member(run.id, run, driver(run), None), COSINE))
    finite = [value for value in read if isfinite(value)]
    return f"{sum(finite) / len(finite):.2f}" if finite else NONE


def _seconds(store: Store, runs: Sequence[Any]) -> float:
    """The mean time of a run's updates, without its evaluations."""
    newest = [
        float(store.points(each.id, newest=1).values[-1])
        for run in runs
        for each in store.series(run.id)
        if each.metric == SECONDS and each.count
    ]
    return sum(newest) / max(1, len(newest))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
