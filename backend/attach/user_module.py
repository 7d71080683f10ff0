"""The module inside what a training loop wraps around it; what cannot be measured is refused."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from backend.attach import arguments
from backend.attach.registration import MAX_LABEL
from estimators.core.contract import UnsupportedError

_SHARDED = ("FullyShardedDataParallel", "FSDPModule")


def plain_module(model: Any) -> nn.Module:
    """The module without `torch.compile`, DistributedDataParallel and DataParallel around it.

    Raises ValueError or UnsupportedError for one that cannot be measured.
    """
    _refuse_sharded(model)
    module = model
    while True:
        if isinstance(module, DistributedDataParallel | DataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            break
    _refuse_synchronised(module)
    device_of(module)
    for what, tensors in (
        ("parameter", module.named_parameters()),
        ("buffer", module.named_buffers()),
    ):
        for name, tensor in tensors:
            _refuse_tensor(what, name, tensor)
    return module


def _refuse_tensor(what: str, name: str, tensor: Tensor) -> None:
    """Raise ValueError for a tensor of a network that no estimator can read."""
    if len(name) > MAX_LABEL:
        raise ValueError(
            f"the {what} {name[:60]}… has a name of {len(name):,} characters; at most {MAX_LABEL} "
            "are kept"
        )
    if is_lazy(tensor):
        raise ValueError(
            f"the {what} {name} has no shape yet, since the network was never run; run it on a "
            "batch before you attach"
        )
    if tensor.is_inference():
        raise ValueError(
            f"the {what} {name} was made in torch.inference_mode(), where nothing can be "
            "differentiated; make the model outside of it"
        )
    if tensor.is_meta:
        raise ValueError(
            f"the {what} {name} is on the device meta: it has no values; call model.to_empty(…) "
            "and load the weights before you attach"
        )


def require_module(model: Any) -> None:
    """Raise TypeError unless `model` is a module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {arguments.kind(model)}; an nn.Module is allowed")


def device_of(module: nn.Module) -> torch.device:
    """The device of all parameters. Raises ValueError if there is none, or more than one."""
    devices = {p.device for p in module.parameters()}
    if not devices:
        raise ValueError(f"the model {type(module).__name__} has no parameters: nothing to measure")
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise UnsupportedError(
            f"the model's parameters are on {names}; all on one device are allowed", network=True
        )
    return devices.pop()


def rank() -> int:
    """This process's place among those that train together; 0 if it trains alone."""
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if ready else 0


def is_shared() -> bool:
    """Whether several processes train together."""
    ready = distributed.is_available() and distributed.is_initialized()
    return ready and distributed.get_world_size() > 1


def _refuse_sharded(model: nn.Module) -> None:
    for name, module in model.named_modules():
        bases = {base.__name__ for base in type(module).__mro__}
        if bases & {*_SHARDED}:
            raise UnsupportedError(
                f"{name or 'the model'} is sharded over processes (FSDP), so that no process has "
                "the weights that an estimator reads; train with DistributedDataParallel, or "
                "attach without estimators, for scalars alone",
                network=True,
            )


def _refuse_synchronised(module: nn.Module) -> None:
    for name, m in module.named_modules():
        if isinstance(m, nn.SyncBatchNorm) and is_shared():
            raise UnsupportedError(
                f"{name} is a SyncBatchNorm, for which every process has to run each pass, and "
                "only the first one measures; use BatchNorm, or attach without estimators",
                network=True,
            )
