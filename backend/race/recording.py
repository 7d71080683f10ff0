"""The recording that comes with the lab: what a run of the race measured, on another machine.

The page shows it until the run of this machine has its first probe. It is shown only where it
belongs to the installed lab and to the installed preset: else it would promise other numbers.
"""

import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from backend import race, strict_json
from backend.race.measured import Measured, from_document
from backend.race.preset import Preset, preset

FORMAT = 1
"""Of the recording's document; a change of `Measured` raises it."""
MAX_BYTES = 40_000
NAME = "recording.json"


def recorded(measured: Measured, of_preset: Preset) -> str:
    """The recording of a run, as the text of its file. Raises ValueError if it is too large."""
    text = strict_json.dumps({**_fits(of_preset), "measured": measured.document()})
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(
            f"the recording has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed"
        )
    return text + "\n"


@cache
def recording() -> Measured | None:
    """The recording; None if there is none that fits the installed lab and its preset."""
    file = files(race) / NAME
    return fitting(file.read_text(encoding="utf-8"), preset()) if file.is_file() else None


def fitting(text: str, of_preset: Preset) -> Measured | None:
    """What a recording holds, or None if it belongs to another lab, preset or format."""
    try:
        document: Any = json.loads(text)
        fits = {name: document.get(name) for name in _fits(of_preset)} == _fits(of_preset)
        return from_document(document["measured"]) if fits else None
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def _fits(of_preset: Preset) -> dict[str, Any]:
    return {"format": FORMAT, "preset": of_preset.digest, "lab": version("gradlab")}
