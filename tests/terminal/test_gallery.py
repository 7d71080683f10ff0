"""`gradlab gallery`: the list, one entry, and the report, from what a lab answers."""

from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from backend import serve
from backend.cli import app
from backend.studies.study_file import parse
from backend.terminal.client import RefusedError

PAPER = {
    "key": "smith2020",
    "title": "A paper",
    "citation": "Smith (2020)",
    "arxiv": "2001.00001",
}
STUDY = {
    "id": "y1", "status": "finished", "length": "short", "stand_in": True, "created": "2026-01-02",
}  # fmt: skip
ROW = {"label": "exact", "published": 2.5, "words": "2.4 ± 0.1", "seeds": 3}
ENTRY: dict[str, Any] = {
    "name": "smith2020-first", "title": "First", "question": "Does it work?", "paper": PAPER,
    "minutes": {"short": 1, "full": 60}, "newest": STUDY, "studies": [STUDY], "study": "y1",
    "claim": {"text": "It works.", "read": "read in the paper"},
    "data": {"title": "MNIST", "stand_in": "digits"},
    "comparisons": [
        {"quantity": "test error", "unit": "%", "source": "table 1", "read": "read in the paper",
         "order": "1 of 1 pair is in the same order here", "rows": [ROW]}
    ],
    "differences": {"short": ["The data are digits."], "full": ["60 epochs."]},
    "made": {"date": "2026-01-02", "runs": 1, "machine": "cpu", "versions": {"torch": "2.13"}},
    "figures": [
        {"key": "study-curve-0", "figure": "study_curve", "source": "study", "title": "Curve",
         "query": {}}
    ],
}  # fmt: skip
WORDS = {
    "above": "", "heads": ["variant", "error"], "rows": [["exact", "2.4"], ["noisy", "9"]],
    "below": "mean over seeds",
}  # fmt: skip
DRAWN = {
    "figure": {"data": [{"type": "scatter", "x": [0, 1], "y": [0, 1], "mode": "lines"}],
               "layout": {}},
    "shown": 2, "count": 2, "selection": "all", "note": ["two points"], "details": [],
    "zoomed": False, "meta": {},
}  # fmt: skip


class Lab:
    """Answers as a lab with one entry that was run and one that was not."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.status = "finished"

    def gallery(self):
        other = {**ENTRY, "name": "smith2020-second", "title": "Second", "newest": None}
        return [ENTRY, other]

    def gallery_entry(self, name, study_id=""):
        if name == "smith2020-second":
            return {**ENTRY, "name": name, "studies": [], "study": "", "made": {}}
        return ENTRY

    def start_entry(self, name, length):
        if name == "nothing":
            raise RefusedError("the gallery has no entry 'nothing'; it has smith2020-first")
        self.started.append((name, length))
        return "y1"

    def entry_address(self, name):
        return f"http://lab/gallery/{name}"

    def study_results(self, study_id):
        return {
            "status": self.status, "phase": "report", "ended": 3, "cells": 3,
            "results": {"words": WORDS, "failures": []},
        }  # fmt: skip

    def order_study(self, study_id, order):
        assert (study_id, order) == ("y1", "resume")
        self.status = "finished"

    def entry_figure(self, entry, figure):
        return DRAWN


@pytest.fixture
def lab(monkeypatch) -> Lab:
    made = Lab()

    @contextmanager
    def running_lab(given):
        yield made

    monkeypatch.setattr(serve, "running_lab", running_lab)
    return made


def gradlab(*words):
    return CliRunner().invoke(app, ["gallery", *words])


def test_entries_are_listed_with_what_was_run(lab):
    answer = gradlab()
    assert answer.exit_code == 0
    first, second = (line for line in answer.output.splitlines() if line.startswith("smith"))
    assert first.split() == ["smith2020-first", "First", "1", "/", "60", "finished,", "short"]
    assert second.split() == ["smith2020-second", "Second", "1", "/", "60"]


@pytest.mark.parametrize(
    ("words", "length", "said"), [([], "short", "digits"), (["--full"], "full", "60 epochs")]
)
def test_an_entry_is_carried_out_and_set_beside_the_published_figures(lab, words, length, said):
    answer = gradlab("smith2020-first", *words)
    assert answer.exit_code == 0, answer.output
    assert lab.started == [("smith2020-first", length)]
    assert "http://lab/gallery/smith2020-first" in answer.output
    assert any(line.split()[:3] == ["exact", "2.5", "2.4"] for line in answer.output.splitlines())
    assert said in answer.output


def test_an_entry_that_was_paused_goes_on(lab):
    lab.status = "paused"
    answer = gradlab("smith2020-first")
    assert answer.exit_code == 0, answer.output
    assert lab.status == "finished"


def test_an_entry_that_there_is_not_is_named(lab):
    answer = gradlab("nothing")
    assert answer.exit_code == 1
    assert "the gallery has no entry 'nothing'" in answer.output


def test_the_study_of_an_entry_is_written_for_a_change(tmp_path):
    path = tmp_path / "study.yaml"
    answer = gradlab("ren2022-mnist_s11", "--full", "--file", str(path), "--home", str(tmp_path))
    assert answer.exit_code == 0, answer.output
    text = path.read_text(encoding="utf-8")
    assert text.count("steps: 10800\n") == 1, "the entry's words replace it by 108000"
    study = parse(yaml.safe_load(text))
    assert study.gallery is None
    assert study.base["dataset"] == {"name": "digits"}, "there are no data in this home"


def test_the_study_of_no_entry_is_not_written(tmp_path):
    answer = gradlab("nothing", "--file", str(tmp_path / "study.yaml"))
    assert answer.exit_code == 1
    assert "it has baydin2022-beale, " in answer.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_the_report_has_published_beside_measured_and_what_differs(lab, tmp_path):
    answer = gradlab("--report", "-o", str(tmp_path / "gallery.md"))
    assert answer.exit_code == 0, answer.output
    text = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert "2026-01-02, short length, on digits in place of MNIST, 1 run, cpu, torch 2.13." in text
    assert "| exact | 2.5 | 2.4 ± 0.1 | 3 |" in text
    assert "test error, %. Published: table 1 (read in the paper)." in text
    assert "- The data are digits.\n" in text
    assert "60 epochs" not in text, "that is of the full length"
    assert "| noisy | 9 |" in text
    assert "![Curve](images/gallery/smith2020-first-study-curve-0.svg)\n\ntwo points" in text
    (drawn,) = (tmp_path / "images" / "gallery").iterdir()
    assert drawn.name == "smith2020-first-study-curve-0.svg"
    assert drawn.read_text().startswith("<svg")
    assert text.endswith("- Smith (2020): Second\n")


def test_a_report_for_a_folder_that_there_is_not_is_refused(lab, tmp_path):
    answer = gradlab("--report", "-o", str(tmp_path / "no" / "gallery.md"))
    assert answer.exit_code == 1
    assert "there is no folder" in answer.output
