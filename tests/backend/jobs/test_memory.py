"""The machine's memory as Linux tells it, and a worker that the kernel kills for lack of it."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from configs import config
from lab import until

from backend.jobs.worker_exit import OUT_OF_MEMORY
from backend.machine_memory import KillWatch, capacity, free, kills, make_first_victim

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes files of a Linux system of 8 GiB, of which 6 are free."""
    there = type("Memory", (), {"total": 8 * GIB, "available": 6 * GIB})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: there)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return tmp_path

    return write


def test_without_control_groups_the_machines_numbers_count(machine):
    root = machine()
    assert (capacity(root), free(root), kills(root)) == (8 * GIB, 6 * GIB, 0)


def test_a_group_of_version_2_limits(machine):
    root = machine(
        proc__self__cgroup="0::/lab/worker\n",
        sys__fs__cgroup__lab__memory_DOT_max=4 * GIB,
        sys__fs__cgroup__lab__memory_DOT_current=3 * GIB,
        sys__fs__cgroup__lab__memory_DOT_stat=f"anon 5\ninactive_file {GIB}\n",
        sys__fs__cgroup__lab__worker__memory_DOT_max="max",
        sys__fs__cgroup__lab__memory_DOT_events="low 0\noom 3\noom_kill 2\n",
        proc__vmstat="nr_free_pages 7\noom_kill 5\n",
    )
    assert (capacity(root), free(root), kills(root)) == (4 * GIB, 2 * GIB, 7)


def test_a_group_of_version_1_limits(machine):
    root = machine(
        proc__self__cgroup="4:memory:/job\n1:cpu:/\n",
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes=2**63 - 4096,
        sys__fs__cgroup__memory__job__memory_DOT_limit_in_bytes=2 * GIB,
        sys__fs__cgroup__memory__job__memory_DOT_usage_in_bytes=GIB,
        sys__fs__cgroup__memory__job__memory_DOT_oom_control="under_oom 0\noom_kill 1\n",
    )
    assert (capacity(root), free(root), kills(root)) == (2 * GIB, GIB, 1)


def test_a_kill_counts_for_some_seconds(machine, monkeypatch):
    now = 100.0
    monkeypatch.setattr("backend.machine_memory.time.monotonic", lambda: now)
    root = machine(proc__vmstat="oom_kill 5\n")
    watch = KillWatch(root)
    assert not watch.killed()
    machine(proc__vmstat="oom_kill 6\n")
    watch.look()
    now += 1
    watch.look()
    assert watch.killed()
    now += 20
    watch.look()
    now += 1
    watch.look()
    assert not watch.killed()


def test_a_process_becomes_the_first_victim_but_never_less_than_it_was(machine):
    root = machine(proc__self__oom_score_adj=0)
    score = root / "proc/self/oom_score_adj"
    make_first_victim(root)
    assert score.read_text() == "800"
    machine(proc__self__oom_score_adj=1000)
    make_first_victim(root)
    assert score.read_text() == "1000"


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux alone has it")
def test_a_run_that_the_kernel_killed_for_memory_is_not_tried_again(lab, monkeypatch):
    run = lab.submit(config(steps=10_000_000))
    lab.reaches(run, 10)
    pid = lab.pid(run)
    own, worker = (int(Path(f"/proc/{p}/oom_score_adj").read_text()) for p in ("self", pid))
    assert worker == max(own, 800)
    monkeypatch.setattr(lab.supervisor._out_of_memory, "killed", lambda: True)
    os.kill(pid, signal.SIGKILL)
    until(lambda: lab.status(run) == "failed", lambda: lab.describe(run))
    row = lab.store.run(run)
    assert (row.attempt, row.error) == (1, OUT_OF_MEMORY)
    assert row.step >= 10
    (death,) = lab.store.marked_events([run])[run]
    assert death.text == "attempt 1: killed by SIGKILL (9), out of memory"
