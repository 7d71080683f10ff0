"""Classes of torch, `nn.Module` and `torch.optim.Optimizer`, made components of a run."""

from backend.training.wrapping.modules import ModuleNetwork, wrap_module
from backend.training.wrapping.optimizers import wrap_optimizer

__all__ = ["ModuleNetwork", "wrap_module", "wrap_optimizer"]
