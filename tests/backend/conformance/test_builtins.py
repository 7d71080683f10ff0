"""The lab's own networks, data sets, losses, optimisers and schedules conform."""

from dataclasses import make_dataclass
from typing import get_type_hints

import pytest

from backend.conformance import CONTRACTS, check
from backend.training.datasets import datasets
from backend.training.losses import losses
from backend.training.networks import networks
from backend.training.optimizers import optimizers, schedules

FROM_FILES = {
    "csv_table",
    "image_folder",
    "npz",
    "parquet_images",
}  # without files they have nothing to load
SECONDS = {"network": 0.1}
"""Of processor time for a check; the settings are tried as far as it goes, the defaults always."""
SMALL = {
    "resnet": {"width": 2, "variant": "6_blocks"},
    "implicit_multiscale": {"channels": 2, "scales": 2, "tolerance": 1e-4},
    "implicit_conv": {"channels": 2},
    "local_mixer": {"channels": 8},
}
"""Defaults with which the largest networks are tried here."""
FOUND = {
    "network": networks,
    "dataset": datasets,
    "loss": losses,
    "optimizer": optimizers,
    "schedule": schedules,
}


def small(name, cls):
    """The class, with the defaults of `SMALL`."""
    hints = get_type_hints(cls, include_extras=True)
    changed = [(field, hints[field], value) for field, value in SMALL.get(name, {}).items()]
    own = {"__doc__": cls.__doc__, "__module__": cls.__module__}
    return make_dataclass(cls.__name__, changed, bases=(cls,), namespace=own, frozen=True)


CLASSES = [
    pytest.param(kind, small(name, cls), id=name)
    for kind, find in FOUND.items()
    for name, cls in find().items()
    if name not in FROM_FILES
]


def test_every_kind_has_a_contract():
    assert set(CONTRACTS) == {*FOUND, "figure"}  # the lab's own figures are modules


@pytest.mark.parametrize(("kind", "cls"), CLASSES)
def test_conforms(kind, cls):
    verdicts = check(kind, cls, seconds=SECONDS.get(kind, 60.0))
    assert [v for v in verdicts if not v.passed] == []
    silent = [v.name for v in verdicts if not v.offered and not v.detail]
    assert not silent, "what is not offered says why"
