"""What a run needs of the memory: at least what it takes, and a refusal that says what to do."""

import json
import re
import subprocess
import sys

import psutil
import pytest

from backend.config import MicroscopeConfig
from backend.training.components.assemble import assemble
from backend.training.evaluation import evaluation
from backend.training.evaluation.evaluation import examples_at_once
from backend.training.loop import train
from backend.training.memory.need import memory_need, refusal, warning
from backend.training.microscope.run import run_microscope

GIB = 2**30
PEAK = """
import json, re, sys
from pathlib import Path
from backend.config import RunConfig
from backend.training.components.assemble import assemble
from backend.training.loop import train
from backend.training.memory.need import memory_need
config = RunConfig.model_validate(json.loads(sys.argv[1]))
parts = assemble(config)
named = (parts.network, parts.dataset, parts.loss, parts.optimizer.moments)
need = memory_need(*named, config.batch_size, True).total - 400 * 2**20
# Not ru_maxrss: a process begins with that of the one that started it.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
*_, ended = train(config)
assert ended.status == "finished", ended
print(need, peak() - before)
"""


def need_of(config, **changes):
    run = config(**changes)
    parts = assemble(run)
    return memory_need(
        parts.network, parts.dataset, parts.loss, parts.optimizer.moments, run.batch_size,
        run.probe.possible, "cpu", [parts.driver.estimator],
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_a_run_takes_no_more_than_was_estimated_and_not_much_less(config):
    large = config(
        dataset={"name": "digits"}, network={"name": "mlp", "width": 1200}, steps=2,
        optimizer={"name": "adamw"}, shadows=[{"name": "forward_gradient"}],
        probe={"every": 1, "draws": 2},
    )  # fmt: skip
    command = [sys.executable, "-c", PEAK, json.dumps(large.model_dump())]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    need, taken = map(int, answer.stdout.split())
    assert need / 4 < taken < need


def test_the_need_follows_from_the_shapes(config):
    digits = {"dataset": {"name": "digits"}, "network": {"name": "mlp", "width": 512}}
    bare = need_of(config, optimizer={"name": "sgd", "lr": 0.1}, **digits)
    assert bare.parameters == 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10
    assert bare.copies == bare.parameters * (4 * 7 + 8)
    adam = need_of(config, optimizer={"name": "adamw"}, **digits)
    assert adam.copies == bare.parameters * (4 * 9 + 24)
    probed = need_of(config, optimizer={"name": "adamw"}, probe={"every": 8}, **digits)
    assert probed.copies == bare.parameters * (4 * 9 + 52)
    larger = need_of(config, optimizer={"name": "sgd", "lr": 0.1}, batch_size=320, **digits)
    results = 3 * 4 * (320 - 16) * (2 * 512 + 2 * 512 + 10)  # two layers, two activations, outputs
    assert results <= larger.batch - bare.batch < 1.1 * results


@pytest.fixture
def machine(monkeypatch):
    """A machine with so much memory, of which so much is free."""

    def has(total, available):
        there = type("Memory", (), {"total": int(total), "available": int(available)})
        monkeypatch.setattr(psutil, "virtual_memory", lambda: there)

    return has


def test_a_run_that_is_too_large_now_may_wait_for_others(config, machine):
    need = need_of(config)
    machine(2 * need.total, need.total - 1)
    assert refusal(need, "cpu", now=False) == ""
    assert refusal(need, "cpu", now=True).endswith(", or wait until other runs have ended")
    machine(need.total - 1, need.total - 1)
    assert "wait" not in refusal(need, "cpu", now=False)
    machine(2 * need.total, need.total)
    assert refusal(need, "cpu", now=True) == ""
    assert "if it is killed for lack of memory, take a smaller" in warning(need, "cpu")
    machine(2 * need.total, 1.26 * need.total)
    assert warning(need, "cpu") == ""


def test_a_worker_starts_no_run_that_does_not_fit(config, gather, machine, tmp_path):
    machine(GIB, 100 * 2**20)
    run = gather(train(config(), checkpoint_dir=tmp_path / "c"))
    assert run.ended.status == "failed"
    assert run.ended.error.startswith("the run needs about 40")
    assert "100 MiB are free of 1.0 GiB" in run.ended.error
    assert "Traceback" not in run.ended.error
    assert not (tmp_path / "c").exists()
    asked = {**config().model_dump(), "microscope": {"run": "r1", "step": 0, "draws": 8}}
    seen = gather(run_microscope(MicroscopeConfig.model_validate(asked), folder=tmp_path))
    assert (seen.ended.status, "100 MiB are free" in seen.ended.error) == ("failed", True)


def test_a_run_that_nearly_fills_the_memory_says_so_and_goes_on(config, gather, machine):
    machine(4 * GIB, 410 * 2**20)
    run = gather(train(config()))
    assert run.ended.status == "finished"
    assert [e.kind for e in run.events] == ["memory"]


IMPLICIT = {"dataset": {"name": "digits"}, "batch_size": 32}


def implicit(config, adjoint="ift", steps=5, **fields):
    estimator = {"name": "implicit_adjoint", "adjoint": adjoint, "steps": steps}
    network = {"name": "implicit_mlp", "width": 512, **fields}
    return config(network=network, estimator=estimator, **IMPLICIT)


def test_the_need_counts_the_history_of_a_solver(config):
    def history(**fields):
        run = implicit(config, **fields)
        parts = assemble(run)
        return memory_need(parts.network, parts.dataset, parts.loss, 2, 32, False).solves.history

    state = 32 * 512 * 4
    assert history(solver="fixed_point") == 0
    assert history(solver="anderson") == 2 * 6 * state
    assert history(solver="broyden") == 21 * state
    assert history(solver="broyden", memory=600) == 601 * state
    assert history(solver="anderson", memory=50) == 2 * 50 * state


def test_the_need_counts_the_steps_that_an_adjoint_unrolls(config):
    def unrolled(adjoint, steps=5):
        run = implicit(config, adjoint, steps, limit=70)
        parts = assemble(run)
        named = (parts.network, parts.dataset, parts.loss, 2, 32, False, "cpu")
        return memory_need(*named, [parts.driver.estimator]).solves.unrolled

    application = 3 * 32 * 512 * 4  # W z, the sum with U x, and φ of it
    assert [unrolled(a) for a in ("ift", "npg", "jfb")] == [0, 0, 0]
    assert unrolled("upg") == 5 * application
    assert unrolled("upg", 200) == 200 * application
    assert unrolled("unrolled") == 70 * application


@pytest.mark.parametrize(
    ("changes", "reason", "remedy"),
    [
        ({"solver": "broyden", "memory": 1000}, "63 MiB are for the history of the solver "
         r"Broyden\(memory=1000\)", "lower the solver's memory, or take a smaller batch"),
        ({"adjoint": "upg", "steps": 1000}, "188 MiB are for the steps kept by the adjoint upg",
         "lower the steps of upg, or take a smaller batch"),
        ({"adjoint": "unrolled", "limit": 900}, "170 MiB are for the steps kept by the adjoint unr",
         "lower the limit of the network's solver, or take a smaller batch"),
    ],
)  # fmt: skip
def test_a_run_whose_equilibria_do_not_fit_says_what_to_lower(
    config, gather, machine, changes, reason, remedy
):
    machine(GIB, 420 * 2**20)
    run = gather(train(implicit(config, **changes)))
    assert run.ended.status == "failed"
    assert re.search(reason, run.ended.error), run.ended.error
    assert f"420 MiB are free of 1.0 GiB: {remedy}" in run.ended.error
    assert "Traceback" not in run.ended.error


def test_an_evaluation_counts_as_many_examples_as_it_takes_at_once():
    """On a CPU so many that their input has 2^18 numbers, elsewhere 4,096."""
    assert examples_at_once((3, 32, 32), "cpu") == 85
    assert examples_at_once((3, 32, 32), "cuda") == 4096
    assert examples_at_once((1, 8, 8), "cpu") == 4096
    assert examples_at_once((2**20,), "cpu") == 1


def test_the_need_counts_an_evaluation_as_it_is_made_on_the_device(config, monkeypatch):
    monkeypatch.setattr(evaluation, "CPU_NUMBERS", 64 * 10)
    run = config(dataset={"name": "digits"}, network={"name": "mlp", "width": 512})
    parts = assemble(run)
    named = (parts.network, parts.dataset, parts.loss, parts.optimizer.moments)
    few, many = (memory_need(*named, run.batch_size, False, on).batch for on in ("cpu", "cuda:0"))
    examples = parts.dataset.training_examples
    assert many - few == pytest.approx(3 * 4 * 512 * (examples - 10), rel=0.01)
