"""Plug-ins that fail, hang, crash and chatter harm nothing but themselves."""

from dataclasses import replace
from pathlib import Path

import pytest
from configs import config
from lab import LIMITS

from backend.jobs.executor import InspectionError

GOOD = '''
"""An estimator that scales the exact gradient."""

from dataclasses import dataclass

from estimators.core.contract import Claim, Cost, Estimate, Estimator, Need
from estimators.feedback.backprop import Backprop

print("hello from a plug-in")


@dataclass(frozen=True)
class Talker(Estimator):
    """Backpropagation that talks."""

    def claim(self, objective):
        return Claim.EXACT

    def needs(self):
        return (Need.DIFFERENTIABLE,)

    def cost(self, objective):
        return Cost(forwards=1, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        print("estimating")
        return Backprop().estimate(objective, params, None, rng)
'''
FAILING = GOOD.replace("Talker", "Failing").replace(
    'print("estimating")', 'raise RuntimeError("this estimator gives up")'
)
CRASHING = GOOD.replace("Talker", "Crashing").replace(
    'print("estimating")', "import os; os._exit(3)"
)


@pytest.fixture(scope="module", autouse=True)
def _catalogue_without_plugins_afterwards(lab):
    yield
    lab.supervisor.catalogue(refresh=True)


@pytest.fixture
def plugins(lab):
    """The plug-in folder, emptied afterwards.

    The catalogue stays that of the last refresh, unless it has set files aside that failed.
    """
    folder = lab.home / "plugins"
    yield folder
    for file in folder.iterdir():
        file.unlink()
    if lab.supervisor.catalogue()["failures"]:
        lab.supervisor.catalogue(refresh=True)


def names(catalogue):
    return {entry["name"] for entry in catalogue["estimators"]}


def test_the_catalogue_is_kept_until_it_is_refreshed(lab, plugins):
    before = lab.supervisor.catalogue()
    (plugins / "talker.py").write_text(GOOD)
    assert lab.supervisor.catalogue() is before
    assert "talker" in names(lab.supervisor.catalogue(refresh=True))


def test_what_a_plugin_prints_goes_to_the_runs_log(lab, plugins):
    (plugins / "talker.py").write_text(GOOD)
    run = lab.submit(config(estimator={"name": "talker"}, steps=3))
    lab.becomes(run, "finished")
    log = (lab.home / "runs" / run / "log").read_text()
    assert "hello from a plug-in" in log
    assert log.count("estimating") >= 3


def test_an_estimator_that_raises_fails_its_run_with_the_traceback(lab, plugins):
    (plugins / "failing.py").write_text(FAILING)
    run = lab.submit(config(estimator={"name": "failing"}))
    lab.becomes(run, "failed")
    error = lab.store.run(run).error
    assert error.splitlines()[0] == "RuntimeError: this estimator gives up"
    assert "failing.py" in error


def test_an_estimator_that_exits_fails_its_run(lab, plugins):
    (plugins / "crashing.py").write_text(CRASHING)
    run = lab.submit(config(estimator={"name": "crashing"}))
    lab.becomes(run, "failed")
    assert lab.store.run(run).error.startswith("The worker ended with exit code 3")


def test_plugins_that_hang_or_crash_are_listed_and_left_out(lab, plugins):
    (plugins / "talker.py").write_text(GOOD)
    (plugins / "hangs.py").write_text("while True: pass\n")
    (plugins / "exits.py").write_text("import os; os._exit(3)\n")
    (plugins / "segfaults.py").write_text("import ctypes; ctypes.string_at(0)\n")
    (plugins / "raises.py").write_text("1 / 0\n")
    catalogue = lab.supervisor.catalogue(refresh=True)
    said = {f["source"].rsplit("/", 1)[-1]: f["traceback"] for f in catalogue["failures"]}
    said = {name.split("_", 1)[-1]: text for name, text in said.items()}
    assert "hangs.py did not end in 1 s" in said["hangs.py"]
    assert "while True: pass" in said["hangs.py"], "where it was"
    assert said["exits.py"] == "the process ended without an answer, exit code 3"
    assert said["segfaults.py"].endswith("killed by SIGSEGV (11)")
    assert "ZeroDivisionError" in said["raises.py"]
    assert "talker" in names(catalogue)
    run = lab.submit(config(estimator={"name": "talker"}, steps=3))  # and runs go on
    lab.becomes(run, "finished")


def test_a_plugin_that_never_returns_costs_its_time_once(lab, plugins):
    (plugins / "talker.py").write_text(GOOD)
    swallowing = "while True:\n    try:\n        while True: pass\n    except Exception: pass\n"
    (plugins / "hangs.py").write_text(swallowing)
    catalogue = lab.supervisor.catalogue(refresh=True)
    (failure,) = catalogue["failures"]
    assert failure["timed_out"]
    assert "hangs.py did not end in 1 s" in failure["traceback"]
    assert "talker" in names(catalogue)
    payload = {"kind": "training", "plugins": lab.supervisor._inspections.plugins}
    asked = {**payload, "configs": [config(estimator={"name": "talker"})]}
    (verdict,) = lab.executor.inspect("validate", asked, 60)
    assert verdict["errors"] == []
    assert not any("hangs" in str(f) for d in payload["plugins"] for f in Path(d).iterdir())


def test_a_configuration_is_validated_with_its_plugins(lab, plugins):
    (plugins / "talker.py").write_text(GOOD)
    (verdict,) = lab.supervisor.validate([config(estimator={"name": "talker"})])
    assert verdict["errors"] == []
    assert verdict["labels"] == {"driver": "talker", "shadows": []}
    (verdict,) = lab.supervisor.validate([config(device="cuda:7")])
    assert verdict["errors"][0]["loc"] == ["device"]


def test_an_inspector_that_does_not_answer_is_killed(lab, plugins):
    (plugins / "hangs.py").write_text("while True: pass\n")
    payload = {"kind": "training", "plugins": [str(plugins)], "configs": [config()]}
    with pytest.raises(InspectionError, match=r"no answer within 0\.2 s; it was killed"):
        lab.executor.inspect("validate", payload, 0.2)


NETWORK = '''
from dataclasses import dataclass

import torch
from torch import nn

from gradlab import Network, named

calls = 0


class Layer(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(2, classes)

    def forward(self, x):
        global calls
        calls += x.device.type == "cpu"
        {trouble}
        return self.linear(x)


@dataclass(frozen=True)
class Troubled(Network):
    """A linear layer that breaks."""

    def layout(self, shape, classes):
        return named(layer=Layer(classes))
'''


def test_a_network_that_raises_in_a_late_step_keeps_what_was_measured(lab, plugins):
    trouble = 'if calls > 500: raise RuntimeError("this network gives up")'
    (plugins / "troubled.py").write_text(NETWORK.format(trouble=trouble))
    run = lab.submit(config(network={"name": "troubled"}, estimator={"name": "backprop"}))
    lab.becomes(run, "failed")
    error = lab.store.run(run).error
    assert error.splitlines()[0] == "RuntimeError: this network gives up"
    assert "troubled.py" in error
    steps, _ = lab.curve(run)
    assert steps == list(range(len(steps)))
    assert 300 < len(steps) <= 500
    assert lab.store.run(run).step == len(steps), "every update that was made has its point"


def test_a_run_that_hangs_in_a_step_can_be_cancelled(lab, plugins):
    trouble = "while calls > 200: pass"
    (plugins / "troubled.py").write_text(NETWORK.format(trouble=trouble))
    run = lab.submit(config(network={"name": "troubled"}, estimator={"name": "backprop"}))
    lab.reaches(run, 1)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    steps, _ = lab.curve(run)
    assert steps == list(range(len(steps)))
    after = lab.submit(config(steps=3))
    lab.becomes(after, "finished")


def test_a_validation_that_does_not_return_names_the_plug_ins(lab, plugins, monkeypatch):
    trouble = "while calls > -1: pass"
    (plugins / "troubled.py").write_text(NETWORK.format(trouble=trouble))
    lab.supervisor.catalogue(refresh=True)
    monkeypatch.setattr(lab.supervisor._inspections, "_limits", replace(LIMITS, inspection=2))
    with pytest.raises(InspectionError) as caught:
        lab.supervisor.validate([config(network={"name": "troubled"})])
    assert str(caught.value) == (
        "the configuration was not checked: no answer within 2 s; it was killed. It uses the "
        f"plug-in network troubled ({plugins / 'troubled.py'}), whose code may end the process or "
        "not return"
    )


FIGURE = '''
from dataclasses import dataclass
import plotly.graph_objects as go
from gradlab import Figure


@dataclass(frozen=True)
class Own(Figure):
    """The loss."""

    def figure(self, source, run):
        (loss,) = [s for s in source.series(run) if s.metric == "train/loss"]
        points = source.points(loss.id)
        {trouble}
        return go.Figure(go.Scatter(x=points.steps, y=points.values))
'''


def test_a_figure_is_drawn_by_another_process_from_the_database(lab, plugins):
    run = lab.submit(config(steps=3))
    lab.becomes(run, "finished")
    lab.supervisor.catalogue(refresh=True)
    (plugins / "own.py").write_text(FIGURE.format(trouble="pass"))
    assert lab.supervisor.own_figures() == []
    lab.supervisor.catalogue(refresh=True)
    assert [entry["name"] for entry in lab.supervisor.own_figures()] == ["own"]
    (trace,) = lab.supervisor.draw("own", run)["figure"]["figure"]["data"]
    steps, values = lab.curve(run)
    assert trace["x"] == steps
    assert len(trace["y"]) * 8 == len(values)


def test_a_figure_that_raises_says_where(lab, plugins):
    run = lab.submit(config(steps=3))
    lab.becomes(run, "finished")
    (plugins / "own.py").write_text(FIGURE.format(trouble="1 / 0"))
    lab.supervisor.catalogue(refresh=True)
    said = "ZeroDivisionError: division by zero (own.py, line 14)"
    assert lab.supervisor.draw("own", run) == {"problem": said}


def test_a_figure_cannot_write_to_the_database(lab, plugins):
    run = lab.submit(config(steps=3))
    lab.becomes(run, "finished")
    trouble = "from sqlalchemy import text; source._session.execute(text('DELETE FROM run'))"
    (plugins / "own.py").write_text(FIGURE.format(trouble=trouble))
    lab.supervisor.catalogue(refresh=True)
    assert "readonly database" in lab.supervisor.draw("own", run)["problem"]
    assert lab.status(run) == "finished"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os._exit(4)", "the process ended without an answer, exit code 4"),
    ],
)
def test_a_network_that_ends_its_process_is_named(lab, plugins, trouble, said):
    (plugins / "troubled.py").write_text(NETWORK.format(trouble=trouble))
    lab.supervisor.catalogue(refresh=True)
    with pytest.raises(InspectionError) as caught:
        lab.supervisor.validate([config(network={"name": "troubled"})])
    assert said in str(caught.value)
    assert f"It uses the plug-in network troubled ({plugins / 'troubled.py'})" in str(caught.value)


def test_a_network_that_exits_in_a_late_step_keeps_what_was_measured(lab, plugins):
    trouble = "if calls > 200: raise SystemExit('enough')"
    (plugins / "troubled.py").write_text(NETWORK.format(trouble=trouble))
    run = lab.submit(config(network={"name": "troubled"}, estimator={"name": "backprop"}))
    lab.becomes(run, "failed")
    error, (steps, _) = lab.store.run(run).error, lab.curve(run)
    assert error.splitlines()[0] == "SystemExit: enough"
    assert "troubled.py" in error
    assert len(steps) == lab.store.run(run).step > 100


def test_a_plug_in_that_changes_while_its_run_is_queued_is_told(lab, plugins):
    (plugins / "talker.py").write_text(GOOD)
    lab.supervisor.catalogue(refresh=True)
    asked = config(estimator={"name": "talker"}, steps=3)
    (verdict,) = lab.supervisor.validate([asked])
    (plugins / "talker.py").write_text(GOOD + "\n")
    run = lab.store.create_run(verdict["config"], verdict["labels"], verdict["plugins"]).id
    lab.supervisor.submit(run)
    lab.becomes(run, "finished")
    (told,) = [e.text for e in lab.store.events(run) if e.kind == "plug-in"]
    assert told.startswith("talker comes from another version of its file than when the run was")
