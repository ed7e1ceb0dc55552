import pytest
from optimizers_dfo import DFOLS, PyBOBYQA

from optimizers import testing


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", [DFOLS, PyBOBYQA])
def test_conformance(cls, check):
    check(cls)
