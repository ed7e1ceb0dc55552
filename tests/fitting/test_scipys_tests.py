"""SciPy's own tests of least_squares and curve_fit pass against ours.

Each runs as it is there, with ours in the place of SciPy's function.
"""

import inspect
import warnings

import pytest
import scipy

from optimizers import curve_fit, least_squares

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # marks of plug-ins that they use
    from scipy.optimize.tests import test_least_squares as of_least_squares, test_minpack

# Before 1.16, SciPy's x_scale has another default, and its method "lm" other differences.
IS_OLD = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 16)
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(IS_OLD, reason="what is expected was recorded with another SciPy"),
]


@pytest.fixture(autouse=True)
def _ours(monkeypatch):
    monkeypatch.setattr(of_least_squares, "least_squares", least_squares)
    monkeypatch.setattr(test_minpack, "curve_fit", curve_fit)


class TestTRF(of_least_squares.TestTRF):
    pass


class TestDogbox(of_least_squares.TestDogbox):
    test_workers = None  # which starts processes, as for TRF


class TestLM(of_least_squares.TestLM):
    test_workers = None


class TestCurveFit(test_minpack.TestCurveFit):
    pass


#: Of no class.
_OTHERS = dict(inspect.getmembers(of_least_squares, inspect.isfunction))


@pytest.mark.parametrize("name", [name for name in _OTHERS if name.startswith("test_")])
def test_of_no_class(name):
    _OTHERS[name]()
