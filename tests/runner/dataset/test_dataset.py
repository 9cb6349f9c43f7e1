"""Datasets: what is in them, what may not be, and when they are assembled anew."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.config.structure import renamed_key
from ml_experiment_runner.dataset import assemble as module
from ml_experiment_runner.dataset import plan as planning
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.dataset.splits import split_at_random, split_by_time
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.ingest import ingest
from support.data_project import DataProject, Recorder, replace


def raw(project: DataProject) -> pl.DataFrame:
    frame = pl.read_csv(project.source("visits"), null_values="NA", try_parse_dates=True)
    return frame.with_columns(prediction_time=pl.col("at") + pl.duration(minutes=pl.col("minute")))


# ---------------------------------------------------------------- contents


def test_rows_without_label_are_left_out_and_counted(project: DataProject) -> None:
    data = load_dataset(project.config())
    missing = raw(project)["spent"].null_count()
    assert data.dropped == missing > 0
    assert data.frame.height == 2400 - missing


def test_label_and_features_are_what_the_expressions_say(project: DataProject) -> None:
    data = load_dataset(project.config())
    expected = raw(project).drop_nulls("spent").sort("at", "shop", "visitor")
    features, _ = data.split("train")
    labels = [*data.split("train")[1], *data.split("validation")[1], *data.split("test")[1]]
    assert labels == (expected["spent"] > 10).cast(int).to_list()
    assert features["minute"].to_list() == expected["minute"][: len(features)].to_list()
    assert features.columns == ["hour", "minute", "member", "shop", "price", "size"]
    assert [str(dtype) for dtype in features.dtypes] == [
        "Int64", "Int64", "Boolean", "String", "Float64", "Int64",
    ]  # fmt: skip


def test_price_is_the_last_one_known_before_the_visit(project: DataProject) -> None:
    frame = load_dataset(project.config()).frame
    prices = pl.read_csv(project.source("prices"), try_parse_dates=True)
    known = prices["hour"].dt.offset_by("1h").to_list()
    some = frame.gather_every(97)
    assert 0 < some["price"].null_count() < some.height
    for row in some.iter_rows(named=True):
        usable = [
            price
            for at, price in zip(known, prices["price"], strict=True)
            if timedelta(0) <= row["prediction_time"] - at <= timedelta(hours=6)
        ]
        expected = usable[-1] if usable and row["shop"] == "a" else None
        assert row["price"] == expected


def test_split_by_time_follows_the_calendar_of_the_time_zone(project: DataProject) -> None:
    periods = load_dataset(project.config()).periods
    assert periods["test"][0] >= datetime(2024, 4, 1, 4, tzinfo=UTC)  # midnight in New York
    assert periods["validation"][0] >= datetime(2024, 3, 1, 5, tzinfo=UTC)
    assert periods["train"][1] < datetime(2024, 3, 1, 5, tzinfo=UTC)
    assert periods["validation"][1] < datetime(2024, 4, 1, 4, tzinfo=UTC)
    # nothing is lost at the edges
    assert periods["test"][0] - periods["validation"][1] < timedelta(hours=4)


def test_a_period_begins_with_its_very_first_instant() -> None:
    new_york = [datetime(2024, 2, 1, 5), datetime(2024, 3, 1, 5), datetime(2024, 3, 9)]
    instant = timedelta(microseconds=1)
    times = pl.Series([time - instant for time in new_york[:2]] + new_york)
    splits = split_by_time(times.dt.replace_time_zone("UTC"), "1mo", "1mo", "America/New_York")
    assert splits.to_list() == ["train", "validation", "validation", "test", "test"]


def test_random_split_is_the_same_on_every_machine() -> None:
    keys = [pl.Series(["a", "b", "c", "d", "e", "f"]), pl.Series(range(6))]
    splits = split_at_random(keys, "0.3", "0.3")
    assert splits.to_list() == ["validation", "train", "train", "test", "train", "test"]


def test_split_by_weeks(project: DataProject) -> None:
    chosen = {"by": "time", "validation": "2w", "test": "1w"}
    periods = load_dataset(project.config(split=chosen)).periods
    local = [start.astimezone().weekday() for start, _ in periods.values()]
    assert len(local) == 3
    assert timedelta(days=13) < periods["test"][0] - periods["validation"][0] < timedelta(days=15)


def test_random_split_keeps_rows_in_their_split(project: DataProject) -> None:
    chosen = {"by": "random", "validation": "0.2", "test": "0.1"}
    before = load_dataset(project.config(split=chosen)).frame
    shares = before["split"].value_counts(normalize=True)
    found = dict(shares.iter_rows())
    assert found["validation"] == pytest.approx(0.2, abs=0.03)
    assert found["test"] == pytest.approx(0.1, abs=0.03)
    config = project.config(split=chosen)
    config.now = "2024-02-20T00:00:00+00:00"
    after = load_dataset(config).frame
    assert 0 < after.height < before.height
    assert after["split"].to_list() == before["split"][: after.height].to_list()


def test_now_hides_what_comes_later(project: DataProject) -> None:
    config = project.config()
    config.now = "2024-03-20T12:00:00+00:00"
    data = load_dataset(config)
    last = data.frame["prediction_time"].max()
    assert datetime(2024, 3, 20, 8, tzinfo=UTC) < last < datetime(2024, 3, 20, 12, tzinfo=UTC)
    assert data.periods["test"][0] >= datetime(2024, 3, 1, 5, tzinfo=UTC)


def test_debug_rows_have_both_classes_of_every_split(project: DataProject) -> None:
    whole = load_dataset(project.config())
    config = project.config()
    config.debug.rows = 30
    small = load_dataset(config)
    assert small.frame.height == 30
    for split in ("train", "validation", "test"):
        label = small.split(split)[1]
        assert len(label) == 10
        assert 0 < label.mean() < 1
    # spread over the split, not its beginning
    span = small.periods["train"][1] - small.periods["train"][0]
    assert span > 0.8 * (whole.periods["train"][1] - whole.periods["train"][0])
    assert small.fingerprint != whole.fingerprint
    assert load_dataset(config).frame.equals(small.frame)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ({"features": ["hour", "minut"]}, "features.py has no 'minut'. Did you mean 'minute'?"),
        ({"features": ["hour", "hour"]}, "duplicate feature 'hour'"),
        ({"features": []}, "dataset.features is empty"),
        ({"label": "split"}, "dataset.label: 'split' is a reserved name"),
        ({"label": "spend"}, "dataset.label: features.py has no 'spend'. Did you mean 'spends'?"),
        ({"prediction_time": "arival"}, "features.py has no 'arival'. Did you mean 'arrival'?"),
        ({"spine": "visit"}, "unknown signal 'visit'"),
        ({"joins": {"shops": {"shop": "shop"}}}, "dataset.joins.prices is missing, and"),
        ({"split": {"by": "time", "validation": "3mo", "test": "2mo"}}, "the train split is empty"),
        ({"split": {"by": "time", "validation": "soon", "test": "1mo"}}, "2w or 10d, got 'soon'"),
        ({"split": {"by": "time", "validation": "1mo2w", "test": "1mo"}}, "got '1mo2w'"),
        ({"split": {"by": "time", "validation": "1w", "test": "1d12h"}}, "10d, got '1d12h'"),
        ({"split": {"by": "random", "validation": "1mo", "test": "0.1"}}, "such as 0.2, got '1mo'"),
        ({"split": {"by": "random", "validation": "0.5", "test": "0.5"}}, "less than 1, got 1"),
    ],
)  # fmt: skip
def test_wrong_configuration_names_key_and_what_to_change(
    project: DataProject, dataset: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError) as error:
        load_dataset(project.config(**dataset))
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_what_is_divided_by_zero_is_no_value(project: DataProject) -> None:
    whole = load_dataset(project.config()).frame
    project.features('pl.col("visits.minute")', '1 / (pl.col("visits.minute") - 30)')
    found = load_dataset(project.config()).frame
    assert found["minute"].null_count() == (whole["minute"] == 30).sum() > 0
    assert found["minute"].drop_nulls().is_finite().all()


def test_feature_that_finds_no_row_is_warned_of(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    replace(project.source("shops"), "a,", "x,")
    replace(project.source("shops"), "b,", "y,")
    ingest(project.config(), Recorder())  # type: ignore[arg-type]
    load_dataset(project.config())
    assert "feature 'size' has no value in any row: do rows of visits find any of shops" in (
        caplog.text
    )
    assert "feature 'price'" not in caplog.text


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ('pl.col("visits.spent")', "'visits.spent', which is known only after the event"),
        ('pl.col("visits.minut")', "visits has no field 'minut'. Did you mean 'minute'?"),
        ('pl.col("visit.minute")', "there is no signal 'visit'. Did you mean 'visits'?"),
        ('pl.col("visits.minute").shift()', "reads other rows"),
        ('pl.col("visits.minute") - pl.col("visits.minute").mean()', "reads other rows"),
        ('pl.col("visits.minute").mean().over("visits.shop")', "reads other rows"),
        ('pl.col("visits.minute") * pl.len()', "reads other rows"),
        ('pl.col("visits.minute").map_elements(abs)', "calls a Python function"),
        ("pl.lit(3)", "uses no field"),
        ('pl.sum_horizontal(pl.col("^visits.m.*$"))', "Name each field with pl.col"),
        ('pl.col("visits.minute") + pl.sum_horizontal(pl.all())', "Name each field with pl.col"),
        ('pl.col("visits.shop").str.split("").list.eval(pl.element())', "or pl.element()"),
        ('pl.col("visits.shop") * 2', "feature 'minute' cannot be computed ("),
        ('pl.col("visits.at")', "must be a number, a text or true/false, got Datetime"),
        ("3", "FEATURES['minute']"),
    ],
)
def test_wrong_feature_is_refused_by_name(project: DataProject, expression: str, says: str) -> None:
    project.features('pl.col("visits.minute")', expression)
    with pytest.raises(UserError) as error:
        load_dataset(project.config())
    assert says in str(error.value)
    assert "minute'" in str(error.value)


def test_broken_features_file_is_named_with_its_line(project: DataProject) -> None:
    project.features("LABELS =", "LABELS = nonsense  #")
    with pytest.raises(UserError, match=r"features.py:12: cannot be loaded \(NameError"):
        load_dataset(project.config())


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (
            'pl.col("visits.spent") > 99',
            "all .* rows of the train split are False; change the label",
        ),
        (
            'pl.col("visits.at")',
            "must be a condition such as .*, a text .* or a number, got Datetime",
        ),
        ('pl.col("visits.at").cast(pl.String)', "classes, at most 100 are supported"),
        ('pl.col("visits.spent") * 0 + 7', "all .* rows of the train split are 7.0; change"),
        ('pl.lit("same") + pl.col("visits.shop").str.slice(1)', "train split are same; change"),
        ('pl.col("visits.shop") > 10', "label 'spends' cannot be computed"),
        ('pl.col("prices.price") > 0.5', "may only use the fields of the spine, visits"),
    ],
)
def test_wrong_label_is_refused(project: DataProject, label: str, says: str) -> None:
    project.features('pl.col("visits.spent") > 10', label)
    with pytest.raises(UserError, match=says):
        load_dataset(project.config())


@pytest.mark.parametrize(
    ("label", "task_type", "classes", "dtype"),
    [
        ('pl.col("visits.spent") > 10', "binary", (), "int8"),
        ('(pl.col("visits.spent") > 10).cast(pl.Float64)', "binary", (), "int8"),
        ('pl.col("visits.shop").cast(pl.Categorical)', "multiclass", ("a", "b"), "<U1"),
        ('pl.col("visits.minute")', "regression", (), "float64"),
        ('pl.col("visits.spent")', "regression", (), "float64"),
    ],
)
def test_task_type_follows_from_the_label(
    project: DataProject, label: str, task_type: str, classes: tuple[str, ...], dtype: str
) -> None:
    project.features('pl.col("visits.spent") > 10', label)
    for _ in range(2):  # the second time from the cache
        dataset = load_dataset(project.config())
        assert (dataset.task_type, dataset.classes) == (task_type, classes)
        assert dataset.split("test")[1].dtype == dtype


def test_number_that_is_none_is_no_label(project: DataProject) -> None:
    project.features(
        'pl.col("visits.spent") > 10', 'pl.col("visits.spent") / pl.col("visits.minute")'
    )
    dataset = load_dataset(project.config())
    assert dataset.dropped > 240  # a tenth has no `spent`, and dividing by the minute 0 gives none
    assert np.isfinite(dataset.split("train")[1]).all()


def test_debug_rows_take_every_class_of_every_split(project: DataProject) -> None:
    classes = (
        'pl.when(pl.col("visits.spent") > 19.8).then(pl.lit("much"))'
        '.when(pl.col("visits.spent") > 10).then(pl.lit("some")).otherwise(pl.lit("little"))'
    )
    project.features('pl.col("visits.spent") > 10', classes)
    config = project.config()
    config.debug.rows = 60
    dataset = load_dataset(config)
    for split in ("train", "validation", "test"):
        values, counts = np.unique(dataset.split(split)[1], return_counts=True)
        assert values.tolist() == ["little", "much", "some"]
        assert counts.sum() == 20


def test_classes_of_a_classified_field_are_refused_cached(
    project: DataProject,
) -> None:
    project.features('pl.col("visits.spent") > 10', 'pl.col("visits.shop")')
    config = project.config(features=["hour", "minute"], joins={})
    load_dataset(config)
    _classify(project, "shop")
    with pytest.raises(UserError, match="label 'spends' is a text from a classified field"):
        load_dataset(config)


def test_month_that_has_just_begun_is_no_mistake_of_the_label(project: DataProject) -> None:
    april = 'pl.col("visits.at").dt.month() < 4'
    project.features('pl.col("visits.spent") > 10', f'(pl.col("visits.spent") > 10) & ({april})')
    config = project.config()
    config.now = "2024-04-01T10:00:00-04:00"
    says = r"test split has only \d+ rows, and 'spends' is False in all; widen dataset\.split\.test"
    with pytest.raises(UserError, match=rf"{says} \(now 1mo\), or set `now` later"):
        load_dataset(config)


# ---------------------------------------------------------------- classified fields


def _classify(project: DataProject, field: str) -> None:
    start = f"{{name: {field},"
    replace(project.contract("visits"), start, f"{start} classification: personal,")


def test_features_that_read_a_classified_field_are_known(project: DataProject) -> None:
    assert load_dataset(project.config()).classified == frozenset()
    _classify(project, "minute")
    assert load_dataset(project.config()).classified == {"minute"}


def test_text_of_a_classified_field_is_refused_also_cached(project: DataProject) -> None:
    load_dataset(project.config())
    _classify(project, "shop")
    with pytest.raises(UserError, match="feature 'shop' is a text from a classified") as error:
        load_dataset(project.config())
    assert "leave it out" in str(error.value)
    project.features('pl.col("visits.shop").cast(pl.Categorical)', 'pl.col("visits.shop") == "a"')
    assert load_dataset(project.config()).classified == {"shop"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('pl.col("visits.minute")', 'pl.col("visits.shop").cast(pl.Int64)', "feature 'minute'"),
        ('pl.col("visits.spent") > 10', 'pl.col("visits.visitor") * 0 + 7', "split are the same;"),
    ],
)
def test_messages_show_no_classified_value(
    project: DataProject, old: str, new: str, says: str
) -> None:
    for field in ("shop", "visitor"):
        _classify(project, field)
    project.features(old, new)
    with pytest.raises(UserError, match=says) as error:
        load_dataset(project.config())
    assert "[" not in str(error.value)
    assert "such as" not in str(error.value)


def test_prediction_time_in_a_local_zone_is_the_same_instant(project: DataProject) -> None:
    local = ".dt.convert_time_zone('America/New_York').dt.truncate('1d')"
    project.features('pl.col("visits.at") + pl', f'pl.col("visits.at"){local} + pl')
    data = load_dataset(project.config())
    assert data.frame.schema["prediction_time"] == pl.Datetime("us", "UTC")
    assert data.frame["prediction_time"].min() < datetime(2024, 1, 1, 6, tzinfo=UTC)
    assert data.frame["prediction_time"].dt.hour().max() <= 5
    assert data.frame["price"].null_count() < data.frame.height


def test_now_before_the_first_row_says_that_there_are_none(project: DataProject) -> None:
    config = project.config()
    config.now = "2020-01-01T00:00:00+00:00"
    with pytest.raises(UserError, match="visits has no rows before now=2020-01-01"):
        load_dataset(config)


# ---------------------------------------------------------------- fingerprint and cache


def test_fingerprint_is_the_same_in_another_process(project: DataProject) -> None:
    here = load_dataset(project.config()).fingerprint
    process = project.python(f"""
        from omegaconf import OmegaConf
        from ml_experiment_runner.dataset.dataset import load_dataset
        print("IS", load_dataset(OmegaConf.create({project.config()!s})).fingerprint)
    """)
    output, _ = process.communicate(timeout=120)
    assert f"IS {here}" in output


def test_fingerprint_changes_with_all_that_rows_depend_on(project: DataProject) -> None:
    found = [load_dataset(project.config()).fingerprint]
    found.append(load_dataset(project.config(features=["hour"])).fingerprint)
    chosen = {"by": "time", "validation": "2w", "test": "1mo"}
    found.append(load_dataset(project.config(split=chosen)).fingerprint)
    config = project.config()
    config.now = "2024-03-20T12:00:00+00:00"
    found.append(load_dataset(config).fingerprint)
    project.features("> 10", "> 11")
    found.append(load_dataset(project.config()).fingerprint)
    project.features(".dt.hour()", ".dt.weekday()")
    found.append(load_dataset(project.config()).fingerprint)
    project.features("minutes=", "hours=")
    found.append(load_dataset(project.config()).fingerprint)
    replace(project.contract("prices"), "value: 1, unit: h", "value: 2, unit: h")
    found.append(load_dataset(project.config()).fingerprint)
    replace(project.source("shops"), "a,2020-05-01,12", "a,2020-05-01,13")
    ingest(project.config(), MagicMock(progress=lambda items, *_: items))
    found.append(load_dataset(project.config()).fingerprint)
    assert len(set(found)) == len(found)


def test_rows_of_overfit_have_a_fingerprint_of_their_own(project: DataProject) -> None:
    whole = load_dataset(project.config()).fingerprint
    config = project.config()
    config.debug.rows = 30
    smoke = load_dataset(config).fingerprint
    config.debug.overfit = True
    assert load_dataset(config).fingerprint == f"{smoke}-overfit"
    config.debug.rows = None
    assert load_dataset(config).fingerprint == f"{whole}-overfit"


def test_renaming_package_or_foreign_feature_changes_nothing(
    project: DataProject,
) -> None:
    before = load_dataset(project.config()).fingerprint
    project.features('pl.col("prices.price") /', '2 * pl.col("prices.price") /')
    assert load_dataset(project.config()).fingerprint == before


def test_second_load_reads_the_cache_and_joins_nothing(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dataset(project.config())

    def refuse(*_: Any) -> None:
        raise AssertionError("assembled again")

    monkeypatch.setattr(module, "assemble", refuse)
    second = load_dataset(project.config())
    assert second.frame.equals(first.frame)
    assert (second.fingerprint, second.dropped) == (first.fingerprint, first.dropped)


def test_damaged_cache_is_assembled_again(project: DataProject) -> None:
    first = load_dataset(project.config())
    path = project.root / "data" / "cache" / f"{first.fingerprint}.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    assert load_dataset(project.config()).frame.equals(first.frame)


FEATURE_NAMES = {"hour", "minute", "member", "shop", "price", "size"}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the features that have been computed."""
    names: set[str] = set()
    original = module._computed

    def spy(plan: Any, rows: Any, kind: str, wanted: dict[str, pl.Expr]) -> pl.DataFrame:
        if kind == "feature":
            names.update(wanted)
        return original(plan, rows, kind, wanted)

    monkeypatch.setattr(module, "_computed", spy)
    return names


def receive_anew(project: DataProject) -> None:
    ingest(project.config(), MagicMock(progress=lambda items, *_: items))


def change_price(project: DataProject) -> None:
    replace(project.source("prices"), "a,2024-01-01T05:20:00Z,", "a,2024-01-01T05:20:00Z,1")
    receive_anew(project)


def change_shop(project: DataProject) -> None:
    replace(project.source("shops"), "a,2020-05-01,12", "a,2020-05-01,13")
    receive_anew(project)


def change_visit(project: DataProject) -> None:
    replace(project.source("visits"), "true", "false")
    receive_anew(project)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda project: project.features(".dt.hour()", ".dt.weekday()"), {"hour"}),
        (lambda project: replace(project.contract("prices"), "value: 6", "value: 5"), {"price"}),
        (lambda project: replace(project.contract("prices"), "value: 1,", "value: 2,"), {"price"}),
        (change_price, {"price"}),
        (change_shop, {"size"}),
        (change_visit, FEATURE_NAMES),
        (lambda project: project.features("> 10", "> 11"), FEATURE_NAMES),
        (lambda project: project.features("minutes=", "hours="), FEATURE_NAMES),
    ],
    ids=[
        "expression", "freshness", "latency", "joined data", "state", "spine", "label",
        "prediction time",
    ],
)  # fmt: skip
def test_only_what_changed_is_computed_again_rows_are_same(
    project: DataProject, computed: set[str], change: Callable[[DataProject], None],
    expected: set[str],
) -> None:  # fmt: skip
    load_dataset(project.config())
    assert computed == FEATURE_NAMES
    computed.clear()
    change(project)
    found = load_dataset(project.config())
    assert computed == expected
    shutil.rmtree(project.root / "data" / "cache")
    afresh = load_dataset(project.config())
    assert computed == FEATURE_NAMES
    assert found.frame.equals(afresh.frame)
    assert found.frame.schema == afresh.frame.schema
    assert (found.fingerprint, found.dropped) == (afresh.fingerprint, afresh.dropped)


def test_features_are_taken_from_several_earlier_datasets(
    project: DataProject, computed: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    load_dataset(project.config(features=["hour", "price"]))
    load_dataset(project.config(features=["size", "shop"]))
    computed.clear()
    found = load_dataset(project.config(features=["price", "relative_price", "shop"]))
    assert computed == {"relative_price"}
    assert "2 of 3 features are in the cache; computing relative_price" in caplog.text
    assert found.frame.columns[:3] == ["price", "relative_price", "shop"]
    computed.clear()
    load_dataset(project.config(features=["shop", "price"]))
    assert computed == set()


def test_new_split_computes_no_feature_nor_the_reverse(
    project: DataProject, computed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dataset(project.config())
    computed.clear()
    chosen = {"by": "random", "validation": "0.2", "test": "0.1"}
    before = load_dataset(project.config(split=chosen)).frame
    assert computed == set()
    monkeypatch.setattr(module, "split_at_random", None)
    after = load_dataset(project.config(split=chosen, features=["relative_price"])).frame
    assert after["split"].equals(before["split"])


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda _: b"", lambda _: b"PAR1"])
def test_nothing_is_taken_from_a_damaged_earlier_dataset(
    project: DataProject, computed: set[str], damage: Callable[[bytes], bytes]
) -> None:
    first = load_dataset(project.config())
    path = project.root / "data" / "cache" / f"{first.fingerprint}.parquet"
    path.write_bytes(damage(path.read_bytes()))
    computed.clear()
    found = load_dataset(project.config(features=["hour", "price"]))
    assert computed == {"hour", "price"}
    assert found.frame["price"].equals(first.frame["price"])


def test_dataset_without_noted_columns_is_read_lends_none(
    project: DataProject, computed: set[str]
) -> None:
    first = load_dataset(project.config())
    path = project.root / "data" / "cache" / f"{first.fingerprint}.parquet"
    first.frame.write_parquet(path, metadata={"dropped": "7"})
    computed.clear()
    assert load_dataset(project.config()).dropped == 7
    load_dataset(project.config(features=["hour"]))
    assert computed == {"hour"}


def test_two_processes_at_once_compute_each_feature_once(
    project: DataProject,
) -> None:
    processes = [
        project.python(f"""
            from omegaconf import OmegaConf
            from ml_experiment_runner.dataset import assemble, dataset
            computed = assemble._computed
            def spy(plan, rows, kind, wanted):
                print("COMPUTED", *(name for name in wanted if kind == "feature"))
                return computed(plan, rows, kind, wanted)
            assemble._computed = spy
            data = dataset.load_dataset(OmegaConf.create({project.config(features=names)!s}))
            print("PRICES", data.frame["price"].sum())
        """)
        for names in (["hour", "price", "size"], ["price", "hour", "minute"])
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    lines = "".join(outputs).splitlines()
    names = sorted(name for line in lines if "COMPUTED" in line for name in line.split()[1:])
    assert names == ["hour", "minute", "price", "size"], lines
    assert len({line for line in lines if line.startswith("PRICES")}) == 1


def test_run_records_signals_counts_and_fingerprint(project: DataProject) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.datasets: dict[str, tuple[Any, ...]] = {}
            self.params: dict[str, Any] = {}
            self.provenance: dict[str, Any] = {}
            self.artifacts: dict[str, str] = {}

        def log_artifact(self, path: Path, name: str) -> None:
            self.artifacts[name] = path.read_text()

        def log_dataset(self, signal: str, *values: Any) -> None:
            self.datasets[signal] = values

        def log_params(self, params: dict[str, Any]) -> None:
            self.params |= params

        def log_provenance(self, name: str, value: Any) -> None:
            self.provenance[name] = value

    run = Recorder()
    data = load_dataset(project.config(), run)  # type: ignore[arg-type]
    assert sorted(run.datasets) == ["prices", "shops", "visits"]
    version, md5, origin, rows, context, schema = run.datasets["visits"]
    record = run.artifacts["signals/visits.dvc"]
    assert re.search(rf"md5: {re.escape(md5)}", record)
    assert (version, origin, rows, context) == ("1.0.0", "data/raw/visits.csv", 2400, "spine")
    assert schema["at"] == "timestamp"
    assert run.params["rows.train"] == len(data.split("train")[1])
    assert run.params["rows.without_label"] == data.dropped
    assert run.provenance["dataset.fingerprint"] == data.fingerprint


# ---------------------------------------------------------------- names of before


def test_dataset_cached_under_old_column_names_is_read(
    project: DataProject, computed: set[str]
) -> None:
    first = load_dataset(project.config())
    path = project.root / "data" / "cache" / f"{first.fingerprint}.parquet"
    metadata = pl.read_parquet_metadata(path)
    columns = json.loads(metadata["columns"])
    columns = {key: "part" if name == "split" else name for key, name in columns.items()}
    old = first.frame.rename({"split": "part", "prediction_time": "moment"})
    old.write_parquet(path, metadata={**metadata, "columns": json.dumps(columns)})
    computed.clear()
    assert load_dataset(project.config()).frame.equals(first.frame)
    fewer = load_dataset(project.config(features=["hour"])).frame
    assert fewer["split"].equals(first.frame["split"])
    assert computed == set()


@pytest.mark.parametrize("now", [None, "2024-03-20T00:00:00+00:00"])
def test_fingerprint_is_the_same_as_before_the_names(project: DataProject, now: str | None) -> None:
    config = project.config()
    config.now = now
    snapshots = load_dataset(config).snapshots
    plan = make_plan(config)
    recipe: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_hash", lambda each: recipe.append(each) or "hash")
        plan.fingerprint(snapshots)
        plan.columns(snapshots)
    assert list(recipe[0]) == [
        "recipe", "signals", "spine", "features", "label", "moment", "joins", "split", "now",
    ]  # fmt: skip
    assert list(recipe[1][0]) == ["recipe", "spine", "label", "moment", "now"]


def test_renamed_names_are_answered_by_the_present_one(project: DataProject) -> None:
    dataset = load_dataset(project.config())
    with pytest.raises(AttributeError, match=r"Dataset\.part is called split now"):
        dataset.part("train")
    project.features("PREDICTION_TIMES", "MOMENTS")
    with pytest.raises(UserError) as error:
        load_dataset(project.config())
    assert str(error.value) == (
        f"MOMENTS is called PREDICTION_TIMES now: rename it in src/{project.package}/features.py"
    )


@pytest.mark.parametrize(
    ("key", "present"),
    [("dataset.moment", "dataset.prediction_time"), ("model.max_price", "model.max_quality_gap")],
)
def test_renamed_key_is_answered_by_the_present_one(key: str, present: str) -> None:
    group = key.partition(".")[0]
    assert str(renamed_key(key)) == (
        f"{key} was renamed to {present}: change it in conf/{group}/<name>.yaml, "
        f"or type {present}=VALUE"
    )
