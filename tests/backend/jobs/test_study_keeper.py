"""The keeper of studies: it queues what is missing, once, whatever happens between two looks.

Runs end here by a rule in place of a worker: their metrics follow from their configurations.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from backend.config import RunConfig
from backend.jobs.study_keeper import StudyKeeper
from backend.store import Run, Store, open_engine, studies
from backend.store.base import ConflictError
from backend.store.points import SeriesPoints
from backend.store.reports import ReportedProgress, WorkerReport
from backend.studies.budget import TIMED_STEPS
from backend.studies.cells import count_cells
from backend.studies.planning import describe, drafts
from backend.studies.results import ranked_by, reported, results_of
from backend.studies.study_file import StudyFileError, parse

BASE = {
    "dataset": {"name": "two_moons"},
    "network": {"name": "mlp"},
    "estimator": {"name": "backprop"},
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "steps": 100,
    "device": "cpu",
}
METHODS = [
    {"label": "exact"},
    {"label": "forward", "config": {"estimator": {"name": "forward_gradient"}}},
]
PLAIN = {"name": "plain", "base": BASE, "methods": METHODS, "seeds": [0, 1, 2]}
TUNED = {**PLAIN, "name": "tuned", "tuning": {"values": [0.01, 0.1, 1], "seeds": [100, 101]}}


def validated(config: dict[str, Any]) -> dict[str, Any]:
    """As the inspector answers, by the model of a configuration alone."""
    filled = RunConfig.model_validate(config).model_dump(mode="json")
    driver = config["estimator"]["name"]
    cost = {"backprop": 3.0, "forward_gradient": 1.5}.get(driver)
    allowed = filled["optimizer"].get("lr", 0.1) < 500
    errors = [] if allowed else [{"loc": ["optimizer", "lr"], "msg": "lr is too large"}]
    labels = {"driver": driver, "shadows": []}
    return {"config": filled, "labels": labels, "plugins": {}, "cost": cost, "errors": errors}


class Queue:
    """The supervisor, which does nothing."""

    def __init__(self) -> None:
        self.submitted: list[str] = []

    def submit(self, run_id: str) -> None:
        self.submitted.append(run_id)

    def signal(self, run_id: str) -> None:
        pass


def accuracy(config: dict[str, Any]) -> float:
    """Best at a rate of 10; NaN, for diverged, from 100 on."""
    rate = config["optimizer"].get("lr", 0.1)
    bonus = 0.05 if config["estimator"]["name"] == "backprop" else 0.0
    noise = 1e-3 * (config["seed"] % 7)
    return math.nan if rate >= 100 else 0.9 - 0.1 * abs(math.log10(rate) - 1) + bonus + noise


class Bench:
    """A store with a keeper, and runs that end when they are told to."""

    def __init__(self, store: Store) -> None:
        self.store, self.queue = store, Queue()
        self.keeper = StudyKeeper(store, self.queue)
        self.fails: Callable[[Run], bool] = lambda run: False

    def start(self, document: dict[str, Any]) -> str:
        made = self.make(document)
        self.keeper.advance(made)
        return made

    def make(self, document: dict[str, Any]) -> str:
        """A study without runs yet."""
        study = parse(document)
        tried = drafts(study)
        variants = describe(study, tried, [validated(draft.config) for draft in tried])
        return self.store.create_study(study.name, study.document(), variants, count_cells(study))

    def end(self, run: Run) -> None:
        run, _ = self.store.begin_attempt(run.id)
        value = accuracy(run.config)
        if self.fails(run):
            self.store.end(run.id, "failed", "out of luck\nTraceback …")
            return
        status = "diverged" if math.isnan(value) else "finished"
        # On test, the order of the rates is another: a choice by it would show.
        metrics = {"validation/accuracy": value, "test/accuracy": 1 - value}
        steps, seconds = run.config["steps"], 0.01 * run.config["steps"]
        series = [
            SeriesPoints(name, "", "", "", np.array([steps]), np.array([v]))
            for name, v in metrics.items()
        ]
        told = ReportedProgress(steps, steps, None, seconds)
        self.store.report(WorkerReport(run.id, run.attempt, 0, status, series, told))

    def carry_out(self, study_id: str, order: random.Random | None = None) -> None:
        """End runs, one after the other, until the study is finished or waits."""
        for _ in range(2000):
            queued = [run for run in self.store.active() if run.status == "queued"]
            if not queued:
                self.keeper.look()
                if self.store.study_state(study_id).status != "running":
                    return
                assert any(run.status == "queued" for run in self.store.active())
                continue
            self.end(order.choice(queued) if order else queued[0])
            self.keeper.look()

    def cells(self, study_id: str) -> Counter[Any]:
        return Counter(tuple(run.cell.items()) for run in self.store.cell_runs(study_id))

    def table(self, study_id: str) -> dict[str, Any]:
        """What the study shows, but for the ids of its runs."""
        shown = results_of(self.keeper.plan(study_id), self.keeper.progress(study_id))
        shown["runs"].sort(key=lambda run: [str(value) for value in run.values()][:6])
        return _without_ids(shown)

    def failures(self, study_id: str) -> list[tuple[str, int, str]]:
        failures = self.table(study_id)["failures"]
        return [(each["variant"], each["seed"], each["reason"]) for each in failures]

    def values(self, study_id: str) -> dict[str, dict[int, float]]:
        return reported(self.keeper.plan(study_id), self.keeper.progress(study_id))


def _without_ids(shown: Any) -> Any:
    if isinstance(shown, list):
        return [_without_ids(each) for each in shown]
    if isinstance(shown, dict):
        kept = {key: value for key, value in shown.items() if key not in ("run", "number")}
        return {key: _without_ids(value) for key, value in kept.items()}
    return shown


@pytest.fixture
def bench(tmp_path) -> Iterator[Bench]:
    engine = open_engine(f"sqlite:///{tmp_path / 'lab.db'}")
    yield Bench(Store(engine))
    engine.dispose()


def test_a_plain_study_is_its_variants_times_its_seeds(bench):
    study = bench.start(PLAIN)
    runs = bench.store.active()
    assert [(run.config["estimator"]["name"], run.config["seed"]) for run in runs] == [
        *itertools.product(("backprop", "forward_gradient"), (0, 1, 2))
    ]
    assert runs[0].name == "plain: exact, seed 0"
    bench.carry_out(study)
    assert bench.store.study_state(study).status == "finished"
    values = bench.values(study)
    assert list(values) == ["exact", "forward"]
    expected = [1 - accuracy(run.config) for run in runs[:3]]
    assert [*values["exact"].values()] == expected


def test_the_grid_widens_until_the_best_value_is_inside_it(bench):
    study = bench.start(TUNED)
    bench.carry_out(study)
    choice = bench.keeper.progress(study).choices["exact"]
    assert (choice.value, choice.at_edge) == (10, False)
    assert [point.value for point in choice.curve] == [0.01, 0.1, 1, 10, 100]
    reports = [r for r in bench.store.cell_runs(study) if r.cell["phase"] == "report"]
    assert {r.cell["value"] for r in reports} == {10}
    assert {r.cell["seed"] for r in reports} == {0, 1, 2}


def test_a_value_that_no_run_may_have_is_not_tried(bench, monkeypatch):
    monkeypatch.setattr(
        f"{__name__}.accuracy", lambda config: math.log10(config["optimizer"]["lr"])
    )
    study = bench.start(TUNED)  # three more values would be up to 1,000, and below 500 is allowed
    bench.carry_out(study)
    choice = bench.keeper.progress(study).choices["exact"]
    assert (choice.value, choice.at_edge) == (100, True)


def test_test_data_cannot_reach_the_tuning(bench, monkeypatch):
    read = []
    honest = bench.store.cell_values

    def watched(study_id, phase, metric):
        values = honest(study_id, phase, metric)
        phases = {run.id: run.cell["phase"] for run in bench.store.cell_runs(study_id)}
        read.append((phase, metric, {phases[run] for run in values}))
        return values

    monkeypatch.setattr(bench.store, "cell_values", watched)
    study = bench.start(TUNED)
    bench.carry_out(study)
    assert {(phase, metric) for phase, metric, _ in read} == {
        ("tuning", "validation/accuracy"), ("report", "test/accuracy"),
    }  # fmt: skip
    assert all(of <= {phase} for phase, _, of in read), "a run of another phase was read"
    with pytest.raises(ValueError, match="test/accuracy is of the test part"):
        honest(study, "tuning", "test/accuracy")


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_is_killed_at_any_moment_leaves_the_same_table(tmp_path, monkeypatch, seed):
    tables, order = [], random.Random(seed)
    for killed in (False, True):
        engine = open_engine(f"sqlite:///{tmp_path / f'{killed}.db'}")
        bench = Bench(Store(engine))
        monkeypatch.setattr(studies, "PORTION", 5)
        if killed:
            _kill_sometimes(bench, order, monkeypatch)
        study = _until_done(bench, order)
        bench = Bench(Store(engine))
        assert set(bench.cells(study).values()) == {1}, "a run was queued twice"
        tables.append(bench.table(study))
        engine.dispose()
    assert tables[0] == tables[1]


class KilledError(BaseException):
    """The server is gone."""


def _kill_sometimes(bench: Bench, order: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server die before or after any of its transactions."""
    for name in ("queue_cells", "finish_study", "study_row", "cell_runs"):
        honest = getattr(bench.store, name)

        def dying(*args, honest=honest, **options):
            if order.random() < 0.15:
                raise KilledError
            done = honest(*args, **options)
            if order.random() < 0.15:
                raise KilledError
            return done

        monkeypatch.setattr(bench.store, name, dying)


def _until_done(bench: Bench, order: random.Random) -> str:
    study = ""
    while not study or bench.store.study_state(study).status == "running":
        try:
            if not study:
                made = bench.store.studies()
                study = made[0].id if made else bench.start(TUNED)
            bench.carry_out(study, order)
        except KilledError:
            bench.keeper = StudyKeeper(bench.store, bench.queue)
    return study


def test_two_that_found_the_same_runs_missing_queue_them_once(bench, monkeypatch):
    study = bench.make(PLAIN)
    missing = bench.keeper.progress(study)
    monkeypatch.setattr(bench.keeper, "_progress", lambda plan, study_id: missing)
    bench.keeper.advance(study)
    bench.keeper.advance(study)
    assert len(bench.store.active()) == 6


def test_a_failed_cell_keeps_its_reason_and_a_retry_mends_it_alone(bench):
    bench.fails = lambda run: run.cell["variant"] == "exact" and run.cell["seed"] == 1
    study = bench.start(PLAIN)
    bench.carry_out(study)
    assert bench.failures(study) == [("exact", 1, "out of luck")]
    assert list(bench.values(study)["exact"]) == [0, 2]
    assert "seed 1 failed: out of luck" in str(bench.table(study)["words"])
    assert bench.store.listed_study(study).failed == 1
    bench.fails = lambda run: False
    before = {run.id for run in bench.store.cell_runs(study)}
    bench.keeper.order(study, "retry")
    (new,) = bench.store.active()
    assert (new.cell["variant"], new.cell["seed"]) == ("exact", 1)
    bench.carry_out(study)
    assert bench.store.study_state(study).status == "finished"
    assert bench.failures(study) == []
    assert len(bench.values(study)["exact"]) == 3
    assert len(before & {run.id for run in bench.store.cell_runs(study)}) == 5
    assert bench.store.listed_study(study).failed == 0


def test_a_failed_tuning_run_holds_back_its_own_variant_alone(bench):
    bench.fails = lambda run: run.cell["variant"] == "exact" and run.cell["phase"] == "tuning"
    study = bench.start(TUNED)
    bench.carry_out(study)
    phases = Counter((r.cell["variant"], r.cell["phase"]) for r in bench.store.cell_runs(study))
    assert phases["forward", "report"] == 3
    assert phases["exact", "report"] == 0
    assert bench.store.study_state(study).status == "finished"
    bench.fails = lambda run: False
    bench.keeper.order(study, "retry")
    bench.carry_out(study)
    assert [len(values) for values in bench.values(study).values()] == [3, 3]


def test_where_every_rate_diverges_there_is_nothing_to_report(bench):
    study = bench.start({**TUNED, "tuning": {"values": [100, 200], "seeds": [9], "widen": 0}})
    bench.carry_out(study)
    choice = bench.table(study)["choices"]["exact"]
    assert (choice["value"], choice["note"][:19]) == (None, "every rate diverged")
    assert bench.values(study) == {"exact": {}, "forward": {}}
    assert {r.cell["phase"] for r in bench.store.cell_runs(study)} == {"tuning"}


def test_a_study_is_paused_and_resumed_as_one(bench):
    study = bench.start(PLAIN)
    first, *_ = bench.store.active()
    bench.store.begin_attempt(first.id)
    bench.keeper.order(study, "pause")
    assert all(run.held for run in bench.store.active())
    assert [run.status for run in bench.store.active()] == ["running", *["paused"] * 5]
    assert all(run.set_aside for run in bench.store.active()[1:]), "they hold no slot"
    bench.keeper.look()
    assert len(bench.store.active()) == 6
    with pytest.raises(ConflictError, match=r"'plain' is paused; only a running study can be pau"):
        bench.keeper.order(study, "pause")
    bench.keeper.order(study, "resume")
    assert not any(run.held for run in bench.store.active())
    assert [run.status for run in bench.store.active()] == ["running", *["queued"] * 5]


def test_no_run_of_a_paused_study_is_queued(bench, monkeypatch):
    monkeypatch.setattr(studies, "PORTION", 2)
    study = bench.start(PLAIN)
    bench.keeper.order(study, "pause")
    for run in bench.store.active():
        bench.store.end(run.id, "failed")
    bench.keeper.advance(study)
    assert bench.store.active() == []
    bench.keeper.order(study, "resume")
    assert len(bench.store.active()) == 2


def test_a_cancelled_study_keeps_what_it_has_and_can_go_on(bench):
    study = bench.start(PLAIN)
    bench.end(bench.store.active()[0])
    bench.keeper.order(study, "cancel")
    assert bench.store.active() == []
    bench.keeper.look()
    assert bench.store.study_state(study).status == "cancelled"
    assert len(bench.failures(study)) == 5
    bench.keeper.order(study, "resume")
    assert len(bench.store.active()) == 5
    bench.carry_out(study)
    assert set(bench.cells(study).values()) == {1}
    assert bench.failures(study) == []


def test_a_large_study_is_queued_in_portions_and_leaves_room_for_others(bench, monkeypatch):
    monkeypatch.setattr(studies, "MAX_ACTIVE", 7)
    monkeypatch.setattr(studies, "PORTION", 4)
    first, second = bench.start(PLAIN), bench.start({**PLAIN, "name": "another"})
    assert [len(bench.store.cell_runs(study)) for study in (first, second)] == [4, 3]
    bench.keeper.look()
    bench.end(bench.store.active()[0])
    bench.keeper.look()
    assert len(bench.store.active()) == 7
    bench.carry_out(first)
    bench.carry_out(second)
    for study in (first, second):
        assert set(bench.cells(study).values()) == {1}
        assert len(bench.store.cell_runs(study)) == 6


def test_a_study_without_room_is_queued_once_there_is_some(bench, monkeypatch):
    other = bench.store.create_run({"name": "mine", "steps": 3, "device": "cpu"}, {})
    monkeypatch.setattr(studies, "MAX_ACTIVE", 1)
    study = bench.start(PLAIN)
    bench.keeper.look()
    assert [run.id for run in bench.store.active()] == [other.id]
    bench.store.end(other.id, "cancelled")
    bench.keeper.look()
    assert len(bench.store.cell_runs(study)) == 1


def test_a_budget_in_steps_is_that_of_every_run(bench):
    bench.start({**PLAIN, "budget": {"kind": "steps", "amount": 30}})
    assert {run.config["steps"] for run in bench.store.active()} == {30}


def test_a_budget_in_forward_passes_gives_the_cheaper_method_more_steps(bench):
    study = bench.start({**PLAIN, "budget": {"kind": "forwards", "amount": 300}})
    steps = {run.cell["variant"]: run.config["steps"] for run in bench.store.active()}
    assert steps == {"exact": 100, "forward": 200}
    assert bench.table(study)["steps"] == steps


def test_more_seeds_of_a_finished_study_are_made_alone(bench):
    study = bench.start(TUNED)
    bench.carry_out(study)
    before = {run.id for run in bench.store.cell_runs(study)}
    bench.keeper.extend(study, [2, 3, 4])
    new = bench.store.active()
    assert [(run.cell["phase"], run.cell["seed"]) for run in new] == [
        ("report", seed) for _ in METHODS for seed in (3, 4)
    ]
    bench.carry_out(study)
    assert bench.store.study_state(study).status == "finished"
    assert [list(of) for of in bench.values(study).values()] == [[0, 1, 2, 3, 4]] * 2
    assert before < {run.id for run in bench.store.cell_runs(study)}
    bench.keeper.extend(study, [3])
    assert bench.store.study_state(study).status == "finished"
    with pytest.raises(StudyFileError, match="seed 100 is in seeds and in tuning"):
        bench.keeper.extend(study, [100])


def test_a_study_does_not_end_while_seeds_are_added(bench):
    study = bench.start(PLAIN)
    for run in bench.store.active():
        bench.end(run)
    bench.store.extend_study(study, [3])
    assert not bench.store.finish_study(study, 6, [0, 1, 2])
    assert bench.store.study_state(study).status == "running"


def test_the_studies_of_a_copied_home_wait(bench, monkeypatch):
    monkeypatch.setattr(studies, "PORTION", 2)
    study = bench.start(PLAIN)
    bench.store.interrupt_active("this home is a copy")
    bench.keeper.look()
    assert bench.store.study_state(study).status == "paused"
    assert bench.store.active() == []


def test_a_leaderboard_is_by_what_is_asked_for(bench):
    study = bench.start(PLAIN)
    bench.carry_out(study)
    plan, found = bench.keeper.plan(study), bench.keeper.progress(study)
    by_cost = ranked_by(plan, found, "cost", {})
    assert [place.label for place in by_cost.places] == ["forward", "exact"]
    values = bench.store.cell_values(study, "report", "validation/accuracy")
    by_validation = ranked_by(plan, found, "validation/accuracy", values)
    assert [place.label for place in by_validation.places] == ["exact", "forward"]
    shown = results_of(plan, found, by_validation)["leaderboard"]
    assert (shown["metric"], shown["places"][0]["seeds"]) == ("validation/accuracy", 3)
    assert results_of(plan, found)["leaderboard"]["places"][0]["label"] == "forward"


def test_a_budget_in_seconds_is_timed_once_and_a_replay_is_exact(bench):
    document = {**TUNED, "budget": {"kind": "seconds", "amount": 2}}
    study = bench.start(document)
    timed = bench.store.active()
    assert [run.cell["phase"] for run in timed] == ["timing", "timing"]
    assert {run.config["steps"] for run in timed} == {TIMED_STEPS}
    assert bench.keeper.progress(study).phase == "timing"
    bench.carry_out(study)
    assert bench.store.study_state(study).timings == {"exact": 0.01, "forward": 0.01}
    of_phase: dict[str, set[int]] = {}
    for row in bench.store.cell_runs(study):
        run = bench.store.run(row.id)
        of_phase.setdefault(row.cell["phase"], set()).add(run.config["steps"])
    assert (of_phase["tuning"], of_phase["report"]) == ({200}, {200})
    timings = {"exact": 0.02, "forward": 0.01}
    replayed = bench.start({**PLAIN, "budget": {**document["budget"], "timings": timings}})
    steps = {run.cell["variant"]: run.config["steps"] for run in bench.store.active()}
    assert (steps, replayed != study) == ({"exact": 100, "forward": 200}, True)


def test_an_error_with_one_study_does_not_hold_up_another(bench, monkeypatch, caplog):
    broken, sound = bench.start(PLAIN), bench.start({**PLAIN, "name": "another"})
    bench.keeper = StudyKeeper(bench.store, bench.queue)
    honest = bench.keeper.plan

    def failing(study_id):
        if study_id == broken:
            raise RuntimeError("no")
        return honest(study_id)

    monkeypatch.setattr(bench.keeper, "plan", failing)
    for run in bench.store.active():
        bench.end(run)
    bench.keeper.look()
    assert bench.store.study_state(sound).status == "finished"
    assert f"unexpected error with study {broken}" in caplog.text
