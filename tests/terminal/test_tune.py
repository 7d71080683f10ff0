"""`gradlab tune`: rates are chosen on validation alone, other seeds are reported on test."""

import io
import json
import math
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from backend.config import RunConfig, with_seed
from backend.terminal import tune as command
from backend.terminal.document import read
from backend.terminal.tune import TuneError, tune
from backend.tuning.results import choose, results
from backend.tuning.study_file import StudyFileError, parse
from estimators.statistics.paired import paired
from tests.terminal.test_cli import gradlab

STUDIES = Path(__file__).parents[2] / "docs" / "studies"
STUDY = {
    "name": "two methods",
    "base": {
        "dataset": {"name": "two_moons", "examples": 200},
        "network": {"name": "mlp", "width": 4},
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "estimator": {"name": "backprop"},
        "steps": 8,
        "batch_size": 16,
        "device": "cpu",
        "probe": {"budget": 0},
    },
    "configs": [
        {"label": "exact"},
        {"label": "forward", "config": {"estimator": {"name": "forward_gradient"}}},
    ],
    "rates": [1.0, 0.01, 0.1],
    "tuning_seeds": [0, 1],
    "seeds": [5, 6, 7],
    "baseline": "exact",
}
VALIDATION = {0.01: 0.5, 0.1: 0.8, 1.0: 0.6}
TEST = {0.01: 0.9, 0.1: 0.4, 1.0: 0.95}
"""In another order than `VALIDATION`, so that a choice by it shows."""


def changed(**changes):
    return parse({**STUDY, **changes})


class FakeLab:
    """Ends every run at once, and refuses the test accuracy of a run that tunes."""

    def __init__(self, diverging=(), failing=()):
        self.made, self.read = [], []
        self.diverging, self.failing = diverging, failing

    def validated(self, configs):
        return [{**config, "epochs": None} for config in configs]

    def separate_test(self, dataset):
        return dataset == "two_moons"

    def runs(self, search):
        return [run for run in reversed(self.made) if search in run["name"]]

    def run(self, run_id):
        return next(run for run in self.made if run["id"] == run_id)

    def study(self, name, configs, seeds):
        assert len(configs) * len(seeds) <= command.MOST_RUNS
        study = f"y-{name.rpartition(': ')[2]}"
        made = [self._made(config, seed, study) for config in configs for seed in seeds]
        self.made += made
        return made

    def address_of(self, study_id):
        return f"http://lab:8000/?study={study_id}"

    def _made(self, config, seed, study):
        rate, number = config["optimizer"]["lr"], len(self.made) + 1
        status = "diverged" if rate in self.diverging else "finished"
        status = "failed" if seed in self.failing else status
        run_id, whole = f"r{config['name']}{seed}", with_seed(config, seed)
        return {"id": run_id, "number": number, "name": whole["name"], "status": status,
                "config": whole, "error": "out of luck", "study": study}  # fmt: skip

    def value(self, run_id, metric):
        run = self.run(run_id)
        seed, rate = run["config"]["seed"], run["config"]["optimizer"]["lr"]
        self.read.append((seed, metric))
        if metric == "validation/accuracy":
            return VALIDATION[rate] + 0.001 * seed
        assert metric == "test/accuracy"
        assert seed not in STUDY["tuning_seeds"], "test data leak into the tuning"
        bonus = 0.01 * seed if run["config"]["estimator"]["name"] == "backprop" else 0
        return TEST[rate] + bonus


def carried_out(lab, study=None, width=200):
    text = io.StringIO()
    return tune(lab, study or parse(STUDY), Console(file=text, width=width)), text.getvalue()


def test_the_rate_is_chosen_on_validation_with_the_tuning_seeds_alone():
    lab = FakeLab()
    found, text = carried_out(lab)
    assert [entry["rate"] for entry in found["results"]] == [0.1, 0.1]
    assert found["results"][0]["validation"] == pytest.approx(0.8005, abs=1e-15)
    tuning = [read for read in lab.read if read[0] in (0, 1)]
    reported = [read for read in lab.read if read[0] in (5, 6, 7)]
    assert lab.read == tuning + reported, "test accuracies are read before every choice is made"
    assert {metric for _, metric in tuning} == {"validation/accuracy"}
    assert {metric for _, metric in reported} == {"test/accuracy"}
    assert len(tuning) == 2 * 3 * 2
    assert len(reported) == 2 * 3
    assert "0.4600 ± 0.0248" in text


def test_the_difference_is_paired_by_seed():
    found, text = carried_out(FakeLab())
    exact, forward = found["results"]
    assert exact["difference"] is None
    by_hand = paired([0.4] * 3, [0.45, 0.46, 0.47], needed=2)
    # Sums of a few numbers below 1, and a root of their differences of size 0.01.
    assert forward["difference"]["mean"] == pytest.approx(by_hand.difference, abs=1e-15)
    assert forward["difference"]["low"] == pytest.approx(by_hand.low, abs=1e-13)
    assert "-0.0600 ± 0.0248" in text


def test_the_page_of_each_phase_is_named_before_its_runs_have_ended():
    lab = FakeLab(failing=(6,))
    text = io.StringIO()
    with pytest.raises(TuneError):
        tune(lab, parse(STUDY), Console(file=text, width=30))
    lines = text.getvalue().splitlines()
    assert lines.count("tuning: http://lab:8000/?study=y-tuning") == 1
    assert lines.count("test: http://lab:8000/?study=y-test") == 1


def test_runs_are_told_apart_by_their_seeds_and_older_ones_without_them_are_found():
    lab = FakeLab()
    found, _ = carried_out(lab)
    assert len({run["name"] for run in lab.made}) == len(lab.made)
    assert lab.made[1]["name"] == "two methods: exact, lr 0.01, seed 1"
    for run in lab.made:
        run["name"] = run["config"]["name"] = run["name"].partition(", seed")[0]
    count = len(lab.made)
    assert carried_out(lab)[0] == found
    assert len(lab.made) == count


def test_the_table_fits_a_terminal_of_80_columns():
    _, text = carried_out(FakeLab(), changed(rates=[0.01, 0.1]), width=80)
    row = next(line for line in text.splitlines() if line.startswith("forward "))
    numbers = ("forward", "0.1", "0.8005", "0.4000 ± 0.0000", "-0.0600 ± 0.0248", "3")
    assert " ".join(row.split()) == " ".join(numbers)
    assert "forward: best at the edge: try larger rates" in text.splitlines()


def test_the_best_at_an_edge_is_said():
    assert (
        choose({0.1: [0.9], 1.0: [0.5], 10.0: [0.4]}).note == "best at the edge: try smaller rates"
    )
    assert (
        choose({0.1: [0.1], 1.0: [0.5], 10.0: [0.9]}).note == "best at the edge: try larger rates"
    )
    assert choose({0.1: [0.1], 1.0: [0.5], 10.0: [0.4]}).note == ""
    assert choose({0.1: [0.1]}).note == "the only rate"


def test_a_rate_at_which_one_seed_diverged_is_not_chosen():
    choice = choose({0.1: [0.5, 0.5], 1.0: [0.9, math.nan], 0.01: [0.4, 0.4]})
    assert (choice.rate, choice.note) == (0.1, "the next larger rate diverged")
    assert math.isnan(choice.curve[1.0])


def test_of_equal_rates_the_smallest_is_chosen():
    assert choose({1.0: [0.5], 0.1: [0.5], 0.01: [0.4]}).rate == 0.1


def test_a_configuration_of_which_every_rate_diverges_has_no_result():
    found, text = carried_out(FakeLab(diverging=(0.01, 0.1, 1.0)))
    assert [entry["rate"] for entry in found["results"]] == [None, None]
    assert "every rate diverged" in text
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_seeds_that_diverge_on_test_are_counted_and_left_out_of_pairs():
    choice = choose({0.1: [0.5]})
    test = {"a": (0.4, math.nan, 0.6), "b": (0.3, 0.5, 0.4)}
    first, _ = results({"a": choice, "b": choice}, test, "b")
    assert (first.sample.count, first.sample.mean) == (2, 0.5)
    assert first.difference is not None
    assert (first.difference.pairs, first.difference.first_larger) == (2, 2)


def test_a_second_time_goes_on_with_the_runs_that_are_there():
    lab = FakeLab()
    first, _ = carried_out(lab)
    count = len(lab.made)
    again, text = carried_out(lab)
    assert len(lab.made) == count == 12 + 6
    assert again == first
    assert "tuning: 12 of 12 runs are there" in text
    del lab.made[3], lab.made[-1]
    assert carried_out(lab)[0]["results"] == first["results"]
    assert len(lab.made) == count


def test_runs_of_another_configuration_are_not_taken():
    lab = FakeLab()
    carried_out(lab)
    carried_out(lab, changed(base={**STUDY["base"], "steps": 9}))
    assert len(lab.made) == 2 * (12 + 6)


def test_a_failed_run_ends_the_study_and_is_made_again():
    lab = FakeLab(failing=(6,))
    with pytest.raises(TuneError, match=r"is failed: out of luck\. The same command goes on"):
        carried_out(lab)
    lab.failing = ()
    carried_out(lab)
    assert sum(run["config"]["seed"] == 6 for run in lab.made) == 4


def test_a_large_grid_is_queued_in_parts():
    lab = FakeLab()
    carried_out(lab, changed(tuning_seeds=list(range(100, 160)), seeds=[5, 6]))
    assert len(lab.made) == 2 * 3 * 60 + 2 * 2


def test_a_run_without_the_metric_is_named():
    lab = FakeLab()
    lab.value = lambda run_id, metric: None
    with pytest.raises(
        TuneError, match=r"run 1 \(two methods: exact, lr 0.01, seed 0\) has no validation"
    ):
        carried_out(lab)


def test_a_data_set_whose_seeds_test_what_others_train_on_is_told():
    digits = {**STUDY["base"], "dataset": {"name": "digits"}}
    assert "each seed draws the parts of digits from the same examples" in carried_out(
        FakeLab(), changed(base=digits)
    )[1].replace("\n", " ")
    assert "each seed draws" not in carried_out(FakeLab())[1]


BAD: dict[str, tuple[dict, str]] = {
    "a shared seed": ({"seeds": [5, 1]}, "seed 1 is in seeds and in tuning_seeds"),
    "a seed twice": ({"seeds": [5, 5]}, "seeds 5 comes twice"),
    "a rate twice": ({"rates": [0.1, 0.1]}, "rate 0.1 comes twice"),
    "a rate of 0": ({"rates": [0.1, 0]}, "rates.1: entry 2 of rates is 0"),
    "a label twice": ({"configs": [{"label": "exact"}] * 2}, "label exact comes twice"),
    "no such baseline": ({"baseline": "best"}, "baseline is best; the labels are exact, forward"),
    "an unknown field": ({"seed": [1]}, "no field 'seed' of a study; did you mean 'seeds'?"),
    "a seed in base": ({"base": {"seed": 1}}, "base has a seed; seeds and tuning_seeds"),
    "a rate in base": ({"base": {"optimizer": {"name": "sgd", "lr": 1}}}, "base has optimizer.lr"),
    "an unknown field in a configuration": (
        {"configs": [{"label": "exact", "config": {"step": 3}}]}, "exact has 'step', which is no",
    ),
    "no rates": ({"rates": []}, "rates is empty; give at least 1 entries"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_a_bad_study_is_refused_in_a_sentence(changes, said):
    with pytest.raises(StudyFileError) as refused:
        changed(**changes)
    assert said in str(refused.value)


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.name)
def test_the_studies_of_the_documentation_can_be_read(file):
    study = parse(read(file))
    for each in study.configs:
        config = RunConfig.model_validate(study.config(each, 0.1))
        # Probes on the schedule of a budget would depend on how busy the machine is.
        assert config.probe.budget == 0 or config.probe.every is not None


def test_the_problems_of_all_configurations_are_told_before_the_first_run(tmp_path):
    file = tmp_path / "study.yaml"
    wrong = {"estimator": {"name": "backprop"}, "network": {"name": "mlp", "width": 0}}
    configs = [*STUDY["configs"], {"label": "wrong", "config": wrong}]
    file.write_text(yaml.safe_dump({**STUDY, "configs": configs}))
    refused = gradlab("tune", file, "--home", tmp_path / "home")
    assert refused.returncode == 1
    assert "network.width: width is 0; it must be at least 1" in refused.stderr
    assert not list((tmp_path / "home" / "runs").iterdir())


def test_a_study_from_the_terminal(tmp_path):
    file = tmp_path / "study.yaml"
    few = {"rates": [0.01], "tuning_seeds": [0], "seeds": [5, 6]}
    file.write_text(yaml.safe_dump({**STUDY, **few}))
    done = gradlab("tune", file, "--home", tmp_path / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "study.results.json").read_text())
    assert [(run["seed"], run["status"]) for run in found["runs"]] == [
        (seed, "finished") for seed in (0, 0, 5, 6, 5, 6)
    ]
    for entry in found["results"]:
        assert (entry["rate"], entry["note"], entry["seeds"]) == (0.01, "the only rate", 2)
        assert 0 <= entry["mean"] <= 1
    assert "±" in done.stdout
