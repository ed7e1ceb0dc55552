import numpy as np
import pytest

from optimizers import (
    ICANS,
    InvalidValueError,
    OptionError,
    StopReason,
    TellData,
    load,
    shots,
    vectorized,
)
from optimizers.problems import h2, ising
from optimizers.variational.icans import Averages

#: The sum of the absolute coefficients of the chain.
CHAIN = 7.0


class Counted:
    """An energy measured with shots, and the shots of each wave."""

    def __init__(self, energy):
        self.energy, self.waves = energy, []

    def __call__(self, x, shots):
        self.waves.append(shots.copy())
        return self.energy.measured(x, shots)


def counted(energy):
    record = Counted(energy)
    return record, shots(vectorized(record))


@pytest.mark.parametrize("seed", [1, 2])
def test_it_ends_near_the_minimum_of_the_chain(seed):
    energy = ising(seed=seed, noise_seed=seed)
    record, fun = counted(energy)
    optimizer = ICANS(lipschitz=CHAIN)
    result = optimizer.minimize(fun, energy.x0, maxshots=1_000_000)
    assert ising()(result.x) - energy.ground_energy < 0.1
    assert result.stop is StopReason.MAXSHOTS
    assert sum(wave.sum() for wave in record.waves) == result.nshots <= 1_000_000
    assert len(record.waves) == result.njobs
    whole = record.waves[1]
    assert whole[0] == whole.max()  # the value, and two probes for each derivative
    assert (whole[1::2] == whole[2::2]).all()
    assert (record.waves[0] == 30).all()


def test_shots_follow_the_expected_gain():
    """The formulas of the article, for averages without memory."""
    spread, slope, length = np.array([4.0, 1.0, 9.0]), np.array([1.0, 0.1, 0.5]), 0.5
    averages = Averages(3, 0.0, 0.0)
    averages.add(slope, spread)
    chosen = averages.shots(length, 2, 10**6)
    wanted = np.ceil(2 * length / (2 - length) * spread / slope**2)
    gain = (length - length**2 / 2) * slope**2 - length**2 * spread / (2 * wanted)
    most = wanted[np.argmax(gain / wanted)]
    assert chosen.tolist() == np.clip(wanted, 2, most).tolist()
    assert chosen[1] < wanted[1]  # a small derivative gets no more than the best one


def test_a_cautious_step_is_shorter_where_noise_outweighs_its_gain():
    energy = h2(noise_seed=1)
    steps = {}
    for cautious in (False, True):
        seen = []
        ICANS(2, lipschitz=2.0, min_shots=2, cautious=cautious).minimize(
            h2(noise_seed=1).measured, energy.x0, callback=lambda xk, seen=seen: seen.append(xk)
        )
        steps[cautious] = np.abs(seen[1] - seen[0])
    assert (steps[True] <= steps[False] + 1e-12).all()
    assert (steps[True] < 0.9 * steps[False]).any()


def test_an_objective_without_noise_converges_with_single_evaluations():
    energy = h2()
    result = ICANS().minimize(energy, energy.x0)
    assert result.stop is StopReason.GRADIENT
    assert result.fun == pytest.approx(energy.ground_energy, abs=1e-8)
    assert result.nfev < 30 * 13 + 13 * result.nit  # repeated in the first wave alone


def test_an_objective_that_takes_no_shots_is_evaluated_repeatedly():
    energy = h2(shots=100, noise_seed=1)
    result = ICANS(lipschitz=2.0, maxiter=3).minimize(energy, energy.x0, shots=100)
    assert result.nfev >= 2 * 13 * 3  # two evaluations show the noise
    assert result.nshots == 100 * result.nfev
    result = ICANS(lipschitz=2.0).minimize(energy, energy.x0, shots=100, maxshots=20_000)
    assert result.stop is StopReason.MAXSHOTS
    assert result.nshots <= 20_000


def test_probes_and_steps_stay_inside_the_bounds():
    energy = h2(noise_seed=1)
    low, high = energy.x0 - 0.5, energy.x0 + 2.0
    low[2] = high[2] = energy.x0[2]

    @shots
    @vectorized
    def fun(x, shots):
        assert ((x >= low) & (x <= high)).all()
        return energy.measured(x, shots)

    bounds = list(zip(low, high, strict=True))
    result = ICANS(lipschitz=2.0).minimize(fun, energy.x0, bounds=bounds, maxshots=100_000)
    assert h2()(result.x) < h2()(energy.x0)


def test_a_killed_run_resumes_with_the_shots_it_paid_for(tmp_path):
    def run(path, count, maxshots=30_000):
        energy = h2(noise_seed=1)
        taken = []

        @shots
        @vectorized
        def fun(x, shots):
            if len(taken) == count:
                raise KeyboardInterrupt
            taken.append(int(shots.sum()))
            means = h2()(x) + 0.5 * np.cos(1e4 * x.sum(axis=1)) / np.sqrt(shots)  # reproduces
            return means, 0.5 / np.sqrt(shots)

        how = {"journal": path, "journal_check": "off", "maxshots": maxshots}
        return ICANS(lipschitz=2.0).minimize(fun, energy.x0, **how), sum(taken)

    whole, _ = run(str(tmp_path / "whole.jsonl"), -1)
    path = str(tmp_path / "killed.jsonl")
    with pytest.raises(KeyboardInterrupt):
        run(path, 5)
    paid = load(path).shots.sum()
    resumed, taken = run(path, -1)
    assert resumed.x.tolist() == whole.x.tolist()
    assert resumed.nshots == whole.nshots == paid + taken
    larger, _ = run(path, -1, maxshots=60_000)
    assert whole.nshots < larger.nshots <= 60_000


def test_a_stepper_asks_for_chosen_shots():
    energy = h2(noise_seed=1)
    stepper = ICANS(3, lipschitz=2.0).stepper(energy.x0, shots=1000)
    asked = []
    for ask in stepper:
        asked.append(ask.shots)
        stepper.tell(ask, TellData(energy.measured(ask.x_fun, ask.shots)))
    assert asked[0].tolist() == [30] * 13
    assert asked[-1].tolist() == [1000]  # the value at the end
    assert stepper.result().nshots == sum(map(sum, asked))


def test_what_cannot_be_used_is_named():
    with pytest.raises(OptionError, match=r"learning_rate is 0\.6 and lipschitz is 2\.0"):
        ICANS(learning_rate=0.6, lipschitz=2.0)
    with pytest.raises(OptionError, match="min_shots is 1"):
        ICANS(min_shots=1)
    unknown = shots(lambda x, shots: (x @ x, np.nan))
    with pytest.raises(InvalidValueError, match="ICANS chooses the shots by the errors"):
        ICANS().minimize(unknown, [1.0, 2.0])


def test_a_rejected_point_leads_half_way_back():
    energy, calls = h2(noise_seed=1), []

    @shots
    @vectorized
    def fun(x, shots):
        calls.append(len(x))
        means, errors = energy.measured(x, shots)
        return np.where(len(calls) == 3, np.nan, means), errors

    result = ICANS(20, lipschitz=2.0).minimize(fun, energy.x0, on_failure="reject")
    assert result.nrejected > 0
    assert h2()(result.x) < h2()(energy.x0)
