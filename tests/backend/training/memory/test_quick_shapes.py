"""Shapes without torch's slow kernels: they are those that torch itself computes of numbers."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from backend.training.memory.quick_shapes import _QUICK, QuickShapes, quick_result

aten = torch.ops.aten
X, IMAGES = torch.zeros(5, 8), torch.zeros(2, 6, 4, 3)
TARGETS = torch.zeros(5, dtype=torch.int64)
CALLS = [
    (aten.addmm.default, (torch.zeros(7), X, torch.zeros(8, 7))),
    (aten.addmm.default, (torch.zeros(7).double(), X.double(), torch.zeros(7, 8).double().T)),
    (aten.add.Tensor, (X, X)),
    (aten.add.Tensor, (IMAGES.transpose(1, 2), IMAGES.transpose(1, 2))),
    (aten.add.Tensor, (X, torch.zeros(8))),
    (aten.add.Tensor, (torch.zeros(8), X)),
    (aten.add.Tensor, (X, 1.0)),
    (aten.add.Tensor, (TARGETS, torch.zeros(5))),
    (aten.relu.default, (IMAGES.transpose(1, 2),)),
    (aten.tanh.default, (X.double(),)),
    (aten.gelu.default, (X,)),
    (aten._log_softmax.default, (X, 1, False)),
    *((aten.nll_loss_forward.default, (X, TARGETS, None, how, -100)) for how in (0, 1, 2)),
    (aten._log_softmax_backward_data.default, (X, X, 1, torch.float32)),
    (aten.nll_loss_backward.default, (torch.ones(()), X, TARGETS, None, 1, -100, torch.ones(()))),
    (aten.nll_loss_backward.default, (torch.ones(5), X, TARGETS, None, 0, -100, torch.ones(()))),
    (aten.threshold_backward.default, (X, X, 0)),
    (aten.native_layer_norm.default, (X, [8], None, None, 1e-5)),
    (aten.native_layer_norm.default, (IMAGES.transpose(1, 3), [6], None, None, 1e-5)),
    (aten.native_layer_norm.default, (IMAGES, [4, 3], None, None, 1e-5)),
    (aten.native_group_norm.default, (IMAGES, None, None, 2, 6, 12, 3, 1e-5)),
]


def on_meta(args):
    return tree_map(lambda a: a.to("meta") if isinstance(a, Tensor) else a, args)


def described(result):
    return [(t.shape, t.dtype, t.stride()) for t in tree_leaves(result)]


@pytest.mark.parametrize(("func", "args"), CALLS, ids=lambda part: str(part)[:40])
def test_sizes_types_and_strides_are_torch_s_own(func, args):
    quick = quick_result(func, on_meta(args), {})
    assert all(t.is_meta for t in tree_leaves(quick))
    assert described(quick) == described(func(*args))


def test_every_operation_is_compared():
    assert {func for func, _ in CALLS} == {*_QUICK}


def test_numbers_are_computed_by_torch():
    assert quick_result(aten.relu.default, (torch.tensor([-1.0, 2.0]),), {}).tolist() == [0.0, 2.0]


class Called(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is aten.relu.default
        return func(*args, **(kwargs or {}))


def test_the_slow_kernel_is_not_called():
    with Called() as called, QuickShapes():
        assert torch.relu(X.to("meta")).shape == X.shape
    assert called.count == 0
    with Called() as called, QuickShapes():
        torch.relu(X)
    assert called.count == 1
