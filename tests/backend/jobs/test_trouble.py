"""The supervisor when the database or the home fails it; workers are played."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from configs import config
from lab import until
from sqlalchemy.exc import OperationalError

from backend.jobs import worker_exit
from backend.jobs.attempt import Limits
from backend.jobs.devices import cpu
from backend.jobs.executor import Exit, Job
from backend.jobs.supervisor import Supervisor
from backend.store import Store, open_engine

FULL = OperationalError("UPDATE run", {}, sqlite3.OperationalError("database or disk is full"))


class Played:
    """Starts nothing; `dies` plays the end of a worker."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.refuses: Exception | None = None

    def open(self, ended: Callable[[Exit], None]) -> None:
        self._ended = ended

    def start(self, job: Job) -> None:
        if self.refuses:
            raise self.refuses
        self.jobs.append(job)

    def dies(self, job: Job, code: int) -> None:
        self._ended(Exit(job.run, job.attempt, code))

    def kill(self, run: str, attempt: int) -> None:
        pass

    def inspect(self, kind: str, payload: Any, timeout: float) -> Any:
        return {"failures": []}

    def close(self) -> None:
        pass


class Stage:
    """A supervisor of one slot over a real store."""

    def __init__(self, home: Any) -> None:
        self.home, self.engine = home, open_engine(f"sqlite:///{home / 'lab.db'}")
        self.store, self.executor = Store(self.engine), Played()
        limits = Limits(tick=0.005, retry=0.01, shutdown=0.01)
        self.supervisor = Supervisor(
            self.store, self.executor, home, slots=1, devices=[cpu()], limits=limits
        )

    def submit(self) -> str:
        run = self.store.create_run(config(), {})
        self.supervisor.submit(run.id)
        return run.id

    def started(self, run: str, attempt: int = 1) -> Job:
        until(lambda: any((j.run, j.attempt) == (run, attempt) for j in self.executor.jobs))
        return next(j for j in self.executor.jobs if (j.run, j.attempt) == (run, attempt))

    def becomes(self, run: str, status: str) -> Any:
        until(lambda: self.store.run(run).status == status, lambda: str(self.store.run(run)))
        return self.store.run(run)

    @contextmanager
    def broken(self, monkeypatch: Any, *names: str, times: int = 3) -> Iterator[None]:
        """The store's methods `names` fail until each was tried `times` times."""
        left = dict.fromkeys(names, times)
        for name in names:
            monkeypatch.setattr(self.store, name, self._failing(name, left))
        yield
        until(lambda: not any(left.values()), lambda: str(left))

    def _failing(self, name: str, left: dict[str, int]) -> Callable[..., Any]:
        whole = getattr(self.store, name)

        def failing(*args: Any, **options: Any) -> Any:
            if left[name]:
                left[name] -= 1
                raise FULL
            return whole(*args, **options)

        return failing


@pytest.fixture
def stage(tmp_path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.supervisor.shutdown()
    stage.engine.dispose()


@pytest.fixture
def opened(stage) -> Stage:
    stage.supervisor.start()
    return stage


def test_an_outcome_that_cannot_be_written_is_written_later(opened, monkeypatch):
    run = opened.submit()
    job = opened.started(run)
    with opened.broken(monkeypatch, "end"):
        opened.executor.dies(job, 1)
    assert "exit code 1" in opened.becomes(run, "failed").error


def test_a_death_is_counted_once_however_often_it_is_written(opened, monkeypatch):
    run = opened.submit()
    with opened.broken(monkeypatch, "log", "release", times=4):
        opened.executor.dies(opened.started(run), -9)
    opened.started(run, attempt=2)
    assert [e.kind for e in opened.store.events(run)] == ["death", "attempt"]


def test_an_outbox_is_taken_in_when_the_disk_has_room_again(opened, monkeypatch):
    run = opened.submit()
    left, taken = [FULL, FULL], []

    def store_unsent(*args):
        if left:
            raise left.pop()
        taken.append(args)

    monkeypatch.setattr(worker_exit, "store_unsent_reports", store_unsent)
    opened.executor.dies(opened.started(run), 1)
    opened.becomes(run, "failed")
    assert len(taken) == 1


def test_a_run_in_trouble_leaves_its_slot_to_the_next(opened, monkeypatch):
    first, second = opened.submit(), opened.submit()
    job = opened.started(first)
    with opened.broken(monkeypatch, "end", times=20):
        opened.executor.dies(job, 1)
        opened.started(second)
    opened.becomes(first, "failed")


def test_a_run_without_a_worker_obeys_its_cancellation(opened, monkeypatch):
    run, asked, tried = opened.submit(), threading.Event(), threading.Event()

    def store_unsent(*_args):
        tried.set()
        if not asked.is_set():
            raise FULL

    monkeypatch.setattr(worker_exit, "store_unsent_reports", store_unsent)
    opened.executor.dies(opened.started(run), -9)
    assert tried.wait(5)
    assert opened.store.steer(run, "cancel").status == "running"
    asked.set()
    opened.becomes(run, "cancelled")


def test_queued_runs_start_when_the_database_can_be_written_again(opened, monkeypatch):
    with opened.broken(monkeypatch, "begin_attempt"):
        run = opened.submit()
    opened.started(run)


def test_a_run_that_cannot_be_started_fails_in_words_and_the_next_starts(opened):
    opened.executor.refuses = RuntimeError("no more processes")
    assert "no more processes" in opened.becomes(opened.submit(), "failed").error
    opened.executor.refuses = None
    opened.started(opened.submit())


def test_a_fork_that_lost_its_parents_checkpoint_fails_in_words(opened):
    columns = {"config": config(), "labels": {}, "parent": "r1", "parent_step": 1200}
    (fork,), _ = opened.store.create_runs([columns])
    opened.supervisor.submit(fork.id)
    said = (
        "The run could not be started: the checkpoint of step 1,200 with which this fork begins is "
        "gone or damaged; fork again"
    )
    assert opened.becomes(fork.id, "failed").error == said


def test_a_run_that_cannot_be_adopted_fails_in_words_and_the_others_go_on(stage, monkeypatch):
    runs = [stage.store.create_run(config(), {}).id for _ in range(2)]
    for run in runs:
        stage.store.begin_attempt(run)
    adopt = stage.supervisor._adopt

    def failing(run):
        if run.id == runs[0]:
            raise ValueError("its device is gone")
        adopt(run)

    monkeypatch.setattr(stage.supervisor, "_adopt", failing)
    stage.supervisor.start()
    said = "The run could not be taken up again: ValueError: its device is gone"
    assert stage.becomes(runs[0], "failed").error == said
    stage.started(runs[1], attempt=2)


def test_adoption_waits_for_the_database_too(stage, monkeypatch):
    runs = [stage.store.create_run(config(), {}).id for _ in range(2)]
    for run in runs:
        stage.store.begin_attempt(run)
    with stage.broken(monkeypatch, "release"):
        stage.supervisor.start()
    until(lambda: bool(stage.executor.jobs))
    (job,) = stage.executor.jobs
    stage.executor.dies(job, 1)  # which of them was first does not matter
    until(lambda: {j.run for j in stage.executor.jobs} == set(runs))


@pytest.mark.parametrize("code", [1, -9])
def test_a_file_in_the_place_of_the_runs_ends_them_in_words(opened, code):
    (opened.home / "runs").write_text("not a folder")
    run = opened.submit()
    for attempt in (1, 2, 3) if code < 0 else (1,):
        opened.executor.dies(opened.started(run, attempt), code)
    said = "Its log cannot be read" if code > 0 else "3 attempts"
    assert said in opened.becomes(run, "failed").error


def test_a_run_that_is_deleted_before_its_worker_was_heard_to_end_is_let_go(opened):
    run = opened.submit()
    job = opened.started(run)
    opened.store.end(run, "finished")
    opened.store.delete(run)
    opened.executor.dies(job, 0)
    opened.started(opened.submit())
