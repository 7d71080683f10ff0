"""`preset`: the configuration of the race, its estimators in the page's order, and its hash."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from backend import race
from backend.config import RunConfig, Strict
from backend.figures.words.names import short_names


class Racer(Strict):
    """An estimator of the race."""

    label: str
    """Its label in the run."""
    name: str
    """As people write it."""
    rate: float
    """The learning rate at which it drives."""


class Layer(Strict):
    """A layer whose alignment is shown beside the network's."""

    name: str
    """As in the run's series."""
    short: str
    """For narrow columns."""


class Preset(Strict):
    """The race."""

    config: RunConfig
    """Of its run, in which the driver is one of the estimators."""
    estimators: list[Racer]
    """From left to right."""
    layers: list[Layer]
    """From the input to the output."""

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as `POST /api/runs` takes it."""
        return self.config.model_dump(mode="json", exclude_unset=True)

    def driven_by(self, label: str) -> dict[str, Any]:
        """The configuration with another driver, at that one's learning rate.

        Raises KeyError for an estimator that is not part of the race.
        """
        racer = self.racer(label)
        others = [other for other in self.labels if other != label]
        return {
            **self.document,
            "estimator": {"name": label},
            "shadows": [{"name": other} for other in others],
            "optimizer": {**self.document["optimizer"], "lr": racer.rate},
        }

    def racer(self, label: str) -> Racer:
        """The estimator with a label. Raises KeyError."""
        for each in self.estimators:
            if each.label == label:
                return each
        raise KeyError(label)

    @property
    def labels(self) -> list[str]:
        """The labels of its estimators, from left to right."""
        return [each.label for each in self.estimators]

    @property
    def short(self) -> dict[str, str]:
        """{label: the name in sentences and at the ends of lines}."""
        return short_names(self.labels)

    @property
    def digest(self) -> str:
        """A hash of all that decides the run's numbers and what is shown of them."""
        text = json.dumps(self.model_dump(mode="json", exclude_unset=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def preset() -> Preset:
    """The race, read from the YAML file of this package."""
    text = (files(race) / "preset.yaml").read_text(encoding="utf-8")
    return Preset.model_validate(yaml.safe_load(text))
