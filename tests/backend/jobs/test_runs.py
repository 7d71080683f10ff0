"""Runs from the queue to their end, steered, killed and resumed: real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from configs import STEPS, config
from lab import ENDED, LIMITS, Lab, until

from backend.jobs.attempt import RunningAttempt
from backend.jobs.run_folders import checkpoints, run_folder, worker_process
from backend.jobs.worker.server_connection import GoneError, ServerConnection
from backend.training.checkpoints.files import checkpoint_steps, path_of


def test_a_run_finishes_with_every_point(lab, undisturbed):
    steps, values = undisturbed
    assert steps == list(range(STEPS))
    assert len(values) == 8 * STEPS


def test_facts_and_progress_are_kept(lab):
    run = lab.submit(config(steps=10))
    lab.becomes(run, "finished")
    row = lab.store.run(run)
    assert (row.step, row.steps, row.attempt, row.device) == (10, 10, 1, "cpu")
    assert row.facts["threads"] == lab.supervisor.slots[0].threads


def test_a_killed_worker_resumes_and_its_curve_is_the_undisturbed_one(lab, undisturbed):
    run = lab.submit(config())
    lab.reaches(run, 100)
    lab.steer(run, "pause")  # which writes a checkpoint
    lab.becomes(run, "paused")
    until(lambda: (lab.home / "runs" / run / "checkpoints").is_dir())
    lab.steer(run, "resume")
    lab.stops_at(run, lab.store.run(run).step + 100)
    lab.kill(run)
    lab.becomes(run, "finished")
    row = lab.store.run(run)
    assert row.attempt == 2
    assert row.facts["resumed_at"] >= 100
    assert lab.curve(run) == undisturbed
    death, again = lab.store.marked_events([run])[run]
    assert (death.kind, death.text) == ("death", "attempt 1: killed by SIGKILL (9)")
    assert (again.kind, again.step) == ("attempt", row.facts["resumed_at"])
    assert again.text == f"attempt 2 goes on from step {again.step:,}"
    assert death.step >= again.step


def test_a_damaged_checkpoint_is_passed_over_in_words(lab, undisturbed):
    run = lab.submit(config())
    lab.reaches(run, 100)
    lab.steer(run, "pause")
    lab.becomes(run, "paused")
    folder, at = checkpoints(lab.home, run), lab.store.run(run).step
    until(lambda: checkpoint_steps(folder)[-1] == at)
    *_, sound, _ = checkpoint_steps(folder)
    path_of(folder, at).write_bytes(path_of(folder, at).read_bytes()[:-1])
    os.kill(lab.pid(run), signal.SIGKILL)
    until(lambda: lab.store.run(run).set_aside)
    lab.steer(run, "resume")
    lab.becomes(run, "finished")
    assert lab.curve(run) == undisturbed
    death, again, damaged = lab.store.marked_events([run])[run]
    assert (death.kind, again.kind, damaged.kind) == ("death", "attempt", "checkpoint")
    assert (again.step, damaged.step) == (sound, at)
    assert damaged.text.startswith(f"the checkpoint of step {at:,} is damaged or cut short")
    assert damaged.text.endswith(f"; the run goes on from step {sound:,}")


def test_a_run_is_paused_stepped_resumed_and_cancelled(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    lab.steer(run, "pause")
    lab.becomes(run, "paused")
    at = lab.store.run(run).step
    for _ in range(2):  # an absolute step: asking again does not step twice
        lab.steer(run, "step", to=at + 3)
    lab.reaches(run, at + 3)
    lab.becomes(run, "paused")
    assert lab.store.run(run).step == at + 3
    lab.steer(run, "resume")
    lab.reaches(run, at + 100)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    steps, _ = lab.curve(run)
    assert steps == list(range(len(steps)))


def test_two_runs_sit_side_by_side_and_a_third_waits(lab):
    runs = [lab.submit(config(steps=10_000_000)) for _ in range(3)]
    for run in runs[:2]:
        lab.reaches(run, 10)
    assert [lab.status(run) for run in runs] == ["running", "running", "queued"]
    lab.steer(runs[0], "cancel")
    lab.reaches(runs[2], 10)
    for run in runs[1:]:
        lab.steer(run, "cancel")
        lab.becomes(run, "cancelled")


def test_a_worker_told_to_terminate_checkpoints_and_goes_on(lab, undisturbed):
    run = lab.submit(config())
    lab.stops_at(run, 100)
    lab.kill(run, signal.SIGTERM, signal.SIGCONT)
    lab.becomes(run, "finished")
    row = lab.store.run(run)
    assert (row.attempt, row.facts["resumed_at"] >= 100) == (2, True)
    assert lab.curve(run) == undisturbed


def test_a_worker_that_dies_three_times_is_given_up(lab):
    run = lab.submit(config(steps=10_000_000))
    for attempt in (1, 2, 3):
        until(lambda a=attempt: lab.store.run(run).attempt == a)
        lab.reaches(run, 10)
        os.kill(lab.pid(run), signal.SIGKILL)
        until(lambda a=attempt: lab.store.run(run).attempt > a or lab.status(run) in ENDED)
    assert lab.status(run) == "failed"
    said = "Killed by SIGKILL (9), 3 attempts; out of memory is the usual cause"
    assert lab.store.run(run).error == said


def test_a_silent_worker_is_killed_and_resumed(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    os.kill(lab.pid(run), signal.SIGSTOP)
    until(lambda: lab.store.run(run).attempt == 2)
    lab.reaches(run, 10)
    (death,) = [e.text for e in lab.store.events(run) if e.kind == "death"]
    assert death == f"attempt 1: silent for {LIMITS.silence:g} s"
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")


def test_a_worker_that_does_not_obey_its_cancellation_is_killed(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    pid = lab.pid(run)
    os.kill(pid, signal.SIGSTOP)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    assert lab.store.run(run).attempt == 1
    until(lambda: not psutil.pid_exists(pid))


def test_a_late_report_of_an_older_attempt_is_refused(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    os.kill(lab.pid(run), signal.SIGKILL)
    until(lambda: lab.store.run(run).attempt == 2)
    first = next(job for job in lab.jobs if (job.run, job.attempt) == (run, 1))
    late = {"run": run, "attempt": 1, "sequence": 10**6, "status": "running", "series": [],
            "progress": None, "error": None, "events": [], "facts": None}  # fmt: skip
    with (
        pytest.raises(GoneError, match="409"),
        closing(ServerConnection(lab.home, first.token)) as server,
    ):
        server.send(json.dumps(late).encode())
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")


def test_a_lost_spawner_is_replaced_and_its_runs_resumed(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    os.kill(lab.executor.pid, signal.SIGKILL)
    until(lambda: lab.store.run(run).attempt == 2)
    lab.reaches(run, 10)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")


def test_a_stopped_server_resumes_its_runs_when_it_starts(tmp_path, undisturbed):
    with Lab(tmp_path, slots=2) as lab:
        paused = lab.submit(config(steps=10_000_000))
        lab.reaches(paused, 10)
        lab.steer(paused, "pause")
        lab.becomes(paused, "paused")
        at = lab.store.run(paused).step
        run = lab.submit(config())
        waiting = lab.submit(config(steps=10))
        lab.reaches(run, 100)
    with Lab(tmp_path, slots=2) as lab:
        lab.becomes(run, "finished")
        lab.becomes(waiting, "finished")
        assert lab.store.run(run).attempt == 2
        assert lab.store.run(run).facts["resumed_at"] >= 100
        assert lab.curve(run) == undisturbed
        row = lab.store.run(paused)
        assert (row.status, row.set_aside, row.step, row.attempt) == ("paused", True, at, 1)
        assert [e.kind for e in lab.store.events(paused)] == ["paused"]
        lab.steer(paused, "cancel")
        assert lab.status(paused) == "cancelled"


def test_a_killed_servers_runs_are_found_by_the_next(tmp_path, undisturbed):
    """One worker goes on meanwhile, the other is killed too."""
    first = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("lab.py")), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "SUBMIT": json.dumps([config(), config()])},
    )
    survivor, victim = first.stdout.readline().decode().split()  # printed when both have stopped
    first.kill()
    first.wait()
    first.stdout.close()
    for run, sent in ((victim, signal.SIGKILL), (survivor, signal.SIGCONT)):
        os.kill(worker_process(tmp_path / "runs" / run).pid, sent)
    with Lab(tmp_path, slots=2) as lab:
        for run, attempts in ((survivor, 1), (victim, 2)):
            lab.becomes(run, "finished", seconds=30)
            assert lab.store.run(run).attempt == attempts
            assert lab.curve(run) == undisturbed


def test_a_copy_of_a_home_leaves_the_originals_workers_alone(lab, tmp_path):
    """The copy has the record of the process, but another instance id."""
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    pid, copy = lab.pid(run), tmp_path / "copy"
    shutil.copytree(lab.home / "runs", copy / "runs")
    (copy / "instance").write_text("another-instance")
    assert worker_process(run_folder(lab.home, run)).process(lab.home).pid == pid
    assert worker_process(run_folder(copy, run)).process(copy) is None
    attempt = RunningAttempt(run, 1, None)
    attempt.kill(copy)
    assert psutil.pid_exists(pid)
    attempt.kill(lab.home)
    until(lambda: lab.store.run(run).attempt == 2)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")


def test_a_worker_that_cannot_open_its_log_fails_in_words(lab):
    row = lab.store.create_run(config(steps=10), {})
    folder = lab.home / "runs" / row.id
    folder.mkdir(parents=True)
    (folder / "log").symlink_to(lab.home / "nowhere" / "log")
    lab.supervisor.submit(row.id)
    until(lambda: lab.status(row.id) == "failed")
    assert "Its log cannot be read" in lab.store.run(row.id).error


def test_a_changed_learning_rate_reaches_the_worker_once(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    lab.store.change(run, 0.02)
    lab.store.change(run, 0.03)
    until(lambda: len(_changes(lab, run)) == 2)
    lab.reaches(run, lab.store.run(run).step + 500)
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    assert _changes(lab, run) == [
        "learning rate changed from 0.01 to 0.02",
        "learning rate changed from 0.02 to 0.03",
    ]


def _changes(lab, run):
    return [e.text for e in lab.store.events(run) if e.kind == "change"]


def test_the_catalogue_says_how_many_runs_go_side_by_side(lab):
    assert lab.supervisor.catalogue()["slots"] == 2


def test_a_switched_driver_reaches_the_worker_and_its_labels_come_back(lab):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    lab.store.change(run, driver={"label": "backprop", "estimator": {"name": "backprop"}})
    until(lambda: lab.store.run(run).labels.get("driver") == "backprop")
    lab.steer(run, "cancel")
    lab.becomes(run, "cancelled")
    assert lab.store.run(run).labels["shadows"] == ["forward_gradient"]
    assert _changes(lab, run) == ["driver changed from forward_gradient to backprop"]
