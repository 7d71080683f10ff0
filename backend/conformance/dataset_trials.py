"""`DatasetTrial`: the defaults of a data set, loaded at several seeds."""

from collections.abc import Iterator
from functools import cached_property

from torch import Tensor

from backend.conformance.dataset_rows import Rows, rows_of
from backend.conformance.settings import Settings, settings_of
from backend.conformance.surroundings import under_seed
from backend.training.components.discovery import catalogue_name
from backend.training.datasets import Dataset, Part, Split

SEEDS = (0, 1, 2)
"""Seeds at which a data set is loaded."""
MORE_SEEDS = range(3, 11)
"""Further ones, to see whether the source repeats the examples that two parts share."""
MANY = 20_000
"""Training examples of a data set that is not loaded at further seeds."""
PARTS = ("train", "validation", "test")
CHUNK = 4096
"""Examples that are read at once."""


class DatasetTrial:
    """A data set at its defaults. What is loaded is loaded once and shared by all checks."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self.dataset, self.settings = dataset, settings
        self.name = catalogue_name(type(dataset))

    @cached_property
    def split(self) -> Split:
        """The parts of the first seed."""
        return self.load(SEEDS[0])

    def load(self, seed: int) -> Split:
        """The parts of a seed; the global generators are always the same and left as they were."""
        return under_seed(0, lambda: self.dataset.load(seed))

    @cached_property
    def rows(self) -> list[Rows]:
        """How often each example occurs in each part, for each of `SEEDS`."""
        return [self.rows_at(seed) for seed in SEEDS]

    def rows_at(self, seed: int) -> Rows:
        """The same for one seed."""
        split = self.split if seed == SEEDS[0] else self.load(seed)
        return rows_of({name: _as_stored(part) for name, part in parts_of(split)})


def trials_of(cls: type[Dataset]) -> list[DatasetTrial]:
    """The defaults alone: other settings are loaded by a check of their own."""
    settings = settings_of(cls)
    return [DatasetTrial(settings.made[""], settings)]


def parts_of(split: Split) -> Iterator[tuple[str, Part]]:
    """The names of the parts, and the parts."""
    return ((name, getattr(split, name)) for name in PARTS)


def _as_stored(part: Part) -> Iterator[Tensor]:
    """Examples before they are scaled, as far as the data set scales them when they are read: a
    scaling that follows the seed would hide that two of them are equal."""
    held = part.to("cpu")
    if held.decode is not None and not held.streamed:
        yield from held.stored
    else:
        for x, _ in held.chunks(CHUNK):
            yield from x
