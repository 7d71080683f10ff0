"""The user's module, loss and batches as objectives that estimators are measured on."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from backend.attach import arguments
from backend.attach.registration import MAX_ESTIMATORS
from backend.attach.user_module import device_of, plain_module, require_module
from estimators.core.contract import Estimator
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.core.replay import Generators, replaying
from estimators.measurement.inputs.closure import (
    BatchRefusedError,
    ClosureChain,
    closure_subject,
)
from estimators.measurement.inputs.subject import Subject, named_estimators, subject, words

LossTakes = Literal["output", "model"]
"""Whether a loss is called with (output, y) or with (model, batch)."""
OUTPUT, MODEL = "loss(output, y)", "loss(model, batch)"
PAIR = "a pair of tensors (x, y)"
MAX_SHOWN = 4
"""Entries of a batch that a message lists."""
MAX_KINDS = 8
"""Objectives that are kept, by mode and batch size: each was examined once."""

REPLAYED = (
    "the network draws random numbers at every pass (dropout): each probe is of the mask that the "
    "loop's own next pass draws, the same in all of its passes"
)


class _Kind(NamedTuple):
    """What was found out of a mode of the network, and a size of batches."""

    chain: Chain
    draws: bool
    """Whether a pass draws from the global random generators."""


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
        if len(self.estimators) > MAX_ESTIMATORS:
            count = len(self.estimators)
            raise ValueError(
                f"estimators has {count} entries; at most {MAX_ESTIMATORS} are allowed"
            )
        if self.estimators or loss is not None:
            arguments.function("loss", loss)
        arguments.one_of("loss_takes", loss_takes, (None, *get_args(LossTakes)))
        arguments.one_of("separable", separable, (None, True, False))
        require_module(model)
        self.module = plain_module(model) if self.estimators else model
        self._loss, self._seed = loss, seed
        self._takes, self._separable = loss_takes, separable
        self._kinds: dict[Any, _Kind] = {}
        self._open = ExitStack()
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
        pair = _is_pair(batch)
        if self._takes == "output" and not pair:
            raise TypeError(f"batch is {_batch_words(batch)}; {PAIR} is allowed for {OUTPUT}")
        whole = self._takes == "model" or not pair
        kind = (_modes(self.module), whole, None if whole else len(batch[0]))
        if kind not in self._kinds:
            self._kinds = dict([*self._kinds.items()][1 - MAX_KINDS :])
            self._kinds[kind] = self._examined(batch, whole)
        chain, draws = self._kinds[kind]
        if draws:
            self._open.enter_context(replaying(self._start))
        self.chain = chain.on_batch(batch) if isinstance(chain, ClosureChain) else chain.on(*batch)
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
        """While this is open, gradients can be taken whatever modes the loop has set. The random
        generators are afterwards as they were; a network that draws (dropout) draws in each pass
        what the loop's own next pass will draw."""
        device = device_of(self.module)
        self._start = Generators(device)
        with ExitStack() as self._open:
            self._open.callback(self._start.restore)
            self._open.enter_context(torch.inference_mode(False))
            self._open.enter_context(torch.enable_grad())
            self._open.enter_context(torch.autocast(device.type, enabled=False))
            if "torch._dynamo" in sys.modules:  # else nothing is compiled, and its import is slow
                # Perturbed weights and dual numbers would be compiled anew at every probe.
                self._open.enter_context(torch.compiler.set_stance("force_eager"))
            yield

    def _examined(self, batch: Any, whole: bool) -> "_Kind":
        """The objective, and whether a pass of it draws from the random generators."""
        draws = self._draws(batch, whole)
        with replaying(self._start) if draws else nullcontext():
            if whole:
                made = self._closure_subject(batch)
            else:
                made = subject(
                    self.module, self._loss, batch, self.estimators, self._seed, self._separable
                )
        self.notices += [text for text in made.notices if text not in self.notices]
        if draws and REPLAYED not in self.notices:
            self.notices.append(REPLAYED)
        return _Kind(made.chain, draws)

    def _closure_subject(self, batch: Any) -> Subject:
        """The objective loss(model, batch). Raises ValueError, with what a batch may be, if the
        loss does not take it, since a loss(output, y) may have been meant."""
        try:
            return closure_subject(self.module, self._loss, batch, self.estimators, self._seed)
        except BatchRefusedError as error:
            if self._takes is not None:
                raise
            raise ValueError(
                f"batch is {_batch_words(batch)}, which is no pair of tensors, so that it went to "
                f"{MODEL}; {error}. {PAIR[0].upper()}{PAIR[1:]} goes to {OUTPUT}"
            ) from error

    def _draws(self, batch: Any, whole: bool) -> bool:
        """Whether a pass moves the random generators; what does not fit is told by others."""
        with replaying(self._start), torch.no_grad():
            try:
                if whole:
                    ClosureChain(self.module, self._loss, batch).forward({})
                else:
                    x, y = batch
                    chain = Chain(self.module, x, y, self._loss, separable=False)
                    self._loss(chain.forward({}), y)
            except Exception:  # the examination says what is wrong
                return False
        return self._start.moved()

    def _first_state(self, label: str, estimator: Estimator) -> Any:
        rng = stream(self._seed, "estimator", "init", label, device=self.chain.x.device)
        return estimator.init(self.chain, self.params, rng)


def _is_pair(batch: Any) -> bool:
    return (
        isinstance(batch, tuple | list)
        and len(batch) == 2
        and all(isinstance(part, Tensor) for part in batch)
    )


def _batch_words(batch: Any) -> str:
    """A batch in words: its type, and the types and shapes of what it holds."""
    if isinstance(batch, Tensor):
        return f"one tensor, {words(batch)}"
    if isinstance(batch, Mapping):
        entries = [f"{key!r:.40}: {words(value)}" for key, value in batch.items()]
    elif isinstance(batch, tuple | list):
        entries = [words(value) for value in batch]
    else:
        return arguments.kind(batch)
    rest = ", …" if len(entries) > MAX_SHOWN else ""
    return f"{arguments.kind(batch)} of {len(entries)} ({', '.join(entries[:MAX_SHOWN])}{rest})"


def _usable(value: Any, device: torch.device) -> Any:
    """A tensor where the network is; one that was made in inference mode as an ordinary one."""
    if not isinstance(value, Tensor):
        return value
    if value.is_meta:
        shape = tuple(value.shape)
        raise ValueError(f"a tensor of the batch, {shape}, is on the device meta: it has no values")
    value = value.detach().to(device)
    return value.clone() if value.is_inference() else value


def _modes(module: nn.Module) -> tuple[Any, ...]:
    """What an objective depends on that may change in training: which modules there are, their
    modes, the probabilities of dropout, and the weights that are trained."""
    return tuple((id(m), m.training, _probability(m), *_weights(m)) for m in module.modules())


def _probability(module: nn.Module) -> float | None:
    p = getattr(module, "p", None)
    return p if isinstance(p, float | int) else None


def _weights(module: nn.Module) -> Iterator[tuple[str, torch.dtype, bool]]:
    own = module._parameters.items()  # at each step, where an estimator has a state
    return ((name, p.dtype, p.requires_grad) for name, p in own if p is not None)
