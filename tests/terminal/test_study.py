"""`gradlab study`: started, taken up and ordered in the terminal, and after a kill."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import gradlab as gradlab_api
from backend.studies.study_file import parse
from backend.terminal import studies_from_python
from backend.terminal import study as command
from backend.terminal.study import StudyEndedError, carry_out
from tests.backend.jobs.lab import until
from tests.backend.studies.test_study_file import STUDY
from tests.terminal.test_cli import gradlab

ROOT = Path(__file__).parents[2]

WORDS = {"above": "", "heads": ["variant", "test accuracy"], "rows": [["exact", "81 %"]],
         "below": "test accuracy: mean"}  # fmt: skip


class FakeLab:
    """Has studies that are finished after two looks."""

    def __init__(self, status="finished", failures=()):
        self.made, self.orders, self.looks = {}, [], 0
        self.status, self.failures = status, list(failures)

    def start_study(self, document):
        self.made[f"y{len(self.made)}"] = parse(document).document()
        return f"y{len(self.made) - 1}"

    def studies(self, name):
        older = [{"id": "without a document", "cells": 0}]
        mine = [i for i, made in reversed(self.made.items()) if made["name"] == name]
        return [*older, *({"id": study_id, "cells": 4} for study_id in mine)]

    def study_results(self, study_id):
        self.looks += 1
        results = {"words": WORDS, "failures": self.failures}
        status = self.status if self.looks > 2 else "running"
        of_study = {"id": study_id, "document": self.made[study_id], "results": results}
        return {**of_study, "status": status, "phase": "report", "ended": 3, "cells": 4}

    def order_study(self, study_id, order):
        self.orders.append((study_id, order))
        return {"name": "two methods", "status": "running"}

    def add_seeds(self, study_id, seeds):
        self.orders.append((study_id, seeds))
        return {}

    def address_of(self, study_id):
        return f"http://lab:8000/studies/{study_id}"

    def separate_test(self, dataset):
        return dataset == "two_moons"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(command, "REFRESH", 0.0)


def carried_out(lab, width=200, **changes):
    text = io.StringIO()
    found = carry_out(lab, parse({**STUDY, **changes}), Console(file=text, width=width))
    return found, text.getvalue()


def test_a_study_is_started_and_its_last_table_printed():
    lab = FakeLab()
    found, text = carried_out(lab)
    assert found["status"] == "finished"
    assert "http://lab:8000/studies/y0" in text
    assert "report: 3 of 4 runs" in text
    assert text.count("81 %") == 1


def test_the_same_study_is_taken_up_and_another_one_is_not():
    lab = FakeLab()
    carried_out(lab)
    _, text = carried_out(lab)
    assert len(lab.made) == 1
    assert "3 of 4 runs are there" in text
    assert lab.orders == []
    carried_out(lab, seeds=[*STUDY["seeds"], 7])
    assert (len(lab.made), lab.orders) == (1, [("y0", [7])])
    carried_out(lab, seeds=[7])
    assert len(lab.made) == 2


@pytest.mark.parametrize(("status", "orders"), [("cancelled", ["resume"]), ("finished", [])])
def test_what_was_cancelled_or_failed_is_made_again(status, orders):
    failure = {"number": 3, "variant": "exact", "seed": 5, "reason": "out of luck"}
    lab = FakeLab(status, [failure] if status == "finished" else ())
    with pytest.raises(StudyEndedError):
        carried_out(lab)
    with pytest.raises(StudyEndedError) as ended:
        carried_out(lab)
    assert [order for _, order in lab.orders] == orders or ["retry"]
    said = {
        "cancelled": "the study is cancelled; the same command goes on with it",
        "finished": "a run has no result; run 3 (exact, seed 5): out of luck. The same command "
        "makes them again",
    }
    assert str(ended.value) == said[status]


def test_a_data_set_whose_seeds_test_what_others_train_on_is_told():
    digits = {**STUDY["base"], "dataset": {"name": "digits"}}
    words = "each seed draws the parts of digits from the same examples"
    assert words in carried_out(FakeLab(), base=digits)[1]
    assert "each seed draws" not in carried_out(FakeLab())[1]
    assert "each seed draws" not in carried_out(FakeLab(), base=digits, tuning=None)[1]


def test_an_order_from_the_terminal():
    lab, text = FakeLab(), io.StringIO()
    with pytest.raises(StudyEndedError, match="the lab has no study 'two methods' with this docu"):
        command.order(lab, parse(STUDY), "pause", Console(file=text))
    lab.start_study(STUDY)
    command.order(lab, parse(STUDY), "pause", Console(file=text))
    assert lab.orders == [("y0", "pause")]


def test_the_problems_of_all_methods_are_told_before_the_first_run(tmp_path):
    wrong = {"estimator": {"name": "backprop"}, "network": {"name": "mlp", "width": 0}}
    absent = {"dataset": {"name": "parquet_images", "folder": "cifar10"}}
    methods = [{"label": "wrong", "config": wrong}, {"label": "absent", "config": absent}]
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**STUDY, "methods": [*STUDY["methods"], *methods]}))
    refused = gradlab("study", file, "--home", tmp_path / "home")
    assert refused.returncode == 1
    words = " ".join(refused.stderr.split())
    assert "wrong: network.width: width is 0; it must be at least 1" in words
    assert "absent: dataset.folder: " in words
    assert not list((tmp_path / "home" / "runs").iterdir())


def _cells(home) -> Counter[str]:
    with closing(sqlite3.connect(home / "lab.db")) as database:
        return Counter(cell for (cell,) in database.execute("SELECT cell FROM run"))


def _queued(home) -> int:
    query = "SELECT COUNT(*) FROM run"
    try:
        with closing(sqlite3.connect(home / "lab.db")) as database:
            return database.execute(query).fetchone()[0]
    except sqlite3.OperationalError:  # it is being made
        return 0


def test_a_study_goes_on_after_its_server_was_killed(tmp_path):
    home, file = tmp_path / "home", tmp_path / "study.yaml"
    base = {**STUDY["base"], "steps": 50, "device": "cpu", "probe": {"budget": 0}}
    file.write_text(yaml.safe_dump({**STUDY, "base": base, "tuning": None, "seeds": [5]}))
    arguments = ["-m", "gradlab", "study", str(file), "--home", str(home)]
    killed = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until(lambda: _queued(home) > 0, lambda: f"{_cells(home)}")
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    done = gradlab("study", file, "--home", home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(_cells(home).values()) == {1}
    assert len(_cells(home)) == 2
    found = json.loads((tmp_path / "study.results.json").read_text())
    assert [row["count"] for row in found["results"]["table"]["rows"]] == [1, 1]
    assert {run["status"] for run in found["results"]["runs"]} == {"finished"}
    assert "test accuracy" in done.stdout


def test_a_study_from_python_is_ordered_and_printed(tmp_path, monkeypatch):
    lab, home = FakeLab(), tmp_path / "home"
    monkeypatch.setattr(studies_from_python, "running_lab", lambda given: nullcontext(lab))
    with pytest.raises(gradlab_api.StudyError, match=r"home is open; start one with gradlab serve"):
        gradlab_api.study(STUDY, home=home, wait=False)
    found = gradlab_api.study(STUDY, home=home)
    assert "exact    81 %" in str(found)
    with pytest.raises(gradlab_api.StudyError, match="start one with gradlab serve"):
        found.order("pause")
    monkeypatch.setattr(studies_from_python, "serving", lambda home: object())
    assert gradlab_api.study(STUDY, home=home, wait=False).order("pause").results["id"] == "y0"
    assert lab.orders == [("y0", "pause")]
    with pytest.raises(gradlab_api.StudyError, match="seed 5 is in seeds and in tuning"):
        gradlab_api.study({**STUDY, "tuning": {"values": [1], "seeds": [5]}}, home=home)
