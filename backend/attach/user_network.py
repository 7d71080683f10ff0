"""The user's module, loss and batches as objectives that estimators are measured on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from backend.attach.user_module import device_of, plain_module
from estimators.core.contract import Estimator
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.measurement.inputs.closure import ClosureChain, closure_subject
from estimators.measurement.inputs.randomness import generators_kept
from estimators.measurement.inputs.subject import Subject, named_estimators, subject

LossTakes = Literal["output", "model"]
"""Whether a loss is called with (output, y) or with (model, batch)."""
MAX_KINDS = 8
"""Objectives that are kept, by mode and batch size: each was examined once."""


class UserNetwork:
    """A network in training, by the user's own loop: what a probe reads, and nothing it changes."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        estimators: Sequence[Estimator] | Mapping[str, Estimator],
        seed: int = 0,
        *,
        loss_takes: LossTakes | None = None,
        separable: bool | None = None,
    ) -> None:
        self.estimators = named_estimators(estimators) if estimators else {}
        self.module = plain_module(model) if self.estimators else model
        self._loss, self._seed = loss, seed
        self._takes, self._separable = loss_takes, separable
        self._kinds: dict[Any, Subject] = {}
        self._states: dict[str, Any] | None = None
        self.chain: Chain
        """The objective on the last batch."""
        self.notices: list[str] = []
        """What the reader must know about the objective."""

    @property
    def params(self) -> dict[str, Tensor]:
        """The present weights that require a gradient; they share storage with the module's."""
        return {n: p.detach() for n, p in self.module.named_parameters() if p.requires_grad}

    def measured(self) -> dict[str, tuple[Estimator, Any]]:
        """{label: (estimator, its present state)}."""
        assert self._states is not None
        return {label: (e, self._states[label]) for label, e in self.estimators.items()}

    @property
    def device(self) -> torch.device:
        """Where the first of the weights is."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def has_states(self) -> bool:
        """Whether an estimator's state moves with every step."""
        return any(type(e).advance is not Estimator.advance for e in self.estimators.values())

    def objective(self, batch: Any) -> Chain:
        """The loss on `batch`, to be used inside `undisturbed`.

        Raises UnsupportedError, ValueError or TypeError, in a sentence, for what does not fit.
        """
        device = device_of(self.module)
        batch = tree_map(lambda t: _usable(t, device), batch)
        whole = self._takes == "model" or (self._takes is None and not _is_pair(batch))
        kind = (_modes(self.module), whole, None if whole else len(batch[0]))
        if kind not in self._kinds:
            self._kinds = dict([*self._kinds.items()][1 - MAX_KINDS :])
            self._kinds[kind] = self._examined(batch, whole)
        known_as = self._kinds[kind].chain
        if isinstance(known_as, ClosureChain):
            self.chain = known_as.on_batch(batch)
        else:
            self.chain = known_as.on(*batch)
        if self._states is None:
            self._states = {n: self._first_state(n, e) for n, e in self.estimators.items()}
        return self.chain

    def advance(self, step: int, objective: Chain) -> None:
        """Move the estimators' states on, as a lab's run does for its shadows at each update."""
        assert self._states is not None
        for label, estimator in self.estimators.items():
            if type(estimator).advance is not Estimator.advance:
                rng = stream(self._seed, "estimator", step, label, device=objective.x.device)
                state = self._states[label]
                self._states[label] = estimator.advance(objective, self.params, state, rng)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While this is open, gradients can be taken whatever modes the loop has set, and nothing
        that is drawn at random is missing from the loop's own generators afterwards."""
        device = device_of(self.module)
        with ExitStack() as stack:
            stack.enter_context(generators_kept(torch.empty(0, device=device)))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(device.type, enabled=False))
            # Perturbed weights and dual numbers would be compiled anew at every probe.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield

    def _examined(self, batch: Any, whole: bool) -> Subject:
        if whole:
            made = closure_subject(self.module, self._loss, batch, self.estimators, self._seed)
        else:
            made = subject(
                self.module, self._loss, batch, self.estimators, self._seed, self._separable
            )
        self.notices += [text for text in made.notices if text not in self.notices]
        return made

    def _first_state(self, label: str, estimator: Estimator) -> Any:
        rng = stream(self._seed, "estimator", "init", label, device=self.chain.x.device)
        return estimator.init(self.chain, self.params, rng)


def _is_pair(batch: Any) -> bool:
    return (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(part, Tensor) for part in batch)
    )


def _usable(value: Any, device: torch.device) -> Any:
    """A tensor where the network is; one that was made in inference mode as an ordinary one."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach().to(device)
    return value.clone() if value.is_inference() else value


def _modes(module: nn.Module) -> tuple[bool, ...]:
    return tuple(m.training for m in module.modules())
