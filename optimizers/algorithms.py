"""The optimizers and nothing else, for completion: ``optimizers.algorithms.`` and the Tab key."""

from optimizers.fitting import LM
from optimizers.scipy import (
    BFGS,
    CG,
    COBYLA,
    COBYQA,
    DOGBOX,
    LBFGSB,
    NELDER_MEAD,
    POWELL,
    SLSQP,
    TNC,
    TRF,
    Dogleg,
    NewtonCG,
    TrustConstr,
    TrustExact,
    TrustKrylov,
    TrustNCG,
)
from optimizers.search import CMAES, DFOTR, ImFil
from optimizers.variational import (
    ADAM,
    AMSGRAD,
    AQGD,
    GSLS,
    NFT,
    P_BFGS,
    QNSPSA,
    SPSA,
    UMDA,
    GradientDescent,
    NoisyLBFGSB,
)

__all__ = [
    "ADAM",
    "AMSGRAD",
    "AQGD",
    "BFGS",
    "CG",
    "CMAES",
    "COBYLA",
    "COBYQA",
    "DFOTR",
    "DOGBOX",
    "GSLS",
    "LBFGSB",
    "LM",
    "NELDER_MEAD",
    "NFT",
    "POWELL",
    "P_BFGS",
    "QNSPSA",
    "SLSQP",
    "SPSA",
    "TNC",
    "TRF",
    "UMDA",
    "Dogleg",
    "GradientDescent",
    "ImFil",
    "NewtonCG",
    "NoisyLBFGSB",
    "TrustConstr",
    "TrustExact",
    "TrustKrylov",
    "TrustNCG",
]


def __dir__() -> list[str]:
    return __all__
