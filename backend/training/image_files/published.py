"""Whether the decoded images of a data set are those that its authors published.

MNIST was published as IDX files: a header, then the bytes of the pixels, 60,000 × 784 of them in
the training part. Their MD5 is widely known, so the files are made again from the decoded images
and compared. A copy in another order is recognised by the checksum of its sorted examples; that of
MNIST was computed from a copy in the published order, whose IDX files have the published MD5.
"""

from hashlib import md5, sha256
from typing import NamedTuple

import numpy as np

from backend.data_folders.folders import IMAGES, DataError, names
from backend.training.image_files.cache import images
from backend.training.image_files.folder_images import folder_images
from backend.training.image_files.parquet import image_files


class Published(NamedTuple):
    """Checksums of one part."""

    images_md5: str
    """Of the IDX file of the images."""
    labels_md5: str
    """Of the IDX file of the labels."""
    examples_sha256: str
    """Of all examples, pixels then label, sorted as bytes."""


PUBLISHED: dict[str, dict[str, Published]] = {
    "mnist": {
        "train": Published(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "386a0fff07efe9ae3f934853780556ca1fe630371d4964508a3e3256c2063b0e",
        ),
        "test": Published(
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
            "292a2c8e9008782f6c6c94df46012a17c808c2666413d175e62502bbcf68dd61",
        ),
    },
}
"""By the name of the folder."""


def compare(name: str) -> str:
    """What the comparison of a data set with its published pixels gave, in one sentence.

    Decodes the images. Raises DataError if one differs.
    """
    of_files = name in names(IMAGES) and name not in names()
    decoded = images(folder_images(name) if of_files else image_files(name))
    count = sum(len(y) for _, y in decoded.values())
    if name not in PUBLISHED:
        return f"all {count:,} images of {name} can be decoded; no published checksum is known"
    in_order = True
    for part, published in PUBLISHED[name].items():
        x, y = (tensor.numpy() for tensor in decoded[part])
        if _idx(x[:, 0], 3) == published.images_md5 and _idx(y, 1) == published.labels_md5:
            continue
        in_order = False
        if _sorted(x, y) != published.examples_sha256:
            raise DataError(f"the {part} images or labels of {name} are not the published ones")
    order = "in the published order" if in_order else "in another order"
    return f"all {count:,} images and labels of {name} are the published ones, {order}"


def _idx(values: np.ndarray, axes: int) -> str:
    """MD5 of an IDX file of bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    content = bytes([0, 0, 8, axes]) + sizes + values.astype(np.uint8).tobytes()
    return md5(content, usedforsecurity=False).hexdigest()


def _sorted(x: np.ndarray, y: np.ndarray) -> str:
    rows = np.concatenate([x.reshape(len(y), -1), y[:, None].astype(np.uint8)], axis=1)
    whole = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
    return sha256(np.sort(whole).tobytes()).hexdigest()
