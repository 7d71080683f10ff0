"""What a run records of its circumstances."""

import platform
from importlib import metadata
from typing import Any, Protocol

import torch

from backend.training.components.assemble import Assembly
from backend.training.records import Facts
from estimators.core.contract import Claim, Estimator, Params
from estimators.core.objective import Chain


class Placed(Protocol):
    """A network with a batch: a trainer, or a specimen."""

    @property
    def chain(self) -> Chain: ...

    @property
    def params(self) -> Params: ...


def facts(assembly: Assembly, placed: Placed, resumed_at: int) -> Facts:
    """The facts of an attempt that starts at step `resumed_at`."""
    device = placed.chain.x.device
    return Facts(
        device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=torch.get_num_threads(),
        versions=_versions(),
        parameters=sum(p.numel() for p in placed.params.values()),
        layers=_layers(assembly.driver.estimator, placed),
        cost=_cost(assembly, placed),
        unbiased=_unbiased(assembly, placed),
        resumed_at=resumed_at,
        plugins=assembly.plugins,
    )


def _versions() -> dict[str, str]:
    return {
        "gradlab": metadata.version("gradlab"),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cost(assembly: Assembly, placed: Placed) -> dict[str, float]:
    estimators = (assembly.driver, *assembly.shadows)
    return {e.label: e.estimator.cost(placed.chain).forward_equivalents for e in estimators}


def _unbiased(assembly: Assembly, placed: Placed) -> dict[str, bool]:
    estimators = (assembly.driver, *assembly.shadows)
    return {
        e.label: e.estimator.claim(placed.chain) is not Claim.BIASED
        # What aims at a target of its own promises nothing of the loss's gradient.
        and type(e.estimator).target is Estimator.target
        for e in estimators
    }


def _layers(driver: Estimator, placed: Placed) -> list[dict[str, Any]]:
    coverage = driver.coverage(placed.chain, placed.params)
    return [
        {
            "name": name,
            "stage": placed.chain.stage_of(name),
            "shape": list(tensor.shape),
            "count": tensor.numel(),
            "coverage": coverage[name],
        }
        for name, tensor in placed.params.items()
    ]
