"""`Registration`: what a training loop tells the lab of itself before its first report.

The loop chooses the run's id and its worker's token. Registering twice is therefore the same as
once, and a loop can begin to write reports before there is a lab.
"""

import secrets
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from backend.config import Component, Probe, Seed, Strict, Text

ROUTE = "/api/runs/attached"
ATTEMPT = 1
"""A loop has one attempt: nobody but its user starts it again."""
MAX_STEPS = 2**40
"""The largest number of steps that a lab takes."""
MAX_ESTIMATORS = 16
MAX_LABEL = 300
"""Characters of the label of an estimator, or of the name of a parameter, in a lab."""
PROTOCOL = 1
"""The newest version of the registration and of the reports; a lab refuses a newer one."""
_NEVER_DRIVES = ""
"""The driver's label: what updates the weights is the user's own."""


class Script(Strict):
    """Where the loop runs."""

    host: Text = ""
    """The name of the machine."""
    path: Text = ""
    """The script's file name; empty in a notebook."""


class AttachedConfig(Strict):
    """What is known of the loop: the configuration of its run."""

    name: Text
    """The name of the run in lists and legends."""
    network: Component
    """The class of the network, as its name."""
    shadows: Annotated[list[Component], Field(max_length=MAX_ESTIMATORS, default_factory=list)]
    """The estimators that are measured, each with its fields."""
    probe: Probe = Probe()
    """When and how often the gradient estimators are measured during the run."""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    """Steps of the loop, if it says so."""
    seed: Seed = 0
    """Determines the random numbers of the probes."""
    attached: Script = Script()
    """Where the loop runs."""


class Registration(Strict):
    """The body of `POST /api/runs/attached`, and the content of a journal's `run.json`."""

    id: Annotated[str, StringConstraints(pattern=r"^r[0-9a-f]{16}$")]
    """The run's id."""
    token: Annotated[str, StringConstraints(min_length=32, max_length=100)]
    """The token with which the loop sends its reports: good for this run alone."""
    config: AttachedConfig
    """The loop."""
    labels: Annotated[
        list[Annotated[str, StringConstraints(max_length=MAX_LABEL)]],
        Field(max_length=MAX_ESTIMATORS),
    ]
    """The labels of the estimators."""
    protocol: Annotated[int, Field(ge=1, le=PROTOCOL)] = PROTOCOL
    """The version of the reports."""

    def row(self) -> dict[str, Any]:
        """The run as the store takes it."""
        return {
            "id": self.id,
            "kind": "attached",
            "config": self.config.model_dump(mode="json"),
            "labels": {"driver": _NEVER_DRIVES, "shadows": self.labels},
            "steps": self.config.steps or 0,
        }


def registration(config: AttachedConfig, labels: list[str]) -> Registration:
    """The registration of a new run."""
    run_id, token = f"r{secrets.token_hex(8)}", secrets.token_urlsafe(32)
    return Registration(id=run_id, token=token, config=config, labels=labels)
