"""Data sets as a plug-in's author would write them, each with one bug that `check` must find."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from backend.conformance import check
from backend.conformance.dataset_rows import pairs_of
from backend.conformance.dataset_trials import trials_of
from backend.training.datasets import Dataset, Part, Split
from backend.training.datasets.contract import stratified
from backend.training.examples.pixels import Pixels
from estimators.core.noise import stream
from tests.backend.conformance.planted import bug, failures


@dataclass(frozen=True)
class Sound(Dataset):
    """Ninety fixed points in three classes, divided by the seed."""

    shape: ClassVar = (4,)
    classes: ClassVar = 3

    description = "Ninety points."
    training_examples = 54

    def source(self):
        x = torch.empty(90, 4).normal_(generator=stream(0, "data", "sound"))
        return x, torch.arange(90) % 3

    def load(self, seed):
        return stratified(*self.source(), seed)


def changed(change, **members):
    """A data set whose parts are changed by a function of the split."""
    return bug(Sound, load=lambda self, seed: change(Sound.load(self, seed)), **members)


def part(split, **tensors):
    """The split with other tensors in its training part."""
    return replace(split, train=Part(**{"x": split.train.x, "y": split.train.y, **tensors}))


def pair(part):
    return part.x, part.y


def details(cls):
    verdicts = check("dataset", cls)
    assert [v for v in verdicts if not v.passed] == []
    return {v.name: v.detail for v in verdicts}


def test_a_sound_data_set_conforms_and_says_what_it_is():
    found = details(Sound)
    assert found["loads"] == "54 train, 18 validation, 18 test; each 4"
    assert found["has its classes"] == "3 classes, of 18 to 18 training examples"
    assert found["has disjoint parts"] == "no example occurs twice"
    assert (
        found["follows the seed"] == "another seed gives another train and validation and test part"
    )


# --- examples ---


def broken_entry(value):
    def change(split):
        x = split.train.x.clone()
        x[7, 2] = value
        return part(split, x=x)

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_placed(value):
    sentence = failures("dataset", changed(broken_entry(value)))["is finite"]
    assert f"1 example of the train part is not finite; the first is x[7, 2] = {value}" in sentence


def test_its_place_is_counted_from_the_first_chunk(monkeypatch):
    monkeypatch.setattr("backend.conformance.dataset_checks.CHUNK", 5)
    sentence = failures("dataset", changed(broken_entry(float("nan"))))["is finite"]
    assert "the first is x[7, 2]" in sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: part(s, x=s.train.x.double()), "x of the train part is torch.float64"),
        (lambda s: part(s, y=s.train.y.int()), "y of the train part is torch.int32"),
        (lambda s: part(s, y=s.train.y[:, None]), "y of the train part has shape (54, 1)"),
        (lambda s: part(s, x=s.train.x[:, :3]), "has shape (3,); the data set's shape is (4,)"),
        (lambda s: part(s, x=s.train.x[1:]), "has 53 examples and 54 classes"),
        (lambda s: part(s, x=s.train.x.requires_grad_()), "requires grad"),
        (lambda s: Split(s.train, Part(s.test.x[:0], s.test.y[:0]), s.test), "validation part is"),
        (lambda s: (s.train, s.validation, s.test), "load gives a tuple, not a Split"),
    ],
)
def test_parts_that_are_not_as_declared(change, sentence):
    assert sentence in failures("dataset", changed(change))["loads"]


def test_another_number_of_training_examples():
    failed = failures("dataset", bug(Sound, training_examples=60))
    assert "training_examples is 60; the train part has 54" in failed["loads"]


def test_a_setting_that_is_not_as_declared():
    @dataclass(frozen=True)
    class Longer(Sound):
        """More points by a field, of which training_examples knows nothing."""

        more: bool = False
        """Twice as many points."""

        def source(self):
            x, y = Sound.source(self)
            return (torch.cat([x, x + 1]), torch.cat([y, y])) if self.more else (x, y)

    sentence = failures("dataset", Longer)["loads every setting"]
    assert "with more=True, training_examples is 54; the train part has 108" in sentence


# --- classes ---


def test_labels_from_1():
    cls = bug(Sound, source=lambda self: (Sound.source(self)[0], torch.arange(90) % 3 + 1))
    sentence = failures("dataset", cls)["has its classes"]
    assert "y of the train part runs from 1 to 3; with 3 classes it has to be in 0 … 2" in sentence


def test_a_negative_label():
    cls = bug(Sound, source=lambda self: (Sound.source(self)[0], torch.arange(90) % 3 - 1))
    assert "runs from -1 to 1" in failures("dataset", cls)["has its classes"]


def test_a_class_that_training_lacks():
    cls = bug(Sound, classes=4)
    assert "no training example has the class 3" in failures("dataset", cls)["has its classes"]


def test_a_single_class():
    y = torch.zeros(90, dtype=torch.int64)
    cls = bug(Sound, classes=1, source=lambda self: (Sound.source(self)[0], y))
    assert "classes is 1" in failures("dataset", cls)["has its classes"]


# --- parts ---


@pytest.mark.parametrize("count", [1, 9])
def test_a_test_part_that_overlaps_training(count):
    def change(split):
        x, y = (
            torch.cat([a[count:], b[:count]])
            for a, b in zip(pair(split.test), pair(split.train), strict=True)
        )
        return Split(split.train, split.validation, Part(x, y))

    sentence = failures("dataset", changed(change))["has disjoint parts"]
    assert f"{count:,} of the test part are in the train part" in sentence


def test_a_leak_beside_repetitions_of_the_source():
    """Two repeated points explain a few shared examples, not nine."""

    def source(self):
        x, y = Sound.source(self)
        x[1], x[5] = x[0], x[4]
        return x, y

    def change(split):
        x, y = (
            torch.cat([a[9:], b[:9]])
            for a, b in zip(pair(split.test), pair(split.train), strict=True)
        )
        return Split(split.train, split.validation, Part(x, y))

    assert "has disjoint parts" in failures("dataset", bug(changed(change), source=source))


@pytest.mark.parametrize("pairs", [1, 20])
def test_repetitions_of_the_source_are_told_and_no_failure(pairs):
    def source(self):
        x, y = Sound.source(self)
        x[:pairs] = x[30 : 30 + pairs]
        return x, y

    assert "the source repeats examples" in details(bug(Sound, source=source))["has disjoint parts"]


def test_one_repetition_that_three_seeds_divide_is_no_leak():
    """Further seeds put both into one part."""

    def source(self):
        x, y = Sound.source(self)
        x[0] = x[31]
        return x, y

    cls = bug(Sound, source=source)
    assert sum(pairs_of(rows).within for rows in trials_of(cls)[0].rows) == 0
    assert "the source repeats examples" in details(cls)["has disjoint parts"]


def test_a_test_part_that_is_called_separate_and_moves():
    failed = failures("dataset", bug(Sound, separate_test=True))
    assert "separate_test is True, and" in failed["separates its test part"]


def test_a_separate_test_part_beside_a_repetition():
    """An example of the fixed test part that the source repeats is no move."""

    def load(self, seed):
        x, y = Sound.source(self)
        x[:6] = x[60]  # in a moving part of each seed, and in the fixed one
        split = stratified(x[:60], y[:60], seed, 0.2, 0.2)
        rest = [
            torch.cat([a, b]) for a, b in zip(pair(split.validation), pair(split.test), strict=True)
        ]
        return Split(split.train, Part(*rest), Part(x[60:], y[60:]))

    assert details(bug(Sound, load=load, training_examples=36, separate_test=True))


def test_pixels_that_each_seed_scales_otherwise_are_compared_as_they_are_stored():
    """The test part moves with the seed, although its scaled numbers are others at every seed."""

    def load(self, seed):
        pixels = torch.arange(90, dtype=torch.uint8).view(90, 1, 1, 1)
        split = stratified(pixels, torch.arange(90) % 3, seed)
        scaling = Pixels(torch.full((1, 1, 1), seed / 8), torch.ones(1, 1, 1))
        return Split(*(Part(p.stored, p.y, scaling) for p in vars(split).values()))

    members = {"load": load, "shape": (1, 1, 1)}
    assert details(bug(Sound, **members))["loads"].endswith("each 1×1×1")
    assert "separates its test part" in failures(
        "dataset", bug(Sound, separate_test=True, **members)
    )


def test_examples_that_stay_in_a_file():
    """Their file holds the rows of several parts."""

    class Rows(Part):
        streamed = True

        def __init__(self, x, y, rows):
            super().__init__(x, y[rows])
            self.rows = rows

        def chunks(self, size):
            for piece in torch.arange(len(self)).split(size):
                yield self.stored[self.rows[piece]], self.y[piece]

        def to(self, device):
            return self

    def load(self, seed):
        x, y = Sound.source(self)
        return Split(*(Rows(x, y, rows) for rows in torch.arange(90).split([54, 18, 18])))

    found = details(bug(Sound, load=load))
    assert found["loads"] == "54 train, 18 validation, 18 test; each 4"
    assert found["has disjoint parts"] == "no example occurs twice"
    assert "separate_test may be True" in found["separates its test part"]


def test_examples_that_the_seed_changes_do_not_count_as_a_test_part_of_their_own():
    def load(self, seed):
        split = Sound.load(self, seed)
        parts = (split.train, split.validation, split.test)
        return Split(*(Part(part.x + 1e-3 * seed, part.y) for part in parts))

    found = details(bug(Sound, load=load))["separates its test part"]
    assert "another seed gives other test examples" in found
    assert "separate_test" not in found


# --- seeds ---


def with_noise(noise):
    def change(split):
        return part(split, x=split.train.x + noise(split.train.x))

    return changed(change)


def of_numpy(x):
    return torch.tensor(np.random.standard_normal(x.shape), dtype=torch.float32)


@pytest.mark.parametrize(
    ("noise", "name"), [(torch.randn_like, "torch"), (of_numpy, "numpy")], ids=["torch", "numpy"]
)
def test_noise_of_a_global_generator(noise, name):
    sentence = failures("dataset", with_noise(noise))["loads"]
    assert f"load uses the global generator of {name}" in sentence


def test_noise_of_a_generator_without_a_seed():
    rng = torch.Generator()
    cls = with_noise(lambda x: torch.empty_like(x).normal_(generator=rng))
    assert (
        "the train part differs between two loads" in failures("dataset", cls)["follows the seed"]
    )


def augmented(change):
    return bug(Sound, augment=property(lambda self: change))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, rng: x + torch.randn_like(x), "augment uses the global generator of torch"),
        (lambda x, rng: x.add_(1), "augment changes the examples in place"),
        (lambda x, rng: x[:, :2], "augment turns (54, 4) into (54, 2)"),
        (lambda x, rng: x.double(), "augment turns torch.float32 into torch.float64"),
        (lambda x, rng: x / 0, "augment gives numbers that are not finite"),
    ],
)
def test_an_augmentation_that_does_not_keep_its_contract(change, sentence):
    assert sentence in failures("dataset", augmented(change))["augments"]


def test_an_augmentation_of_its_own_generator():
    own = torch.Generator()
    failed = failures("dataset", augmented(lambda x, rng: x + torch.rand(x.shape, generator=own)))
    assert "augment gives other bits for the same generator" in failed["augments"]
    assert details(augmented(lambda x, rng: x + torch.rand(x.shape, generator=rng)))["augments"]


def test_a_load_that_raises_is_shown_with_its_traceback():
    def load(self, seed):
        raise OSError("no such file")

    verdict = next(v for v in check("dataset", bug(Sound, load=load)) if v.name == "loads")
    assert verdict.passed is False
    assert isinstance(verdict.error, OSError)


def test_an_empty_description():
    assert (
        "description is empty"
        in failures("dataset", bug(Sound, description=" "))["describes itself"]
    )
