"""All kinds of figures."""

from ml_experiment_runner.signals.drift.figures import (
    association,
    copies,
    counts,
    groups,
    numbers,
    places,
    texts,
    times,
)
from ml_experiment_runner.signals.drift.figures.table import Figures

FIGURES: tuple[Figures, ...] = (
    counts.Volume(),
    counts.Coverage(),
    counts.Nulls(),
    counts.CodeShares(),
    times.Hours(),
    times.Weekdays(),
    times.Precision(),
    numbers.Tails(),
    numbers.Levels(),
    numbers.Variety(),
    groups.GroupLevels(),
    places.PlaceLevels(),
    groups.HourLevels(),
    groups.MeanTimes(),
    association.Association(),
    texts.TextForms(),
    copies.Copies(with_time=True),
    copies.Copies(with_time=False),
    copies.Again(),
)
