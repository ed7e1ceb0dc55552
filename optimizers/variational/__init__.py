"""Optimizers made for circuits, noise and shots."""

from optimizers.variational.adam import ADAM, AMSGRAD
from optimizers.variational.aqgd import AQGD
from optimizers.variational.gradient_descent import GradientDescent
from optimizers.variational.gsls import GSLS
from optimizers.variational.icans import ICANS
from optimizers.variational.nft import NFT, Rotosolve
from optimizers.variational.noisy_lbfgsb import NoisyLBFGSB
from optimizers.variational.p_bfgs import P_BFGS
from optimizers.variational.qng import QNG
from optimizers.variational.qnspsa import QNSPSA
from optimizers.variational.spsa import SPSA
from optimizers.variational.umda import UMDA

__all__ = [
    "ADAM",
    "AMSGRAD",
    "AQGD",
    "GSLS",
    "ICANS",
    "NFT",
    "P_BFGS",
    "QNG",
    "QNSPSA",
    "SPSA",
    "UMDA",
    "GradientDescent",
    "NoisyLBFGSB",
    "Rotosolve",
]
