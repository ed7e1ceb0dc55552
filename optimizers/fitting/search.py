"""The Levenberg-Marquardt method as a flow: steps until convergence."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optimizers._types import Array
from optimizers.asktell.flow import Asking, Step
from optimizers.errors import InvalidInputError
from optimizers.fitting.bends import bent_by_change, bent_by_trial
from optimizers.fitting.convergence import Convergence, Plan
from optimizers.fitting.curvature import Curvature
from optimizers.fitting.model import Box, Model, norm
from optimizers.fitting.site import Point, Site
from optimizers.options.table import is_number
from optimizers.result import StopReason

_EPS = float(np.finfo(np.float64).eps)
#: The share of the columns' norms in the scale of the variables; the rest is their own size. The
#: norms alone spoil problems whose columns change much, and sizes alone those of bad units.
_BY_COLUMNS = 0.25
#: A step is accepted if it achieves this fraction of the predicted decrease; below the next
#: fraction the radius shrinks.
_TAKEN, _POOR = 1e-4, 0.25
#: The Jacobian is updated only after a step that the model missed by less than this part of the
#: change, and that left less than the other part of the value.
_LINEAR, _FALLEN = 0.15, 0.75
#: Residuals may be rough after this many failures in a row with one measured Jacobian, or after a
#: step that changes no variable by more than a fraction, and still misses the model by that
#: fraction of the change.
_FAILURES, _SHORT, _MISSED = 3, 0.01, 0.3
#: How long the second step is that is tried in one wave, compared with the first.
_SHORTER = 0.25


class Search:
    """One search: its point, the trust in the model, and the distance of the solution.

    Parameters
    ----------
    site : Site
        The start.
    tolerance : float
        The accepted relative error of a variable.
    updates : bool
        Whether to update the Jacobian instead of measuring it if residuals are nearly linear.
    noise : float, "estimate" or None
        The standard deviation of the value, or "estimate" if residuals may be rough; None to detect
        noise when steps fail.
    is_coarse : callable
        Returns whether residuals had less than double precision.
    """

    def __init__(
        self,
        site: Site,
        tolerance: float,
        updates: bool,
        noise: float | str | None,
        is_coarse: Callable[[], bool] = lambda: False,
    ) -> None:
        self.site = site
        self.convergence = Convergence(tolerance)
        self._updates, self._noise, self._is_coarse = updates, noise, is_coarse
        self._seeks_noise = self._seeks_roughness = noise is None
        n = site.probes.typical.size
        self._curvature = Curvature(n)
        self._radius = np.nan
        # The Jacobian before the last step, and the step.
        self._change: tuple[Array, Array] | None = None
        self._updated = self._visits = self._failed = 0
        # How many bent steps to skip, since the last ones did not help.
        self._rest = self._pause = 0
        self._first = np.inf
        # The decrease of half the sum of squares in the last step that was not judged.
        self._fall = 0.0
        #: Which test was met, in words.
        self.ending = ""

    @property
    def has_fallen(self) -> bool:
        """Whether the value has visibly fallen."""
        return self._first - self.site.at.cost > self.site.level

    def steps(self, x0: Array, maxiter: int) -> Asking[StopReason]:
        """Search, and return why it ended."""
        site = self.site
        stop = yield from self._begin(x0)
        for _ in range(maxiter):
            if stop is not None:
                return stop
            stop = yield from self._iterate()
            gradient = site.gradient if site.is_measured else None
            yield Step(site.at.x, site.at.fun, gradient)
        return stop or StopReason.MAXITER

    def _begin(self, x: Array) -> Asking[StopReason | None]:
        site = self.site
        ahead = site.ahead(x, False)
        start, *known = yield from site.ask(np.vstack([x, ahead]), leads_on=True)
        site.go(start)
        self._first = start.cost
        if not np.isfinite(start.cost):
            return StopReason.NO_PROGRESS
        m, n = start.raw.size, x.size
        if m < n and not site.probes.has_bounds:
            raise InvalidInputError(
                f"fun returned {m} residuals for {n} variables, expected at least as many, since "
                "LM supports fewer only within bounds: use TRF."
            )
        if is_number(self._noise):
            site.believe(self._noise)
            known = [] if self._noise else known
        yield from site.measure(False, known)
        yield from site.resize()
        is_coarse = self._seeks_noise and not site.is_exact and self._is_coarse()
        if self._noise == "estimate" or is_coarse:
            self._seeks_roughness = False
            yield from site.look_beside()
        elif self._seeks_noise and not site.is_exact and site.is_suspect:
            self._seeks_noise = False
            yield from site.look_again()
        return None

    def _plan(self) -> Plan:
        """Return the next step by the model at the current point."""
        site, at, probes = self.site, self.site.at, self.site.probes
        columns = site.columns
        if not columns.all():
            columns = np.where(columns > 0, columns, 1.0)
        scale = columns**_BY_COLUMNS * probes.typical ** (_BY_COLUMNS - 1.0)
        box = None
        if probes.has_bounds:
            is_low, is_high = at.x <= probes.lower, at.x >= probes.upper
            slope = site.gradient
            held = (is_low & (slope > 0)) | (is_high & (slope < 0)) | (is_low & is_high)
            box = Box(probes.lower - at.x, probes.upper - at.x, ~held)
        plain = Model(site.jacobian, at.residuals, scale, box)
        if np.isnan(self._radius):
            self._radius = plain.length(probes.typical)
        plan = Plan.within(self._radius, plain, probes.size(at.x))
        # The last steps are full ones, which show the remaining error.
        if not self._curvature.is_better or (self.convergence.is_final and not plan.damping):
            return plan
        rows = self._curvature.rows()
        jacobian = np.vstack([site.jacobian, rows])
        residuals = np.concatenate([at.residuals, np.zeros(len(rows))])
        curved = Model(jacobian, residuals, scale, box)
        return replace(Plan.within(self._radius, curved, probes.size(at.x)), is_plain=False)

    def _plan_in_sight(self) -> Plan:
        """Return the next step, with a radius large enough not to miss a distant solution."""
        site, plan = self.site, self._plan()
        while (
            not self._failed
            and plan.damping
            and plan.gain <= 1e-13 * site.at.cost
            and plan.full_gain > 1e-7 * site.at.cost
            and site.is_steep
        ):
            self._radius *= 1e3
            plan = self._plan()
        return plan

    def _iterate(self) -> Asking[StopReason | None]:
        site, at, near = self.site, self.site.at, self.convergence
        plan, noise = self._plan_in_sight(), site.probes.noise
        if noise and site.is_measured and (plan.gain < site.level or self._failed >= _FAILURES):
            self._visits += 1
            if self._visits > site.patience:
                return StopReason.NOISE
            yield from site.average()
            self._failed = 0
            self._radius = max(self._radius, plan.model.length(plan.step))
            return None
        if at.cost <= _EPS**2 * self._first and site.is_exhausted:
            return StopReason.FUN
        if not (np.isfinite(plan.gain) and self._radius > 1e-15 * plan.model.length(at.x)):
            return StopReason.NO_PROGRESS
        is_stuck = near.note(plan, at.cost, self._fall, site.is_measured)
        if not (noise or near.is_final) and (is_stuck or near.is_near(plan, at.cost)):
            self._begin_final(plan)
            waits = is_stuck or site.width <= 1
            if not site.is_measured or (not site.is_exact and waits):
                yield from self._measure(True, [])
                return None
            plan = self._plan()
        is_ready = near.is_final and site.is_measured
        is_last = is_ready and site.is_central and near.ends(plan, at.cost)
        if is_last and self._seeks_roughness and site.has_idle_variables:
            self._seeks_roughness = False
            if (yield from site.look_beside()):
                return None
        if is_last and self._failed and plan.full_gain > 1e-7 * at.cost and site.is_steep:
            return StopReason.NO_PROGRESS  # although the model predicts a decrease
        if self._change is not None and site.is_measured and plan.damping and plan.is_plain:
            before, last = self._change
            bent = bent_by_change(plan, site.jacobian, before, last)
            plan = plan if bent is None else replace(plan, step=bent)
        central = near.is_final or (not noise and site.is_measured and near.is_near_after(plan))
        plan, trial, known = yield from self._try(plan, central, is_last)
        if is_last or (is_ready and plan.is_plain and not plan.damping):
            return (yield from self._step_finally(plan, trial, known, is_last))
        return (yield from self._judge(plan, trial, known, central))

    def _measure(self, central: bool, known: list[Point]) -> Asking[None]:
        yield from self.site.measure(central, known)
        self._updated = self._failed = 0

    def _begin_final(self, plan: Plan) -> None:
        self.convergence.begin_final()
        if plan.long < 1e-3:
            self._radius = np.inf

    def _try(
        self, plan: Plan, central: bool, is_last: bool
    ) -> Asking[tuple[Plan, Point, list[Point]]]:
        """Return the tried step, its point, and the known probes there.

        Idle workers evaluate the probes too, and one more a shorter step, which is used if the
        first one fails.
        """
        site, probes = self.site, self.site.probes
        x = site.at.x
        plans = [plan]
        has_room = site.width >= x.size + 2 and not site.is_joint
        if plan.damping and not is_last and has_room:
            shorter = _SHORTER * plan.model.length(plan.step)
            plans.append(Plan.within(shorter, plan.model, probes.size(x)))
        if site.width <= 1 or (is_last and len(plans) == 1):
            there = probes.clipped(x + plan.step)
            return plan, (yield from site.ask_one(there, leads_on=not is_last)), []
        points = [probes.clipped(x + plan.step) for plan in plans]
        if not is_last:
            points += list(site.ahead(points[0], central)[: site.width - len(plans)])
        trial, *found = yield from site.ask(np.array(points), leads_on=not is_last)
        if len(plans) > 1 and site.at.cost - trial.cost <= _TAKEN * plan.gain:
            return plans[1], found[0], []
        return plan, trial, found[len(plans) - 1 :]

    def _step_finally(
        self, plan: Plan, trial: Point, known: list[Point], is_last: bool
    ) -> Asking[StopReason | None]:
        """Make a step that is not judged by its decrease."""
        site = self.site
        is_better = trial.cost <= site.at.cost * (1.0 + 1e-13)
        self.convergence.is_undisturbed |= is_better
        step = trial.x - site.at.x
        self._fall = site.at.cost - trial.cost
        if is_better:
            site.go(trial)
        if is_last:
            self.ending = self.convergence.words(plan)
            return StopReason.CONVERGED
        if is_better:
            yield from self._measure(True, known)
        else:
            self._failed += 1
            self._radius = 0.25 * plan.model.length(step)
        return None

    def _judge(
        self, plan: Plan, trial: Point, known: list[Point], central: bool
    ) -> Asking[StopReason | None]:
        """Accept or reject a step by its decrease; adapt the radius; get the next Jacobian."""
        site, at, near = self.site, self.site.at, self.convergence
        noise, level, was_measured = site.probes.noise, site.level, site.is_measured
        ratio = (at.cost - trial.cost + 2 * level) / max(plan.gain + 2 * level, 1e-300)
        if was_measured and site.width <= 1:
            bent = yield from self._bend(plan, trial)
            if bent is not None:
                ratio = max(ratio, min(1.0, (at.cost - bent.cost) / max(plan.gain, 1e-300)))
                trial = bent
        is_taken = ratio > _TAKEN
        self._failed += not is_taken
        step = trial.x - at.x
        linear = site.jacobian @ step
        is_finite, miss = bool(np.isfinite(trial.cost)), np.inf
        if is_finite:
            error = trial.residuals - at.residuals - linear
            miss = norm(error) / max(norm(linear), 1e-300)
        is_odd = is_finite and plan.short < _SHORT and miss > _MISSED
        if was_measured and (is_odd or not is_taken) and (yield from self._finds_noise(is_odd)):
            self._radius, self._change = np.nan, None
            return None
        is_spent = plan.gain <= 1e-7 * at.cost or plan.long <= 1e-4
        may_end = was_measured and not (noise or near.is_final or site.is_exact)
        if may_end and ratio < _POOR and is_spent:
            self._begin_final(plan)
            if is_taken:
                site.go(trial)
            yield from self._measure(True, known if is_taken and central else [])
            return None
        if was_measured and is_finite and not noise:
            fall = -float(linear @ (at.residuals + 0.5 * linear))
            self._curvature.judge(step, at.cost - trial.cost - fall)
        self._adapt(plan, trial, ratio, miss)
        near.is_undisturbed = is_taken and was_measured
        before, slope_before = site.jacobian, site.gradient
        if not is_taken:
            if not was_measured:
                yield from self._measure(False, [])
            return None
        site.go(trial)
        self._change = None
        is_linear = miss < _LINEAR and trial.cost < _FALLEN * at.cost
        if is_linear and self._updates and self._updated < step.size >= site.width:
            weighted = plan.model.scale**2 * step
            site.jacobian = before + np.outer(error, weighted) / float(weighted @ step)
            self._updated += 1
            return None
        yield from self._measure(central, known)
        if was_measured and not noise:
            self._change = before, step
            slope = before.T @ trial.residuals
            gradients = site.gradient - slope_before
            self._curvature.update(step, gradients, site.gradient - slope)
        if central and not near.is_final:
            near.begin_final()
            self._radius = np.inf
        return None

    def _finds_noise(self, is_odd: bool) -> Asking[bool]:
        """Return whether noise caused a poor step; each check for noise is made once."""
        if self.site.probes.noise:
            return False
        if self._seeks_noise and not is_odd:
            self._seeks_noise = False
            return (yield from self.site.look_again())
        may_be_rough = self._seeks_roughness and (is_odd or self._failed >= _FAILURES)
        if may_be_rough and not self.site.is_exact:
            self._seeks_roughness = False
            return (yield from self.site.look_beside())
        return False

    def _bend(self, plan: Plan, trial: Point) -> Asking[Point | None]:
        """Return a point on a bent step that improves on a trial that gained too little."""
        site, at = self.site, self.site.at
        is_poor = np.isfinite(trial.cost) and at.cost - trial.cost < 0.5 * plan.gain
        if not is_poor or plan.gain <= 1e-10 * at.cost or not plan.is_plain:
            return None
        if self._rest:
            self._rest -= 1
            return None
        error = trial.residuals - at.residuals - site.jacobian @ (trial.x - at.x)
        bent = bent_by_trial(plan, error, min(at.cost, trial.cost))
        if bent is None:
            return None
        x = site.probes.clipped(at.x + bent)
        found = yield from site.ask_one(x, leads_on=True)
        if found.cost < trial.cost:
            self._pause = 0
            return found
        self._rest = self._pause = min(8, 2 * self._pause + 1)
        return None

    def _adapt(self, plan: Plan, trial: Point, ratio: float, miss: float) -> None:
        """Adapt the radius to how well the model predicted a trial."""
        site, at = self.site, self.site.at
        step = trial.x - at.x
        length = plan.model.length(step)
        if ratio >= _POOR:
            if not plan.damping and ratio > 0.5:
                self._radius = 2.0 * length
            elif ratio > 0.75:
                # The model's error grows with the length: after a small error, try a long step.
                longer = max(2.0, min(100.0, 0.01 / max(miss, 1e-300)))
                self._radius = max(self._radius, longer * length)
            return
        shorter = 0.5
        if not np.isfinite(trial.cost):
            shorter = 0.1
        elif trial.cost >= at.cost:  # to the minimum of a parabola
            slope = float(at.residuals @ (site.jacobian @ step))
            shorter = 0.5 * slope / (slope - (trial.cost - at.cost)) if slope < 0 else 0.25
            shorter = max(0.1, min(0.5, shorter))
        if site.is_measured:
            self._radius = shorter * length
        elif ratio <= _TAKEN:
            self._radius *= max(shorter, 0.5)
