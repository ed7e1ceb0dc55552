"""qiskit_algorithms drives our optimizers; its jobs and points are counted at the primitives."""

import contextlib
import functools
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optimizers import (
    COBYLA,
    LBFGSB,
    NFT,
    QNSPSA,
    SLSQP,
    SPSA,
    TNC,
    NoisyLBFGSB,
    OptimizerResult,
    OptimizerWarning,
    ParameterShift,
    minimize,
)
from tests.clients.table import NOISY_ROWS, ROWS

#: What draws by shots says so.
pytestmark = pytest.mark.filterwarnings("ignore:The objective has noise")

qiskit_algorithms = pytest.importorskip("qiskit_algorithms", reason="needs the extra: qiskit")

from qiskit.circuit import QuantumCircuit  # noqa: E402
from qiskit.circuit.library import EvolvedOperatorAnsatz, n_local  # noqa: E402  # needs the extra
from qiskit.primitives import StatevectorEstimator, StatevectorSampler  # noqa: E402
from qiskit.primitives.containers.estimator_pub import EstimatorPub  # noqa: E402
from qiskit.primitives.containers.sampler_pub import SamplerPub  # noqa: E402
from qiskit.quantum_info import SparsePauliOp  # noqa: E402
from qiskit_algorithms import PVQD, QAOA, VQD, VQE, AdaptVQE, SamplingVQE, TimeEvolutionProblem  # noqa: E402
from qiskit_algorithms.gradients import ParamShiftEstimatorGradient  # noqa: E402
from qiskit_algorithms.optimizers import (  # noqa: E402
    COBYLA as QISKITS_COBYLA,
    L_BFGS_B as QISKITS_L_BFGS_B,
    NFT as QISKITS_NFT,
    QNSPSA as QISKITS_QNSPSA,
    SLSQP as QISKITS_SLSQP,
    SPSA as QISKITS_SPSA,
)
from qiskit_algorithms.state_fidelities import ComputeUncompute  # noqa: E402

H2 = SparsePauliOp.from_list(
    [
        ("II", -1.052373245772859),
        ("IZ", 0.39793742484318045),
        ("ZI", -0.39793742484318045),
        ("ZZ", -0.01128010425623538),
        ("XX", 0.18093119978423156),
    ]
)
LEVELS = np.linalg.eigvalsh(H2.to_matrix())
DIAGONAL = SparsePauliOp.from_list([("ZZ", 1.0), ("IZ", 0.5), ("ZI", -0.3)])  # lowest: -1.8
X0 = np.full(6, 0.3)
SHOTS = 1000

# Qiskit's own; nothing that an optimizer has to do with.
qaoa_warnings = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in (
        # QAOA builds its ansatz of classes that Qiskit 2.1 deprecates
        "The class ``qiskit.circuit.library.*BlueprintCircuit:DeprecationWarning",
        "The class ``qiskit.circuit.library.*NLocal:DeprecationWarning",
        # SciPy's exponential of the sparse matrix of a PauliEvolutionGate; each text of it
        ":scipy.sparse.SparseEfficiencyWarning",
    )
]


def ansatz():
    """Return a circuit of six parameters, a new one: SamplingVQE adds measurements to it."""
    return n_local(2, ["ry"], "cz", reps=2)


class CountingEstimator(StatevectorEstimator):
    """Keeps the points of each job, shape (k, n)."""

    def __init__(self):
        super().__init__()
        self.jobs = []

    def run(self, pubs, *, precision=None):
        pubs = [EstimatorPub.coerce(pub) for pub in pubs]
        points = [pub.parameter_values.as_array() for pub in pubs]
        self.jobs.append(
            np.concatenate([p.reshape(-1, p.shape[-1]) if p.size else p[None] for p in points])
        )
        return super().run(pubs, precision=precision)


class CountingSampler(StatevectorSampler):
    """Keeps the number of circuits of each job."""

    def __init__(self, seed):
        super().__init__(default_shots=SHOTS, seed=seed)
        self.jobs = []

    def run(self, pubs, *, shots=None):
        pubs = [SamplerPub.coerce(pub) for pub in pubs]
        self.jobs.append(sum(pub.parameter_values.size for pub in pubs))
        return super().run(pubs, shots=shots)


@pytest.fixture
def estimator():
    return CountingEstimator()


@pytest.fixture
def sampler():
    return CountingSampler(np.random.default_rng(1))


def vqe(estimator, optimizer, **further):
    found = VQE(estimator, ansatz(), optimizer, initial_point=X0, **further)
    return found.compute_minimum_eigenvalue(H2)


def bounded(optimizer):
    """Return a context for a run with bounds: who ignores them says so."""
    if optimizer.is_bounds_ignored:
        return pytest.warns(OptimizerWarning, match="ignores bounds")
    return contextlib.nullcontext()


every = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_noisy = pytest.mark.parametrize("row", NOISY_ROWS.values(), ids=NOISY_ROWS)

# How a client may be handed an optimizer.
WAYS = {
    "object": lambda optimizer: optimizer,
    "method": lambda optimizer: optimizer.minimize,
    "function": lambda optimizer: lambda *args, **kwargs: optimizer(*args, **kwargs),
    "partial": lambda optimizer: functools.partial(optimizer.minimize, timeout=600.0),
}


class TestVQE:
    @every
    def test_finds_the_ground_state_and_counts_each_point(self, row, estimator):
        # Its bounds are (None, None) for each parameter: nobody warns that they have no effect.
        result = vqe(estimator, row.make())
        assert result.eigenvalue == pytest.approx(LEVELS[0], abs=row.accuracy)
        assert result.cost_function_evals == sum(map(len, estimator.jobs))
        ours = result.optimizer_result
        np.testing.assert_array_equal(result.optimal_point, ours.x)
        assert result.optimal_value == ours.fun
        assert ours.nit > 0
        assert ours.success is not row.is_limited

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_takes_an_object_and_a_bare_callable(self, way, estimator):
        result = vqe(estimator, way(LBFGSB()))
        assert result.eigenvalue == vqe(CountingEstimator(), LBFGSB()).eigenvalue
        assert result.cost_function_evals == len(estimator.jobs)

    @every
    def test_bounds_of_the_circuit_hold_for_every_point(self, row, estimator):
        circuit = ansatz()
        circuit.parameter_bounds = [(None, None), (-0.2, 0.2), (None, 0.4), (0.1, None)] + [
            (None, None)
        ] * 2
        optimizer = row.make(maxfun=100)
        find = VQE(estimator, circuit, optimizer, initial_point=np.full(6, 0.2))
        with bounded(optimizer):
            find.compute_minimum_eigenvalue(H2)
        if optimizer.is_bounds_ignored:
            return
        points = np.concatenate(estimator.jobs)
        assert len(points) > 6
        low, high = [-np.inf, -0.2, -np.inf, 0.1], [np.inf, 0.2, 0.4, np.inf]
        assert (points[:, :4] >= low).all()
        assert (points[:, :4] <= high).all()

    def test_groups_of_nine_are_one_job_for_each_point_where_qiskit_has_three(self, estimator):
        result = vqe(estimator, LBFGSB(max_evals_grouped=9))
        # A value and its six probes, never the same point twice.
        assert {len(job) for job in estimator.jobs} == {7}
        assert len(np.unique([job[0] for job in estimator.jobs], axis=0)) == len(estimator.jobs)
        assert result.cost_function_evals == 7 * len(estimator.jobs)
        theirs = CountingEstimator()
        with warnings.catch_warnings():
            # It hands over an option that SciPy 1.16 deprecates.
            warnings.filterwarnings("ignore", "scipy.optimize: The `disp`", DeprecationWarning)
            their_result = vqe(theirs, QISKITS_L_BFGS_B(max_evals_grouped=9))
        assert their_result.eigenvalue == pytest.approx(result.eigenvalue, abs=1e-9)
        # The value, the value again for its gradient, and the probes; the first alone is counted.
        asked = their_result.cost_function_evals
        assert [len(job) for job in theirs.jobs] == [1, 1, 6] * asked
        # The same points are asked, to the digits of a difference.
        assert len(estimator.jobs) == asked

    @pytest.mark.parametrize("cls", [LBFGSB, SLSQP, TNC])
    @pytest.mark.parametrize("group", [2, 4, 9])
    def test_groups_save_jobs_and_lead_to_the_same(self, cls, group, estimator):
        alone = CountingEstimator()
        expected = vqe(alone, cls())
        result = vqe(estimator, cls(max_evals_grouped=group))
        assert result.eigenvalue == pytest.approx(expected.eigenvalue, abs=1e-8)
        assert result.cost_function_evals == sum(map(len, estimator.jobs))
        assert max(map(len, estimator.jobs)) <= group
        assert len(estimator.jobs) < len(alone.jobs)

    def test_a_limit_set_later_holds(self, estimator):
        optimizer = LBFGSB()
        optimizer.set_max_evals_grouped(9)
        vqe(estimator, optimizer)
        assert {len(job) for job in estimator.jobs} == {7}

    def test_a_gradient_of_qiskits_is_taken(self, estimator):
        gradient = ParamShiftEstimatorGradient(StatevectorEstimator())
        result = vqe(estimator, LBFGSB(), gradient=gradient)
        assert result.eigenvalue == pytest.approx(LEVELS[0], abs=1e-6)
        assert len(estimator.jobs) == result.cost_function_evals
        assert result.optimizer_result.njev == result.cost_function_evals
        with pytest.warns(OptimizerWarning, match="COBYLA ignores jac"):
            vqe(estimator, COBYLA(maxfun=9), gradient=gradient)

    @pytest.mark.parametrize("way", ["object", "partial"])
    def test_a_gradient_source_in_the_constructor_is_kept(self, way, estimator):
        optimizer = NoisyLBFGSB(jac=ParameterShift(), max_evals_grouped=13)
        if way == "partial":
            optimizer = functools.partial(minimize, method=optimizer, maxfun=400)
        result = vqe(estimator, optimizer)
        assert result.eigenvalue == pytest.approx(LEVELS[0], abs=1e-6)
        point, *shifts = next(job for job in estimator.jobs if len(job) == 13)
        assert np.abs(shifts - point).max(axis=1) == pytest.approx(np.full(12, np.pi / 2))

    def test_its_callback_sees_each_point_and_ours_each_iteration(self, estimator):
        theirs, ours = [], []
        optimizer = LBFGSB(max_evals_grouped=9, callback=lambda xk, fun: ours.append(fun))
        result = vqe(estimator, optimizer, callback=lambda *args: theirs.append(args))
        assert len(theirs) == result.cost_function_evals
        assert len(ours) == result.optimizer_result.nit
        assert ours[-1] == result.eigenvalue

    def test_a_budget_is_hard(self, estimator):
        result = vqe(estimator, LBFGSB(maxfun=20, max_evals_grouped=9))
        assert sum(map(len, estimator.jobs)) == result.cost_function_evals <= 20
        assert result.eigenvalue == result.optimizer_result.best.fun

    def test_an_error_of_a_job_is_the_clients(self, estimator, monkeypatch):
        def fail(*args, **kwargs):
            raise ConnectionError("the queue is gone")

        monkeypatch.setattr(estimator, "run", fail)
        with pytest.raises(qiskit_algorithms.AlgorithmError) as caught:
            vqe(estimator, LBFGSB())
        assert caught.value.optimizer_result.nfev == 1


def test_a_minimizer_of_the_users_may_fill_a_result_of_ours(estimator):
    def minimize(fun, x0, jac=None, bounds=None):  # as in the docstring of Qiskit's VQE
        result = OptimizerResult()
        result.x = x0
        result.fun = fun(x0)
        return result

    result = vqe(estimator, minimize)
    assert result.optimal_value == result.optimizer_result.fun
    assert result.cost_function_evals is None


class TestGroupsOfSPSA:
    """Qiskit's eigensolvers give Qiskit's SPSA groups of 50 points where it has none of its own."""

    @pytest.mark.parametrize("cls", [SPSA, QISKITS_SPSA])
    def test_vqe_has_as_many_jobs(self, cls, estimator):
        optimizer = cls(maxiter=5)
        result = vqe(estimator, optimizer)
        # The calibration, five pairs, and the end.
        assert [len(job) for job in estimator.jobs] == [50, 2, 2, 2, 2, 2, 1]
        assert optimizer._max_evals_grouped is None  # what they ask
        if cls is SPSA:  # Qiskit's does not count all
            assert result.cost_function_evals == 61

    @pytest.mark.parametrize("cls", [SPSA, QISKITS_SPSA])
    @pytest.mark.parametrize("kind", [SamplingVQE, QAOA, VQD])
    @qaoa_warnings[0]
    @qaoa_warnings[1]
    def test_others_too(self, cls, kind, estimator, sampler):
        optimizer = cls(maxiter=2)
        if kind is VQD:
            VQD(
                estimator, ComputeUncompute(sampler), ansatz(), optimizer, k=1, initial_point=X0
            ).compute_eigenvalues(H2)
            jobs = [len(job) for job in estimator.jobs]
        else:
            start = {QAOA: [1.0, 0.5], SamplingVQE: X0}[kind]
            given = (optimizer,) if kind is QAOA else (ansatz(), optimizer)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind(sampler, *given, initial_point=start).compute_minimum_eigenvalue(DIAGONAL)
            jobs = sampler.jobs[:-1]
        assert jobs == [50, 2, 2, 1]

    @pytest.mark.parametrize(("group", "jobs"), [(1, 61), (3, 23), (100, 7)])
    def test_a_group_that_is_given_stays(self, group, jobs, estimator):
        vqe(estimator, SPSA(maxiter=5, max_evals_grouped=group))
        assert len(estimator.jobs) == jobs

    def test_a_function_of_the_users_gets_no_groups(self):
        def fun(x):
            assert x.shape == (2,)
            return float(x @ x)

        fun.__module__ = "qiskit_of_mine.eigensolvers"  # no class of Qiskit's is there
        assert SPSA(maxiter=2).minimize(fun, [1.0, 1.0]).nfev == 55

    def test_workers_take_points_one_by_one(self, estimator):
        with ThreadPoolExecutor(2) as pool:
            vqe(estimator, SPSA(maxiter=2, workers=pool))
        assert {len(job) for job in estimator.jobs} == {1}

    @pytest.mark.parametrize("way", ["qiskits", "ours", "callable"])
    @pytest.mark.parametrize("cls", [QNSPSA, QISKITS_QNSPSA])
    def test_the_fidelities_of_an_iteration_are_a_job(self, cls, way, estimator):
        calls, circuit = [], ansatz()
        fidelity = {
            "qiskits": lambda: QISKITS_QNSPSA.get_fidelity(circuit, StatevectorSampler()),
            "ours": lambda: QNSPSA.get_fidelity(circuit),
            # As in Qiskit's own tests.
            "callable": lambda: (
                lambda left, right: (
                    ComputeUncompute(StatevectorSampler())
                    .run([circuit] * len(left), [circuit] * len(left), left, right)
                    .result()
                    .fidelities
                )
            ),
        }[way]()

        def counted(left, right):
            calls.append(np.shape(left))
            return fidelity(left, right)

        vqe(estimator, cls(counted, maxiter=3))
        assert calls == [(4, 6)] * 3


class TestSamplingVQE:
    @every_noisy
    def test_comes_near_on_shots(self, row, sampler):
        client = SamplingVQE(sampler, ansatz(), row.make_noisy(maxfun=row.budget), initial_point=X0)
        result = client.compute_minimum_eigenvalue(DIAGONAL)
        assert result.eigenvalue == pytest.approx(-1.8, abs=0.2)
        # The last job is the client's own, at the result.
        assert sum(sampler.jobs[:-1]) == result.cost_function_evals <= row.budget
        assert result.best_measurement["bitstring"] == "01"

    def test_groups_are_one_job(self, sampler):
        optimizer = LBFGSB(eps=0.1, max_evals_grouped=9, noise=0)  # no point alone at the end
        client = SamplingVQE(sampler, ansatz(), optimizer, initial_point=X0)
        result = client.compute_minimum_eigenvalue(DIAGONAL)
        # At the end, wider steps of 6 points confirm values that are equal.
        assert set(sampler.jobs[:-1]) == {7, 6}
        assert result.cost_function_evals == sum(sampler.jobs[:-1])


class TestQAOA:
    pytestmark = qaoa_warnings

    @every_noisy
    def test_improves_on_its_start(self, row, sampler):
        optimizer = row.make_noisy(maxfun=row.budget // 3)
        client = QAOA(sampler, optimizer, reps=1, initial_point=[1.0, 0.5])
        with bounded(optimizer):  # its angles of the mixer are
            result = client.compute_minimum_eigenvalue(DIAGONAL)
        assert result.eigenvalue < -0.8
        assert sum(sampler.jobs[:-1]) == result.cost_function_evals <= row.budget // 3

    def test_as_a_bare_callable_with_groups(self, sampler):
        minimize = LBFGSB(eps=0.1, max_evals_grouped=3, maxfun=30).minimize
        client = QAOA(sampler, minimize, reps=1, initial_point=[1.0, 0.5])
        result = client.compute_minimum_eigenvalue(DIAGONAL)
        assert set(sampler.jobs[:-1]) == {3}
        assert result.eigenvalue < -0.8


class TestVQD:
    START = np.random.default_rng(0).uniform(-3, 3, 6)

    def levels(self, estimator, sampler, optimizer):
        fidelity = ComputeUncompute(sampler)
        client = VQD(
            estimator, fidelity, ansatz(), optimizer, k=2, betas=[3.0], initial_point=self.START
        )
        return client.compute_eigenvalues(H2)

    @every_noisy
    def test_finds_two_levels(self, row, estimator):
        # A number as seed draws the same in each job: a level is rough, and no matter of luck.
        sampler = CountingSampler(1)
        result = self.levels(estimator, sampler, row.make_noisy(maxfun=row.budget))
        np.testing.assert_allclose(result.eigenvalues.real, LEVELS[:2], atol=0.15)
        counts = [one.nfev for one in result.optimizer_results]
        assert sum(map(len, estimator.jobs)) == sum(counts)
        assert sum(sampler.jobs) == counts[1]  # an overlap with the one state before

    def test_takes_one_optimizer_for_each_level_as_object_or_callable(self, estimator, sampler):
        given = [LBFGSB(max_evals_grouped=9), COBYLA(maxfun=200).minimize]
        result = self.levels(estimator, sampler, given)
        np.testing.assert_allclose(result.eigenvalues.real, LEVELS[:2], atol=0.15)
        first, second = (one.nfev for one in result.optimizer_results)
        assert [len(job) for job in estimator.jobs] == [7] * (first // 7) + [1] * second


class TestPVQD:
    pytestmark = qaoa_warnings[2:]

    def evolved(self, sampler, optimizer, **further):
        hamiltonian = SparsePauliOp.from_list([("ZZ", 0.5), ("XI", 0.3), ("IX", 0.3)])
        problem = TimeEvolutionProblem(
            hamiltonian, time=0.1, aux_operators=[SparsePauliOp("ZI"), SparsePauliOp("IZ")]
        )
        client = PVQD(
            ComputeUncompute(sampler),
            n_local(2, ["rx", "rz"], "cz", reps=1),
            np.zeros(8),
            estimator=StatevectorEstimator(),
            optimizer=optimizer,
            num_timesteps=1,
            initial_guess=np.full(8, 0.05),
            **further,
        )
        return client.evolve(problem)

    @every_noisy
    def test_follows_the_state(self, row, sampler):
        # It calls what is no Optimizer of Qiskit's: optimizer(loss, initial_guess, gradient).
        optimizer = row.make_noisy(maxfun=row.budget // 3)
        result = self.evolved(sampler, optimizer, use_parameter_shift=False)
        assert min(result.fidelities) > 0.97
        assert sum(sampler.jobs) <= row.budget // 3

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_hands_over_its_gradient(self, way, sampler):
        result = self.evolved(sampler, way(LBFGSB(maxfun=4)))
        assert min(result.fidelities) > 0.97
        assert set(sampler.jobs) == {1, 16}  # a value; its parameter shifts


def adaptive(optimizer, estimator, sampler):
    start = QuantumCircuit(2)
    start.x(0)
    with warnings.catch_warnings():  # a class that Qiskit 2.1 deprecates, and AdaptVQE needs
        warnings.simplefilter("ignore")
        pool = [SparsePauliOp(pauli) for pauli in ("XY", "YX", "YI", "IY")]
        circuit = EvolvedOperatorAnsatz(pool, initial_state=start)
        inner = VQE(estimator, circuit, optimizer)
        AdaptVQE(inner, max_iterations=2).compute_minimum_eigenvalue(H2)


def deflated(optimizer, estimator, sampler):
    given = estimator, ComputeUncompute(sampler), ansatz(), optimizer
    VQD(*given, k=2, betas=[3.0], initial_point=X0).compute_eigenvalues(H2)


def projected(optimizer, estimator, sampler):
    TestPVQD().evolved(sampler, optimizer, use_parameter_shift=True)


JOBS_OF = {
    "VQE": lambda optimizer, estimator, sampler: vqe(estimator, optimizer),
    "AdaptVQE": adaptive,
    "VQD": deflated,
    "PVQD": projected,
}
SWAPPED = {
    "SPSA": (QISKITS_SPSA(maxiter=3), SPSA(maxiter=3)),
    "L_BFGS_B": (QISKITS_L_BFGS_B(maxiter=1), LBFGSB(maxiter=1)),
    "NFT": (QISKITS_NFT(maxfev=20), NFT(maxfev=20)),
    # Where it succeeds, ours evaluates the gradient at its end, once.
    "SLSQP": (QISKITS_SLSQP(maxiter=1), SLSQP(maxiter=1)),
    # Its maxiter counts iterations here.
    "COBYLA": (QISKITS_COBYLA(maxiter=20), COBYLA(maxfun=20)),
}


@pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:COBYLA ignores|NFT ignores|SPSA ignores")
@pytest.mark.filterwarnings("ignore:.*SparseEfficiencyWarning|.*splu|spsolve")
@pytest.mark.parametrize("name", SWAPPED)
@pytest.mark.parametrize("client", JOBS_OF)
def test_no_client_makes_more_jobs_for_ours_than_for_qiskits(client, name):
    jobs, points = [], []
    for optimizer in SWAPPED[name]:
        estimator, sampler = CountingEstimator(), CountingSampler(1)
        JOBS_OF[client](optimizer, estimator, sampler)
        jobs.append(len(estimator.jobs) + len(sampler.jobs))
        points.append(sum(map(len, estimator.jobs)) + sum(sampler.jobs))
    assert 0 < jobs[1] <= jobs[0]
    assert points[1] <= points[0]
