"""What each of SciPy's methods must reach on Rosenbrock's function in single precision."""

import numpy as np

#: (method, options, dimension, accuracy), from zeros: what TensorFlow 1's own tests ask, where they
#: have the method. SciPy's COBYLA is 0.2 away in two dimensions, in double precision too.
METHODS = [
    ("L-BFGS-B", {}, 5, 1e-5),
    ("BFGS", {}, 5, 1e-5),
    ("Powell", {}, 5, 1e-5),
    ("CG", {}, 5, 1e-3),
    ("SLSQP", {}, 5, 1e-3),
    ("Newton-CG", {}, 5, 1e-3),
    ("Nelder-Mead", {}, 5, 1e-4),
    ("TNC", {"maxiter": 1000}, 5, 1e-1),
    ("COBYLA", {}, 2, 1e-1),
    ("COBYQA", {}, 5, 1e-3),
    ("trust-constr", {}, 5, 1e-3),
    ("trust-ncg", {}, 5, 1e-3),
    ("trust-krylov", {}, 5, 1e-3),
    ("trust-exact", {}, 5, 1e-3),
]

#: For all interfaces but one: SciPy's other two are slow, in Python, and ask an interface nothing
#: that Powell and Nelder-Mead do not.
QUICK = [row for row in METHODS if row[0] not in ("COBYLA", "COBYQA")]

#: Those that make use of exact second derivatives.
SECOND_ORDER = ["Newton-CG", "trust-constr", "trust-ncg", "trust-krylov", "trust-exact", "dogleg"]
#: Those that cannot do without.
NEED_HESSIANS = ["trust-ncg", "trust-krylov", "trust-exact"]


def rosenbrock(x):
    """Return Rosenbrock's function of an array of any framework's."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def assert_at_ones(x, accuracy):
    # Relative and absolute, as TensorFlow 1's own tests.
    np.testing.assert_allclose(x, np.ones(len(x)), rtol=accuracy, atol=accuracy)
