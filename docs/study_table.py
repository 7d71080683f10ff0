"""Print the results of a tuned study of guesses and targets as Markdown, a row a configuration.

`python -m docs.study_table RESULTS.json HOME` reads what `gradlab tune` wrote and the home of the
lab that made the runs. The cosines of target and guess are those of the lab's own figures: the
means of each run's latest reports, then over the seeds. The cost is the processor time of an
estimate on one thread, beside the baseline's; it is measured while this runs, on noise of the
data's shape.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from backend.config import RunConfig
from backend.figures.data.query import parse
from backend.figures.data.select import driver
from backend.figures.guesses.cells import Reader
from backend.figures.guesses.members import Member
from backend.store.engine import open_engine
from backend.store.store import Store
from backend.training.components.assemble import assemble
from benchmarks.table import interleaved
from estimators import Chain, stream

COSINE = "estimator/guess_cosine"
ROUNDS = 15
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
    seconds = _seconds({label: runs[0].config for label, runs in chosen.items() if runs})
    baseline = seconds[document["study"]["baseline"]]
    heads = ["", "rate", "test accuracy, %", "difference", *blocks, "cost"]
    print(_row(heads), _row(["---"] * len(heads)), sep="\n")
    for entry in document["results"]:
        runs = chosen[entry["label"]]
        cost = f"{seconds[entry['label']] / baseline:.2f}" if runs else NONE
        cosines = [_cosine(store, runs, block) for block in blocks]
        print(_row([entry["label"], _rate(entry), *_accuracy(entry), *cosines, cost]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(entry: Mapping[str, Any]) -> str:
    """The chosen rate, with a star at an edge of its grid."""
    if entry["rate"] is None:
        return NONE
    grid = [point["rate"] for point in entry["curve"]]
    return f"{entry['rate']:g}{'*' if entry['rate'] in (min(grid), max(grid)) else ''}"


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


def _seconds(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Processor time of an estimate of each configuration, taken in turns on one thread."""
    torch.set_num_threads(1)
    calls = [_estimating(RunConfig.model_validate(config)) for config in configs.values()]
    seconds = interleaved(*calls, rounds=ROUNDS, warm=1, clock=time.process_time)
    return dict(zip(configs, seconds, strict=True))


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
    main(Path(sys.argv[1]), Path(sys.argv[2]))
