"""PyTorch: functions of tensors, and a replacement for ``torch.optim.LBFGS``."""

from optimizers.external.torch.functional import minimize
from optimizers.external.torch.stepping import TorchOptimizer

__all__ = ["TorchOptimizer", "minimize"]
