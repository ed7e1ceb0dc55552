import pytest

from optimizers import Optimizer, available, testing


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("cls", available().values(), ids=lambda cls: cls.__name__)
def test_every_class_passes_the_conformance_suite(cls: type[Optimizer], check) -> None:
    check(cls)
