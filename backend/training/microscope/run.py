"""`run_microscope`: measure estimators at a frozen checkpoint, as a stream of records."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from backend.config import MicroscopeConfig
from backend.training.components.assemble import assemble, find_device
from backend.training.control import Control
from backend.training.facts import facts
from backend.training.failures import failed
from backend.training.memory.need import require_memory
from backend.training.microscope.adjoint_map import run_adjoint_map
from backend.training.microscope.anatomy import run_anatomy
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.draws import run_draws
from backend.training.microscope.frozen_run import load_frozen_run
from backend.training.microscope.one_step import run_one_step
from backend.training.microscope.setup import Setup
from backend.training.microscope.sweep import run_sweep, unseen_layers
from backend.training.records import Ended, Event, Record
from backend.training.solve_watch import REMEDY
from estimators.implicit.solvers.record import recording_solves
from estimators.statistics.formatting import counted


def run_microscope(
    config: MicroscopeConfig,
    control: Control | None = None,
    *,
    folder: Path,
    plugin_dirs: Sequence[Path | str] = (),
    device: str | None = None,
) -> Iterator[Record]:
    """Measure at the checkpoint in `folder`, starting with the first draw.

    Yields `Facts` first, then a flush about every 100 ms (each ends with a `Progress`, whose step
    counts the draws of each estimator), and `Ended` last: finished, cancelled, stopped, or failed.
    A failure has one sentence if the checkpoint is unusable or the measurement is not possible on
    this network, and a traceback otherwise.
    """
    loop = DrawLoop(control or Control(), config.microscope.total)
    try:
        assembly = assemble(config, plugin_dirs)
        place = find_device(device or config.device)
        warning = require_memory(assembly, config, place)
        run = load_frozen_run(config, assembly, folder, place)
        setup = Setup(config, assembly, run)
        own = facts(assembly, run, 0)
        yield replace(own, layers=[*own.layers, *unseen_layers(setup)])
        if warning:
            yield Event(0, "memory", warning)
        yield from setup.events()
        yield from _measured(setup, loop)
        yield loop.progress("running")
        yield Ended(loop.end or "finished", loop.step)
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plug-in may raise SystemExit too
        yield loop.progress("running")
        yield failed(loop.step, error)


def _measured(setup: Setup, loop: DrawLoop) -> Iterator[Record]:
    """The records of the kind of measurement that the request names."""
    request = setup.request
    if request.sweep:
        return run_sweep(setup, loop, request.sweep)
    if request.anatomy:
        return _with_solves(run_anatomy(setup, loop, request.anatomy))
    if request.adjoint_map:
        return run_adjoint_map(setup, loop, request.adjoint_map)
    if request.what_if:
        return run_one_step(setup, loop, request.what_if)
    return run_draws(setup, loop)


def _with_solves(records: Iterator[Record]) -> Iterator[Record]:
    """The records of a measurement that does not count draws on unconverged solves, and at its end
    what did not converge."""
    lost = examples = 0
    while True:
        with recording_solves() as solves:
            record = next(records, None)
        if solves.numbers["not_converged"] > lost:
            lost, examples = int(solves.numbers["not_converged"]), solves.examples
        if record is None:
            break
        yield record
    if lost:
        text = (
            f"up to {lost:,} of {counted(examples, 'example')} did not converge in a solve of an "
            f"equilibrium, so that these numbers are not those of the equilibrium: {REMEDY}"
        )
        yield Event(0, "finding", text)
