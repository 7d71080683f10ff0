"""An error of torch on somebody's network, as a refusal in the network's own terms.

`refusing` is open around a trial pass of a network that is known to run. What goes wrong is then
a derivative that torch does not have, or a way of calling the module that it does not bear. The
refusal names the module by its path, the operation, and what helps.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NamedTuple

import torch
from torch import nn

from estimators.core.contract import UnsupportedError
from estimators.core.module_call import has_backward_hooks

RAW = (RuntimeError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""Errors that are raised without a word for the user, NotImplementedError among them."""

FORWARD, BACKWARD = "push tangents through", "pull signals back through"

_UNKNOWN = "write that part differently"
_LACKING = re.compile(r"forward AD with (?:aten::)?(\w+)")
_MATH = "torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)"
_OTHERS = {
    FORWARD: "choose an estimator that takes losses or backward passes alone, such as spsa, "
    "node_perturbation or feedback_alignment",
    BACKWARD: "choose an estimator that only computes the loss, such as spsa",
}


class _Case(NamedTuple):
    """An operation, by parts of torch's names and messages, in words, with what helps."""

    parts: tuple[str, ...]
    words: str
    remedy: str


_CASES = (
    _Case(
        ("_transformer_encoder_layer",),
        "the fused encoder layer of evaluation mode",
        f"call torch.backends.mha.set_fastpath_enabled(False) and enter {_MATH}",
    ),
    _Case(
        ("_native_multi_head_attention",),
        "the fused multi-head attention of evaluation mode",
        f"call torch.backends.mha.set_fastpath_enabled(False) and enter {_MATH}",
    ),
    _Case(("_scaled_dot_product",), "the fused attention kernel", f"enter {_MATH}"),
    _Case(
        ("_embedding_bag",),
        "the embedding bag",
        "look the rows up with nn.Embedding and take their sum or mean",
    ),
    _Case(
        ("_weight_norm_interface",),
        "the fused weight norm",
        "write g * v / v.norm(dim=1, keepdim=True) as a parametrisation of your own",
    ),
    _Case(
        ("div_out",),
        "a division into a given tensor (out=), as in the power iteration of spectral norm",
        "put the module into evaluation mode, where spectral norm does not iterate, or leave "
        "out= away",
    ),
    _Case(
        ("CheckpointFunction", "use_reentrant=True"),
        "torch.utils.checkpoint with use_reentrant=True",
        "pass use_reentrant=False",
    ),
)


@contextmanager
def refusing(module: nn.Module | None, doing: str) -> Iterator[None]:
    """Raise UnsupportedError for an error of torch's, with the module of the network it is in.

    `doing` is FORWARD or BACKWARD, by which the estimators that could do are chosen.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RAW as error:
        frames = list(_frames(error.__traceback__))
        what, remedy = _what(error, frames)
        if remedy == _UNKNOWN and module is not None and has_backward_hooks(module):
            remedy = "take the backward hooks away"  # they may expect a gradient where none is
        text = f"torch cannot {doing} {what}{_place(module, frames)}: {remedy}, or {_OTHERS[doing]}"
        raise UnsupportedError(text, network=True) from error


def _what(error: Exception, frames: list[FrameType]) -> tuple[str, str]:
    """The operation in words, and what helps."""
    function = _own_function(error, frames)
    lacking = _LACKING.search(str(error))
    name = function or (lacking[1] if lacking else "")
    case = _case(f"{name} {error}")
    if case is not None:
        return f"{case.words} ({name})" if lacking else case.words, case.remedy
    if function:
        return f"the torch.autograd.Function {function} without jvp", "give it a jvp"
    if lacking:
        return name, "write that operation out"
    line = (str(error).strip().splitlines() or [""])[0]
    return f"what the network does ({type(error).__name__}: {line})", _UNKNOWN


def _case(text: str) -> _Case | None:
    return next((case for case in _CASES if any(part in text for part in case.parts)), None)


def _own_function(error: Exception, frames: list[FrameType]) -> str:
    """The name of the `torch.autograd.Function` that lacks a jvp."""
    if "jvp function for custom autograd.Function" not in str(error):
        return ""
    contexts = (frame.f_locals.get("ctx") or frame.f_locals.get("self") for frame in frames)
    functions = [getattr(ctx, "_forward_cls", None) for ctx in contexts]
    return next((f.__name__ for f in reversed(functions) if f is not None), "of the network")


def _place(module: nn.Module | None, frames: list[FrameType]) -> str:
    """`, in encoder.0 (TransformerEncoderLayer)`: the innermost module that was running."""
    if module is None:
        return ""
    paths = {id(m): path for path, m in module.named_modules()}
    for frame in reversed(frames):
        running = frame.f_locals.get("self")
        if paths.get(id(running)):
            return f", in {paths[id(running)]} ({type(running).__name__})"
    return ""


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
