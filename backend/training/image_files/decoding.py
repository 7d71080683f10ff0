"""Decoding of image files by Pillow, to pixels of 8 bits."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from backend.data_folders.folders import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""Those that are decoded. For some others, such as EPS, Pillow would run another program."""

_GREY = ("1", "L", "LA")
"""Pillow's modes of one channel."""
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
"""Those that are decoded to three channels; an alpha channel is left out."""

Shape = tuple[int, int, int]
"""Channels, height and width."""


def decode(file: IO[bytes], where: str, shape: Shape | None = None) -> np.ndarray:
    """The pixels (C, H, W) of an image, uint8; grey images become coloured where `shape` is.

    Raises DataError, naming the image (`where`), if it cannot be decoded or has another shape.
    """
    with _opened(file, where) as image:
        own = _shape(image, where)
        if shape is not None and (own[1:] != shape[1:] or own[0] > shape[0]):
            raise DataError(f"{where} is {_size(own)}; the first image is {_size(shape)}")
        wanted = own[0] if shape is None else shape[0]
        image.load()
        image.info.pop("transparency", None)  # left out, as an alpha channel is
        pixels = np.asarray(image.convert("L" if wanted == 1 else "RGB"))
    return pixels[None] if wanted == 1 else pixels.transpose(2, 0, 1)


def header(file: IO[bytes], where: str) -> Shape:
    """The shape of an image, without decoding its pixels. Raises DataError as `decode` does."""
    with _opened(file, where) as image:
        return _shape(image, where)


@contextmanager
def _opened(file: IO[bytes], where: str) -> "Iterator[Image]":
    """The image; whatever Pillow raises meanwhile becomes a sentence."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except DataError:
        raise
    except Exception as error:  # the decoders raise many kinds
        reason = " ".join(str(error).partition(" <_io")[0].split()).rstrip(".")
        raise DataError(f"{where} cannot be decoded as an image: {reason}") from error


def _shape(image: "Image", where: str) -> Shape:
    channels = 1 if image.mode in _GREY else 3 if image.mode in _COLOUR else 0
    if not channels:
        raise DataError(f"{where} has pixels of the kind {image.mode}, not of 8 bits")
    return channels, image.height, image.width


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))
