"""`presets`: configurations from which a new run can start, read from `presets.yaml`."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints, TypeAdapter

from backend.catalogue import new_run
from backend.config import Strict

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=90)]


class Preset(Strict):
    """A configuration that works, under a title."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=60)]
    """How an address names it: `/new?preset=five_ways`."""
    title: Words
    """What it is called."""
    text: Words
    """What it shows, in a few words."""
    seconds: Annotated[float, Field(gt=0)]
    """About how long it takes on a machine with 2 cores."""
    config: Mapping[str, Any]
    """A run's configuration without a name; what is left out has its default."""


_LIST = TypeAdapter(list[Preset])


@cache
def presets() -> Sequence[Preset]:
    """All of them, in the order in which they are shown. Raises ValueError for two of one name."""
    text = (files(new_run) / "presets.yaml").read_text(encoding="utf-8")
    listed = _LIST.validate_python(yaml.safe_load(text))
    names = [preset.name for preset in listed]
    if len(set(names)) < len(names):
        raise ValueError(f"two presets have one name: {', '.join(names)}")
    return listed
