"""A table without a key of its own gets one of all that a row holds."""

import random
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.cli.new import new
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract import generated_key
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.odcs.yaml_document import parse
from ml_experiment_runner.signals.sources import fetch

BASE = """\
apiVersion: v3.1.0
kind: DataContract
id: tips
version: 1.0.0
status: active
team: {name: Waiters}
support: [{channel: desk}]
servers: [{server: s, type: local, path: tips.csv, format: csv}]
schema:
  - name: tips
    properties:
      - {name: bill, logicalType: number}
      - {name: row_key, logicalType: string, primaryKey: true,
         customProperties: [{property: generatedKey, value: true}]}
      - {name: smoker, logicalType: boolean}
"""
VALUES = {
    "string": st.text(max_size=3) | st.sampled_from(["1", "1-2", "null", '"']),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 1),
    "number": st.floats() | st.sampled_from([0.0, -0.0, 1.0]),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
    "time": st.times(),
}


def contract(text: str = BASE, folder: Path = Path("project")) -> Contract:
    path = folder / "signals" / "tips.yaml"
    return contract_of(parse(text, path), path).complete()


@st.composite
def rows(draw: st.DrawFn) -> tuple[str, list[tuple[object, ...]]]:
    """A contract of any types, and rows of which many are the same."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    one = st.tuples(*(st.none() | VALUES[kind] for kind in kinds))
    some = draw(st.lists(one, min_size=1, max_size=5))
    return ",".join(kinds), draw(st.lists(st.sampled_from(some), min_size=1, max_size=20))


@given(rows(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_key_is_of_what_a_row_holds_and_not_of_its_place(
    table: tuple[str, list[tuple[object, ...]]], chance: random.Random
) -> None:
    kinds, given_rows = table[0].split(","), table[1]
    fields = "".join(
        f"      - {{name: c{place}, logicalType: {kind}}}\n" for place, kind in enumerate(kinds)
    )
    given_contract = contract(BASE + fields)
    types = {
        "bill": pl.Float64,
        "smoker": pl.Boolean,
        **{f"c{place}": schema.DTYPES[kind] for place, kind in enumerate(kinds)},
    }
    frame = pl.DataFrame([(1.5, True, *row) for row in given_rows], types, orient="row")
    keys = generated_key.add(frame, given_contract)["row_key"]
    assert keys.n_unique() == frame.height
    whole = [key.partition("-")[0] for key in keys]
    # as texts: -0.0 and 0.0 are different values, and NaN is one
    written = [repr(row) for row in frame.rows()]
    assert len(set(zip(whole, written, strict=True))) == len(set(whole)) == len(set(written))
    order = list(range(frame.height))
    chance.shuffle(order)
    assert set(generated_key.add(frame[order], given_contract)["row_key"]) == set(keys)


def test_key_stays_the_same_from_one_release_to_the_next() -> None:
    frame = pl.DataFrame({
        "bill": [10.5, 10.5, None], "smoker": [True, True, None],
        "at": [datetime(2024, 1, 1, tzinfo=UTC)] * 3,
    }).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))  # fmt: skip
    text = BASE + "      - {name: at, logicalType: timestamp}\n"
    assert generated_key.add(frame, contract(text))["row_key"].to_list() == [
        "eb218c8cf1334da4b1aac0c9c75cf9e6", "eb218c8cf1334da4b1aac0c9c75cf9e6-2",
        "368fad07166a23ec35f4135b0d719770",
    ]  # fmt: skip


def test_same_rows_have_the_same_keys_in_any_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"bill": [10.5, 3.25, 10.5], "smoker": [True, None, True]})
    frame.write_csv(tmp_path / "tips.csv")
    frame.write_parquet(tmp_path / "tips.parquet")
    frame.write_ndjson(tmp_path / "tips.jsonl")
    received = [
        fetch.fetch_rows(contract(BASE.replace("csv, format: csv", f"{form}, format: {form}"),
                                tmp_path))
        for form in ("csv", "parquet", "jsonl")
    ]  # fmt: skip
    assert received[0].columns == ["bill", "row_key", "smoker"]
    assert received[0].height == 3
    assert received[0].equals(received[1])
    assert received[0].equals(received[2])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("primaryKey: true,", "", "must be a string with `primaryKey: true`"),
        ("row_key, logicalType: string", "row_key, logicalType: integer", "must be a string"),
        ("primaryKey: true,", "primaryKey: true, physicalName: id,", "without a physicalName"),
        ("value: true", "value: maybe", "maybe"),
        ("bill, logicalType: number", "bill, logicalType: number, primaryKey: true",
         "must be the only field of the key"),
    ],
)  # fmt: skip
def test_contract_that_cannot_mean_it_is_told(old: str, new: str, says: str) -> None:
    assert old in BASE
    with pytest.raises(UserError, match=says):
        contract(BASE.replace(old, new))


def test_key_of_classified_values_is_classified_too() -> None:
    text = BASE.replace("bill, logicalType: number", "bill, logicalType: number, "
                        "classification: confidential")  # fmt: skip
    assert contract(text).field("row_key").classification == "confidential"
    assert contract().field("row_key").classification is None


def test_producers_contract_without_a_key_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    theirs = tmp_path / "theirs.yaml"
    lines = [
        line for line in BASE.splitlines() if "row_key" not in line and "generated" not in line
    ]
    theirs.write_text("\n".join(lines) + "\n")
    (tmp_path / "tips.csv").write_text("bill,smoker\n1.5,true\n1.5,true\n2.5,\n")
    assert (
        new(["signal", "tips", "--from", str(theirs), "--source", str(tmp_path / "tips.csv")]) == 0
    )
    text = (tmp_path / "signals" / "tips.yaml").read_text()
    imported = contract(text, tmp_path)
    assert imported.key == ("row_key",)
    assert fetch.fetch_rows(imported).height == 3
