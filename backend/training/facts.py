"""`facts`: the circumstances of an attempt (machine, versions, layers, costs) for the record."""

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Protocol

import torch

from backend.training.components.assemble import Assembly, Labelled
from backend.training.records import Facts
from estimators.core.contract import Claim, Estimator, Params
from estimators.core.objective import Chain


class NetworkOnBatch(Protocol):
    """A network with a batch: a trainer or a frozen run."""

    @property
    def chain(self) -> Chain: ...

    @property
    def params(self) -> Params: ...


def facts(assembly: Assembly, run: NetworkOnBatch, resumed_at: int) -> Facts:
    """The facts of an attempt that starts at step `resumed_at`."""
    members = (assembly.driver, *assembly.shadows)
    return facts_of(
        run, members, assembly.driver.estimator, resumed_at=resumed_at, plugins=assembly.plugins
    )


def facts_of(
    run: NetworkOnBatch, members: Sequence[Labelled], driver: Estimator | None, **more: Any
) -> Facts:
    """The facts of a run with these estimators; `driver` is None where no estimator drives it."""
    device = run.chain.x.device
    return Facts(
        device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=torch.get_num_threads(),
        versions=_versions(),
        parameters=sum(p.numel() for p in run.params.values()),
        layers=_layers(driver, run),
        cost=_cost(members, run),
        unbiased=_unbiased(members, run),
        **more,
    )


def _versions() -> dict[str, str]:
    return {
        "gradlab": metadata.version("gradlab"),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cost(members: Sequence[Labelled], run: NetworkOnBatch) -> dict[str, float]:
    return {e.label: e.estimator.cost(run.chain).forward_equivalents for e in members}


def _unbiased(members: Sequence[Labelled], run: NetworkOnBatch) -> dict[str, bool]:
    return {
        e.label: e.estimator.claim(run.chain) is not Claim.BIASED
        # What aims at a target of its own promises nothing of the loss's gradient.
        and type(e.estimator).target is Estimator.target
        for e in members
    }


MAX_LAYERS_BYTES = 200_000
"""Size of the list of layers as JSON: a lab takes 256,000 bytes of facts."""


def _layers(driver: Estimator | None, run: NetworkOnBatch) -> list[dict[str, Any]]:
    """A row for each tensor; for each stage if these are too many, and none if stages are."""
    tensors = _tensors(driver, run)
    detail = (tensors, _stages(tensors))
    return next((rows for rows in detail if len(json.dumps(rows)) <= MAX_LAYERS_BYTES), [])


def _stages(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    members: dict[str, list[dict[str, Any]]] = {}
    for row in tensors:
        if row["stage"]:
            members.setdefault(row["stage"], []).append(row)
    return [
        {
            "name": stage,
            "stage": stage,
            "shape": [],
            "count": sum(row["count"] for row in rows),
            "coverage": " and ".join(sorted({row["coverage"] for row in rows})),
        }
        for stage, rows in members.items()
    ]


def _tensors(driver: Estimator | None, run: NetworkOnBatch) -> list[dict[str, Any]]:
    coverage = driver.coverage(run.chain, run.params) if driver else dict.fromkeys(run.params, "")
    return [
        {
            "name": name,
            "stage": run.chain.stage_of(name),
            "shape": list(tensor.shape),
            "count": tensor.numel(),
            "coverage": coverage[name],
        }
        for name, tensor in run.params.items()
    ]
