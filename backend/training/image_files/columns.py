"""Which columns of a Parquet file hold images and labels, from their names and features."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from backend.data_folders.folders import DataError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
"""Their usual names; others are found by the features that Hugging Face's library writes."""


class Columns(NamedTuple):
    """The columns that are read."""

    image: str
    label: str


def schema_of(path: Path, name: str) -> pa.Schema:
    """The schema of a file of the data set `name`. Raises DataError."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path.name} of the data set {name} cannot be read: {error}") from error


def columns_of(schema: pa.Schema, where: str, label: str = "") -> Columns:
    """The columns to read; `label` names that of the labels where there are several."""
    image = _usual(schema, IMAGE_COLUMNS, "Image")
    if image is None:
        raise DataError(f"{where} has no column image or img; it has {_names(schema)}")
    labels = label or _usual(schema, LABEL_COLUMNS, "ClassLabel")
    return Columns(image, labels or LABEL_COLUMNS[0])


def check_columns(schema: pa.Schema, columns: Columns, where: str) -> None:
    """Raise DataError unless both columns are there, of images in bytes and of integers."""
    for needed in columns:
        if needed not in schema.names:
            raise DataError(f"{where} has no column {needed}; it has {_names(schema)}")
    kind = schema.field(columns.image).type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise DataError(
            f"the column {columns.image} of {where} is {kind}; it must be struct{{bytes, path}}"
        )
    kind = schema.field(columns.label).type
    if not pa.types.is_integer(kind):
        raise DataError(f"the column {columns.label} of {where} is {kind}; it must be of integers")


def named_classes(schema: pa.Schema, label: str) -> int:
    """The number of class names in the features of the label's column, or 0."""
    feature = _features(schema).get(label)
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return 0
    return len(feature.get("names") or ())


def _usual(schema: pa.Schema, usual: tuple[str, ...], kind: str) -> str | None:
    features = _features(schema)
    of_kind = [c for c, f in features.items() if isinstance(f, dict) and f.get("_type") == kind]
    return next((c for c in (*usual, *of_kind) if c in schema.names), None)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The metadata that Hugging Face's library writes, or none."""
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def _names(schema: pa.Schema) -> str:
    return ", ".join(schema.names) or "none"
