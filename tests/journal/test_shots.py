"""Journals of objectives that take shots: what was paid for stays paid."""

import numpy as np
import pytest

from optimizers import (
    COBYLA,
    SPSA,
    JournalMismatchError,
    NoisyLBFGSB,
    StopReason,
    TellData,
    load,
    shots,
    vectorized,
)
from optimizers.flow import AskData, FlowOptimizer, ended
from optimizers.support import SupportLevel, levels

START = [1.0, 2.0]


class Energy:
    """A bowl whose noise depends on the point and the shots alone, and that counts its shots."""

    def __init__(self, fail_at=None):
        self.shots, self.fail_at = [], fail_at

    def __call__(self, x, shots):
        if len(self.shots) == self.fail_at:
            raise KeyboardInterrupt
        self.shots.append(shots)
        rng = np.random.default_rng(abs(hash((x.tobytes(), shots))))
        samples = x @ x + rng.normal(size=shots)
        return samples.mean(), samples.std(ddof=1) / shots**0.5


def run(energy, path, *, optimizer=None, **settings):
    optimizer = optimizer or NoisyLBFGSB(seed=1)
    settings = {"shots": 20, "journal": path, "journal_check": "off", **settings}
    return optimizer.minimize(shots(energy), START, **settings)


@pytest.mark.parametrize("name", ["run.jsonl", "run.db"])
@pytest.mark.parametrize("optimizer", [NoisyLBFGSB(seed=1), SPSA(maxiter=10, seed=1)])
def test_a_killed_run_resumes_bit_for_bit_and_keeps_its_shots(tmp_path, name, optimizer):
    whole = run(Energy(), str(tmp_path / "whole.jsonl"), optimizer=optimizer, maxshots=1500)
    for count in (0, 1, 2, 7, 20):
        path = str(tmp_path / f"{count}{name}")
        killed, again = Energy(count), Energy()
        with pytest.raises(KeyboardInterrupt):
            run(killed, path, optimizer=optimizer, maxshots=1500)
        assert load(path).shots.tolist() == killed.shots
        result = run(again, path, optimizer=optimizer, maxshots=1500)
        assert result.x.tolist() == whole.x.tolist()
        assert result.fun == whole.fun
        assert (result.nshots, result.nfev, result.njobs) == (whole.nshots, whole.nfev, whole.njobs)
        assert sum(killed.shots) + sum(again.shots) == whole.nshots
        assert load(path).shots.sum() == load(path).result.nshots == whole.nshots


def test_a_budget_can_be_raised(tmp_path):
    path, energy = str(tmp_path / "run.jsonl"), Energy()
    first = run(energy, path, maxshots=400)
    assert first.stop is StopReason.MAXSHOTS
    second = run(energy, path, maxshots=900, maxjobs=1000)
    assert second.nshots == sum(energy.shots) <= 900
    assert second.nshots > first.nshots
    assert second.nreplayed == first.nfev


def test_a_finished_run_is_not_measured_again(tmp_path):
    path, energy = str(tmp_path / "run.jsonl"), Energy()
    first = run(energy, path, maxshots=400)
    count = len(energy.shots)
    assert run(energy, path, maxshots=400).nshots == first.nshots
    assert len(energy.shots) == count


def test_another_number_of_shots_is_another_run(tmp_path):
    path = str(tmp_path / "run.jsonl")
    run(Energy(), path, maxshots=100)
    with pytest.raises(JournalMismatchError, match="shots is 20 in the journal, but 30 now"):
        NoisyLBFGSB(seed=1).minimize(shots(Energy()), START, shots=30, journal=path)
    with pytest.raises(JournalMismatchError, match="shots is 20 in the journal, but None now"):
        NoisyLBFGSB(seed=1).minimize(lambda x: x @ x, START, shots=20, journal=path)


class Chooser(FlowOptimizer):
    """Asks for a number of shots that is not in its settings."""

    support_levels = levels(gradient=SupportLevel.ignored)

    def __init__(self, **settings):
        super().__init__({}, **settings)

    def _flow(self, problem, run):
        for k in (5, self.chosen):
            yield AskData(np.array([problem.x0]), shots=k)
        return ended(problem.x0, StopReason.MAXITER)


def test_a_flow_that_asks_for_other_shots_starts_over_from_the_best(tmp_path):
    path, energy, chooser = str(tmp_path / "run.jsonl"), Energy(), Chooser()
    chooser.chosen = 7
    chooser.minimize(shots(energy), START, journal=path, maxjobs=2)
    chooser.chosen = 8
    with pytest.warns(match="8 shots were asked for, but 7 are recorded"):
        result = chooser.minimize(shots(energy), START, journal=path)
    assert energy.shots == [5, 7, 5, 8]
    assert result.nshots == 25
    assert result.njobs == 4


def test_shots_that_are_declared_are_in_the_recording(tmp_path):
    path = str(tmp_path / "run.jsonl")
    result = COBYLA(noise=0).minimize(lambda x: x @ x, START, shots=9, maxshots=100, journal=path)
    assert load(path).shots.tolist() == [9.0] * result.nfev
    assert load(path).result.nshots == result.nshots == 99
    assert np.isnan(load(_without(tmp_path)).shots).all()


def _without(tmp_path):
    path = str(tmp_path / "plain.jsonl")
    COBYLA(noise=0).minimize(lambda x: x @ x, START, maxfun=5, journal=path)
    return path


def test_many_runs_keep_their_shots_together(tmp_path):
    path, energy = str(tmp_path / "run.jsonl"), Energy()

    @shots
    @vectorized
    def fun(points, shots):
        pairs = [energy(x, int(k)) for x, k in zip(points, shots, strict=True)]
        return tuple(np.array(pairs).T)

    how = {"shots": 10, "journal": path}
    first = SPSA(maxiter=3, seed=1).minimize_many(fun, [START, [3.0, 1.0]], **how)
    paid = sum(energy.shots)
    again = SPSA(maxiter=3, seed=1).minimize_many(fun, [START, [3.0, 1.0]], **how)
    assert first.nshots == again.nshots == paid == sum(energy.shots)
    assert load(path).result.nshots == paid


def test_a_stepper_records_the_shots_of_partial_answers(tmp_path):
    path, energy = str(tmp_path / "run.jsonl"), Energy()
    optimizer, how = SPSA(maxiter=3, seed=1), {"shots": 10, "journal": path}
    with optimizer.stepper(START, **how) as stepper:
        ask = stepper.ask()
        stepper.tell(ask, TellData(energy(ask.x_fun[1], 10), rows=[1]))
    assert load(path).shots.tolist() == [10.0]
    with optimizer.stepper(START, **how) as stepper:
        for ask in stepper:
            pairs = [energy(x, int(k)) for x, k in zip(ask.x_fun, ask.shots, strict=True)]
            stepper.tell(ask, TellData(tuple(np.array(pairs).T)))
        assert stepper.result().nshots == load(path).shots.sum()


def test_verifying_measures_with_the_recorded_shots(tmp_path):
    from optimizers import Journal

    path = str(tmp_path / "run.jsonl")
    run(Energy(), path, maxshots=400)
    energy = Energy()
    run(energy, Journal(path, verify=1), maxshots=600)
    assert energy.shots[0] == 20
