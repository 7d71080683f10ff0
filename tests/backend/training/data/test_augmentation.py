"""Augmentation of image data sets: drawn with the batch by seed and step, never in evaluations."""

import pytest
import torch

from backend.catalogue import validate
from backend.config import RunConfig
from backend.training.components.assemble import assemble
from backend.training.examples.augmentation import shifted
from estimators.core.noise import stream


def run(loss="cross_entropy", **fields):
    return {
        "dataset": {"name": "parquet_images", "folder": "tiny", **fields},
        "network": {"name": "mlp", "width": 8},
        "loss": {"name": loss},
        "estimator": {"name": "backprop"},
        "batch_size": 8,
        "device": "cpu",
    }


def batches(loss="cross_entropy", seed=0, **fields):
    assembly = assemble(RunConfig.model_validate(run(loss, **fields)))
    return assembly.batches(assembly.dataset.load(0).train, 8, seed)


CHANGES = {"shift": 2, "flip": True, "cutout": 3}


@pytest.mark.parametrize("name", CHANGES)
def test_each_field_changes_images_and_keeps_classes(parquet, name):
    parquet()
    plain, changed = batches().at(3), batches(**{name: CHANGES[name]}).at(3)
    assert torch.equal(plain[1], changed[1])
    assert changed[0].shape == plain[0].shape
    assert not torch.equal(plain[0], changed[0])
    each = (plain[0] != changed[0]).flatten(1).any(1)
    assert each.sum() > 1, "examples are changed each by themselves"


def test_changes_are_fixed_by_seed_and_step(parquet):
    parquet()
    first, again = batches(**CHANGES), batches(**CHANGES)
    again.at(0)
    assert torch.equal(first.at(5)[0], again.at(5)[0])
    same_examples, other = batches(), batches(seed=1, **CHANGES)
    assert not torch.equal(first.at(5)[0], same_examples.at(5)[0])
    assert not torch.equal(other.at(5)[0], first.at(5)[0])
    augment = assemble(RunConfig.model_validate(run(**CHANGES))).dataset.augment
    for step in (0, 5, 6):
        drawn = augment(batches().at(step)[0], stream(0, "augment", step))
        assert torch.equal(first.at(step)[0], drawn)
    epoch = first.per_epoch
    changed = torch.cat([first.at(s)[0] for s in range(2 * epoch)])
    assert len(changed.flatten(1).unique(dim=0)) > epoch * 8, "each epoch changes them anew"


def test_a_cut_out_square_is_zero_and_the_rest_is_kept(parquet):
    parquet()
    plain, changed = batches().at(0)[0], batches(cutout=3).at(0)[0]
    gone = (changed == 0).all(1)  # (B, H, W): of all channels
    assert gone.flatten(1).sum(1).tolist() == [9] * 8
    assert torch.equal(torch.where(gone[:, None], plain, changed), plain)


def test_a_margin_is_zero_or_mirrored():
    x = torch.arange(1.0, 7.0).view(1, 1, 1, 6).expand(50, 1, 6, 6)
    zeros, mirrored = (
        shifted(x, 2, stream(0, "augment"), margin) for margin in ("zeros", "mirror")
    )
    assert set(zeros[:, 0, 2, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert set(mirrored[:, 0, 2, 0].tolist()) == {1.0, 2.0, 3.0}
    right = mirrored[mirrored[:, 0, 2, 0] == 3.0][:, 0, 2, :2].tolist()
    assert [3.0, 2.0] in right, "moved right by two, the pixels beyond the edge are its second"
    assert [3.0, 4.0] in right


def test_the_data_set_changes_a_batch_before_the_loss_does(parquet):
    """Two views of InfoNCE are views of one changed image, and no other run's numbers move."""
    parquet()
    alone = {"name": "info_nce", "shift": 0, "erase": 0, "noise": 1e-9}
    views = run(cutout=3)
    views["loss"] = alone
    assembly = assemble(RunConfig.model_validate(views))
    x, y = assembly.batches(assembly.dataset.load(0).train, 8, 0).at(0)
    assert x.shape[0] == 16
    changed = batches(cutout=3).at(0)[0]
    torch.testing.assert_close(x, torch.cat([changed, changed]), atol=1e-7, rtol=0)
    assert torch.equal(y[:8], y[8:])


def test_parts_are_evaluated_as_they_are(parquet):
    parquet()
    plain, changed = (
        assemble(RunConfig.model_validate(run(**fields))).dataset.load(0)
        for fields in ({}, CHANGES)
    )
    for part, same in zip(vars(plain).values(), vars(changed).values(), strict=True):
        assert torch.equal(part.x, same.x)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"shift": 5}, "shift is 5; it must be at most 4 of images of 6×5"),
        ({"cutout": 6}, "cutout is 6; it must be at most 5 of images of 6×5"),
    ],
)
def test_changes_larger_than_the_image_are_refused(parquet, fields, said):
    parquet()
    (error,) = validate(run(**fields))["errors"]
    assert said in error["msg"]
    assert validate(run(shift=4, cutout=5, margin="mirror"))["errors"] == []
