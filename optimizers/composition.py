"""Composition: from an optimizer's configuration and a problem to a prepared run."""

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from optimizers._arrays import check_memory
from optimizers._types import Array, ArrayLike, BoundsLike, Objective
from optimizers._words import in_words
from optimizers.errors import CapabilityError, InvalidInputError, OptionError, warn_user
from optimizers.evaluation.choose import evaluator_by
from optimizers.evaluation.evaluator import Evaluator
from optimizers.evaluation.marks import is_vectorized, takes_shots, with_options
from optimizers.evaluation.task import Form
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.journal.header import header_of
from optimizers.journal.journal import as_journal
from optimizers.journal.known import known_rows, start_of
from optimizers.journal.replay import execute_recorded
from optimizers.noise.iterate import on_iterate
from optimizers.noise.notice import noticed
from optimizers.noise.stages import in_stages
from optimizers.options.configured import Configured
from optimizers.options.settings import MAXFUN, check_run_settings
from optimizers.problem.derivatives import By, source_of
from optimizers.problem.known import KnownPoints, KnownRows, points_of
from optimizers.problem.problem import Problem
from optimizers.problem.scales import Sizes
from optimizers.problem.translated import shown
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.budget import Paid, Patience, StopRun
from optimizers.run.known import informed
from optimizers.run.learned import learned
from optimizers.run.listening import listened
from optimizers.run.memory import FEASIBLE
from optimizers.run.observers import Observer, observers_of
from optimizers.run.outcome import Outcome
from optimizers.run.progress import Bar
from optimizers.run.run import Run
from optimizers.run.solve import Prepared, Solve, confirmed, feasible
from optimizers.support import Declaring, SupportLevel

#: After how many iterations without progress an algorithm that has no other tolerance stops; at
#: least two rounds where an iteration changes one variable.
_PATIENCE = 10


class Composed(Configured, Declaring):
    """Everything about an optimizer except its algorithm; subclasses override single parts."""

    #: What a failed evaluation does where ``on_failure`` is not given.
    _default_on_failure = "raise"
    #: How Qiskit's class of the same name passes the points of a group.
    _group_form: ClassVar[Form] = "flat"
    #: Whether the algorithm takes variables for angles, as in circuits: they are not scaled.
    takes_angles = False
    #: Whether the algorithm itself handles noise; any other is run in stages where there is noise.
    handles_noise = False
    #: Whether a run that is stopped ends at its last iterate, unless ``noise=0``: the values are
    #: noisy probes, the lowest of which is low by luck.
    ends_on_iterate = False

    def _problem(
        self, fun: Objective, x0: ArrayLike, jac: Jacobian, bounds: BoundsLike, **further: Any
    ) -> Problem:
        """Return the problem that the arguments of :meth:`minimize` describe."""
        given = {name: self._options.get(name) for name in ("loss", "f_scale")}
        if any(value is not None for value in given.values()):
            fun = with_options(fun, **given)
        name, levels = self._title, self.get_support_level()
        return Problem.check(name, levels, fun, x0, self._gradient(jac), bounds, **further)

    def _gradient(self, jac: Jacobian) -> Jacobian:
        """Return the gradient that is given, or else the constructor's."""
        return self._run_settings.get("jac") if jac is None else jac

    def _prepared(
        self,
        problem: Problem,
        settings: dict[str, Any],
        evaluator: Evaluator | None = None,
        around: Callable[[Solve], Solve] | None = None,
    ) -> Prepared:
        """Return a prepared run, with all wrappers around its solve; `around` is a further one."""
        known = self._read_known(settings)
        run = self._start_run(problem, settings, evaluator)
        effective = self._effective_settings(settings)
        solve: Solve = confirmed(self._solve)
        if run.noise is not None and not self.handles_noise:
            noise = None if isinstance(run.noise, str) else run.noise
            solve = in_stages(noise, self._has_user_steps(problem))(solve)
        may_have_noise = run.noise is None and not (
            self.handles_noise or effective.get("noise") == 0
        )
        solve = noticed(solve, may_have_noise)
        if self._takes_differences(problem):
            solve = learned(solve)
        if self.ends_on_iterate and may_have_noise:
            solve = on_iterate(solve)
        if problem.constraints:
            solve = feasible(self._feasibility(problem))(solve)
        if around is not None:
            solve = around(solve)
        if known is not None:
            solve = informed(points_of(known, problem))(solve)
        execute: Callable[[Run, Solve], OptimizerResult] = Run.execute
        is_share = (
            evaluator is not None and evaluator.is_share
        )  # then the owner of the whole listens
        bar = Bar(None if is_share else effective.get("progress"), run.budget.limit)
        if not is_share:
            solve = listened(bar.listeners)(solve)
        journal = as_journal(effective.get("journal"))
        if journal is not None:
            header, check = header_of(self, problem, settings), effective.get("journal_check")
            execute = functools.partial(execute_recorded, journal, check or "warn", header)

        def executed() -> OptimizerResult:
            __tracebackhide__ = True  # hidden in pytest and IPython: not the user's code
            with bar.around() as results:
                results.append(execute(run, solve))
            (result,) = results
            self._finished(run, result)
            if journal is not None and result._record is None:
                result._keep(record=journal.path)
            if result._record is not None:
                result._keep(about=header_of(self, problem, settings))
            return result

        return Prepared(run, executed, self._alone(), self._needs_thread())

    def _read_known(self, settings: dict[str, Any]) -> KnownRows | KnownPoints | None:
        """Read, once, what the settings of a run name as known, and keep it there."""
        given = self._effective_settings(settings).get("known")
        if given is None:
            return None
        settings["known"] = found = known_rows(given)
        return found

    def _start_of(self, x0: Any, settings: dict[str, Any], bounds: BoundsLike) -> Any:
        """Return the start: as given, or the best known point, if one is used."""
        self._read_known(settings)
        if self._level("initial_point") < SupportLevel.supported:
            return x0
        return start_of(x0, self._effective_settings(settings), bounds)

    def _maximizes(self, settings: dict[str, Any]) -> bool:
        """Return whether the settings of a run say that the objective is maximized."""
        return bool(self._effective_settings(settings).get("maximize"))

    def _scale(self, settings: dict[str, Any]) -> Any:
        """Return the scale that the settings of a run ask for."""
        return self._effective_settings(settings).get("scale")

    def _scaled(
        self, settings: dict[str, Any], given: tuple[Any, ...], further: dict[str, Any]
    ) -> tuple[Problem, Run | None]:
        """Return a problem with its scale, and the run that evaluated the scale, if there was one.

        Where the budget did not suffice, variables are scaled by the start.
        """
        scale, run = self._scale(settings), None
        is_recorded = self._effective_settings(settings).get("journal") is not None
        if isinstance(scale, str) and scale == "gradient" and not is_recorded:
            problem = self._problem(*given, **further, scale="start")
            parameters, found = problem.parameters, list[Array]()
            assert parameters is not None

            def solve(run: Run) -> Outcome:
                found.append(run.gradient(problem.x0))
                raise StopRun(StopReason.OTHER)

            run = self._start_run(problem, {**settings, "callback": None})
            shown(parameters, functools.partial(run.execute, solve))
            scale = Sizes.by(found[0], parameters.x0, parameters.sizes) if found else "start"
        return self._problem(*given, **further, scale=scale), run

    @abstractmethod
    def _solve(self, run: Run) -> Outcome:
        """Run the algorithm: ask ``run`` for values and gradients, and say how it ended."""

    def _start_run(
        self, problem: Problem, settings: dict[str, Any], evaluator: Evaluator | None = None
    ) -> Run:
        """Return a run of the problem with its effective settings.

        ``evaluator`` replaces the one that the settings ask for.
        """
        self._check_settings(settings)
        self._check_sizes(problem.n)
        name = f"{self._title} with {problem.n} variables"
        advice = "use an optimizer that stores no matrices, such as LBFGSB"
        check_memory(name, self._matrices(problem) * problem.n**2, advice)
        effective = self._effective_settings(settings)
        callback, parameters = effective.get("callback"), problem.parameters
        observers = observers_of(callback, self._callback_form, parameters)
        noise = effective.get("noise")
        if not (noise or self.handles_noise):  # for those that do, 0 means that there is none
            noise = None
        takes_noise = self.handles_noise or self._takes_differences(problem)
        if noise is not None and not takes_noise:
            warn_user(f"{self._title} uses no finite differences here: noise has no effect.")
            noise = None
        source = self._differences(problem)
        if self._takes_differences(problem):
            source.check(problem.n)
        if parameters is not None:
            self._check_structure(problem, source, effective)
        evaluator = evaluator or self._evaluator(problem.fun, settings)
        if parameters is not None:  # no value is finer than its point
            facts = evaluator.facts
            facts.precision = max(facts.precision, parameters.structure.precision)
        self._check_shots(problem, source, effective)
        maxfun, target = MAXFUN.checked(effective.get("maxfun")), effective.get("f_target")
        return Run(
            problem,
            evaluator,
            source,
            maxfun=self._budget(maxfun),
            maxiter=self._iteration_limit(maxfun),
            timeout=effective.get("timeout"),
            on_failure=effective.get("on_failure") or self._default_on_failure,
            on_interrupt=effective.get("on_interrupt") or "raise",
            seed=effective.get("seed"),
            observers=(*self._watchers(), *observers),
            noise=noise,
            f_target=None if target is None else problem.sign * target,
            patience=self._patience(effective.get("patience"), problem.n),
            paid=Paid.by(effective, takes_shots(problem.fun)),
        )

    def _patience(self, iterations: int | None, n: int) -> Patience | None:
        """Return what ends a run without progress: as given, or as the meaning of ``tol``."""
        if iterations is None and self._least_fall is None:
            return None
        return Patience(iterations or max(_PATIENCE, 2 * n), self._least_fall or 0.0)

    def _check_structure(
        self, problem: Problem, source: GradientSource, effective: dict[str, Any]
    ) -> None:
        """Raise a CapabilityError if a run cannot handle variables in this structure."""
        name, parameters = self._title, problem.parameters
        is_by_angles = self.takes_angles or (
            self._takes_differences(problem) and source.takes_angles
        )
        if is_by_angles and parameters is not None and parameters.is_stretched:
            what = name if self.takes_angles else type(source).__name__
            raise CapabilityError(
                f"{what} treats the variables as angles, which cannot be scaled or transformed: "
                "remove scale and transform."
            )
        is_flat = self._group_form == "flat" and not is_vectorized(problem.fun)
        if is_flat and (self._max_evals_grouped or 1) > 1 and not effective.get("workers"):
            raise CapabilityError(
                f"{name} has max_evals_grouped={self._max_evals_grouped}, which passes several "
                "points in one flat vector, but x0 is a structure: mark fun with vectorized, or "
                "remove max_evals_grouped."
            )

    def _check_shots(
        self, problem: Problem, source: GradientSource, effective: dict[str, Any]
    ) -> None:
        """Raise an error if a run cannot use or limit shots."""
        if not takes_shots(problem.fun):
            if effective.get("maxshots") is not None and effective.get("shots") is None:
                raise OptionError(
                    f"maxshots is {effective['maxshots']!r}, but the shots of an evaluation are "
                    "not known: mark fun by shots, or pass shots=..., their number."
                )
        elif self._takes_differences(problem) and source == Differences("cs"):
            raise InvalidInputError(
                "jac is 'cs', but fun is marked by shots, and sampled values have no complex "
                "steps: pass '3-point', ParameterShift() or None."
            )

    def _check_settings(self, settings: dict[str, Any]) -> None:
        """Normalize the settings of a run, or raise an error if one cannot be used."""
        form = self._callback_form
        check_run_settings(self._title, settings, self._known_options(), form)

    def _watchers(self) -> tuple[Observer, ...]:
        """Return the observers of a run besides its callback."""
        return ()

    def _effective_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the effective settings of a run: those given for it take precedence."""
        return {**self._run_settings, **settings}

    def _evaluator(self, fun: Objective, settings: dict[str, Any]) -> Evaluator:
        """Return the evaluator of an objective, by the settings of a run."""
        effective = self._effective_settings(settings)
        return evaluator_by(fun, self._group(fun, effective), effective, self._group_form)

    def _group(self, fun: Objective, effective: dict[str, Any]) -> int | None:
        """Return how many points one call of an objective takes, given the effective settings."""
        return self._max_evals_grouped

    def _needs_thread(self) -> bool:
        """Return whether a run that is driven from outside needs its own thread."""
        return False

    def _matrices(self, problem: Problem) -> float:
        """Return how many matrices of n by n numbers a run holds at least."""
        return 0

    def _alone(self) -> str | None:
        """Return the name of what only one run at a time may use, such as a library, or None."""
        return None

    def _finished(self, run: Run, result: OptimizerResult) -> None:
        """Inspect a result before it is returned; print it if the option ``disp`` is set."""
        if self._options.get("disp"):
            print(in_words(self._title, result))

    def _differences(self, problem: Problem) -> GradientSource:
        """Return the gradient source that is used if the user gives no gradient."""
        return source_of(problem.derivatives)

    def _takes_differences(self, problem: Problem) -> bool:
        """Return whether the algorithm uses a gradient that the user did not give."""
        takes_gradient = self._level("gradient") >= SupportLevel.supported
        return takes_gradient and not problem.derivatives.is_given

    def _has_user_steps(self, problem: Problem) -> bool:
        """Return whether the user chose the steps of differences, whatever the noise."""
        chosen = problem.derivatives
        return isinstance(chosen, By) and (chosen.source is not None or chosen.scheme == "cs")

    def _budget(self, maxfun: int | None) -> int | None:
        """Return the maximum number of evaluations, given the setting of the run."""
        return maxfun

    def _feasibility(self, problem: Problem) -> float:
        """Return the largest constraint violation at which a run can be a success."""
        return FEASIBLE

    def _iteration_limit(self, maxfun: int | None) -> int | None:
        """Return the maximum number of iterations, if the run and not the algorithm counts them."""
        return None
