"""A loop without a lab: what it writes to the home, and what the next lab makes of it."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from torch import nn

import gradlab
from backend.attach import journal, unclosed
from backend.jobs.attached_runs import DIED
from backend.jobs.worker.outbox import Outbox
from backend.store import runs

ROOT = Path(__file__).parents[3]


def train(net, batch, home, steps=20, **more):
    """Steps without a lab; returns the run's id."""
    estimators = [gradlab.Backprop(), gradlab.ForwardGradient()]
    with gradlab.attach(
        net, nn.CrossEntropyLoss(), estimators, home=home, name="mine", draws=4, every=5, **more
    ) as run:
        for step in range(steps):
            run.step(step, batch)
            run.log({"loss": 1 / (step + 1), "weight": net[0].weight[0, 0]})
    return run.id


def test_the_next_lab_has_the_run(lab, net, batch):
    run = train(net, batch, lab.home.path)
    lab.attached.look()
    row = lab.store.run(run)
    assert (row.kind, row.name, row.status, row.step) == ("attached", "mine", "finished", 20)
    assert row.labels == {"driver": "", "shadows": ["backprop", "forward_gradient"]}
    assert row.config["network"] == {"name": "Sequential"}
    assert [layer["name"] for layer in row.facts["layers"]] == [
        "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
    assert lab.points(run, "train/loss") == [(s, 1 / (s + 1)) for s in range(20)]
    weight = net[0].weight[0, 0].item()
    assert lab.points(run, "log/weight") == [(s, weight) for s in range(20)]
    assert [s for s, _ in lab.points(run, "cosine", "2.bias", "forward_gradient")] == [0, 5, 10, 15]
    exact = [value for _, value in lab.points(run, "cosine", "", "backprop")]
    assert exact == pytest.approx([1] * 4, abs=1e-12)
    assert list((lab.home.path / "attached").iterdir()) == []


def test_taking_a_journal_twice_is_taking_it_once(lab, net, batch, monkeypatch):
    run = train(net, batch, lab.home.path)
    monkeypatch.setattr(journal, "remove", lambda folder: None)
    lab.attached.look()
    lab.attached.look()
    assert len(lab.points(run, "train/loss")) == 20
    assert lab.store.run(run).status == "finished"


def test_a_living_loop_s_journal_is_left_alone(lab, net, batch):
    with gradlab.attach(net, nn.CrossEntropyLoss(), home=lab.home.path) as run:
        run.log({"loss": 1.0})
        lab.attached.look()
        assert lab.store.runs()[1] == 0
    lab.attached.look()
    assert lab.store.run(run.id).status == "finished"


def test_a_journal_for_a_lab_elsewhere_is_left_alone(lab, net, batch):
    train(net, batch, lab.home.path)
    (path,) = lab.home.path.glob("attached/*/run.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "url": "https://lab.example.org"}))
    lab.attached.look()
    assert path.exists()
    assert lab.store.runs()[1] == 0


def test_a_damaged_journal_is_kept_and_harms_no_other(lab, net, batch, caplog):
    damaged = train(net, batch, lab.home.path)
    sound = train(net, batch, lab.home.path)
    (lab.home.path / "attached" / damaged / "outbox-1").write_bytes(b"{}\n")
    for _ in range(2):
        lab.attached.look()
    assert lab.store.run(sound).status == "finished"
    assert (lab.home.path / "attached" / damaged / "outbox-1").read_bytes() == b"{}\n"
    assert len([r for r in caplog.records if "could not be stored" in r.message]) == 1
    row = lab.store.run(damaged)
    assert row.status == "failed"
    assert row.error.endswith(f"is left in {lab.home.path / 'attached' / damaged}.")


@pytest.mark.parametrize("content", ["", "[]", '{"url": null, "registration": {"protocol": 2}}'])
def test_a_journal_that_cannot_be_read_harms_no_other(lab, net, batch, content, caplog):
    unreadable, sound = sorted(train(net, batch, lab.home.path) for _ in range(2))
    (lab.home.path / "attached" / unreadable / "run.json").write_text(content)
    lab.attached.look()
    lab.attached.look()
    assert lab.store.run(sound).status == "finished"
    assert (lab.home.path / "attached" / unreadable / "outbox-1").stat().st_size > 0
    assert len([r for r in caplog.records if "run.json cannot be read" in r.message]) == 1


def test_a_journal_waits_while_too_many_runs_are_active(lab, net, batch, monkeypatch):
    run = train(net, batch, lab.home.path)
    monkeypatch.setattr(runs, "MAX_ACTIVE", 0)
    lab.attached.look()
    assert lab.store.runs()[1] == 0
    monkeypatch.undo()
    lab.attached.look()
    assert len(lab.points(run, "train/loss")) == 20


def test_a_loop_waits_while_too_many_runs_are_active(lab, net, batch, monkeypatch, until):
    monkeypatch.setattr(runs, "MAX_ACTIVE", 0)
    with gradlab.attach(net, nn.CrossEntropyLoss(), home=lab.home.path) as run:
        run.step(0)
        run.log({"loss": 1.0})
        with lab.open():
            refused = []
            attach = lab.store.attach
            monkeypatch.setattr(
                lab.store, "attach", lambda *given: refused.append(given) or attach(*given)
            )
            until(lambda: len(refused) > 1)
            monkeypatch.setattr(runs, "MAX_ACTIVE", 10)
            until(lambda: lab.store.runs()[1] == 1)
            assert not run.cancelled
            run.close()
    assert lab.points(run.id, "train/loss") == [(0, 1.0)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(ZeroDivisionError, "failed"), (KeyboardInterrupt, "cancelled"), (SystemExit, "finished")],
)
def test_how_the_block_ends_is_how_the_run_ends(lab, net, error, status):
    def loop():
        with gradlab.attach(net, nn.CrossEntropyLoss(), home=lab.home.path) as run:
            run.log({"loss": 2.0})
            raise error

    with pytest.raises(error):
        loop()
    lab.attached.look()
    ((row,), _) = lab.store.runs()
    assert row.status == status
    assert ("raise error" in (row.error or "")) == (status == "failed")
    assert lab.points(row.id, "train/loss") == [(0, 2.0)]


SCRIPT = """
import sys, torch
from torch import nn
import gradlab
net = nn.Linear(2, 2)
run = gradlab.attach(net, nn.MSELoss(), home=sys.argv[1], name="dies")
for step in range(1000):
    run.step(step)
    run.log({"loss": step})
run._flush()
print(run.id, flush=True)
sys.stdin.read()
"""


UNCLOSED = """
import sys, torch
import gradlab
run = gradlab.attach(torch.nn.Linear(2, 2), torch.nn.MSELoss(), home=sys.argv[1])
run.step(3)
run.log({"loss": 1.0})
raise ZeroDivisionError("on purpose")
"""


def test_a_run_that_is_not_closed_fails_by_the_exception_that_ends_the_script(lab):
    command = [sys.executable, "-c", UNCLOSED, str(lab.home.path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    lab.attached.look()
    ((row,), _) = lab.store.runs()
    assert row.status == "failed"
    assert row.error.startswith("ZeroDivisionError: on purpose")
    assert lab.points(row.id, "train/loss") == [(3, 1.0)]


@pytest.mark.parametrize(
    ("steps", "status", "error"),
    [(None, "finished", ""), (4, "finished", ""), (9, "failed", "ended at step 4 of 9 without")],
)
def test_a_run_ends_when_nothing_refers_to_it(lab, net, until, steps, status, error):
    run = gradlab.attach(net, nn.CrossEntropyLoss(), home=lab.home.path, steps=steps)
    run.step(3)
    run.log({"loss": 1.0})
    del run
    until(lambda: (lab.attached.look(), lab.store.runs()[1] == 1)[1])
    ((row,), _) = lab.store.runs()
    assert row.status == status
    assert error in (row.error or "")
    assert lab.points(row.id, "train/loss") == [(3, 1.0)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "finished"), (gradlab.RunCancelledError("it was"), "cancelled")],
)
def test_a_run_that_is_not_closed_ends_with_the_script(lab, net, monkeypatch, error, status):
    run = gradlab.attach(net, nn.CrossEntropyLoss(), home=lab.home.path)
    monkeypatch.setattr(sys, "last_value", error, raising=False)
    unclosed._end_all()
    lab.attached.look()
    assert lab.store.run(run.id).status == status


def test_a_loop_that_is_killed_has_failed_and_lost_nothing(lab):
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(lab.home.path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with script:
        assert script.stdout is not None
        run = script.stdout.readline().strip()
        lab.attached.look()
        assert lab.store.runs()[1] == 0
        os.kill(script.pid, signal.SIGKILL)
    lab.attached.look()
    row = lab.store.run(run)
    assert (row.status, row.error, row.step) == ("failed", DIED, 1000)
    assert [step for step, _ in lab.points(run, "train/loss")] == [*range(999)]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_the_end_on_a_full_disk_says_what_is_lost_and_does_not_wait(
    net, tmp_path, monkeypatch, capsys, error
):
    run = gradlab.attach(net, nn.CrossEntropyLoss(), home=tmp_path, name="full")
    run.log({"loss": 1.0})

    def full(outbox, line):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Outbox, "_write", full)
    end = threading.Thread(target=run.end_unclosed, args=(error,), daemon=True)
    end.start()
    end.join(20)
    assert not end.is_alive()
    said = capsys.readouterr().err
    assert f"the disk of {tmp_path} is full and no lab has taken the last reports" in said
    assert str(run._delivery._journal.path) in said
