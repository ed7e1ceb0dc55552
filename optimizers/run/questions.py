"""The door: questions of an algorithm are answered from known evaluations, or by one wave."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optimizers._types import Array
from optimizers.errors import NonFiniteValueError
from optimizers.evaluation.answers import DIFFERENCES, check_jacobian
from optimizers.evaluation.wave import Block, Question, probed, probes_at
from optimizers.gradients.plan import Plan
from optimizers.gradients.source import GradientSource
from optimizers.problem.derivatives import Given, Joint
from optimizers.problem.problem import Problem
from optimizers.result import StopReason
from optimizers.run.answers import Answers
from optimizers.run.assumed import Assumed
from optimizers.run.blocks import affordable, question_at
from optimizers.run.budget import StopRun
from optimizers.run.memory import NOWHERE, Evaluation
from optimizers.run.watch import Watch
from optimizers.run.waves import Skip, Waves


class Questions:
    """Answers the questions of a run's algorithm."""

    def __init__(
        self, problem: Problem, source: GradientSource, waves: Waves, seed: Any = None
    ) -> None:
        self.problem, self.source, self.seed = problem, source, seed
        self.budget, self.memory = waves.budget, waves.memory
        #: Ends the algorithm when its progress falls below the noise.
        self.watch: Watch | None = None
        self.waves, self.loss = waves, waves.loss
        self.assumed = Assumed(problem, waves)
        # A gradient that was requested before the value at its point.
        self._orphan: tuple[Array, Array] | None = None

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        """The run's random numbers, from its seed; made when first drawn from."""
        return np.random.default_rng(self.seed)

    def ask(
        self,
        points: Sequence[Array],
        *,
        values: bool = True,
        gradients: bool = False,
        reuse: bool | Literal["last"] = False,
        penalize: bool = True,
        optional: bool = False,
        skip_gradient_if: Skip | None = None,
        shots: ArrayLike | None = None,
    ) -> Answers:
        """Answer for points; values, gradients and their probes travel in one wave.

        The most important point is first. A gradient alone comes without the value if possible.

        ``shots``, one number or one for each point and its probes, replace the run's default. An
        objective that takes none is evaluated repeatedly instead; the answer is the mean.
        """
        xs = [self.problem.clip(x) for x in points]
        if len(xs) != 1 and (reuse or not values):
            raise ValueError(f"{len(xs)} points with reuse, or without values: expected one.")
        if not xs:
            return Answers([])
        each = None if shots is None else np.broadcast_to(np.asarray(shots, np.int64), len(xs))
        if self.memory.is_extreme:
            self.check_finite(*xs)
        if not values:
            return self._gradient_alone(xs[0])
        # "last" asks as the fast path does, which knows the last point only.
        if reuse:
            known = self.known(xs[0], is_last_only=reuse == "last")
            if known is not None and (known.jac is not None or not gradients):
                return Answers([known])
        has_plans = gradients and not self.problem.derivatives.is_given
        plans = [self.plan(x, is_first=x is xs[0]) for x in xs] if has_plans else []
        count, reason = affordable(self.problem, self.waves, xs, plans, each)
        if reason is not None and count == 0:
            self._spend_last(xs[0], plans, reason)
        if plans and reuse == "last" and self.memory.last is NOWHERE:
            return self._answered_in_turn(xs[0], plans[0])
        # One by one, points that are not needed are saved; but a random plan is drawn once for all.
        is_serial = self.waves.evaluator.facts.calls_singly and not self.source.is_random
        if gradients and len(xs) > 1 and (count == 1 or is_serial):
            found = list[Evaluation | None]()
            for i, x in enumerate(xs[:count]):
                own = None if each is None else each[i]
                found += self.ask([x], gradients=True, penalize=False, shots=own).found
            answers = Answers(found)
        else:
            part = None if each is None else each[:count]
            question = question_at(self.problem, xs[:count], plans[:count], gradients, shots=part)
            answers = self._answered(question, xs[:count], gradients, penalize, skip_gradient_if)
        if reason is not None and not optional:
            raise StopRun(reason)
        if optional and all(known is None for known in answers.found):
            self.budget.npenalized += 1  # the algorithm does not notice an omitted point
        return answers

    def check_finite(self, *points: Array) -> None:
        """End the run if the algorithm asks at NaN or an infinity, unless these are passed on."""
        if not (self.waves.propagates_nonfinite or np.isfinite(points).all()):
            raise StopRun(StopReason.NO_PROGRESS)

    # What is known, and what the budget allows.

    def known(self, x: Array, *, is_last_only: bool = False) -> Evaluation | None:
        """Return the answer at the last point, or, if evaluations are costly, at an earlier one."""
        # As in SciPy, so that a noisy objective is measured again.
        if is_last_only or isinstance(self.problem.derivatives, Given):
            return self.memory.last if self.memory.last.is_at(x) else None
        return self._answer_at(x)

    def _answer_at(self, x: Array) -> Evaluation | None:
        """Return the answer for a point; a value without residuals is not enough for a fit."""
        known, memory = self.memory.answer(x), self.memory
        is_half = self.loss is not None and known is not None and known.residuals is None
        return None if is_half and known is not memory.last else known

    def plan(self, x: Array, *, is_first: bool = True) -> Plan:
        """Return the probes of the gradient at ``x``; the first of a run may check the source."""
        problem, precision = self.problem, self.waves.evaluator.facts.precision
        given = x, problem.lower, problem.upper, precision, lambda: self.rng
        return self.assumed.plan(self.source, *given) if is_first else self.source.plan(*given)

    def _spend_last(self, x: Array, plans: Sequence[Plan], reason: StopReason) -> NoReturn:
        """End the run, whose budget is too small for a gradient at ``x``, with the value there."""
        if self.budget.left and not self.memory.last.is_at(x) and self.memory.lookup(x) is None:
            self.ask([x])
        if plans:
            self._check_first(plans[0])
        raise StopRun(reason)

    def _check_first(self, plan: Plan) -> None:
        """End a run that can do nothing, as its budget is too small for the first gradient."""
        if not self.budget.ndifferences:
            cost = self.waves.cost([self.waves.measured(probes_at(plan.points))])
            if self.budget.over(cost) is not None:
                raise self.budget.too_few(cost)

    def _answered(
        self,
        question: Question,
        xs: Sequence[Array],
        gradients: bool,
        penalize: bool,
        skip_gradient_if: Skip | None,
    ) -> Answers:
        """Evaluate a question in one wave, and note the answers."""
        memory = self.memory
        kept = memory.best, memory.best_violation
        results = self._evaluated(question, xs, gradients, skip_gradient_if)
        good = [result for result in results if type(result) is Evaluation]
        # Points that a penalty leads back to or a run may end at; for values only, the best is
        # enough.
        if good and not gradients:
            memory.store(min(good, key=lambda known: known.fun))
        found: list[Evaluation | None] = [*good]
        known_at = [type(result) is Evaluation for result in results]
        if not all(known_at):
            found = self._penalized(xs, results, gradients, penalize)
            # A failed point is not a candidate, nor are its probes.
            memory.take_back(*kept)
            for i in np.flatnonzero(known_at):
                memory.update_incumbents(*question.candidates(int(i)))
        del results  # avoids a reference cycle: errors keep this frame
        if gradients:
            for known in good:
                memory.store(known)
            if self.watch is not None and penalize and good and len(xs) == 1:
                self.watch.asked(good[0].fun)
        return Answers(found, known_at, question)

    def _penalized(
        self,
        xs: Sequence[Array],
        results: Sequence[Evaluation | Exception],
        gradients: bool,
        penalize: bool,
    ) -> list[Evaluation | None]:
        """Return the evaluations where some points failed; raise an error without a penalty."""
        found: list[Evaluation | None] = []
        npenalized = self.budget.npenalized
        for x, result in zip(xs, results, strict=True):
            if isinstance(result, Evaluation):
                found.append(result)
                if self.memory.last_good is None:
                    self.memory.store(result)
                continue
            penalty = self.waves.penalty_for(x, result, needs_gradient=gradients)
            found.append(penalty if penalize else None)
        if not penalize:
            self.budget.npenalized = npenalized
        return found

    def _evaluated(
        self,
        question: Question,
        xs: Sequence[Array],
        gradients: bool,
        skip_gradient_if: Skip | None,
    ) -> list[Evaluation | Exception]:
        """Return the evaluation, or the failure, of each point of a question."""
        facts, precision = self.waves.evaluator.facts, self.waves.evaluator.facts.precision
        is_one_wave = question.plans or facts.has_workers or facts.is_serial
        waves = [question.blocks] if is_one_wave else [[block] for block in question.blocks]
        try:
            for blocks in waves:  # one after another: no needless call of the gradient
                skip = skip_gradient_if if is_one_wave else None
                is_first_needed = len(xs) == 1
                self.waves.take(
                    blocks, skip, is_first_needed=is_first_needed, values=question.blocks[0]
                )
                if skip_gradient_if is not None and skip_gradient_if(question.value(0)):
                    return [Evaluation(xs[0], question.value(0), None, question.residuals(0))]
        except Exception as error:
            if len(xs) == 1:
                return [error]
            self.waves.penalty_for(xs[0], error)  # raises a better error, or stops the run
            raise
        # Answers have lower precision than assumed: these probes were too close.
        is_coarse = facts.precision > precision and self.source.heeds_precision
        is_coarse = is_coarse and question.is_joint
        # Not a comprehension: its frame would keep the question, whose failures keep it.
        one = functools.partial(self.evaluation, question, gradients, is_coarse)
        return list(map(one, range(len(xs)), xs))

    def _answered_in_turn(self, x: Array, plan: Plan) -> Answers:
        """Evaluate the first point and then its probes: its value shows the precision."""
        block, facts, memory = Block(x[np.newaxis]), self.waves.evaluator.facts, self.memory
        precision, kept = facts.precision, (memory.best, memory.best_violation)
        try:
            self.waves.take([block])
            value = block.values.item(0)
            is_coarse = facts.precision > precision and self.source.heeds_precision
            residuals = None if block.residuals is None else block.residuals[0]
            gradient = self.probed(x, value, residuals, None if is_coarse else plan)
            memory.store(self._known(x, value, residuals, gradient))
        except Exception as error:
            penalty = self.waves.penalty_for(x, error)
            memory.take_back(*kept)
            return Answers([penalty], [False])
        return Answers([memory.last])

    def evaluation(
        self, question: Question, gradients: bool, is_coarse: bool, i: int, x: Array
    ) -> Evaluation | Exception:
        """Return the evaluation, or the failure, of a point of a question."""
        failure = question.own_failure(i)
        if failure is not None:
            return failure
        try:
            gradient = self._gradient_of(question, i, x, gradients, is_coarse)
            if self.loss is None:
                return Evaluation(x, question.value(i), gradient)
            return self._known(x, question.value(i), question.residuals(i), gradient)
        except Exception as error:
            return error

    def _known(
        self, x: Array, value: float, residuals: Array | None, derivative: Any
    ) -> Evaluation:
        """Return the evaluation of a point, given its gradient or Jacobian."""
        if self.loss is None or residuals is None or derivative is None:
            return Evaluation(x, value, derivative, residuals)
        check_jacobian(derivative, residuals.size, x.size)
        product = derivative.T @ self.loss.weighted(residuals)
        gradient = self.waves.as_gradient(product, x.size)
        return Evaluation(x, value, gradient, residuals, derivative)

    def _gradient_of(
        self, question: Question, i: int, x: Array, gradients: bool, is_coarse: bool
    ) -> Any:
        """Return the gradient at a point of a question; for residuals, the Jacobian."""
        if question.plans:
            value, residuals = question.value(i), question.residuals(i)
            if is_coarse:
                return self.probed(x, value, residuals)
            told = question.plans[i], value, question.probes(i), question.failures(i)
            return self.mended(*told, residuals, question.all_errors(i))
        if not gradients and question.size > 1:
            return None  # a gradient that comes with a value does not fit
        if not gradients:  # it may still be requested, before or after its value
            is_joint = isinstance(self.problem.derivatives, Joint)
            return question.gradient(i) if is_joint else self.orphaned(x)
        for error in question.failures(i).values():
            raise error
        return question.gradient(i)

    def _gradient_alone(self, x: Array) -> Answers:
        """Answer with the gradient; a known value is not evaluated again."""
        derivatives = self.problem.derivatives
        known = self._answer_at(x)
        if known is not None and known.jac is not None:
            return Answers([known])
        needs_value = self.loss is not None or not derivatives.is_given
        if isinstance(derivatives, Joint) or (known is None and needs_value):
            return self.ask([x], gradients=True, reuse=True)
        try:
            if isinstance(derivatives, Given):
                block = Block(x[np.newaxis], derivatives.function, "jac")
                self.waves.take([block])
                gradient = block.gradients[0] if self.loss is None else block.jacobians[0]
            else:
                assert known is not None
                gradient = self.probed(x, known.fun, known.residuals)
            if known is not None and self.loss is not None:
                self.memory.store(self._known(x, known.fun, known.residuals, gradient))
                return Answers([self.memory.last])
        except Exception as error:
            return Answers([self.penalty_for_gradient(x, error, known)])
        return Answers([self.note_gradient(x, gradient, known)])

    def penalty_for_gradient(
        self, x: Array, error: Exception, known: Evaluation | None
    ) -> Evaluation:
        """Return the penalty for a failed gradient that was requested alone, or raise its error.

        Where the value is +inf there is no gradient, which is not an error.
        """
        is_nan = isinstance(error, NonFiniteValueError) and not self.waves.has_penalty(error)
        if is_nan and known is None:
            answers = self.ask([x])
            if not answers.known.all():
                assert answers.found[0] is not None
                return answers.found[0]
        return self.waves.penalty_for(x, error, needs_gradient=True)

    def note_gradient(self, x: Array, gradient: Array, known: Evaluation | None) -> Evaluation:
        """Note a gradient, and return the evaluation of its point with it."""
        if known is None:
            self._orphan = x, gradient
            return Evaluation(x, np.nan, gradient)
        self.memory.store(known._replace(jac=gradient))
        return self.memory.last

    def orphaned(self, x: Array) -> Array | None:
        """Return the gradient at ``x``, if it was requested before the value."""
        orphan = self._orphan
        return None if orphan is None or not np.array_equal(orphan[0], x) else orphan[1]

    def probed(
        self, x: Array, value: float, residuals: Array | None = None, plan: Plan | None = None
    ) -> Any:
        """Return the gradient from a wave of probes only; for residuals, the Jacobian."""
        plan = plan or self.plan(x)
        self._check_first(plan)
        probes = probes_at(plan.points)
        self.waves.take([probes], is_first_needed=False)
        errors = np.append(np.nan, probes.errors)
        return self.mended(plan, value, probed(probes), probes.failures, residuals, errors)

    def mended(
        self,
        plan: Plan,
        value: float,
        probes: NDArray[Any],
        failures: dict[int, Exception],
        residuals: Array | None = None,
        errors: Array | None = None,
    ) -> Any:
        """Return the gradient, or the Jacobian of residuals, with replacements of failed probes."""
        origin: Any = value if residuals is None else residuals[:, np.newaxis]
        self.budget.ndifferences += 1
        if failures:
            failed = np.zeros(len(plan.points), dtype=bool)
            failed[list(failures)] = True
            again = plan.retry(origin, probes, failed)
            if again is None:
                raise next(iter(failures.values()))
            further = probes_at(again.points)
            self.waves.take([further])
            for error in further.failures.values():
                raise error
            plan, probes = again, probed(further)
        self.assumed.judge(plan, np.reshape(origin, (-1, 1)), np.atleast_2d(probes), errors)
        # Differences of finite values may overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            if residuals is None:
                folded = plan.fold(origin, probes)
                return self.waves.as_gradient(folded, self.problem.n, DIFFERENCES)
            return self.waves.as_jacobian(plan.jacobian(origin, probes), self.problem.n)

    def forget(self, seed: Any) -> None:
        """Start over: forget all answers but the incumbent."""
        self.memory.forget()
        self._orphan, self.watch = None, None
        self.reseed(seed)

    def reseed(self, seed: Any) -> None:
        """Restart the random numbers from another seed."""
        self.seed = seed
        vars(self).pop("rng", None)
