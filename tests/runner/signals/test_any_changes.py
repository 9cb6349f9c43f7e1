"""Tables of any shape: a clean month says nothing, a fault is held under its field's name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.drift import detection, sequence
from ml_experiment_runner.signals.drift.rows import Rows
from ml_experiment_runner.signals.drift.values import SingleValue
from support import any_tables, faults
from support.any_tables import SHAPES, Table
from support.faults import FAULTS, NEXT_DAY, Fault, Named, changed


@pytest.fixture(scope="module")
def known() -> dict:
    return {}


@pytest.fixture(autouse=True)
def learned_once(monkeypatch: pytest.MonkeyPatch, known: dict) -> None:
    """The same past is learned once for all tests."""
    learn = detection.learn

    def remembered(contract, frame, days):
        key = (contract.fields, frame.height, frame.hash_rows().sum(), days)
        if key not in known:
            known[key] = learn(contract, frame, days)
        return known[key]

    monkeypatch.setattr(detection, "learn", remembered)


@pytest.fixture(scope="module")
def tables() -> Callable[[str], Table]:
    made: dict[str, Table] = {}
    return lambda name: made.setdefault(name, made.get(name) or SHAPES[name]())


def until(table: Table, month: str) -> Table:
    """The table as it was at the end of a month."""
    return replace(
        table,
        frame=pl.concat([table.months[each] for each in sorted(table.months) if each <= month]),
    )


def found(
    table: Table,
    rows: pl.DataFrame | None = None,
    past: Mapping[str, pl.DataFrame] | None = None,
    accepted: Mapping[str, str] | None = None,
) -> list[Violation]:
    """What is held of a table's last month."""
    came = table.next if rows is None else rows
    frames = {name: each.lazy() for name, each in (past or table.past).items()}
    return detection.changes(table.contract, frames, {table.last: came}, accepted or {})


@pytest.mark.parametrize("shape", SHAPES)
def test_clean_month_says_nothing(tables, shape: str) -> None:
    assert found(tables(shape)) == []


@pytest.mark.parametrize("past", [1, 3, 15])
def test_identifiers_may_count_up_to_another_digit(past: int) -> None:
    """From 9,9xx to 10,0xx; the past may be a first day and a delivery all of a month."""
    rows = any_tables.numbers().frame
    months = any_tables.table(rows, "id").months
    kept = list(months.values())[-past - 1 :]
    kept[0] = kept[0].tail(40) if past == 1 else kept[0]
    frame = pl.concat(kept)
    last = frame.height - kept[-1].height
    counted = any_tables.table(frame.with_columns(id=10_000 - last + pl.int_range(pl.len())), "id")
    assert not [each for each in found(counted) if each.field == "id"]


def test_texts_that_count_up_show_rows_that_were_moved_or_left_out(tables) -> None:
    frame = tables("orders").frame
    number = pl.format("T-{}/B", pl.col("id").cast(pl.String).str.zfill(9))
    orders = any_tables.table(frame.with_columns(id=number), "id")
    assert found(orders) == []
    later = pl.when(pl.col("id").hash(seed=1) % 5 == 0).then(pl.duration(days=1))
    moved = orders.next.with_columns(at=pl.col("at") + later.otherwise(pl.duration(days=0)))
    assert ("order", "at") in {(each.kind, each.field) for each in found(orders, moved)}
    left = orders.next.filter(pl.col("id").hash(seed=1) % 5 > 0)
    assert "numbering" in {each.kind for each in found(orders, left)}


def test_identifiers_that_come_again_do_not_count_up() -> None:
    """Destinations of searches: a few are in most rows, many in a single one."""
    frame = any_tables.numbers().frame
    drawn = np.random.default_rng(5).zipf(1.38, len(frame))
    frame = frame.with_columns(place=pl.Series(drawn).clip(1, 10**9))
    searches = any_tables.table(frame, "id", place="identifier")
    types = {"id": "identifier", "place": "identifier"}
    assert sequence.counting_up(Rows(searches.contract, frame, types)) == {"id": 0.0}


def test_rows_that_come_late_fill_numbers_that_were_missing(tables) -> None:
    """The last month arrives but for a third of its rows, and then these."""
    orders = tables("orders")
    late = pl.col("id").hash(seed=6) % 3 == 0
    past = {**orders.past, orders.last: orders.next.filter(~late)}
    kinds = {each.kind for each in found(orders, orders.next, past)}
    assert not kinds & {"numbering", "order"}


def test_customers_that_are_unknown_have_no_number_of_another_system(tables) -> None:
    orders = tables("orders").frame
    unknown = pl.when(pl.col("id").hash(seed=7) % 10 < 6).then(0).otherwise("customer_id")
    sold = any_tables.table(
        orders.with_columns(customer_id=unknown), "id", customer_id="identifier"
    )
    assert "identifiers" not in {each.kind for each in found(sold)}


def test_order_of_rows_and_empty_identifiers_are_no_change(tables) -> None:
    some = pl.when(pl.col("id").hash(seed=8) % 3 > 0).then(pl.col("id") * 2)
    orders = any_tables.table(
        tables("orders").frame.with_columns(ticket=some), "id", ticket="identifier"
    )
    shuffled = orders.next.sample(fraction=1.0, shuffle=True, seed=9)
    assert not {each.kind for each in found(orders, shuffled)} & {"order", "numbering"}
    huge = any_tables.table(
        orders.frame.with_columns(id=pl.col("id") + 9_000_000_000_000_000_000), "id"
    )
    assert "identifiers" not in {each.kind for each in found(huge)}


def is_named_first(held: list[Violation], field: Named) -> bool:
    """Whether the first violation is of this field, or of one of these."""
    return bool(held) and held[0].field in (field if isinstance(field, tuple) else (field,))


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_held_and_its_field_named_first(tables, fault: str) -> None:
    shape, make, field = FAULTS[fault]
    held = found(tables(shape), make(tables(shape)))
    assert is_named_first(held, field), held


@pytest.mark.parametrize("fault", FAULTS)
def test_message_names_numbers(tables, fault: str) -> None:
    shape, make, _ = FAULTS[fault]
    for violation in found(tables(shape), make(tables(shape))):
        assert any(character.isdigit() for character in violation.message), violation
        assert "nan" not in violation.message
        assert "inf" not in violation.message
        assert violation.partition == tables(shape).last


@pytest.mark.parametrize(
    ("classified", "fault"),
    [
        ("status", "orders: rare codes"), ("status", "orders: codes merged"),
        ("status", "orders: codes in upper case"), ("product", "orders: products of other rows"),
        ("product", "orders: codes cut"), ("price", "orders: new prices, old totals"),
        ("shipping", "orders: another shipping"), ("discount", "orders: other sign"),
        ("at", "orders: times cut"), ("at", "orders: five hours later"),
        ("place", "panel: a place missing"), ("weekday", "calendar: next weekday"),
        ("amount", "numbers: other sign"), ("load", "hourly: frozen"),
    ],
)  # fmt: skip
def test_classified_field_shows_no_value(tables, classified: str, fault: str) -> None:
    shape, make, field = FAULTS[fault]
    table = tables(shape)
    fields = tuple(
        replace(each, classification="restricted") if each.name == classified else each
        for each in table.contract.fields
    )
    secret = replace(table, contract=replace(table.contract, fields=fields))
    held = found(secret, make(table))
    assert held[0].field == field
    own = [each.message for each in held if each.field == classified]
    assert own
    assert not any(character.isdigit() for message in own for character in message)
    values = {str(value) for value in table.frame[classified].unique() if not np.isreal(value)}
    shown = " ".join(each.message for each in held)
    assert not any(f"'{value}'" in shown for value in values)


NO_NOTES = changed(0.7, note=pl.lit(None, dtype=pl.String))
NO_STATUS = changed(0.3, status=pl.lit(None, dtype=pl.String))
MORE = changed(amount=pl.col("amount") * 1.5)
ODD: Mapping[str, tuple[str, Fault, Named]] = {
    "notes": ("orders", NO_NOTES, "note"),
    "status": ("orders", NO_STATUS, "status"),
    "a code gone": ("orders", faults.without(pl.col("status") == "sent"), "status"),
    "price": ("orders", changed(0.3, price=(pl.col("price") * 1.1).round(2)), "price"),
    "level": ("numbers", MORE, "amount"),
    "sign": ("numbers", changed(0.2, amount=-pl.col("amount")), "amount"),
    "volume": ("numbers", faults.half, None),
    "five hours": ("orders", faults.later(5), "at"),
    "lower case": ("orders", changed(note=pl.col("note").str.to_lowercase()), "note"),
    "kinds": ("integer_codes", faults.shuffled("kind"), "kind"),
    "weekday": ("calendar", changed(weekday=NEXT_DAY), "weekday"),
    "frozen": ("hourly", faults.frozen("load", 5, 20), "load"),
}


@pytest.mark.parametrize(
    "odd", [f"{odd} {month}" for odd in ODD for month in ("2023-05", "2023-09", "2024-02")]
)
def test_one_odd_month_that_was_accepted_does_not_blind(tables, odd: str) -> None:
    odd, month = odd.rsplit(" ", 1)
    shape, make, field = ODD[odd]
    table = tables(shape)
    past = {**table.past, month: make(until(table, month))}
    held = found(table, make(table), past)
    assert is_named_first(held, field), held


@pytest.mark.parametrize("odd", ODD)
def test_month_after_an_odd_one_is_clean(tables, odd: str) -> None:
    shape, make, _ = ODD[odd]
    table = tables(shape)
    month = max(name for name in table.past if name < "2024-01")
    assert found(table, None, {**table.past, month: make(until(table, month))}) == []


def test_one_odd_day_that_was_accepted_does_not_blind(tables) -> None:
    table = tables("hourly")
    day = pl.col("at").dt.day() == 12
    tenfold = pl.when(day).then(pl.col("load") * 10).otherwise("load")
    past = {**table.past, "2023-06": table.past["2023-06"].with_columns(load=tenfold)}
    assert found(table, None, past) == []
    for fault in (changed(0.1, load=-pl.col("load")), changed(load=pl.col("load") * 1.3),
                  faults.frozen("load", 10, 13)):  # fmt: skip
        assert [each.field for each in found(table, fault(table), past)][:1] == ["load"]


def with_status(rows: pl.DataFrame, code: str, share: float) -> pl.DataFrame:
    """The rows with another status in a share of them."""
    there = faults.chosen(rows, share, 7)
    return rows.with_columns(status=pl.when(there).then(pl.lit(code)).otherwise("status"))


@pytest.fixture
def launched(tables) -> Table:
    """Orders that have a new status since November, which was accepted."""
    table = tables("orders")
    months = [
        with_status(rows, "pickup", 0.1) if month >= "2023-11" else rows
        for month, rows in sorted(table.months.items())
    ]
    return replace(table, frame=pl.concat(months))


def test_launch_is_held_once(launched) -> None:
    held = found(until(launched, "2023-11"))
    assert [(each.kind, each.field) for each in held][:1] == [("new codes", "status")]
    assert "pickup" in held[0].message
    for month in ("2023-12", "2024-01", "2024-02", "2024-03", "2024-04"):
        assert found(until(launched, month), accepted={"status": "2023-11"}) == []


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_launch_in_the_past_does_not_open_the_limit_for_another_code(
    launched, share: float
) -> None:
    held = found(launched, with_status(launched.next, "locker", share))
    assert is_named_first(held, "status")
    assert "locker" in held[0].message


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_accepted_launch_does_not_open_the_limit_for_another_code(launched, share: float) -> None:
    rows = with_status(launched.next, "locker", share)
    held = found(launched, rows, accepted={"status": "2023-11"})
    assert is_named_first(held, "status")
    assert "locker" in held[0].message


def test_short_past_holds_what_is_certain() -> None:
    table = any_tables.orders(months=5)
    assert found(table) == []
    new = changed(0.05, status=pl.lit("locker"))
    assert found(table, new(table))[0].field == "status"
    price = changed(0.2, price=(pl.col("price") * 1.1).round(2))
    assert found(table, price(table))[0].field == "price"
    paid = changed(0.2, total=(pl.col("total") * 1.19).round(2))
    assert found(table, paid(table))[0].field == "total"


@pytest.mark.parametrize("months", range(3, 9))
def test_short_past_does_not_hold_a_season(months: int) -> None:
    assert found(any_tables.hourly(months=months)) == []
    assert found(any_tables.panel(months=months, places=11)) == []


def test_slow_drift_is_held_on_the_way(tables) -> None:
    """Each delivery is accepted: the fifth is 16 % above what was before the first."""
    table, held = tables("numbers"), []
    months = dict(table.months)
    for step, month in enumerate(sorted(months)[-5:], start=1):
        risen = (pl.col("amount") * 1.03**step).round(2)
        months[month] = months[month].with_columns(amount=risen)
        risen_table = replace(table, frame=pl.concat(list(months.values())))
        held += [(step, each.field) for each in found(until(risen_table, month))]
    assert held
    assert {field for _, field in held} == {"amount"}
    assert held[0][0] <= 4


def test_key_that_is_said_to_be_a_running_total_is_compared_as_a_key(tables) -> None:
    number = pl.col("meter").str.tail(2).cast(pl.Int64)
    meters = tables("meters").frame.with_columns(meter=number)
    table = any_tables.table(meters, "at", "meter", meter="cumulative")
    assert found(table) == []


def in_berlin(frame: pl.DataFrame, *key: str) -> Table:
    """From May on, so that the clock is set back when some months of one kind are known."""
    table = any_tables.table(frame.filter(pl.col("at") >= datetime(2023, 5, 1, tzinfo=UTC)), *key)
    return replace(table, contract=replace(table.contract, time_zone="Europe/Berlin"))


def station() -> Table:
    """A station that is read every three hours, of UTC."""
    at = any_tables.regular(18, 3)
    course = np.sin(2 * np.pi * (at.dt.hour().to_numpy() - 9) / 24)
    noise = np.random.default_rng(1).normal(0, 1, len(at))
    return in_berlin(pl.DataFrame({"at": at, "temp": (12 + 4 * course + noise).round(1)}), "at")


def shop() -> Table:
    """A shop that is open from 9 to 18, of the local clock."""
    chance = np.random.default_rng(2)
    days = any_tables.regular(18, 24)
    opened = np.repeat(days.dt.replace_time_zone(None).to_numpy(), 20)
    minutes = chance.integers(9 * 60, 18 * 60, len(opened)).astype("timedelta64[m]")
    local = pl.Series("at", opened + minutes).cast(pl.Datetime("us"))
    at = local.dt.replace_time_zone("Europe/Berlin").dt.convert_time_zone("UTC").sort()
    paid = chance.gamma(2, 15, len(at)).round(2)
    return in_berlin(pl.DataFrame({"id": 1 + np.arange(len(at)), "at": at, "paid": paid}), "id")


@pytest.mark.parametrize("make", [station, shop])
def test_summer_time_is_no_change_of_hours(make: Callable[[], Table]) -> None:
    table = make()
    months = sorted(table.months)[2:13]
    assert [(each, found(until(table, each))) for each in months] == [(each, []) for each in months]


def test_message_says_how_many_times_as_far_numbers_spread(tables) -> None:
    table = tables("numbers")
    wider = changed(amount=(100 + (pl.col("amount") - 100) * 3).round(2))
    assert "it spreads 3 times as far as expected" in " ".join(
        each.message for each in found(table, wider(table))
    )


def test_rows_sent_again_in_a_month_of_before_are_held(tables) -> None:
    """A month is delivered once more, each row under an old and under a new id."""
    table = tables("orders")
    month = max(table.past)
    again = faults.with_new_ids(table, table.before)
    both = pl.concat([table.before, again])
    held = detection.changes(
        table.contract, {name: rows.lazy() for name, rows in table.past.items()}, {month: both}, {}
    )
    assert [each.field for each in held][:1] == [None]


def test_copies_in_a_state_are_held(tables) -> None:
    rows = tables("orders").frame.drop("at")
    state = any_tables.table(rows, "id", event=None)
    last = rows["id"].max()
    again = rows.head(500).with_columns(pl.col("id") + last)
    for more, held in ((rows.head(0), False), (again, True)):
        came = {"all": pl.concat([rows, more])}
        found = detection.changes(state.contract, {"all": rows.lazy()}, came, {})
        assert bool(found) is held


def test_message_of_copies_of_a_single_number_counts_runs_of_rows() -> None:
    """A month's counts of riders are those of the month before, value by value."""
    full = any_tables.calendar(seed=16)
    single = any_tables.table(full.frame.select("at", "riders"), "at", riders="count")
    riders = pl.concat([single.before["riders"]] * 2)[: len(single.next)]
    again = single.next.with_columns(riders=riders)
    (copied,) = (each for each in found(single, again) if each.kind == "copies")
    assert "of runs of 3 rows of a place are as one of the delivery before" in copied.message


@pytest.mark.parametrize(("zeros", "is_more"), [(0.5, False), (0.65, True)])
def test_share_of_a_value_is_compared_with_the_months_that_have_most(
    zeros: float, is_more: bool
) -> None:
    """A machine rests more in December than in June."""
    at = any_tables.regular(24, 1)
    rests = 0.4 + 0.1 * np.cos(2 * np.pi * at.dt.ordinal_day().to_numpy() / 365)
    last = at >= datetime(2024, 12, 1, tzinfo=UTC)
    chance = np.random.default_rng(8)
    load = chance.gamma(3, 100, len(at)).round(0)
    share = np.where(last.to_numpy(), zeros, rests)
    load = np.where(chance.random(len(at)) < share, 0.0, load)
    frame = pl.DataFrame({"at": at, "load": load})
    rows = Rows(any_tables.table(frame, "at").contract, frame)
    detector = SingleValue()
    past, new = rows.filter(~last.to_numpy()), rows.filter(last.to_numpy())
    values = [each.value for each in detector.measure(detector.learn(past), new)]
    assert (max(values) > detector.floor) is is_more


def without_sundays(months: int = 16) -> Table:
    """A shop's sales, each day but Sunday."""
    chance = np.random.default_rng(3)
    days = any_tables.regular(months, 24)
    days = days.filter(days.dt.weekday() != 7)
    counts = chance.poisson(30, len(days))
    minutes = chance.integers(8 * 60, 20 * 60, counts.sum()).astype("timedelta64[m]")
    at = pl.Series("at", np.repeat(days.to_numpy(), counts) + minutes).sort()
    frame = pl.DataFrame({
        "id": 1 + np.arange(len(at)), "at": at.cast(any_tables.MOMENT),
        "paid": chance.gamma(2, 15, len(at)).round(2),
    })  # fmt: skip
    return any_tables.table(frame, "id")


@pytest.mark.parametrize(("missing", "held"), [(0, False), (1, False), (3, True)])
def test_days_that_are_missing_where_sundays_rest_are_held(missing: int, held: bool) -> None:
    table = without_sundays()
    days = sorted(set(table.next["at"].dt.date().to_list()))[5 : 5 + 3 * missing : 3]
    said = found(table, table.next.filter(~pl.col("at").dt.date().is_in(days)))
    assert [each.kind for each in said] == (["volume"] if held else [])


def test_two_fifths_of_a_panel_that_always_has_the_same_rows_is_held() -> None:
    """Where 150 rows are not by chance 150, some missing ones are seen at once."""
    days = any_tables.regular(18, 24)
    days = days.filter(days.dt.day() == 1)
    chance = np.random.default_rng(5)
    at = pl.Series("at", np.repeat(days.to_numpy(), 150)).cast(any_tables.MOMENT)
    place = np.tile([f"P{number:03}" for number in range(150)], len(days))
    rate = chance.normal(5, 1, len(at)).round(2)
    table = any_tables.table(pl.DataFrame({"at": at, "place": place, "rate": rate}), "at", "place")
    assert found(table) == []
    rest = table.next.sample(95, seed=1).sort("place")
    assert [each.kind for each in found(table, rest)] == ["volume"]


def test_flag_of_a_campaign_that_comes_each_year_is_known_in_the_third() -> None:
    """A flag that is set more often in April, as it was in both Aprils before."""
    table = without_sundays(28)
    month = pl.col("at").dt.month()
    chance = pl.Series(np.random.default_rng(6).random(table.frame.height))
    share = pl.when(month == 4).then(0.15).otherwise(0.03)
    frame = table.frame.with_columns(is_gift=pl.lit(chance) < share)
    flagged = any_tables.table(frame, "id")
    assert flagged.last == "2025-04"
    assert found(flagged) == []
