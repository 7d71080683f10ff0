"""A callback that reports the training of a Hugging Face `Trainer` to a lab."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from backend.attach.entry import attach
from backend.attach.session import AttachedRun, RunCancelledError
from estimators.core.contract import Estimator

_PARTS = {"eval_loss": "validation/loss", "eval_accuracy": "validation/accuracy"}
"""The names under which the lab draws what the trainer logs of an evaluation."""


def loss_of(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """The loss that the model returns for a batch with labels."""
    return model(**batch).loss


class GradLabCallback(TrainerCallback):
    """Measures before each update, logs what the trainer logs, and obeys the lab.

    A run that is cancelled in the lab stops the trainer. A trainer shows its batches to no
    callback: they are read where the model receives the first one of each update. It tells no
    callback of an exception either: the run fails when the script ends by it, or at once in a
    `with` block around the training.

    Args:
        estimators: what is measured. Empty: scalars alone.
        loss: `loss(model, batch)`, one number; by default, what the model returns as `loss`.
        options: of `attach`, such as name, budget, url and token.

    >>> with GradLabCallback([SPSA()]) as callback:  # doctest: +SKIP
    ...     Trainer(model, callbacks=[callback]).train()
    """

    def __init__(
        self,
        estimators: Sequence[Estimator] | Mapping[str, Estimator] = (),
        loss: Callable[[nn.Module, Any], Tensor] = loss_of,
        **options: Any,
    ) -> None:
        self._estimators, self._loss, self._options = estimators, loss, options
        self._step: int | None = None
        self._handle: Any = None
        self.run: AttachedRun | None = None
        """The run, once the training has begun."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end(error)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Attach."""
        assert model is not None
        self._end(None)  # a training that has failed
        options = {"steps": state.max_steps, "name": type(model).__name__, **self._options}
        self.run = attach(
            model, self._loss, self._estimators, loss_takes="model", **options
        )  # fmt: skip
        self._control = control
        self._handle = model.register_forward_pre_hook(self._receive, with_kwargs=True)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """An update begins: the next batch that the model receives is its first."""
        self._step, self._control = state.global_step, control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log the numbers among what the trainer logs."""
        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
        if self.run is not None:
            self.run.log({_PARTS.get(name, name): value for name, value in numbers.items()})

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """End the run."""
        assert self.run is not None
        self.run.close("cancelled" if self.run.cancelled else "finished")
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """Leave the model; end a run whose training did not reach its end."""
        if self._handle is not None:
            self._handle.remove()
        if self.run is not None:
            self.run.end_unclosed(error)

    def _receive(self, model: nn.Module, args: tuple[Any, ...], batch: dict[str, Any]) -> None:
        """The model is about to run; the passes of a probe come here too, and begin no step."""
        if self._step is None or self.run is None or not model.training:
            return
        step, self._step = self._step, None
        try:
            self.run.step(step, dict(batch) if not args else None)
        except RunCancelledError:
            self._control.should_training_stop = True
