"""The recording that comes with the lab: what a run of the race measured, on another machine.

The page shows it until the run of this machine has its first probe. It is shown only where it
belongs to the installed lab and to the installed preset: else it would promise other numbers.
"""

import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from backend import race, strict_json
from backend.race.measured import Measured, from_document
from backend.race.preset import Preset, preset

FORMAT = 1
"""Of the recording's document; a change of `Measured` raises it."""
MAX_BYTES = 40_000
NAME = "recording.json"


class Example(NamedTuple):
    """A validation example of the race, which the network reads."""

    pixels: str
    """Row by row, a letter a pixel: its sixteenths of black in base 17, from 0 to g."""
    label: int
    """The class that it is."""


class Recording(NamedTuple):
    """What comes with the lab."""

    measured: Measured
    examples: list[Example]
    """Those that are shown: the preset fixes which they are."""


def recorded(recording: Recording, of_preset: Preset) -> str:
    """The text of a recording's file. Raises ValueError if it is too large."""
    measured, examples = (
        recording.measured.document(),
        [each._asdict() for each in recording.examples],
    )
    text = strict_json.dumps({**_fits(of_preset), "measured": measured, "examples": examples})
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(
            f"the recording has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed"
        )
    return text + "\n"


@cache
def recording() -> Recording | None:
    """The recording; None if there is none that fits the installed lab and its preset."""
    file = files(race) / NAME
    return fitting(file.read_text(encoding="utf-8"), preset()) if file.is_file() else None


def fitting(text: str, of_preset: Preset) -> Recording | None:
    """What a recording holds, or None if it belongs to another lab, preset or format."""
    try:
        document: Any = json.loads(text)
        fits = {name: document.get(name) for name in _fits(of_preset)} == _fits(of_preset)
        if not fits:
            return None
        examples = [Example(**each) for each in document["examples"]]
        return Recording(from_document(document["measured"]), examples)
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def _fits(of_preset: Preset) -> dict[str, Any]:
    return {"format": FORMAT, "preset": of_preset.digest, "lab": version("gradlab")}
