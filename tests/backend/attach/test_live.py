"""A loop with an open lab: its points, its orders, and a lab that comes and goes."""

import threading

import pytest
from torch import nn

import gradlab
from backend.attach.lab_connection import LabConnection

LOSS = nn.CrossEntropyLoss()


def attach(lab, net, **more):
    return gradlab.attach(net, LOSS, home=lab.home.path, name="live", **more)


def test_points_are_there_while_it_runs(open_lab, net, until):
    with attach(open_lab, net) as run:
        assert open_lab.store.run(run.id).status == "running"
        for step in range(50):
            run.step(step)
            run.log({"loss": 0.5 * step})
        until(lambda: (run._flush_if_due(), open_lab.store.run(run.id).step == 50)[1])
    assert open_lab.store.run(run.id).status == "finished"
    assert open_lab.points(run.id, "train/loss") == [(s, 0.5 * s) for s in range(50)]
    assert not (open_lab.home.path / "attached" / run.id).exists()


def test_a_cancelled_run_ends_its_block_quietly(open_lab, net, until):
    steps = 0
    with attach(open_lab, net) as run:
        for step in range(10**9):
            run.step(step)
            steps += 1
            if step == 10:
                open_lab.store.steer(run.id, "cancel")
    assert run.cancelled
    assert steps > 10
    row = open_lab.store.run(run.id)
    assert (row.status, row.error) == ("cancelled", None)


def test_a_paused_run_waits_in_step_and_goes_on(open_lab, net, until):
    seen: list[int] = []

    def loop():
        with attach(open_lab, net) as run:
            seen.append(run.id)
            for step in range(10**9):
                run.step(step)
                seen.append(step)

    thread = threading.Thread(target=loop)
    thread.start()
    until(lambda: len(seen) > 20)
    run = seen[0]
    open_lab.store.steer(run, "pause")
    until(lambda: open_lab.store.run(run).status == "paused")
    at = seen[-1]
    row = open_lab.store.run(run)
    open_lab.store.steer(run, "step", row.step + 3)
    until(lambda: seen[-1] == row.step + 2)
    until(lambda: open_lab.store.run(run).status == "paused")
    assert seen[-1] == row.step + 2 >= at
    open_lab.store.steer(run, "resume")
    until(lambda: seen[-1] > row.step + 20)
    open_lab.store.steer(run, "cancel")
    thread.join(20)
    assert not thread.is_alive()
    assert seen[1:] == [*range(len(seen) - 1)]


def test_a_deleted_run_cancels_its_loop(open_lab, net):
    with attach(open_lab, net) as run:
        for step in range(10**9):
            run.step(step)
            if step == 5:
                open_lab.store.end(run.id, "cancelled")
                open_lab.store.delete(run.id)
    assert run.cancelled
    assert not (open_lab.home.path / "attached" / run.id).exists()


def test_a_lab_that_is_opened_meanwhile_takes_over(lab, net, until):
    with attach(lab, net) as run:
        for step in range(10):
            run.step(step)
            run.log({"loss": step})
        run._flush()
        with lab.open():
            until(lambda: lab.store.runs()[1] == 1 and lab.store.run(run.id).step == 10)
            for step in range(10, 20):
                run.step(step)
                run.log({"loss": step})
            run.close()
            assert lab.store.run(run.id).status == "finished"
    assert lab.points(run.id, "train/loss") == [(s, float(s)) for s in range(20)]


def test_a_lab_that_is_closed_and_opened_elsewhere_has_every_point_once(lab, net, until):
    with lab.open():
        run = attach(lab, net)
        for step in range(10):
            run.step(step)
            run.log({"loss": step})
    for step in range(10, 30):
        run.step(step)
        run.log({"loss": step})
    with lab.open():
        run.close()
    assert lab.store.run(run.id).status == "finished"
    assert lab.points(run.id, "train/loss") == [(s, float(s)) for s in range(30)]


def test_registering_twice_is_registering_once(open_lab, net, monkeypatch):
    register = LabConnection.register

    def twice(connection):
        register(connection)
        register(connection)

    monkeypatch.setattr(LabConnection, "register", twice)
    with attach(open_lab, net) as run:
        run.log({"loss": 1})
    assert open_lab.store.runs()[1] == 1
    assert open_lab.store.run(run.id).status == "finished"


def test_two_runs_may_have_one_name(open_lab, net):
    with attach(open_lab, net), attach(open_lab, net):
        pass
    runs, total = open_lab.store.runs()
    assert total == 2
    assert {run.name for run in runs} == {"live"}


def test_a_lab_elsewhere_by_url_and_token(open_lab, net, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path / "here"))
    with gradlab.attach(net, LOSS, url=open_lab.url, token=open_lab.home.token) as run:
        run.log({"loss": 1.0})
        assert (tmp_path / "here" / "attached" / run.id).is_dir()
    monkeypatch.setenv("GRADLAB_URL", open_lab.url)
    monkeypatch.setenv("GRADLAB_TOKEN", open_lab.home.token)
    with gradlab.attach(net, LOSS) as second:
        second.log({"loss": 2.0})
    assert open_lab.points(run.id, "train/loss") == [(0, 1.0)]
    assert open_lab.points(second.id, "train/loss") == [(0, 2.0)]
    assert list((tmp_path / "here" / "attached").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"token": "wrong-token-of-20-characters"}, r"the lab at http\S+ refuses the token"),
        ({"token": None}, r"there is no token; give token= or GRADLAB_TOKEN"),
        ({"url": "lab.example.org"}, r"without http:// or https://; write 'http://lab.example.o"),
        (
            {"url": "127.0.0.1:80"},
            r"^url is '127.0.0.1:80', without .* write 'http://127.0.0.1:80'$",
        ),
        ({"url": "localhost:80/"}, r"^url is 'localhost:80/', without http:// or https://; write "),
        ({"url": "lab.example.org/there"}, r"url is 'lab.example.org/there'; it must look like"),
        (
            {"url": "http://127.0.0.1:99999"},
            r"^url is 'http\S+' \(Port out of .*must look like",
        ),
        ({"url": "http://me:secret@127.0.0.1:9"}, r"^url has more than a server's address; [^@]*$"),
        ({"url": "http://127.0.0.1:9/?token=secret"}, r"^url has more .* must look like [^?]*$"),
        ({"token": "secret\nsecret"}, r"^the token has a space or a character that no token"),
        ({"url": "http://127.0.0.1:9"}, r"no lab answers at http://127.0.0.1:9"),
    ],
)
def test_a_lab_elsewhere_that_cannot_be_used(open_lab, net, tmp_path, given, sentence):
    asked = {"url": open_lab.url, "token": open_lab.home.token, **given}
    with pytest.raises(gradlab.AttachError, match=sentence):
        gradlab.attach(net, LOSS, home=tmp_path / "here", **asked)
    assert [*(tmp_path / "here").glob("attached/*")] == []


def test_a_token_may_end_with_its_file_s_line(open_lab, net, tmp_path):
    token = (open_lab.home.path / "token").read_text().strip() + "\n"
    with gradlab.attach(net, LOSS, url=open_lab.url, token=token, home=tmp_path / "here") as run:
        run.log({"loss": 1.0})
    assert open_lab.store.run(run.id).status == "finished"


def test_a_lab_of_an_older_version_is_told_from_others(open_lab, net, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.attach.lab_connection.ROUTE", "/api/runs/other")
    with pytest.raises(gradlab.AttachError, match=r"older version, update it"):
        gradlab.attach(
            net, LOSS, url=open_lab.url, token=open_lab.home.token, home=tmp_path / "here"
        )
