"""Which run starts on which slot, and which paused run leaves its own: no process is started."""

from backend.jobs.devices import Device, divide
from backend.jobs.placement import place
from backend.store import Run

CPU = Device("cpu", "8 cores")
GPUS = [Device(f"cuda:{n}", "H200", f"GPU-{n}") for n in range(2)]


def run(number: int, status: str = "queued", device: str = "auto", **columns) -> Run:
    given = {"id": f"r{number}", "number": number, "config": {"device": device}, **columns}
    return Run(status=status, **given)


def paused(number: int, **columns) -> Run:
    return run(number, "paused", attempt=1, step=8, run_until=8, **columns)


def started(placement) -> list[str]:
    return [run.id for run, _ in placement.start]


def set_aside(placement) -> list[str]:
    return [run.id for run in placement.set_aside]


def test_a_resumed_run_goes_before_those_that_never_started():
    slots = divide([CPU], 4, count=2)
    placement = place([run(1), run(2), run(3, attempt=1)], {}, slots)
    assert started(placement) == ["r3", "r1"]
    assert [slot.number for _, slot in placement.start] == [0, 1]


def test_a_paused_run_leaves_its_slot_only_to_one_that_waits():
    slots = divide([CPU], 4, count=2)
    taken = {"r1": slots[0], "r2": slots[1]}
    assert set_aside(place([paused(1), paused(2)], taken, slots)) == []
    assert set_aside(place([paused(1), paused(2), run(3)], taken, slots)) == ["r1"]
    assert set_aside(place([paused(1), run(3)], {"r1": slots[0]}, slots)) == []


def test_a_slot_that_is_being_left_serves_one_run():
    slots = divide([CPU], 4, count=2)
    taken = {"r1": slots[0], "r2": slots[1]}
    leaving = [paused(1), paused(2, stop=True)]
    assert set_aside(place([*leaving, run(3)], taken, slots)) == []
    assert set_aside(place([*leaving, run(3), run(4)], taken, slots)) == ["r1"]


def test_a_slot_of_another_device_is_not_left():
    first, second = divide([CPU, *GPUS], 16)
    taken = {"r1": first, "r2": second}
    waits = run(3, device="cuda:1")
    assert set_aside(place([paused(1), run(2, "running"), waits], taken, [first, second])) == []
    assert set_aside(place([paused(1), paused(2), waits], taken, [first, second])) == ["r2"]


def test_runs_that_go_on_and_microscopes_keep_their_slots():
    slots = divide([CPU], 4, count=3)
    taken = {"r1": slots[0], "r2": slots[1], "r3": slots[2]}
    resumed = run(1, "paused", attempt=1, step=8)  # its worker has not heard of it yet
    stepping = run(2, "paused", attempt=1, step=8, run_until=20)
    microscope = paused(3, kind="microscope")
    assert set_aside(place([resumed, stepping, microscope, run(4)], taken, slots)) == []


def test_a_run_whose_worker_has_not_ended_is_not_started():
    slots = divide([CPU], 4, count=2)
    ending = run(1, attempt=1)
    assert started(place([ending, run(2)], {"r1": slots[0]}, slots)) == ["r2"]
