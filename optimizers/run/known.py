"""Known answers: a wrapper of a solve that answers from points known before the run."""

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable

import numpy as np
from typing_extensions import override

from optimizers.evaluation.answers import joined_answer
from optimizers.evaluation.evaluator import Evaluator, Part
from optimizers.evaluation.wave import Answer, Block, Cost, Kind, RowsOfBlock, Wave
from optimizers.problem.known import KnownPoints
from optimizers.run.outcome import Outcome
from optimizers.run.run import Run
from optimizers.run.solve import Solve


def informed(points: KnownPoints) -> Callable[[Solve], Solve]:
    """Return the wrapper that answers from known points, and lets the algorithm learn from them."""

    def wrapped(solve: Solve) -> Solve:
        def solving(run: Run) -> Outcome:
            inner, run.known_points = run.waves.evaluator, points
            run.waves.take_through(KnownEvaluator(inner, points))
            try:
                return run.complete(solve(run))
            finally:
                run.waves.take_through(inner)

        return solving

    return wrapped


class KnownEvaluator(Evaluator):
    """Answers at known points, and passes the rest of a wave to another evaluator.

    Each known answer is used once: a run that asks again, to see noise, gets a new one, and a run
    that is repeated gets the same ones in the same order.
    """

    is_informed = True

    def __init__(self, inner: Evaluator, points: KnownPoints) -> None:
        # Not the base's: its checks have been made, and its state is that of the inner evaluator.
        self._inner, self._points = inner, points
        self.facts = inner.facts
        self.facts.known = self.facts.known or 0
        keys = [x.tobytes() for x in points.x]
        slopes = _by_point((int(i), keys[i]) for i in np.flatnonzero(points.has_jac))
        # An objective that returns both is never asked for one alone.
        self._rows = {"fun": _by_point(enumerate(keys)), "jac": slopes, "both": slopes}

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def cost(self, block: Block) -> Cost:
        if block.kind == "jac":
            return Cost(0)
        taken = self._take(block)
        self._put_back(block.kind, taken)
        known = sum((block.cost_of(slice(row, row + 1)) for row in taken), Cost(0))
        return block.cost - known

    @override
    def answers(self, wave: Wave) -> Generator[Part, None, None]:
        taken = {id(block): self._take(block) for block in wave.blocks}
        asked, origins = list[Block](), dict[int, tuple[Block, list[int]]]()
        is_first_needed = wave.is_first_needed and 0 not in taken[id(wave.blocks[0])]
        required = before = 0
        for block in wave.blocks:
            known = taken[id(block)]
            rows = [row for row in range(len(block.points)) if row not in known]
            required += sum(before + row < wave.required_rows for row in rows)
            before += len(block.points)
            if rows:
                asked.append(RowsOfBlock(block, rows) if known else block)
                origins[id(asked[-1])] = block, rows
        try:
            for block in wave.blocks:
                yield from self._known(block, taken[id(block)])
            if asked:
                inner = Wave(asked, wave.retries, wave.deadline, required, is_first_needed)
                yield from self._evaluated(wave, inner, origins)
        finally:
            for block in wave.blocks:
                self._put_back(block.kind, taken[id(block)])

    def _known(self, block: Block, taken: dict[int, int]) -> Generator[Part, None, None]:
        """Yield the known rows of a block, and remove them from those to be put back."""
        for row, i in list(taken.items()):
            del taken[row]
            self.facts.precision = max(self.facts.precision, self._points.precision)
            assert self.facts.known is not None
            self.facts.known += block.kind != "jac"
            yield block, slice(row, row + 1), self._answer(block, i)

    def _evaluated(
        self, wave: Wave, inner: Wave, origins: dict[int, tuple[Block, list[int]]]
    ) -> Generator[Part, None, None]:
        """Yield the rows that the other evaluator answers."""
        answers = self._inner.answers(inner)
        try:
            for one, part, answer in answers:
                block, rows = origins[id(one)]
                if one is block:
                    yield block, part, answer
                    continue
                for i, row in enumerate(rows[part]):
                    own = answer if isinstance(answer, BaseException) else answer[i : i + 1]
                    yield block, slice(row, row + 1), own
        finally:
            answers.close()
            wave.late += inner.late

    def _answer(self, block: Block, i: int) -> Answer:
        """Return what the function of a block would return at a known point."""
        points = self._points
        if block.kind == "fun":
            if points.residuals is not None:
                return np.array([[points.fun[i], np.nan, *points.residuals[i]]])
            return joined_answer(points.fun[i : i + 1], points.errors[i : i + 1])
        answer = np.empty(1, dtype=object)
        slope = points.jac[i].copy() if points.residuals is None else points.jacobians[i]
        value = points.fun[i].item() if points.residuals is None else points.residuals[i].copy()
        answer[0] = (value, slope) if block.kind == "both" else slope
        return answer

    def _take(self, block: Block) -> dict[int, int]:
        """Return, and remove, the known rows for the rows of a block."""
        table, taken = self._rows[block.kind], dict[int, int]()
        if block.points.dtype == np.float64:
            for row, x in enumerate(block.points + 0.0):
                known = table.get(x.tobytes())
                if known:
                    taken[row] = known.popleft()
        return taken

    def _put_back(self, kind: Kind, taken: dict[int, int]) -> None:
        for i in reversed(taken.values()):
            self._rows[kind][self._points.x[i].tobytes()].appendleft(i)


def _by_point(rows: Iterable[tuple[int, bytes]]) -> dict[bytes, deque[int]]:
    """Return the rows of each point, by its bytes."""
    table = defaultdict[bytes, deque[int]](deque)
    for i, key in rows:
        table[key].append(i)
    return table
