"""A journal as an Optuna study, which optuna-dashboard shows."""

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from optimizers.errors import MissingExtraError
from optimizers.journal.header import bounds_of, sign_of
from optimizers.journal.records import Record


def study_of(recording: Any, storage: Any, name: str | None) -> Any:
    """Return a new study with a trial for each evaluation; see :meth:`Recording.to_optuna`."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("to_optuna needs optuna: pip install optuna.") from error
    header, sign = recording.header, sign_of(recording.header)
    study = optuna.create_study(
        storage=storage,
        study_name=name or f"{header['optimizer']} {header['created']}",
        direction="minimize" if sign > 0 else "maximize",
    )
    study.set_user_attr("stop", recording.result.stop.sentence)
    study.set_user_attr("settings", header["settings"])
    real = [r for r in recording.records if r.kind in ("fun", "both") and r.x.dtype == np.float64]
    spaces = _spaces(recording, optuna.distributions.FloatDistribution)
    began = datetime.fromisoformat(header["created"]).astimezone().replace(tzinfo=None)
    for number, record in enumerate(real):
        ended = began + timedelta(seconds=record.seconds or 0.0)
        is_good = isinstance(record.fun, float) and math.isfinite(record.fun)
        states = optuna.trial.TrialState
        study.add_trial(
            optuna.trial.FrozenTrial(
                number=number,
                trial_id=number,
                state=states.COMPLETE if is_good else states.FAIL,
                value=sign * record.fun if is_good else None,
                datetime_start=began,
                datetime_complete=ended,
                params=dict(zip(spaces, record.x.tolist(), strict=True)),
                distributions=spaces,
                user_attrs=_attributes(record),
                system_attrs={},
                intermediate_values={},
            )
        )
        began = ended
    return study


def _spaces(recording: Any, space: Any) -> dict[str, Any]:
    """Return the interval of each variable: its bounds, or what was visited."""
    points = recording.points
    names = recording.header["problem"].get("names")
    bounds = bounds_of(recording.header) or [(-math.inf, math.inf)] * points.shape[1]
    found = {}
    for i, (low, high) in enumerate(bounds):
        lower, upper = float(points[:, i].min()), float(points[:, i].max())
        ends = (low if math.isfinite(low) else lower, high if math.isfinite(high) else upper)
        found[names[i] if names else f"x[{i}]"] = space(*ends)
    return found


def _attributes(record: Record) -> dict[str, Any]:
    known = {
        "run": record.run,
        "wave of evaluation": record.ask,
        "worker": record.worker,
        "failure": record.failure,
        "standard error": record.error,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}
