"""`attach`: begin to report a training loop of the user's own to a lab."""

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from torch import Tensor, nn

from backend.attach import arguments
from backend.attach.delivery import Delivery
from backend.attach.journal import Journal
from backend.attach.lab_connection import AttachError, Lab, LabConnection, find_lab, is_served
from backend.attach.registration import AttachedConfig, Script, registration
from backend.attach.session import AttachedRun, OtherRank, RunCancelledError
from backend.attach.user_module import rank
from backend.attach.user_network import LossTakes, UserNetwork
from backend.config import MAX_NAME_LENGTH, Component, Probe
from backend.jobs.worker.server_connection import GoneError, UnreachableError
from backend.sentences import sentence
from backend.training.components.resolve import describe
from backend.training.control import Control
from estimators.core.contract import Estimator

__all__ = ["AttachError", "RunCancelledError", "attach"]

MAX_CLASS_NAME = 100
"""Characters of the name of a network's class in a configuration."""
BUFFER = 256 * 2**20
"""Bytes of reports on disk at which a loop waits for a lab that it has lost."""


def attach(
    model: nn.Module,
    loss: Callable[..., Tensor],
    estimators: Sequence[Estimator] | Mapping[str, Estimator] = (),
    *,
    name: str = "",
    steps: int | None = None,
    seed: int = 0,
    draws: int = 16,
    budget: float = 0.1,
    every: int | None = None,
    loss_takes: LossTakes | None = None,
    separable: bool | None = None,
    home: Path | str | None = None,
    url: str | None = None,
    token: str | None = None,
    buffer: int = BUFFER,
) -> AttachedRun:
    """Report a training loop to a lab, and measure estimators at its weights and batches.

    The run is live in the lab of this machine (the one that serves the home), or in the lab at
    `url`. If none is open, the reports are written to the home, and the next lab that is opened on
    it has the run. The loop's updates, random numbers, buffers and gradients are what they would be
    without.

    Args:
        model: the network in training. What `torch.compile` or DistributedDataParallel has wrapped
            is measured without the wrapper; of several processes, the first one reports.
        loss: `loss(output, y)` gives one value for each example, (B,), or their mean, (), for
            batches that are pairs of tensors (x, y); else `loss(model, batch)` gives one number.
        estimators: what is measured: a list, or {label: estimator}. Empty: scalars alone.
        name: of the run in lists and legends. Several runs may have one.
        steps: steps of the loop, for its progress and the schedule of probes. None: open-ended.
        seed: of the probes' noise.
        draws: draws of each estimator in one probe.
        budget: time that probes may add, as a share of the loop's own; 0 switches them off.
        every: steps from one probe to the next, whatever they cost. None: the budget decides.
        loss_takes: "output" or "model", where the batch does not tell which of both losses it is.
        separable: as for `measure`.
        home: the home of a lab on this machine. None: GRADLAB_HOME, else ~/.gradlab.
        url, token: of a lab elsewhere. None: GRADLAB_URL and GRADLAB_TOKEN.
        buffer: bytes of reports on disk at which the loop waits for a lab that it has lost.

    Returns:
        The run: use it in a `with` statement, or call `close`.

    Raises:
        AttachError: no lab answers at `url`, or the lab refuses.
        UnsupportedError, ValueError, TypeError: for arguments that do not fit. Those about the
            batch come at the first `step`.

    >>> with attach(model, loss, [ForwardGradient()], name="mine") as lab:  # doctest: +SKIP
    ...     for step, batch in enumerate(loader):
    ...         lab.step(step, batch)
    ...         train_on(batch)
    """
    if rank():
        return OtherRank()
    steps, every = _whole_or_none("steps", steps), _whole_or_none("every", every)
    seed, draws = arguments.whole("seed", seed), arguments.whole("draws", draws)
    buffer = _buffer(buffer)
    budget = arguments.real("budget", budget)
    arguments.text("name", name)
    arguments.path("home", home)
    arguments.text("url", url)
    arguments.text("token", token)
    network = UserNetwork(model, loss, estimators, seed, loss_takes=loss_takes, separable=separable)
    probe = _validated(Probe, draws=draws, budget=budget, every=every)
    config = _config(network, probe, name, steps, seed)
    new = _validated(registration, config=config, labels=[*network.estimators])
    lab = find_lab(home, url, token)
    connection = LabConnection(lab, new)
    # Before the lab knows of the run: what is left here by a script that is killed ends its run.
    journal = Journal(lab.home.path, new, lab.url)
    try:
        connected = _register(lab, connection)
    except BaseException as error:
        connection.close()
        journal.close(delivered=isinstance(error, AttachError))
        raise
    control, limit = Control(), buffer if connected else None
    delivery = Delivery(lab, connection, journal, control, str(network.device), limit)
    return AttachedRun(network, new, delivery, control)


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else arguments.whole(name, value, "a whole number, or None,")


def _buffer(value: Any) -> int:
    buffer = arguments.whole("buffer", value, "a whole number of bytes")
    if buffer < 1:
        raise ValueError(f"buffer is {buffer:,}; it must be at least 1 byte")
    return buffer


def _config(
    network: UserNetwork, probe: Probe, name: str, steps: int | None, seed: int
) -> AttachedConfig:
    kind = type(network.module).__name__[:MAX_CLASS_NAME]
    described = [
        to_jsonable_python(describe(each), fallback=str) for each in network.estimators.values()
    ]
    script = Script(host=platform.node()[:MAX_NAME_LENGTH], path=_script()[-MAX_NAME_LENGTH:])
    return _validated(
        AttachedConfig,
        name=name or f"{kind} in {script.path or 'a notebook'}"[:MAX_NAME_LENGTH],
        network=Component.model_validate({"name": kind}),
        shadows=[_validated(Component, **each) for each in described],
        probe=probe,
        steps=steps,
        seed=seed,
        attached=script,
    )


def _script() -> str:
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return os.path.basename(path) if path else ""  # noqa: PTH119


def _register(lab: Lab, connection: LabConnection) -> bool:
    """Whether a lab has the run now. Raises AttachError for one that refuses it, and for one
    elsewhere that does not answer."""
    if not is_served(lab):
        return False
    try:
        connection.register()
    except UnreachableError as error:
        if lab.url is None:  # it is only just starting
            return False
        raise AttachError(f"no lab answers at {lab.url}: {error}") from error
    except (AttachError, GoneError) as error:
        raise AttachError(str(error)) from error
    return True


def _validated(model: Any, **fields: Any) -> Any:
    """A pydantic model. Raises ValueError with a sentence."""
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        text = sentence(first)
        named = not where or text.startswith(str(first["loc"][-1]))
        raise ValueError(text if named else f"{where}: {text}") from None
