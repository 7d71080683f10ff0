"""`gradlab tune`: choose each learning rate on validation, then report other seeds on test.

Test accuracies are read after the choice, and of runs with other seeds alone. A study that was
interrupted goes on: runs of its name with the same configuration are taken as they are.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from backend.config import ACTIVE, with_seed
from backend.tuning.report import document, tabulate
from backend.tuning.results import DIVERGED, choose, results
from backend.tuning.study_file import Planned, StudyFile, reported_runs, tuning_runs

REFRESH = 0.5  # seconds
MOST_RUNS = 256
"""Runs that a lab queues at once."""
Run = dict[str, Any]
_USABLE = ("finished", "diverged", *ACTIVE)
"""States of a run that need not be made again."""


class TuneError(Exception):
    """The study cannot go on; the message says why and what to do."""


class Lab(Protocol):
    """What this needs of a lab's client."""

    def validated(self, configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]: ...
    def runs(self, search: str) -> list[Run]: ...
    def run(self, run_id: str) -> Run: ...
    def study(self, name: str, configs: Sequence[Any], seeds: Sequence[int]) -> list[Run]: ...
    def address_of(self, study_id: str) -> str: ...
    def value(self, run_id: str, metric: str) -> float | None: ...
    def separate_test(self, dataset: str) -> bool: ...


def tune(lab: Lab, study: StudyFile, console: Console) -> dict[str, Any]:
    """Carry out a study; prints its table and returns it as a JSON document.

    Raises TuneError, and what the lab raises for a configuration that is not valid: before the
    first run, with the problems of all.
    """
    configs = _validated(lab, study)
    notes = _notes(lab, configs)
    for note in notes:
        console.print(note, style="bold", highlight=False, markup=False)
    tuned = _carried_out(lab, study, "tuning", tuning_runs(study), configs, console)
    validation: dict[str, dict[float, list[float]]] = {c.label: {} for c in study.configs}
    for planned, run in tuned.items():
        accuracy = _accuracy(lab, run, f"validation/{study.metric}")
        validation[planned.label].setdefault(planned.rate, []).append(accuracy)
    choices = {label: choose(curve) for label, curve in validation.items()}
    plan = reported_runs(study, {label: choice.rate for label, choice in choices.items()})
    reported = _carried_out(lab, study, "test", plan, configs, console)
    test: dict[str, list[float]] = defaultdict(list)
    for planned, run in reported.items():
        test[planned.label].append(_accuracy(lab, run, f"test/{study.metric}"))
    found = results(choices, test, study.baseline)
    tabulate(study, found, console)
    return document(study, found, _listed(tuned, reported), notes)


def _validated(lab: Lab, study: StudyFile) -> dict[tuple[str, float], dict[str, Any]]:
    """{(label, rate): configuration with every default}."""
    places = [(each, rate) for each in study.configs for rate in study.grid(each)]
    checked = lab.validated([study.config(*place) for place in places])
    keys = [(each.label, rate) for each, rate in places]
    return dict(zip(keys, checked, strict=True))


def _notes(lab: Lab, configs: Mapping[tuple[str, float], dict[str, Any]]) -> list[str]:
    """A warning for data sets whose seeds test what others train on."""
    used = sorted({config["dataset"]["name"] for config in configs.values()})
    return [
        f"each seed draws the parts of {name} from the same examples: some that are tested with "
        "one seed tune the rates with another, so that the results are a little too good"
        for name in used
        if not lab.separate_test(name)
    ]


def _carried_out(
    lab: Lab,
    study: StudyFile,
    phase: str,
    plan: Sequence[Planned],
    configs: Mapping[tuple[str, float], dict[str, Any]],
    console: Console,
) -> dict[Planned, Run]:
    """The run of each planned one when all have ended; queues those that are not there yet."""
    wanted = {p: with_seed(configs[p.label, p.rate], p.seed) for p in plan}
    runs = _existing(lab, study, wanted)
    missing = [planned for planned in plan if planned not in runs]
    if len(missing) < len(plan):
        console.print(
            f"{phase}: {len(plan) - len(missing)} of {len(plan)} runs are there", highlight=False
        )
    for seeds, group in _products(missing):
        made = lab.study(f"{study.name}: {phase}", [configs[key] for key in group], seeds)
        pairs = [Planned(*key, seed) for key in group for seed in seeds]
        runs.update(zip(pairs, made, strict=True))
    for study_id in dict.fromkeys(filter(None, (runs[planned]["study"] for planned in plan))):
        address = lab.address_of(study_id)
        console.print(f"{phase}: {address}", highlight=False, markup=False, soft_wrap=True)
    return _ended(lab, phase, {planned: runs[planned] for planned in plan}, console)


def _existing(
    lab: Lab, study: StudyFile, wanted: Mapping[Planned, dict[str, Any]]
) -> dict[Planned, Run]:
    """The newest usable run of each configuration, where there is one."""
    found: dict[Planned, Run] = {}
    by_name: dict[str, list[Run]] = defaultdict(list)
    for run in lab.runs(study.name):
        by_name[run["name"]].append(run)
    for planned, config in wanted.items():
        # Names of older runs do not say the seed.
        older = config["name"].removesuffix(f", seed {planned.seed}")
        for run in (*by_name[config["name"]], *by_name[older]):
            if run["status"] in _USABLE and {**run["config"], "name": config["name"]} == config:
                found.setdefault(planned, run)
    return found


def _products(
    missing: Iterable[Planned],
) -> list[tuple[tuple[int, ...], list[tuple[str, float]]]]:
    """The missing runs as products of seeds and configurations, which is what a study is."""
    seeds: dict[tuple[str, float], list[int]] = defaultdict(list)
    for label, rate, seed in missing:
        seeds[label, rate].append(seed)
    groups: dict[tuple[int, ...], list[tuple[str, float]]] = defaultdict(list)
    for key, of_key in seeds.items():
        groups[tuple(of_key)].append(key)
    return [
        (seeds, keys[first : first + MOST_RUNS // len(seeds)])
        for seeds, keys in groups.items()
        for first in range(0, len(keys), MOST_RUNS // len(seeds))
    ]


def _ended(
    lab: Lab, phase: str, runs: Mapping[Planned, Run], console: Console
) -> dict[Planned, Run]:
    """Wait until all runs have ended. Raises TuneError for one that failed or was cancelled."""
    ended = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(f"{phase} runs", total=len(runs))
        for planned, run in runs.items():
            while run["status"] in ACTIVE:
                time.sleep(REFRESH)
                run = lab.run(run["id"])
            if run["status"] not in _USABLE:
                reason = f": {run['error'].splitlines()[0]}" if run["error"] else ""
                raise TuneError(
                    f"run {run['number']} ({run['name']}) is {run['status']}{reason}. The same "
                    "command goes on with the other runs and makes this one again"
                )
            ended[planned] = run
            bar.advance(task)
    return ended


def _accuracy(lab: Lab, run: Run, metric: str) -> float:
    """The last value of the metric. Raises TuneError if the run has none."""
    if run["status"] == "diverged":
        return DIVERGED
    value = lab.value(run["id"], metric)
    if value is None:
        raise TuneError(f"run {run['number']} ({run['name']}) has no {metric} to compare")
    return value


def _listed(*phases: Mapping[Planned, Run]) -> list[dict[str, Any]]:
    return [
        {**planned._asdict(), "run": run["id"], "number": run["number"], "status": run["status"]}
        for runs in phases
        for planned, run in runs.items()
    ]
