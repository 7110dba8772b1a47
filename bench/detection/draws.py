"""Poisson counts, drawn the quick way."""

import numpy as np
import numpy.typing as npt

_RARE = 0.25  # up to so many in the mean it is quicker to place each event by itself


def poisson(rng: np.random.Generator, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A count for each mean. Where nearly all are 0, events are placed anywhere and thinned: the same distribution."""
    most = float(mean.max())
    if most > _RARE:
        return rng.poisson(mean)
    events = rng.poisson(most * mean.size)
    place = rng.integers(0, mean.size, events)
    kept = place[rng.random(events) * most < mean.ravel()[place]]
    return np.bincount(kept, minlength=mean.size).reshape(mean.shape)
