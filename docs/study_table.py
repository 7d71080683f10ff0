"""Print the results of a tuned study as Markdown, a row a configuration.

`python -m docs.study_table RESULTS.json HOME [METRIC …]` reads what `gradlab study` wrote and the
home of the lab that made the runs. Each METRIC of the drivers or the networks, such as
`estimator/guess_cosine` or `cosine`, has a column for each stage that reports it. Its numbers are
those of the lab's own figures: the means of each run's latest reports, then over the seeds. The
cost is the processor time of an estimate on one thread, beside the baseline's; it is measured while
this runs, on noise of the data's shape.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from backend.config import RunConfig
from backend.figures.data.metrics import metric as words_of
from backend.figures.data.query import parse
from backend.figures.data.select import driver
from backend.figures.data.source import Source
from backend.figures.guesses.cells import Cell, Reader
from backend.figures.guesses.members import Member
from backend.store.engine import open_engine
from backend.store.store import Store
from backend.training.components.assemble import assemble
from benchmarks.table import interleaved
from estimators import Chain, stream
from estimators.statistics.formatting import short
from estimators.statistics.reference import HATCH, HATCH_NOTE

ROUNDS = 15
NONE = "–"
Column = tuple[str, str]
"""A metric and the stage that it is of."""


def main(results: Path, home: Path, metrics: Sequence[str]) -> None:
    """Print the table."""
    document = json.loads(results.read_text())
    store = Store(open_engine(f"sqlite:///{home.resolve() / 'lab.db'}"))
    first = {run["label"]: store.run(run["run"]) for run in document["results"]["runs"]}
    costs = _costs({label: run.config for label, run in first.items()}, document)
    lines = table(document, store, metrics, costs)
    print("\n".join(lines))
    if any(HATCH in line for line in lines):
        print(f"\n{HATCH_NOTE}")


def table(
    document: Mapping[str, Any],
    source: Source,
    metrics: Sequence[str],
    costs: Mapping[str, float],
) -> list[str]:
    """The lines of the table; `costs` are {label: cost of an estimate in that of the baseline}."""
    results = document["results"]
    chosen: dict[str, list[str]] = {row["label"]: [] for row in results["table"]["rows"]}
    for run in results["runs"]:
        if run["phase"] == "report":
            chosen[run["label"]].append(run["run"])
    columns = _columns(source, [run for runs in chosen.values() for run in runs], metrics)
    heads = ["", "rate", "test accuracy, %", "difference", *map(_head, columns), "cost"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for entry in results["table"]["rows"]:
        label, runs = entry["label"], chosen[entry["label"]]
        values = [_value(source, runs, column) for column in columns]
        cost = f"{costs[label]:.2f}" if label in costs else NONE
        lines.append(_row([label, _rate(entry), *_accuracy(entry), *values, cost]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(entry: Mapping[str, Any]) -> str:
    """The chosen rate, with a star at an edge of its grid."""
    choice = entry["choice"]
    if choice is None or choice["value"] is None:
        return NONE
    return f"{choice['value']:g}{'*' if choice['at_edge'] else ''}"


def _accuracy(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The mean with half of its interval, and the difference from the baseline with its own."""
    if entry["mean"] is None:
        return NONE, NONE
    half, verdict = entry["half_width"], entry["verdict"]
    mean = f"{100 * entry['mean']:.1f}" + (f" ± {100 * half:.1f}" if half is not None else "")
    if verdict is None or verdict["low"] is None:
        return mean, ""
    ends = (f"{100 * verdict[end]:+.1f}" for end in ("low", "high"))
    return mean, f"{100 * verdict['difference']:+.1f} ({' … '.join(ends)})"


def _head(column: Column) -> str:
    """A metric's name, and the stage where it is of one."""
    name, stage = column
    return words_of(name).short + (f", {stage}" if stage else "")


def _columns(source: Source, runs: Sequence[str], metrics: Sequence[str]) -> list[Column]:
    """A column for each metric of the whole network, or for each stage that a run reports it of."""
    stages: dict[str, dict[str, None]] = {name: {} for name in metrics}
    for run in runs:
        for series in source.series(run):
            if series.metric in stages:
                stages[series.metric].setdefault(series.layer)
    return [
        (name, stage)
        for name, reported in stages.items()
        for stage in ([""] if "" in reported else reported)
    ]


def _value(source: Source, runs: Sequence[str], column: Column) -> str:
    """The mean over the runs, as a cell of the grid of guesses has it."""
    (name, stage), members, values, rounded = column, [], [], []
    for run_id in runs:
        run = source.run(run_id)
        labels = {each.estimator for each in source.series(run_id) if each.metric == name}
        label = "" if labels == {""} else driver(run)
        members.append(Member(run_id, run, label, None))
        reader = Reader(source, parse({"runs": run_id, "layer": stage}))
        values.append(reader.read(members[-1], name))
        rounded.append(reader.rounded(members[-1], name))
    sample = Cell(tuple(members), tuple(values)).sample
    if rounded and all(rounded):
        return HATCH
    return short(sample.mean) if sample.count else NONE


def _costs(
    configs: Mapping[str, Mapping[str, Any]], document: Mapping[str, Any]
) -> dict[str, float]:
    """Processor time of an estimate of each configuration, taken in turns on one thread, in that of
    the baseline."""
    torch.set_num_threads(1)
    calls = [_estimating(RunConfig.model_validate(config)) for config in configs.values()]
    seconds = interleaved(*calls, rounds=ROUNDS, warm=1, clock=time.process_time)
    baseline = seconds[list(configs).index(document["document"]["baseline"])]
    return {label: each / baseline for label, each in zip(configs, seconds, strict=True)}


def _estimating(config: RunConfig) -> Callable[[], object]:
    parts = assemble(config)
    rng = torch.Generator().manual_seed(0)
    shape, classes = parts.dataset.shape, parts.dataset.classes
    module = parts.network.build(shape, classes, rng)
    x = torch.randn(config.batch_size, *shape, generator=rng)
    chain = Chain(module, x, torch.randint(classes, (config.batch_size,), generator=rng))
    params = {name: p.detach() for name, p in module.named_parameters()}
    estimator = parts.driver.estimator
    state = estimator.init(chain, params, stream(0, "init"))
    return lambda: estimator.estimate(chain, params, state, stream(0, "estimator"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
