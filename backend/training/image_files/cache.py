"""Decoded images, kept beside the lab so that a second run starts without decoding them again.

A cache file holds both parts of one data set in one state of its files, as safetensors. It is
written under another name and renamed, so that a reader sees a whole file or none; of two workers
that decode at once, the second replaces the first one's file with the same content.
"""

import logging
import uuid
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.training.image_files.folders import cache_dir
from backend.training.image_files.parquet import PARTS, ImageFiles, decoded

_log = logging.getLogger(__name__)


def images(files: ImageFiles) -> dict[str, tuple[Tensor, Tensor]]:
    """{part: images (N, C, H, W) uint8 and labels (N,) int64}. Raises DataError.

    Decodes the files the first time, and reads the cache later. A cache that cannot be read or
    written is no error.
    """
    path = cache_dir() / f"{files.name}-{files.fingerprint}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        stored = load_file(path)
        return {part: (stored[f"{part}.x"], stored[f"{part}.y"]) for part in PARTS}
    made = {}
    for part in PARTS:
        x, y = decoded(files, part)
        made[part] = torch.from_numpy(x), torch.from_numpy(y)
    _keep(path, made, files.name)
    return made


def _keep(path: Path, made: dict[str, tuple[Tensor, Tensor]], name: str) -> None:
    """Write the cache, and remove those of former states of the files."""
    tensors = {f"{part}.x": x for part, (x, _) in made.items()}
    tensors |= {f"{part}.y": y for part, (_, y) in made.items()}
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh)
        fresh.replace(path)
    except (OSError, SafetensorError) as error:
        _log.warning("the decoded images of %s are not kept: %s", name, error)
        with suppress(OSError):
            fresh.unlink()
        return
    digits = len(path.stem.rpartition("-")[2])
    for other in path.parent.glob(f"{name}-{'?' * digits}.safetensors"):
        if other != path:
            other.unlink(missing_ok=True)
