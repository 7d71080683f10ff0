"""`story`: what the page draws of a race, with the sentences that belong to each step."""

from collections.abc import Mapping
from typing import Any

from backend.race import words
from backend.race.measured import BLOCK, Key, Measured, Series, measure
from backend.race.preset import Preset
from backend.store import Run
from backend.store.store import Snapshot


def story(preset: Preset, measured: Measured) -> dict[str, Any]:
    """Everything that the page draws, as plain data."""
    loss = measured.loss
    return {
        "steps": measured.steps,
        "estimators": [
            {
                "label": racer.label,
                **vars(measured.tracks[racer.label]),
                "says": words.of_estimator(preset, measured, racer.label),
            }
            for racer in preset.estimators
        ],
        "loss": {"block": BLOCK, **vars(loss)},
        "reading": measured.reading.classes,
        "drives": measured.drives,
        "takeaways": {
            "alignment": words.of_alignments(preset, measured),
            "loss": words.of_loss(preset, measured),
            "reading": words.of_reading(measured),
        },
    }


def of_run(preset: Preset, snapshot: Snapshot, run: Run) -> Measured:
    """What a run of the race has measured so far."""
    stored = {(s.metric, s.layer, s.estimator): s.id for s in snapshot.series(run.id)}

    def read(key: Key) -> Series:
        if key not in stored:
            return [], []
        points = snapshot.points(stored[key])
        return points.steps.tolist(), points.values.tolist()

    facts: Mapping[str, Any] = run.facts
    drives = [(int(step), str(label)) for step, label in facts.get("drives", ())]
    return measure(preset, read, facts.get("unbiased", {}), drives)
