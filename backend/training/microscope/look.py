"""`look`: draws of estimators at a frozen checkpoint, as a stream of records."""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from backend.config import MicroscopeConfig
from backend.training.components.assemble import assemble
from backend.training.control import Control
from backend.training.devices import find_device
from backend.training.facts import facts
from backend.training.microscope.frozen_run import UnusableError, specimen
from backend.training.microscope.looks.anatomy import anatomy
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.microscope.looks.single import single
from backend.training.microscope.looks.swept import further_layers, swept
from backend.training.microscope.looks.what_if import what_if
from backend.training.records import Ended, Record


def look(
    config: MicroscopeConfig,
    control: Control | None = None,
    *,
    folder: Path,
    plugin_dirs: Sequence[Path | str] = (),
    device: str | None = None,
) -> Iterator[Record]:
    """Draw at the checkpoint that `folder` keeps, from the first draw on.

    Yields `Facts` first, then flushes about every 100 ms (each ends with a `Progress`, whose step
    counts the draws of each estimator), and one `Ended` last: finished, cancelled, stopped, or
    failed, with a sentence for a checkpoint that is of no use and a traceback for all else.
    """
    pace = Pace(control or Control(), config.microscope.total)
    try:
        assembly = assemble(config, plugin_dirs)
        held = specimen(config, assembly, folder, find_device(device or config.device))
        scene = Scene(config, assembly, held)
        told = facts(assembly, held, 0)
        yield replace(told, layers=[*told.layers, *further_layers(scene)])
        yield from scene.events()
        yield from _seen(scene, pace)
        yield pace.progress("running")
        yield Ended(pace.end or "finished", pace.step)
    except UnusableError as error:
        yield Ended("failed", 0, str(error))
    except Exception:
        yield Ended("failed", pace.step, traceback.format_exc())


def _seen(scene: Scene, pace: Pace) -> Iterator[Record]:
    """What is asked for, by the module of that look."""
    of = scene.of
    if of.sweep:
        return swept(scene, pace, of.sweep)
    if of.anatomy:
        return anatomy(scene, pace, of.anatomy)
    if of.what_if:
        return what_if(scene, pace, of.what_if)
    return single(scene, pace)
