from functools import partial

import pytest

from optimizers import Optimizer, available, testing
from tests.making import make


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", available().values(), ids=lambda cls: cls.__name__)
def test_every_class_passes_the_conformance_suite(cls: type[Optimizer], check) -> None:
    check(partial(make, cls))
