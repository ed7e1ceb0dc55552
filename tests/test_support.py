import json

import pytest

from optimizers import TNC, OptimizerSupportLevel, SupportLevel, support

# qiskit_algorithms.optimizers.OptimizerSupportLevel: names and values.
QISKIT = {"not_supported": 0, "ignored": 1, "supported": 2, "required": 3}


def test_levels_are_those_of_qiskit_by_name_and_value():
    assert {level.name: level.value for level in SupportLevel} == QISKIT
    assert OptimizerSupportLevel is SupportLevel


def test_levels_are_ordered_by_how_much_the_algorithm_wants():
    levels = [SupportLevel[name] for name in QISKIT]
    assert levels == sorted(levels)
    assert SupportLevel.required > SupportLevel.supported > SupportLevel.ignored


@pytest.mark.parametrize("level", SupportLevel)
def test_levels_go_through_json(level):
    assert SupportLevel(json.loads(json.dumps(level))) is level


def test_the_first_three_capabilities_are_qiskits():
    assert support.CAPABILITIES[:3] == ("gradient", "bounds", "initial_point")
    assert set(support.CAPABILITIES[3:]) == {"constraints", "hessian", "residuals"}


def test_what_is_told_of_levels_has_words():
    assert TNC.gradient_support_level.__doc__ == "Returns gradient support level."
    assert TNC.is_initial_point_required.__doc__ == "Returns is initial point required."
