"""Logistic regression in a few lines: weights for a review's signals from cases with known answers.

It reads no case and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from agent.review.judge import Signals

_RIDGE = 1.0  # keeps weights small where a signal tells little
_ROUNDS = 50


def fit(rows: Sequence[tuple[Signals, bool]]) -> list[float]:
    """The weights of the signals, in their order, and the constant; by Newton's method on scaled signals."""
    raw = np.array([astuple(found) for found, _ in rows])
    answers = np.array([float(answer) for _, answer in rows])
    scale = raw.std(axis=0) + 1e-9
    values = np.hstack([raw / scale, np.ones((len(rows), 1))])
    ridge = np.diag([_RIDGE] * raw.shape[1] + [0.0])
    weights = np.zeros(values.shape[1])
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-values @ weights))
        slope = values.T @ (answers - chance) - ridge @ weights
        curvature = (values * (chance * (1 - chance))[:, None]).T @ values + ridge
        weights += np.linalg.solve(curvature, slope)
    return [round(float(weight), 4) for weight in (*(weights[:-1] / scale), weights[-1])]
