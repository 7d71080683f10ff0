"""The checks of a data set: its examples, its classes, its parts, and what the seed decides."""

from itertools import count as count_from

import torch
from torch import Tensor

from backend.conformance.dataset_rows import Pairs, most_shared, moved_into_training, pairs_of
from backend.conformance.dataset_trials import (
    CHUNK,
    MANY,
    MORE_SEEDS,
    SEEDS,
    DatasetTrial,
    parts_of,
)
from backend.conformance.settings import describes_itself
from backend.conformance.surroundings import left_alone, under_seed
from backend.conformance.verdicts import NotOffered
from backend.training.datasets import Dataset, Split
from estimators.core.noise import stream
from estimators.statistics.formatting import counted

FEW = 64
"""Examples that are augmented."""
RNG = "draw from the rng that it gets"
DRAW = "draw from gradlab.stream(seed, ...), or from a generator of your own"


def loads(trial: DatasetTrial) -> str:
    """`load` returns three parts, none empty, without use of the global generators."""
    with left_alone("load", DRAW):
        split = trial.dataset.load(SEEDS[0])
    assert isinstance(split, Split), f"load gives a {type(split).__name__}, not a Split"
    return has_declared_shapes(trial.dataset, split)


def has_declared_shapes(dataset: Dataset, split: Split) -> str:
    """Examples are (N, *shape) float32 and classes (N,) int64, as many as declared; of tokens both
    are (N, T) int64."""
    dtype = torch.int64 if dataset.tokens else torch.float32
    for name, part in parts_of(split):
        y = part.y
        assert len(y) > 0, f"the {name} part is empty"
        count = len(y) if part.streamed else len(part.stored)
        assert count == len(y), f"the {name} part has {count:,} examples and {len(y):,} classes"
        x, _ = next(part.chunks(CHUNK))
        assert tuple(x.shape[1:]) == dataset.shape, (
            f"an example of the {name} part has shape {tuple(x.shape[1:])}; the data set's shape "
            f"is {dataset.shape}"
        )
        assert x.dtype is dtype, f"x of the {name} part is {x.dtype}, not {dtype}"
        assert y.dtype is torch.int64, f"y of the {name} part is {y.dtype}, not torch.int64"
        expected = (len(y), *dataset.shape) if dataset.tokens else (len(y),)
        assert y.shape == expected, (
            f"y of the {name} part has shape {tuple(y.shape)}, not {expected}"
        )
        assert not x.requires_grad, f"x of the {name} part requires grad: detach it"
    declared, true = dataset.training_examples, len(split.train.y)
    assert declared == true, f"training_examples is {declared:,}; the train part has {true:,}"
    sizes = ", ".join(f"{len(part.y):,} {name}" for name, part in parts_of(split))
    return f"{sizes}; each {'×'.join(map(str, dataset.shape))}"


def is_finite(trial: DatasetTrial) -> str:
    """No entry is NaN or infinite."""
    low, high = float("inf"), float("-inf")
    for name, part in parts_of(trial.split):
        for start, (x, _) in zip(count_from(step=CHUNK), part.chunks(CHUNK), strict=False):
            _refuse_broken(name, start, x)
            low, high = min(low, x.min().item()), max(high, x.max().item())
    if trial.dataset.tokens:
        return f"tokens from {low} to {high}"
    return f"numbers from {low:.4g} to {high:.4g}" + _far(low, high)


def _refuse_broken(name: str, start: int, x: Tensor) -> None:
    """Raise AssertionError for the first number of a chunk that is not finite."""
    broken = (~x.isfinite()).nonzero()
    if len(broken):
        place = broken[0].tolist()
        raise AssertionError(
            f"{counted(len(broken[:, 0].unique()), 'example')} of the {name} part is not finite; "
            f"the first is x{[start + place[0], *place[1:]]} = {x[tuple(place)].item()}"
        )


def _far(low: float, high: float) -> str:
    large = max(abs(low), abs(high)) > 100
    return ": divide them, since networks begin with inputs of about 1" if large else ""


def has_its_classes(trial: DatasetTrial) -> str:
    """Classes are 0 … classes − 1, at least two, and all of them are in the training part."""
    dataset = trial.dataset
    if not dataset.classified:
        return NotOffered("the outputs are no class scores (classified is False)")
    classes = dataset.classes
    for name, part in parts_of(trial.split):
        for which, t in (("y", part.y), *([("x", part.x)] if dataset.tokens else ())):
            low, high = int(t.min()), int(t.max())
            assert 0 <= low <= high < classes, (
                f"{which} of the {name} part runs from {low} to {high}; with {classes} classes it "
                f"has to be in 0 … {classes - 1}"
            )
    assert classes > 1, f"classes is {classes}; a data set to classify has at least two"
    numbers = torch.bincount(trial.split.train.y.flatten(), minlength=classes)
    missing = (numbers == 0).nonzero().flatten().tolist()
    if dataset.tokens:  # a text need not have every character early
        return f"{classes} tokens" + (
            f", of which training lacks {_first(missing)}" * bool(missing)
        )
    assert not missing, f"no training example has the class {_first(missing)}"
    low, high = int(numbers.min()), int(numbers.max())
    return f"{classes} classes, of {low:,} to {high:,} training examples"


def has_disjoint_parts(trial: DatasetTrial) -> str:
    """No example is in two parts, beyond what the source's own repetitions explain."""
    pairs = sum((pairs_of(rows) for rows in trial.rows), Pairs(0, 0, 0.0))
    if pairs.across and not pairs.within and trial.dataset.training_examples <= MANY:
        pairs = sum((pairs_of(trial.rows_at(seed)) for seed in MORE_SEEDS), pairs)
    assert not pairs.leaked, (
        f"the parts are not disjoint: {most_shared(trial.rows[0])} (at seed {SEEDS[0]}, equal in "
        "all bits). If the source itself repeats examples, remove the repetitions"
    )
    if pairs.within or pairs.across:
        first = pairs_of(trial.rows[0])
        return (
            f"the source repeats examples: at seed {SEEDS[0]}, {first.within:,} equal pairs are "
            f"within a part and {first.across:,} across parts"
        )
    return "no example occurs twice"


def follows_the_seed(trial: DatasetTrial) -> str:
    """A seed alone decides the bits, whatever the global generators hold."""
    again = under_seed(1, lambda: trial.dataset.load(SEEDS[0]))
    for (name, part), (_, other) in zip(parts_of(trial.split), parts_of(again), strict=True):
        for (x, y), (x2, y2) in zip(part.chunks(CHUNK), other.chunks(CHUNK), strict=True):
            same = torch.equal(x, x2) and torch.equal(y, y2)
            assert same, f"the {name} part differs between two loads at one seed: {DRAW}"
    first, other = trial.rows[:2]
    if first == other:
        return "the same parts at every seed"
    moves = [name for name in first if first[name] != other[name]]
    return f"another seed gives another {' and '.join(moves)} part"


def separates_its_test_part(trial: DatasetTrial) -> str:
    """With `separate_test`, no test example is in another part with any other seed."""
    moved = moved_into_training(trial.rows)
    if trial.dataset.separate_test:
        assert not moved, (
            f"separate_test is True, and {counted(moved, 'test example')} of a seed is in the "
            "train or validation part of another one"
        )
        return "no test example is in another part with another seed"
    if moved:
        return NotOffered("the seed moves examples between the parts")
    first, other = trial.rows[:2]
    if first["test"] != other["test"]:
        return NotOffered("another seed gives other test examples, in no other part")
    return NotOffered("no test example moves with the seed: separate_test may be True")


def augments(trial: DatasetTrial) -> str:
    """`augment` draws from its generator alone, keeps shapes, and changes nothing in place."""
    augment = trial.dataset.augment
    if augment is None:
        return NotOffered("examples are trained on as they are")
    x, _ = next(trial.split.train.chunks(FEW))
    before = x.clone()
    with left_alone("augment", RNG):
        first = augment(x, stream(0, "augment"))
    assert torch.equal(x, before), "augment changes the examples in place: work on a copy"
    again = under_seed(1, lambda: augment(x, stream(0, "augment")))
    assert torch.equal(first, again), f"augment gives other bits for the same generator: {RNG}"
    assert first.shape == x.shape, f"augment turns {tuple(x.shape)} into {tuple(first.shape)}"
    assert first.dtype is x.dtype, f"augment turns {x.dtype} into {first.dtype}"
    assert first.isfinite().all(), "augment gives numbers that are not finite"
    return f"{counted(len(x), 'example')} changed by their generator alone"


def loads_every_setting(trial: DatasetTrial) -> str:
    """Every count and choice loads, with what it declares."""
    for setting, dataset in trial.settings.made.items():
        if setting:
            try:
                has_declared_shapes(dataset, under_seed(0, lambda d=dataset: d.load(SEEDS[0])))
            except AssertionError as error:
                raise AssertionError(f"with {setting}, {error}") from error
    refused = [f"{setting} is refused: {why}" for setting, why in trial.settings.refused.items()]
    return "; ".join(["every count and choice loads", *refused[:4]])


def describes_its_data(trial: DatasetTrial) -> str:
    """`description` is a sentence."""
    description = trial.dataset.description
    assert isinstance(description, str), f"description is {description!r:.60}, not a sentence"
    assert description.strip(), "description is empty"
    return f"{describes_itself(type(trial.dataset))} {description}"


def _first(numbers: list[int]) -> str:
    more = f" and {len(numbers) - 5} more" if numbers[5:] else ""
    return ", ".join(map(str, numbers[:5])) + more
