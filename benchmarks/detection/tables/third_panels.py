"""Three panels that are made up and held out: power plants, vehicles and the stock of a warehouse.

They have what such places know: nights without sun, weather that lasts for days, prices that move,
odometers that grow, tanks that are filled, working days and holidays, goods that come in lots and
go out in ones, items that come and go, values that are missing for a reason, and two or three
changes each that are meant. The same rows come of the same seed.
"""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
from fresh_synthetic import moments
from synthetic import wander
from third_synthetic import picked, swing, weekdays, where_known, within, zipf

Rng = np.random.Generator
AUSTRALIAN = (
    "2023-01-02", "2023-01-26", "2023-03-13", "2023-04-07", "2023-04-10", "2023-04-25",
    "2023-06-12", "2023-10-02", "2023-12-25", "2023-12-26", "2024-01-01", "2024-01-26",
    "2024-03-11", "2024-03-29", "2024-04-01", "2024-04-25", "2024-06-10", "2024-10-07",
    "2024-12-25", "2024-12-26",
)  # fmt: skip
POLISH = (
    "2022-04-18", "2022-05-03", "2022-06-16", "2022-08-15", "2022-11-01", "2022-11-11",
    "2022-12-26", "2023-01-06", "2023-04-10", "2023-05-01", "2023-05-03", "2023-06-08",
    "2023-08-15", "2023-11-01", "2023-11-11", "2023-12-25", "2023-12-26", "2024-01-01",
    "2024-01-06", "2024-04-01", "2024-05-01", "2024-05-03", "2024-05-30", "2024-08-15",
)  # fmt: skip
# kind, megawatts, units, degrees north
PLANTS = (
    ("wind", 36.0, 12, 0.3), ("wind", 24.0, 8, 0.9), ("wind", 57.6, 16, -0.4),
    ("wind", 9.2, 4, 0.1), ("wind", 30.0, 10, 1.4), ("wind", 16.8, 4, -1.0),
    ("solar", 18.0, 9, 0.2), ("solar", 7.5, 5, -0.8), ("solar", 42.0, 14, -1.1),
    ("solar", 12.4, 6, 0.7), ("hydro", 3.6, 2, 0.0), ("solar", 26.0, 10, -0.5),
)  # fmt: skip
# category, area, items at first, day of the year with most, swing, usual cost
GOODS = (
    ("garden", "G", 38, 145, 0.65, 14.0), ("paint", "C", 31, 170, 0.3, 11.0),
    ("screws", "S", 44, 160, 0.12, 2.6), ("tools", "T", 33, 335, 0.2, 36.0),
    ("plumbing", "P", 29, 20, 0.1, 17.0), ("heating", "P", 17, 320, 0.6, 58.0),
    ("cleaning", "C", 23, 100, 0.08, 4.1), ("lighting", "L", 0, 340, 0.3, 21.0),
)  # fmt: skip


def energy_production() -> pl.DataFrame:
    """Wind, solar and hydro plants every three hours for 26 months: nights, fronts, prices below 0.

    The transformer of a wind park was out for three weeks. A solar plant is added in June 2024.
    """
    rng = np.random.default_rng(20221010)
    times = np.arange("2022-09-30T22", "2024-12-01T00", 3, dtype="datetime64[h]")
    count, days = len(times), times.astype("datetime64[D]")
    hour = times.astype(int) % 24 + 2.5  # the middle of the three hours, by the sun
    season = swing(days, 172, 1.0) - 1  # 1 at midsummer
    front = wander(rng, count, 0.975, 0.21)
    height = np.sin(np.radians(11 + 23.4 * season)) + 0.62 * np.cos(2 * np.pi * (hour - 12.4) / 24)
    sun = 1010 * np.clip(height - 0.13, 0, None) ** 1.15
    clouds = np.clip(
        0.52 + 0.28 * np.tanh(front) - 0.1 * season + wander(rng, count, 0.85, 0.1), 0, 1
    )
    air = 9.2 + 8.3 * swing(days, 200, 1.0) - 8.3 + 2.6 * np.cos(2 * np.pi * (hour - 15) / 24)
    air = air + wander(rng, count, 0.98, 0.55) - 0.8 * front * season
    gusty = 6.9 * np.exp(0.33 * front + wander(rng, count, 0.85, 0.12)) * (1 - 0.13 * season)
    # the market: wind and sun make it cheap, evenings make it dear, and the level falls for long
    free = weekdays(days) >= 5
    level = np.interp(np.arange(count) / count, [0, 0.15, 0.35, 0.7, 1.0], [165, 138, 92, 68, 84])
    peak = np.exp(-(((hour - 8.5) / 2) ** 2)) + 1.3 * np.exp(-(((hour - 19.5) / 2.4) ** 2))
    price = level * (0.93 + 0.2 * peak - 0.14 * free + wander(rng, count, 0.95, 0.055))
    price = price - 3.4 * (gusty - 6.9) - 0.062 * sun * (1 - 0.7 * clouds) * (1 + 0.5 * free)
    price = price + (rng.random(count) < 0.004) * rng.pareto(1.6, count) * 60
    price = np.round(np.clip(price, -90, 900), 2)
    level_of_river = np.exp(wander(rng, count, 0.996, 0.035) - 0.35 * season + 0.05 * front)
    frames = []
    for place, (kind, megawatts, units, north) in enumerate(PLANTS):
        lag = 1 + place % 3
        wind = np.roll(gusty, lag) * np.exp(wander(rng, count, 0.7, 0.08)) * (1 + 0.06 * north)
        light = (
            sun
            * (1 - 0.02 * north)
            * (1 - 0.78 * np.clip(clouds + wander(rng, count, 0.6, 0.07), 0, 1))
        )
        light = np.round(np.where(light < 3, 0, light))
        here = air - 0.7 * north + wander(rng, count, 0.8, 0.3)
        down = sum(_breaks(rng, count, 0.0006 * 8 / units, 60).astype(int) for _ in range(units))
        if place == 4:
            broken = (times >= np.datetime64("2023-08-21T06")) & (
                times < np.datetime64("2023-09-11T12")
            )
            down = np.where(broken, units, down)
        working = np.clip(units - down, 0, None)
        if kind == "wind":
            share = np.clip((wind / 12.2) ** 3 - 0.015, 0, 1) * np.where(wind > 24, 0.2, 1)
        elif kind == "solar":
            age = 1 - 0.004 * np.arange(count) / 2920
            share = light / 1000 * (1 - 0.004 * (here + light / 40 - 25)) * 0.93 * age
        else:
            share = np.clip(0.42 * np.roll(level_of_river, 8), 0.04, 1)
        share = share * np.where(here < -1.5, 1 - 0.12 * (kind != "hydro"), 1)  # ice or snow
        could = megawatts * 3 * share * working / units * rng.lognormal(0, 0.035, count)
        could = np.round(np.clip(could, 0, megawatts * 3), 3)
        told = (price < -2) | ((gusty > 12.5) & (place in (0, 2)) & (rng.random(count) < 0.5))
        off = np.round(
            could * np.where(told & (kind != "hydro"), rng.choice([1, 0.7, 0.5, 0.3], count), 0), 3
        )
        made = np.round(could - off, 3)
        dumb = _breaks(rng, count, 0.0013, 1.5)  # the mast or the sensor says nothing
        status = np.select(
            [working == 0, off > 0, working < units], ["stop", "limited", "part"], "normal"
        )
        guessed = _breaks(rng, count, 0.0011, 2.0)
        measured = where_known(np.round(wind, 1), ~dumb & (kind == "wind"))
        frame = pl.DataFrame(
            {
                "plant": [f"{kind[0].upper()}{place + 1:02}"] * count,
                "begins_at": pl.Series(times.astype("datetime64[us]")).dt.replace_time_zone("UTC"),
                "kind": [kind] * count,
                "status": status,
                "units_on": working,
                "wind_speed": measured,
                "irradiance": where_known(light.astype(int), ~dumb & (kind == "solar")),
                "air_temperature": where_known(np.round(here, 1), ~dumb),
                "potential": could,
                "curtailed": off,
                "produced": made,
                "estimated": guessed,
                "price": price,
                "revenue": np.round(made * price, 2),
            }
        )
        away = _breaks(rng, count, 0.0004, 2.0)
        if place == 11:
            away |= times < np.datetime64("2024-06-03T04")
        frames.append(frame.filter(pl.Series(~away)))
    rows = pl.concat(frames).sort("begins_at", "plant")
    return within(rows, "begins_at", "Europe/Copenhagen", date(2022, 10, 1), date(2024, 11, 30))


def _breaks(rng: Rng, count: int, often: float, length: float) -> np.ndarray:
    """When something is out of order, for so long on average, and sometimes for much longer."""
    out = np.zeros(count, dtype=bool)
    for begin in np.flatnonzero(rng.random(count) < often):
        out[begin : begin + 1 + int(min(rng.pareto(1.7) * length * 0.7, 200))] = True
    return out


def vehicle_telematics() -> pl.DataFrame:
    """Messages of a fleet's lorries for 25 months: odometers, tanks, axles, shifts and drivers.

    Three lorries are added in September 2023, with which there are more rows. Firmware 5.2 is
    rolled out over three weeks in May 2024.
    """
    rng = np.random.default_rng(20230107)
    days = np.arange("2023-01-01", "2025-02-01", dtype="datetime64[D]")
    count, week = len(days), weekdays(days)
    stamp = np.array([str(each)[5:] for each in days])
    mood = np.exp(wander(rng, count, 0.8, 0.05)) * swing(days, 340, 0.06)  # harvest in summer
    quiet = np.where((stamp > "12-22") | (stamp < "01-09"), 0.45, 1.0)
    holiday = np.isin(days, np.array(AUSTRALIAN, dtype="datetime64[D]"))
    goes = (
        np.array([0.93, 0.95, 0.95, 0.95, 0.92, 0.3, 0.04])[week]
        * quiet
        * np.where(holiday, 0.1, 1)
    )
    warm = 17.5 + 6.5 * (swing(days, 25, 1.0) - 1) + wander(rng, count, 0.75, 2.6)
    drivers = np.tile(np.arange(31), (count, 1))  # who leaves is followed by a new number
    for begin in np.flatnonzero(rng.random(count) < 0.011):
        drivers[begin:, rng.integers(0, 31)] = drivers.max() + 1
    frames = []
    for lorry in range(29):
        added = lorry >= 26
        works = (rng.random(count) < goes * mood) & ~_breaks(rng, count, 0.006, 3)
        works &= (days >= np.datetime64("2023-09-04")) | (not added)
        long_haul, tank = lorry % 3 == 0, 380 if lorry % 2 else 300
        shift = np.clip(rng.normal(8.9, 1.3, count) * np.where(week == 5, 0.6, 1), 3, 13)
        many = np.where(works, np.round(shift / 0.82).astype(int) + 1, 0)
        day = np.repeat(np.arange(count), many)
        turn = np.arange(len(day)) - np.repeat(np.cumsum(many) - many, many)
        size, last = len(day), turn == np.repeat(many, many) - 1
        start = 5.2 + lorry % 5 * 0.55 + wander(rng, count, 0.5, 0.25)
        hour = start[day] + turn * (shift / np.maximum(many - 1, 1))[day]
        hour = hour + np.where((turn > 0) & ~last, rng.normal(0, 0.06, size), 0)
        far = rng.lognormal(0, 0.2, count)[day]
        stands = (turn == 0) | last | (rng.random(size) < np.where(turn % 5 == 4, 0.75, 0.25))
        road = rng.random(size) < (0.62 if long_haul else 0.3)
        speed = np.where(
            road, rng.normal(91, 7, size).clip(60, 108), rng.gamma(7, 5.6, size).clip(3, 74)
        )
        speed = np.where(stands, 0, np.round(speed)).astype(int)
        driven = np.where(
            turn == 0, 0.0, rng.gamma(6, (46 if long_haul else 24) / 6, size) * 0.8 * far
        )
        odometer = float(rng.integers(40_000, 420_000)) * (0.002 if added else 1) + np.cumsum(
            driven
        )
        part = turn / np.maximum(many[day] - 1, 1)
        load = rng.beta(3, 1.6, count)[day] * (15_500 if long_haul else 7400) * (1 - part) ** 0.8
        load = load * rng.lognormal(0, 0.03, size) + 40 * (rng.random(size) < 0.02)
        empty = 7900 + lorry * 37 % 900 + 2600 * long_haul
        front = np.round((0.58 * empty + 0.18 * load) / 20) * 20
        rear = np.round((0.42 * empty + 0.82 * load) / 20) * 20
        used = driven * (0.2 + 0.000009 * load) * rng.lognormal(0, 0.08, size) + 0.6
        fuel, full = np.empty(size), float(rng.uniform(0.4, 1)) * tank
        for each in range(size):
            full -= used[each]
            if full < tank * 0.22 or (last[each] and full < tank * 0.5 and rng.random() < 0.5):
                full = tank * rng.uniform(0.86, 1.0)
            fuel[each] = full
        heading = (
            rng.uniform(0, 360, count)[day] + 180 * (part > 0.5) + rng.normal(0, 28, size)
        ) % 360
        away = np.sin(np.pi * part) * (2.1 if long_haul else 0.42) * far
        toward = rng.uniform(0.2, 2.6, count)[day]
        lost = (rng.random(size) < np.where((turn == 0) & (lorry % 4 == 0), 0.2, 0.008)) | (
            _breaks(rng, count, 0.003, 2)[day]
        )
        weak = np.clip(wander(rng, count, 0.98, 0.05), -0.4, 1.0)[day]
        volts = (
            np.where(stands, 25.3 - 0.02 * (20 - warm[day]), 27.9)
            - 0.4 * weak
            + rng.normal(0, 0.12, size)
        )
        trouble = rng.random(size) < 0.004 + 0.012 * (weak > 0.3)
        spoken = picked(
            rng, np.array(["timer", "brake", "zone"]), np.array([0.93, 0.025, 0.045]), size
        )
        spoken = np.select([turn == 0, last, trouble], ["start", "stop", "fault"], spoken)
        faults = np.array(
            ["P0562", "P0128", "C0035", "P2463", "U0100", "P0401", "P20EE", "C1234", "B1318"]
        )
        own = np.roll(zipf(9, 1.2), lorry % 3)
        seat = np.where(rng.random(count) < 0.14, rng.integers(0, 31, count), lorry)
        sits = drivers[np.arange(count), seat][day]
        updated = np.datetime64("2024-05-06") + (lorry * 11 % 29) * 20 // 28
        sensor = lorry % 7 != 2
        frames.append(
            pl.DataFrame(
                {
                    "lorry": [f"L{lorry + 101}"] * size,
                    "sent_at": moments(days[day], np.round(hour * 3600), "Australia/Adelaide"),
                    "message": spoken,
                    "driver": where_known(
                        sits + 3001, rng.random(size) > np.where(lorry % 6 == 1, 0.15, 0.02)
                    ),
                    "odometer": np.round(odometer, 1),
                    "speed": speed,
                    "heading": where_known(
                        np.round(heading).astype(int) % 360, (speed > 0) & ~lost
                    ),
                    "latitude": where_known(
                        np.round(-34.83 + away * np.sin(toward) * 0.8, 4), ~lost
                    ),
                    "longitude": where_known(np.round(138.6 + away * np.cos(toward), 4), ~lost),
                    "fuel_level": np.round(100 * fuel / tank, 1),
                    "battery": np.round(volts, 2),
                    "front_axle": where_known(front.astype(int), np.full(size, sensor)),
                    "rear_axle": where_known(rear.astype(int), np.full(size, sensor)),
                    "gross_weight": where_known((front + rear).astype(int), np.full(size, sensor)),
                    "fault": where_known(picked(rng, faults, own, size), spoken == "fault"),
                    "firmware": np.where(
                        days[day] >= updated, "5.2.0", "4.9.3" if lorry % 4 else "4.8.1"
                    ),
                }
            )
        )
    rows = (
        pl.concat(frames)
        .drop_nulls("sent_at")
        .unique(["lorry", "sent_at"], keep="first", maintain_order=True)
    )
    rows = within(rows, "sent_at", "Australia/Adelaide", date(2023, 1, 1), date(2025, 1, 31))
    return rows.sort("sent_at", "lorry")


def warehouse_stock() -> pl.DataFrame:
    """The stock of each item of a warehouse on the evening of each working day, for 30 months.

    Supplier 119 follows 107 in May 2023, and supplier 113 is dearer since September 2023. A new
    category is taken up in February 2024. All items are counted in January.
    """
    rng = np.random.default_rng(20220404)
    days = np.arange("2022-01-03", "2024-10-01", dtype="datetime64[D]")
    holidays = np.array([*POLISH, "2022-01-06"], dtype="datetime64[D]")
    days = days[(weekdays(days) < 6) & ~np.isin(days, holidays)]
    count = len(days)
    begin, new = 75, int(np.searchsorted(days, np.datetime64("2024-02-05")))
    kinds = np.repeat(np.arange(8), [each[2] for each in GOODS])
    first, last = np.full(len(kinds), 0), np.full(len(kinds), count + 99)
    last = np.where(
        rng.random(len(kinds)) < 0.15, rng.integers(begin + 10, count, len(kinds)), last
    )
    more = rng.integers(begin + 8, count - 20, 34)
    kinds = np.concatenate([kinds, rng.choice(7, 34), np.full(22, 7)])
    first = np.concatenate([first, np.sort(more), np.full(22, new)])
    last = np.concatenate([last, np.full(56, count + 99)])
    size = len(kinds)
    popular = rng.normal(0, 1, size)
    cost = np.array([each[5] for each in GOODS])[kinds] * np.exp(
        rng.normal(0, 0.7, size) - 0.35 * popular
    )
    usual = np.exp(0.75 + 1.05 * popular - 0.25 * np.log(cost / 12))
    supplier = (kinds * 5 + rng.choice(5, size, p=zipf(5, 1.0))) % 18 + 1
    bears = np.array([swing(days, each[3], each[4]) for each in GOODS]).T
    bears = bears * np.exp(np.array([wander(rng, count, 0.8, 0.08) for _ in GOODS])).T
    bears = bears * np.exp(0.004 * np.arange(count) / 25.5)[:, None]
    bears = bears * np.array([1.14, 1.0, 0.97, 1.0, 1.16, 0.7, 0])[weekdays(days), None]
    wanted = usual * bears[:, kinds]
    for each in np.flatnonzero(rng.random(count) < 0.06):  # an offer of a week
        wanted[each : each + 6, rng.integers(0, size, 3)] *= rng.uniform(1.5, 4)
    lines = rng.poisson(wanted / 2.2 + 0.02)
    demand = np.where(lines > 0, rng.negative_binomial(np.maximum(lines, 1) * 1.1, 0.34) + lines, 0)
    big = rng.random((count, size)) < 0.002
    demand = np.where(
        big, (demand + 1) * (2 + rng.pareto(1.8, (count, size)).clip(0, 20)).astype(int), demand
    )
    lead = np.array([0, *rng.integers(4, 19, 19)])
    lot = np.maximum(np.round(usual * rng.lognormal(3.2, 0.4, size) / 10) * 10, 5).astype(int)
    point = np.ceil(usual * (lead[supplier] * 1.35 + 5) + 2).astype(int)
    delay = np.array([np.exp(wander(rng, count, 0.97, 0.09)) for _ in range(20)]).T
    asks = np.exp(np.array([wander(rng, count, 0.99, 0.006) for _ in range(20)]).T)
    asks = asks * np.exp(0.03 * np.arange(count) / 305)[:, None]
    asks[days >= np.datetime64("2023-09-01"), 13] *= 1.09
    followed = np.searchsorted(days, np.datetime64("2023-05-08"))
    coming, stock = (
        np.zeros((count + 120, size), dtype=int),
        (point + lot * rng.random(size)).astype(int),
    )
    stock, ordered, paid = (
        np.where(first > 0, 0, stock),
        np.zeros(size, dtype=int),
        np.round(cost, 2),
    )
    counted = days[0] - rng.integers(5, 340, size)
    area, category = (np.array([each[k] for each in GOODS])[kinds] for k in (1, 0))
    area = np.char.add(area, (np.arange(size) % 3 + 1).astype(str))
    spent = usual * cost
    grade = np.where(
        spent > np.quantile(spent, 0.8), "A", np.where(spent > np.quantile(spent, 0.5), "B", "C")
    )
    names = np.array([f"{4000 + 7 * each}" for each in range(size)])
    frames = []
    for day in range(count):
        here = (first <= day) & (day < last)
        if day == followed:
            supplier = np.where(supplier == 7, 19, supplier)
        starts = first == day if day else np.zeros(size, dtype=bool)
        came = np.where(starts, point + lot, coming[day])
        opening, known = stock.copy(), paid
        offered = np.round(cost * asks[day, supplier], 2)
        paid = np.where(
            came > 0,
            np.round((opening * known + came * offered) / np.maximum(opening + came, 1), 2),
            known,
        )
        sold = np.minimum(demand[day], opening + came) * here
        yearly = (str(days[day])[5:7] == "01") & (np.arange(size) % 19 == day % 19)
        checked = here & (yearly | (rng.random(size) < 0.0025))
        wrong = checked & (rng.random(size) < 0.3)
        changed = np.where(
            wrong, np.round(rng.normal(-0.4, 1.2, size) * (1 + 0.02 * opening)), 0
        ).astype(int)
        changed = np.maximum(changed, -(opening + came - sold))
        counted = np.where(checked | starts, days[day], counted)
        stock = opening + came - sold + changed
        ordered = ordered - coming[day]
        buys = (
            here & (stock + ordered < point * bears[day, kinds].clip(0.5, 1.6)) & (last - day > 30)
        )
        buys &= rng.random(size) < 0.8
        units = lot * np.where(buys, rng.choice([1, 1, 1, 2], size), 0)
        arrives = day + np.clip(
            lead[supplier] * delay[day, supplier] + rng.normal(0, 1, size), 2, 100
        ).astype(int)
        np.add.at(coming, (arrives, np.arange(size)), units)
        ordered = ordered + units
        kept = rng.binomial(np.minimum(stock, 4000), np.clip(0.1 * bears[day, kinds], 0, 0.5))
        if day < begin:
            continue
        at = moments(days[day : day + 1], 75_600 + rng.gamma(2, 60, 1), "Europe/Warsaw")[0]
        columns = {
            "item": names, "area": area, "category": category, "supplier": supplier + 100,
            "grade": grade, "opening": opening, "received": came, "issued": -sold,
            "corrected": changed, "closing": stock, "reserved": kept, "on_order": ordered,
            "unit_cost": paid, "stock_value": np.round(stock * paid, 2), "last_counted": counted,
        }  # fmt: skip
        frame = pl.DataFrame({name: values[here] for name, values in columns.items()})
        frames.append(frame.insert_column(1, pl.Series("taken_at", [at] * frame.height)))
    return pl.concat(frames).sort("taken_at", "item")


GENERATORS: dict[str, Callable[[], pl.DataFrame]] = {
    "energy_production": energy_production,
    "vehicle_telematics": vehicle_telematics,
    "warehouse_stock": warehouse_stock,
}
