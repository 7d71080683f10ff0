"""Renew the recording of the race on the Home page.

`python -m docs.race_recording` runs the preset of `backend/race/preset.yaml` on this machine, about
ten seconds, and writes `backend/race/recording.json`. Times are not part of it: on one kind of
machine, the same preset gives the same file.
"""

from pathlib import Path

import torch

from backend.race.measured import Key, Measured, Series, measure
from backend.race.preset import Preset, preset
from backend.race.recording import NAME, Example, Recording, recorded
from backend.series.points import Points
from backend.training.datasets.digits import Digits
from backend.training.loop import train
from backend.training.records import Ended, Facts

BASE_17 = "0123456789abcdefg"
FILE = Path(__file__).parent.parent / "backend" / "race" / NAME


def run_of(race: Preset, steps: int | None = None) -> Measured:
    """What a run of the race measures here; `steps`: so many alone, of the same run.

    Raises RuntimeError if the run does not finish.
    """
    config = race.config.model_copy(update={"steps": steps or race.config.steps})
    series: dict[Key, tuple[list[int], list[float]]] = {}
    facts = Facts("", 0, {}, 0, [])
    for record in train(config):
        if isinstance(record, Points):
            kept = series.setdefault((record.metric, record.layer, record.estimator), ([], []))
            kept[0].extend(int(step) for step in record.steps)
            kept[1].extend(float(value) for value in record.values)
        elif isinstance(record, Facts):
            facts = record
        elif isinstance(record, Ended) and record.status != "finished":
            raise RuntimeError(f"the run {record.status}: {record.error}")

    def read(key: Key) -> Series:
        return series.get(key, ([], []))

    return measure(race, read, facts.unbiased, facts.drives)


def examples_of(race: Preset) -> list[Example]:
    """The validation examples that the race shows."""
    config = race.config
    part = Digits().load(config.seed).validation.first(config.shown_examples)
    pixels = (16 * part.x).round().int().flatten(1).tolist()
    return [
        Example("".join(BASE_17[pixel] for pixel in row), label)
        for row, label in zip(pixels, part.y.tolist(), strict=True)
    ]


def main() -> None:
    """Write the recording."""
    torch.set_num_threads(1)
    text = recorded(Recording(run_of(preset()), examples_of(preset())), preset())
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
