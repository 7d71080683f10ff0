"""Decoded images, kept beside the lab so that a second run starts without decoding them again.

A cache file holds both parts of one data set in one state of its files, as safetensors. It is
written image by image, under another name, and renamed, so that a reader sees a whole file or none;
of two workers that would decode at once, the second waits for the file of the first.
A reader maps the file, so that images which are not read take no memory.
"""

import json
import logging
import uuid
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from backend.data_folders.exclusive import Progress, alone
from backend.data_folders.folders import cache_dir
from backend.training.image_files.source import PARTS, ImageSource

_log = logging.getLogger(__name__)

Images = dict[str, tuple[Tensor, Tensor]]
"""{part: images (N, C, H, W) uint8 and labels (N,) int64}."""


def images(files: ImageSource) -> Images:
    """The decoded images and labels of both parts. Raises DataError.

    Decodes the files the first time, and maps the cache later. A cache that cannot be read or
    written is no error.
    """
    path = cache_dir() / f"{files.name}-{files.fingerprint}.safetensors"
    with suppress(OSError, SafetensorError, KeyError):
        return _read(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_name(files.name), _waiting(files)) as tell:
            with suppress(OSError, SafetensorError, KeyError):
                return _read(path)  # another worker has made it meanwhile
            _keep(path, files, tell)
        return _read(path)
    except (OSError, SafetensorError) as error:
        _log.warning("the decoded images of %s are not kept: %s", files.name, error)
    return {part: _decoded(files, part) for part in PARTS}


def _waiting(files: ImageSource) -> Progress:
    """Says once that another worker decodes these images."""
    said = []

    def waiting(done: int, total: int) -> None:
        if not said:
            said.append(True)
            amount = f" ({done:,} of {total:,})" if total else ""
            name = files.name
            _log.warning("another run is decoding the images of %s%s; waiting", name, amount)

    return waiting


def _read(path: Path) -> Images:
    stored = load_file(path)
    return {part: (stored[f"{part}.x"], stored[f"{part}.y"]) for part in PARTS}


def _decoded(files: ImageSource, part: str) -> tuple[Tensor, Tensor]:
    x = torch.empty(files.counts[part], *files.shape, dtype=torch.uint8)
    for place, image in zip(x.numpy(), files.images(part), strict=True):
        place[:] = image
    return x, torch.from_numpy(files.labels(part))


def _keep(path: Path, files: ImageSource, progress: Progress) -> None:
    """Write the cache, and remove those of former states of the files."""
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with fresh.open("wb") as file:
            _write(file, files, progress)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    digits = len(path.stem.rpartition("-")[2])
    for other in path.parent.glob(f"{files.name}-{'?' * digits}.safetensors"):
        if other != path:
            other.unlink(missing_ok=True)


def _write(file: BinaryIO, files: ImageSource, progress: Progress) -> None:
    """The labels of both parts, then their images, after the header of safetensors."""
    shapes = {f"{part}.y": ("I64", (files.counts[part],)) for part in PARTS}
    shapes |= {f"{part}.x": ("U8", (files.counts[part], *files.shape)) for part in PARTS}
    header, end = {}, 0
    for name, (kind, shape) in shapes.items():
        start, end = end, end + int(np.prod(shape)) * (8 if kind == "I64" else 1)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of their size
    file.write(len(text).to_bytes(8, "little") + text)
    for part in PARTS:
        file.write(files.labels(part).astype("<i8").tobytes())
    total = sum(files.counts.values())
    for number, image in enumerate(chain.from_iterable(map(files.images, PARTS))):
        progress(number, total)
        file.write(np.ascontiguousarray(image).tobytes())
