"""A callback that reports the training of a PyTorch Lightning `Trainer` to a lab."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from backend.attach.entry import attach
from backend.attach.session import AttachedRun, RunCancelledError
from estimators.core.contract import Estimator


class GradLabCallback(pl.Callback):
    """Measures before each update, logs the loss and what the module logs, and obeys the lab.

    A run that is cancelled in the lab stops the trainer. Estimators are measured at the module's
    own `forward`, or at `model`; `training_step` is not called by probes, since it logs.

    Args:
        loss: `loss(output, y)` for batches (x, y), else `loss(model, batch)`; see `attach`.
        estimators: what is measured. Empty: scalars alone.
        model: the network to measure, if it is only a part of the LightningModule.
        options: of `attach`, such as name, budget, url and token.

    >>> Trainer(callbacks=[GradLabCallback(cross_entropy, [SPSA()])])  # doctest: +SKIP
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        estimators: Sequence[Estimator] | Mapping[str, Estimator] = (),
        *,
        model: nn.Module | None = None,
        **options: Any,
    ) -> None:
        self._loss, self._estimators, self._model = loss, estimators, model
        self._options = options
        self.run: AttachedRun | None = None
        """The run, once the training has begun."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach."""
        steps = trainer.max_steps if trainer.max_steps > 0 else None
        options = {"steps": steps, "name": type(pl_module).__name__, **self._options}
        self.run = attach(self._model or pl_module, self._loss, self._estimators, **options)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Measure if a probe is due."""
        try:
            self._attached.step(trainer.global_step, batch)
        except RunCancelledError:
            trainer.should_stop = True

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the loss and what the module has logged."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        scalars = dict(trainer.callback_metrics)
        self._attached.log(scalars if loss is None else {"loss": loss, **scalars})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what the module has logged of the validation."""
        if self.run is not None:  # the sanity check comes before the training
            self.run.log(trainer.callback_metrics)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run."""
        self._attached.close("cancelled" if self._attached.cancelled else "finished")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """End the run as the training has ended."""
        if self.run is not None:
            self.run.__exit__(type(exception), exception, exception.__traceback__)

    @property
    def _attached(self) -> AttachedRun:
        assert self.run is not None, "on_train_start comes first"
        return self.run
