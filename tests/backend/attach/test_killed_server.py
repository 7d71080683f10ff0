"""A server that is killed, and one that does not answer for long: no point is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import nn

import gradlab

ROOT = Path(__file__).parents[3]
LOSS = nn.CrossEntropyLoss()


@contextmanager
def server(home, until):
    """`gradlab serve` on a home, in a process of its own."""
    options = ["--home", str(home), "--port", "0", "--no-open", "--slots", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gradlab", "serve", *options],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: _serves(home, process.pid))
        yield process
    finally:
        process.kill()
        process.wait()


def _serves(home, pid):
    try:
        return json.loads((home / "lock").read_text())["pid"] == pid
    except (OSError, ValueError, KeyError):
        return False


def test_a_server_that_is_killed_costs_no_point(lab, net, batch, until):
    home, steps = lab.home.path, 0

    def goes(run, count):
        nonlocal steps
        for step in range(steps, steps + count):
            run.step(step, batch)
            run.log({"loss": step / 7, "other": -step})
        steps += count

    estimators = [gradlab.Backprop(), gradlab.SPSA()]
    with server(home, until) as first:
        run = gradlab.attach(net, LOSS, estimators, draws=2, every=10, home=home)
        goes(run, 200)
        until(lambda: (goes(run, 1), lab.store.run(run.id).step > 100)[1])
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        goes(run, 200)
    with server(home, until):
        goes(run, 50)
        run.close()
    row = lab.store.run(run.id)
    assert (row.status, row.step, row.attempt) == ("finished", steps, 1)
    assert lab.points(run.id, "train/loss") == [(s, s / 7) for s in range(steps)]
    assert lab.points(run.id, "log/other") == [(s, -s) for s in range(steps)]
    probes = [s for s, _ in lab.points(run.id, "cosine", "2.weight", "spsa")]
    assert probes == [*range(0, steps, 10)]


def test_a_lost_lab_is_waited_for_once_the_buffer_is_full(lab, net, until):
    with lab.open():
        run = gradlab.attach(net, LOSS, home=lab.home.path, buffer=20_000)
    step = 0

    def loop():
        nonlocal step
        while step < 400:
            run.step(step)
            run.log({"loss": step})
            run._flush()
            step += 1

    thread = threading.Thread(target=loop)
    thread.start()
    path = run._delivery._journal.outbox
    until(lambda: path.stat().st_size >= 20_000)
    thread.join(0.3)
    assert thread.is_alive()
    assert step < 400, "it waits"
    assert path.stat().st_size < 25_000
    with lab.open():
        thread.join(60)
        assert not thread.is_alive()
        run.close()
    assert lab.points(run.id, "train/loss") == [(s, float(s)) for s in range(400)]


def test_without_any_lab_nothing_is_waited_for(lab, net):
    with gradlab.attach(net, LOSS, home=lab.home.path, buffer=1000) as run:
        for step in range(200):
            run.step(step)
            run.log({"loss": step})
            run._flush()
    lab.attached.look()
    assert lab.points(run.id, "train/loss") == [(s, float(s)) for s in range(200)]


def test_an_interrupted_wait_says_where_the_rest_is(lab, net, tmp_path, capsys, monkeypatch):
    with lab.open():
        run = gradlab.attach(
            net, LOSS, url=lab.url, token=lab.home.token, home=tmp_path / "here"
        )  # fmt: skip
    run.log({"loss": 1.0})

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(run._delivery._reporter._thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.close()
    folder = tmp_path / "here" / "attached" / run.id
    said = capsys.readouterr().err
    assert f"has not taken every report: the rest is in {folder}" in said
    assert "copied to HOME/attached of the lab, with null as the url in its run.json" in said
    assert (folder / "outbox-1").stat().st_size
    copied = lab.home.path / "attached" / run.id
    shutil.copytree(folder, copied)
    content = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**content, "url": None}))
    lab.attached.look()
    assert lab.points(run.id, "train/loss") == [(0, 1.0)]
