"""The recording that comes with the lab: it fits, and it is what the preset gives."""

import json
from importlib.resources import files

import pytest
import torch

from backend import race
from backend.race.preset import preset
from backend.race.recording import MAX_BYTES, NAME, fitting, recorded, recording
from docs.race_recording import examples_of, run_of

TEXT = (files(race) / NAME).read_text(encoding="utf-8")
ROUNDED = 0.5e-3
"""Of four significant digits, relative."""


def told_by_the_recording():
    told = recording()
    assert told is not None
    return told.measured


def test_it_fits_the_installed_lab_and_is_small():
    """After a change of the preset or the version: python -m docs.race_recording."""
    told = recording()
    assert told is not None
    assert len(TEXT.encode()) <= MAX_BYTES
    assert told.measured.steps == list(range(0, 2400, 32))
    assert recorded(told, preset()) == TEXT
    assert told.examples == examples_of(preset())


@pytest.mark.parametrize(
    "change",
    [{"format": 0}, {"preset": "another"}, {"lab": "0.0.1"}, {"measured": {}}, {"measured": None}],
    ids=str,
)
def test_another_recording_is_not_shown(change):
    assert fitting(json.dumps({**json.loads(TEXT), **change}), preset()) is None


@pytest.mark.parametrize("text", ["", "[]", "null", TEXT[:-20]])
def test_a_broken_recording_is_not_shown(text):
    assert fitting(text, preset()) is None


def test_its_first_probes_are_what_the_preset_gives_here():
    """A sum of n float32 products has an error of about √n ε, which each update repeats."""
    measured, told = run_of(preset(), steps=33), told_by_the_recording()
    assert measured.steps == [0, 32]
    parameters, eps = 26_122, torch.finfo(torch.float32).eps
    for at, updates in enumerate(measured.steps):
        error = (1 + updates) * parameters**0.5 * eps
        for label, track in measured.tracks.items():
            expected = told.tracks[label]
            pairs = [(track.whole[at], expected.whole[at])]
            pairs += [(track.layers[n][at], expected.layers[n][at]) for n in track.layers]
            for here, there in pairs:
                assert here == pytest.approx(there, rel=ROUNDED, abs=error), (label, updates)


@pytest.mark.nightly
def test_the_whole_recording_is_what_the_preset_gives_here():
    """Rounding grows along 2,400 steps: the curves agree within the loss's own noise."""
    measured, told = run_of(preset()), told_by_the_recording()
    assert measured.steps == told.steps
    assert measured.drives == told.drives
    pairs = list(zip(measured.loss.mean, told.loss.mean, strict=True))
    width = max(high - low for low, high in zip(told.loss.low, told.loss.high, strict=True))
    assert all(abs(here - there) <= width for here, there in pairs)
