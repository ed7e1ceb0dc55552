"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.adam import ADAM, AMSGRAD
from optimizers.variational.aqgd import AQGD
from optimizers.variational.gradient_descent import GradientDescent
from optimizers.variational.nft import NFT, Rotosolve

__all__ = ["ADAM", "AMSGRAD", "AQGD", "NFT", "GradientDescent", "Rotosolve"]
