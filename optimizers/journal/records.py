"""Records: one evaluation each, as a line of JSON that keeps every number exactly.

Vectors are base64 of their bytes, float64 or complex128 in little-endian order: exact, and about
thirty times as fast to write as decimal digits.
"""

import json
import math
import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from optimizers._shown import short
from optimizers._types import Array

#: What was evaluated: ``fun``, ``jac``, both in one call (``jac=True``), ``hess`` or ``hessp``.
Kind = Literal["fun", "jac", "both", "hess", "hessp"]

_KINDS = frozenset(get_args(Kind))
_IS_LITTLE = sys.byteorder == "little"

#: The field that marks a probe in a line.
PROBE = ',"probe":true'
#: The lower bits of a question's number count within its run; the upper ones are the run's number.
RUN_BITS = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One evaluation.

    Parameters
    ----------
    seq : int
        Its number in the order of asking, from 0.
    kind : {"fun", "jac", "both", "hess", "hessp"}
        What was evaluated; "both" is ``fun`` with ``jac=True``.
    x : ndarray of float64 or complex128, shape (n,)
        The point, exact; for "hessp" the point and the vector, shape (2n,).
    fun : float or complex, optional
        The value, finite or not.
    jac : ndarray of float64, optional
        The gradient, shape (n,); for "hess" (n * n,), for "hessp" the product, shape (n,). For
        residuals the Jacobian, row by row, or its entries at ``cells``.
    failure : str, optional
        The failure, if there is neither.
    seconds : float, optional
        How long it took; the mean over the points of a call with several.
    worker : str
        The process or thread that did it; empty for the caller's own.
    precision : float
        The machine epsilon of the value, if it is larger than that of float64; otherwise 0.0.
    ask : int
        The ``seq`` of the first point of the same question.
    part : int
        The ``seq`` of the first point whose answer arrived at the same time.
    is_late : bool
        Whether it arrived when nobody waited for it any longer.
    error : float, optional
        The value's standard error, if the objective returned it.
    residuals : ndarray of float64 or complex128, shape (m,), optional
        The residuals, if the objective returns them.
    cells : ndarray of int64, optional
        For a sparse Jacobian: the number of rows, and the positions of its entries, row by row.
    is_probe : bool
        Whether the algorithm did not ask for the point, but the gradient at another one, a
        measurement of noise or a check of the end.
    shots : int, optional
        With how many shots it was evaluated, if the objective takes their number.

    Examples
    --------
    >>> record = Record(0, "fun", np.array([0.1, 0.2]), 0.3)
    >>> record.text()
    '{"seq":0,"kind":"fun","x":"mpmZmZmZuT+amZmZmZnJPw==","f":0.3}'
    >>> Record.from_entry(json.loads(record.text())).x.tolist()
    [0.1, 0.2]
    """

    seq: int
    kind: Kind
    x: NDArray[Any]
    fun: float | complex | None = None
    jac: Array | None = None
    failure: str | None = None
    seconds: float | None = None
    worker: str = ""
    precision: float = 0.0
    ask: int = -1
    part: int = -1
    is_late: bool = False
    error: float | None = None
    residuals: NDArray[Any] | None = None
    cells: NDArray[np.int64] | None = None
    is_probe: bool = False
    shots: int | None = None

    __repr__ = short

    @property
    def run(self) -> int:
        """The index of its run, from 0; the numbers of a run are run * 2**32 + 0, 1, 2, ..."""
        return self.seq >> RUN_BITS

    @property
    def is_failed(self) -> bool:
        """Whether it has no value, or one that is not finite."""
        if self.failure is not None or (self.fun is not None and not np.isfinite(self.fun)):
            return True
        return self.jac is not None and not np.isfinite(self.jac).all()

    def text(self) -> str:
        """Return the record as a line of JSON, without the end of the line."""
        further = ""
        if self.failure is not None:
            further += f',"error":{json.dumps(self.failure)}'
        if self.worker:
            further += f',"worker":{json.dumps(self.worker)}'
        if self.precision:
            further += f',"eps":{self.precision!r}'
        if self.error is not None:
            further += f',"se":{self.error!r}'
        if self.shots is not None:
            further += f',"shots":{self.shots}'
        if self.residuals is not None:
            further += f',"r":"{encoded(np.ascontiguousarray(self.residuals))}"'
        if self.cells is not None:
            further += f',"cells":"{encoded(self.cells)}"'
        for name, value in (("ask", self.ask), ("part", self.part)):
            if value not in (self.seq, -1):
                further += f',"{name}":{value}'
        if self.is_late:
            further += ',"late":true'
        if self.is_probe:
            further += PROBE
        x = encoded(self.x)
        if self.x.dtype == np.complex128:
            further += ',"complex":true'
        return line(self.seq, self.kind, x, self.fun, self.jac, self.seconds, further)

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> "Record":
        """Return the record in a parsed line of JSON."""
        is_complex = bool(entry.get("complex"))
        seq, gradient, failure = whole(entry["seq"]), entry.get("g"), entry.get("error")
        worker, dtype = entry.get("worker", ""), np.complex128 if is_complex else np.float64
        residuals, cells, shots = entry.get("r"), entry.get("cells"), entry.get("shots")
        if entry["kind"] not in _KINDS:
            raise ValueError(f"kind is {entry['kind']!r}")
        if not isinstance(worker, str) or not isinstance("" if failure is None else failure, str):
            raise TypeError("worker or error is not text")
        return cls(
            seq,
            entry["kind"],
            decoded(entry["x"], dtype),
            _number(entry.get("f")),
            None if gradient is None else decoded(gradient),
            failure,
            real(entry.get("t")),
            worker,
            float(entry.get("eps", 0.0)),
            whole(entry.get("ask", seq)),
            whole(entry.get("part", seq)),
            bool(entry.get("late")),
            real(entry.get("se")),
            None if residuals is None else decoded(residuals, dtype),
            None if cells is None else decoded(cells, np.int64),
            bool(entry.get("probe")),
            None if shots is None else whole(shots),
        )


def is_behind(seq: int, other: int) -> bool:
    """Return whether a question is another of the same run, or was asked after that."""
    return seq >= other and seq >> RUN_BITS == other >> RUN_BITS


def compact(entry: dict[str, Any]) -> str:
    """Return an entry as a line of JSON."""
    return json.dumps(entry, separators=(",", ":"))


def line(
    seq: int,
    kind: str,
    x: str,
    fun: float | complex | None,
    jac: Array | None,
    seconds: float | None,
    further: str = "",
) -> str:
    """Return a record as a line of JSON; the usual case is fast."""
    text = f'{{"seq":{seq},"kind":"{kind}","x":"{x}"'
    if fun is not None:
        text += f',"f":{digits(fun)}'
    if jac is not None:
        text += f',"g":"{encoded(jac)}"'
    if seconds is not None:
        text += f',"t":{seconds:.3g}'
    return text + further + "}"


def encoded(x: NDArray[Any]) -> str:
    """Return the exact text of a vector."""
    return b2a_base64((x if _IS_LITTLE else x.byteswap()).data, newline=False).decode()


def decoded(text: str, dtype: type[np.generic] = np.float64) -> NDArray[Any]:
    """Return the vector of a text, as a new array."""
    little = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(a2b_base64(text, strict_mode=True), little).astype(dtype)


def digits(value: float | complex) -> str:
    """Return a value as JSON has it: NaN and infinities are texts."""
    if isinstance(value, complex):
        return f"[{digits(value.real)},{digits(value.imag)}]"
    # JSON has no NaN and no infinity. A NumPy number prints its type.
    return float.__repr__(value) if math.isfinite(value) else f'"{float(value)}"'


def whole(value: Any) -> int:
    """Return a whole number >= 0 that was read; raise TypeError for anything else."""
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r:.50} is not a whole number >= 0")
    return value


def real(value: Any) -> float | None:
    """Return a real value that was read."""
    return None if value is None else float(value)


def _number(value: Any) -> float | complex | None:
    if isinstance(value, list):
        real_part, imaginary = value
        return complex(float(real_part), float(imaginary))
    return real(value)


def counts_of(records: Iterable[Record]) -> dict[str, int]:
    """Return the counts of function calls, shots and waves in records, by name."""
    records = list(records)
    kinds = [record.kind for record in records]
    return {
        "nshots": sum(record.shots or 0 for record in records),
        "njobs": len({record.ask for record in records if record.kind in ("fun", "both", "jac")}),
        "nfev": kinds.count("fun") + kinds.count("both"),
        "njev": kinds.count("jac") + kinds.count("both"),
        "nhev": kinds.count("hess") + kinds.count("hessp"),
    }
