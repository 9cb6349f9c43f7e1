"""Four larger tables of the fourth draw that are made up: parcels, loans, air and advertisements.

They have what logistics, banks, agencies of the environment and shops know: rhythms of day, week
and year, holidays, days that stand out, heavy tails, clusters, a market that moves, values that
are missing for a reason, and a few changes that are meant. The same rows come of the same seed.
"""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
from fresh_synthetic import moments
from synthetic import wander

Rng = np.random.Generator
Columns = dict[str, np.ndarray]
# of Germany as a whole; the days of Easter and Whitsun by year
FIXED = ("01-01", "05-01", "10-03", "12-25", "12-26")
MOVING = (
    "2022-06-06", "2023-04-07", "2023-04-10", "2023-05-18", "2023-05-29", "2024-03-29",
    "2024-04-01", "2024-05-09", "2024-05-20",
)  # fmt: skip
GOODS = (
    "sofa", "kitchen", "washing machine", "laptop", "television", "bicycle", "e-bike", "camera",
    "phone", "piano", "bed", "dining table", "wardrobe", "fridge", "lawn mower", "heat pump",
    "boiler", "windows", "roof", "bathroom", "garage", "fence", "solar panels", "garden",
    "terrace", "carpets", "motorcycle", "caravan", "boat", "tools", "gaming computer", "furniture",
    "oven", "flooring", "front door", "scooter", "sewing machine", "guitar",
)  # fmt: skip
FORMS = ("{}", "new {}", "{} and more", "repair of {}", "{} for the children", "used {}", "{}, 2nd")
EVENTS = (
    "holiday", "wedding", "moving house", "dentist", "car repair", "studies", "tax arrears", "vet",
    "divorce", "funeral", "other loans", "debts", "current account", "family", "free use", "birth",
    "driving licence", "honeymoon", "legal costs", "birthday", "start of a business", "hearing aid",
)  # fmt: skip
TOPICS = (
    "sandals", "sneaker", "boots", "kids", "outdoor", "running", "bags", "rain", "slippers",
    "formal", "vegan",
)  # fmt: skip
WINDS = (
    "N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW",
    "NNW",
)  # fmt: skip


def parcel_scans() -> pl.DataFrame:
    """A parcel service's scans of 24 months: evenings, nights and rounds, Christmas, growth.

    A depot opens in April 2024 and takes over some of two others' postcodes. Since September 2023
    there is a fifth carrier, which grows for half a year.
    """
    rng = np.random.default_rng(20230302)
    days = np.arange("2023-02-20", "2025-03-01", dtype="datetime64[D]")
    weekday, holidays = _weekday(days), _holidays(days)
    rush = _until_christmas(days)
    usual = 23.8 * np.array([1.28, 1.05, 1.0, 0.98, 1.04, 0.62, 0])[weekday]
    usual = usual * np.exp(0.0085 * np.arange(len(days)) / 30.4) * (1 + 0.5 * rush)
    usual = usual * np.where(np.isin(days, holidays), 0, 1)
    usual = usual * np.where(np.isin(days.astype("datetime64[M]").astype(int) % 12, (6, 7)), 0.9, 1)
    parcels = rng.poisson(usual * np.exp(wander(rng, len(days), 0.4, 0.07)))
    posted = np.repeat(np.arange(len(days)), parcels)
    count = len(posted)
    shipper = rng.zipf(1.35, count) % 1400 + 1
    shipper = np.where(rng.random(count) < 0.22, 0, shipper)  # private persons, at a shop
    express = rng.random(count) < np.where(shipper % 7 == 3, 0.35, 0.07)
    carriers = np.array(["NORD", "BLITZ", "REGIO", "TRANSA", "KURA"])
    share = np.tile([0.41, 0.26, 0.2, 0.13, 0.0], (count, 1))
    share[:, 4] = 0.13 * np.clip((posted - 190) / 180, 0, 1)
    share = np.cumsum(share / share.sum(axis=1)[:, None], axis=1)
    carrier = carriers[np.minimum((rng.random((count, 1)) > share).sum(axis=1), 4)]
    size = _parcel_sizes(rng, shipper)
    # 24 depots, each with postcodes of its own; a 25th is added
    area = rng.choice(24, count, p=_zipf(24, 0.6))
    part = np.minimum(rng.geometric(0.07, count), 60)
    postcode = 10_000 + area * 3500 + part * 53
    opened = (days[posted] >= np.datetime64("2024-04-15")) & np.isin(area, (2, 5)) & (part > 8)
    target = np.where(opened, 25, area + 1)
    origin = np.where(shipper > 0, shipper * 13 % 11 * 2 + 1, rng.integers(1, 25, count))
    bad = np.clip(wander(rng, len(days) + 60, 0.6, 0.8) - 0.9, 0, None) + np.append(rush, [0] * 60)
    slow = rng.lognormal(0, 0.35, 26)

    frames: list[Columns] = []

    def scan(those: np.ndarray, day: np.ndarray, hour: np.ndarray, **more: np.ndarray) -> None:
        """Adds a scan of those parcels, as late as depots and days are."""
        depot = more.pop("depot")
        late = rng.gamma(0.7, 14, len(those)) * slow[depot] * (1 + 1.3 * bad[day])
        late = late * np.where(rng.random(len(those)) < 0.02, rng.pareto(1.8, len(those)) + 2, 1)
        late = np.minimum(late - rng.gamma(2, 4, len(those)), 900)
        frames.append({"parcel": those, "day": day, "hour": hour, "depot": depot, "late": late})
        frames[-1] |= {name: np.broadcast_to(each, len(those)) for name, each in more.items()}

    everyone, none = np.arange(count), np.array(0)
    evening = np.where(shipper > 0, rng.normal(17.6, 1.1, count), rng.uniform(9, 19, count))
    scan(everyone, posted, evening, depot=origin, status=np.array("AC"), attempts=none)
    far = np.flatnonzero(origin != target)
    held_up = rng.random(count) < np.where(express, 0.01, 0.07 + 0.08 * rush[posted])
    start = _working(days, posted, holidays, 1 + held_up.astype(int))
    hub = np.where(target <= 12, 4, 17)
    scan(
        far, start[far], rng.normal(2.2, 0.8, len(far)).clip(0.1, 4.5),
        depot=hub[far], status=np.array("SO"), attempts=none,
    )  # fmt: skip
    scan(
        far, start[far], rng.normal(5.7, 0.5, len(far)),
        depot=target[far], status=np.array("AR"), attempts=none,
    )  # fmt: skip
    open_ones, day = everyone, start
    for attempt in (1, 2, 3):
        there = {"depot": target[open_ones], "attempts": np.array(attempt)}
        out = rng.normal(7.9, 0.45, len(open_ones))
        scan(open_ones, day, out, status=np.array("OD"), **there)
        hour = np.where(express[open_ones], 0.6, 1.0) * rng.gamma(3.2, 1.3, len(open_ones)) + 8.8
        home = np.where(shipper[open_ones] % 5 == 0, 0.84, 0.93) - 0.06 * (attempt > 1)
        given = rng.random(len(open_ones)) < home
        ending = np.where(rng.random(len(open_ones)) < 0.2, "DN", "DL")  # to a neighbour
        ending = np.where(given, ending, np.where(rng.random(len(given)) < 0.9, "NH", "AD"))
        scan(open_ones, day, hour.clip(8.5, 21), status=ending, **there)
        open_ones, day = open_ones[~given], day[~given]
        day = _working(days, day, holidays, 1)
    back = rng.random(len(open_ones)) < 0.8
    scan(
        open_ones, day, rng.normal(12, 2, len(open_ones)), depot=target[open_ones],
        status=np.where(back, "RT", "HL"), attempts=np.array(3),
    )  # fmt: skip

    found = {name: np.concatenate([each[name] for each in frames]) for name in frames[0]}
    parcel, rows = found["parcel"], len(found["parcel"])
    seconds = np.clip(found["hour"] * 3600 + found["late"] * 60, 60, 86_340)
    dates = days[0] + found["day"].astype("timedelta64[D]")
    first = found["status"] == "AC"
    weighed = ~(first & (shipper[parcel] == 0)) & (rng.random(rows) > 0.004)
    known = rng.random(count) > 0.0015
    manual = rng.random(rows) < np.where(np.isin(found["depot"], (9, 20)), 0.11, 0.025)
    damaged = ~first & (rng.random(count) < 0.004 + 0.00002 * size["volume"] ** 0.5)[parcel]
    frame = pl.DataFrame(
        {
            "scanned_at": moments(dates, seconds, "Europe/Berlin"),
            "parcel": [f"PX{1_400_000 + 7 * each:08}" for each in parcel],
            "depot": [f"D{each:02}" for each in found["depot"]],
            "status": found["status"],
            "carrier": carrier[parcel],
            "service": np.where(express, "express", "standard")[parcel],
            "shipper": pl.Series(shipper[parcel] + 5000).set(pl.Series(shipper[parcel] == 0), None),
            "postcode": pl.Series(postcode[parcel].astype(str)).set(
                pl.Series(~known[parcel]), None
            ),
            "weight": pl.Series(size["weight"][parcel]).set(pl.Series(~weighed), None),
            "length": size["length"][parcel],
            "width": size["width"][parcel],
            "height": size["height"][parcel],
            "volume": size["volume"][parcel],
            "delay": pl.Series(np.round(found["late"]).astype(int)).set(pl.Series(first), None),
            "attempts": found["attempts"].astype(int),
            "by_hand": manual,
            "damaged": damaged,
        }
    )
    local = pl.col("scanned_at").dt.convert_time_zone("Europe/Berlin").dt.date()
    frame = frame.filter(local.is_between(date(2023, 3, 1), date(2025, 2, 28)))
    frame = frame.sort("scanned_at", "parcel", maintain_order=True)
    number = 88_020_000 + np.cumsum(rng.geometric(0.5, frame.height))
    return frame.insert_column(0, pl.Series("scan_id", number))


def _until_christmas(days: np.ndarray) -> np.ndarray:
    """From 0 to 1: how much of the rush before Christmas there is."""
    found = np.zeros(len(days))
    for year in (2022, 2023, 2024):
        since = (days - np.datetime64(f"{year}-11-18")).astype(int)
        found = np.where((since >= 0) & (since < 35), np.minimum(1, 0.45 + since / 40), found)
    return found


def _parcel_sizes(rng: Rng, shipper: np.ndarray) -> Columns:
    """Boxes of a few usual sizes, and any others; the weight goes with the volume."""
    count = len(shipper)
    boxes = np.array(
        [[25, 18, 10], [35, 25, 10], [38, 28, 15], [45, 35, 20], [60, 30, 15], [60, 40, 40]]
    )
    usual = (shipper * 7919 % 6 + (rng.random(count) < 0.3)) % 6
    free = np.sort(rng.lognormal([3.7, 3.3, 2.7], [0.3, 0.3, 0.45], (count, 3)), axis=1)[:, ::-1]
    is_free = (shipper == 0) | (rng.random(count) < 0.25)
    sides = np.where(is_free[:, None], np.round(free), boxes[usual]).clip(2, 175).astype(int)
    volume = sides.prod(axis=1)
    dense = rng.lognormal(-1.75 + 0.25 * np.sin(shipper), 0.55, count)
    weight = np.clip(volume / 1000 * dense, 0.05, 31.5)
    return {
        "length": sides[:, 0],
        "width": sides[:, 1],
        "height": sides[:, 2],
        "volume": volume,
        "weight": np.round(weight, 2),
    }


def loan_applications() -> pl.DataFrame:
    """A bank's loan applications of 25 months: office hours, a market whose rates move.

    Rates go up for a year and then slowly down. A comparison portal sends applications from
    October 2023 on. Each spring there is an offer for cars.
    """
    rng = np.random.default_rng(20220902)
    days = np.arange("2022-10-01", "2024-11-01", dtype="datetime64[D]")
    weekday, month = _weekday(days), days.astype("datetime64[M]").astype(int) % 12
    is_free = np.isin(days, _holidays(days))
    # what the bank pays, and the price list of each Monday
    along = np.arange(len(days)) / 365
    market = np.interp(along, [0, 0.5, 1.0, 1.4, 2.1], [1.9, 3.1, 3.9, 3.7, 2.8])
    market = market + np.cumsum(rng.normal(0, 0.014, len(days)))
    monday = np.maximum(np.arange(len(days)) - weekday, 0)
    market = np.round(market[monday], 2)
    season = np.array([1.12, 1.0, 1.06, 1.02, 1.04, 0.98, 0.95, 0.9, 1.0, 1.03, 1.0, 0.78])[month]
    usual = 108 * np.array([1.24, 1.16, 1.1, 1.06, 0.98, 0.6, 0.62])[weekday] * season
    usual = usual * np.where(is_free, 0.55, 1) * (1 - 0.055 * (market - 3))
    portal = np.clip((days - np.datetime64("2023-10-09")).astype(int) / 90, 0, 1)
    asked = rng.poisson(usual * np.exp(wander(rng, len(days), 0.5, 0.07)))
    more = rng.poisson(usual * 0.11 * portal)
    day = np.repeat(np.arange(len(days)), asked + more)
    count = len(day)
    place = np.arange(count) - np.repeat(np.cumsum(asked + more) - asked - more, asked + more)
    channel = _drawn(rng, "web app branch broker phone", [37, 21, 24, 13, 5], count)
    drift = rng.random(count) < 0.16 * day / len(days)
    channel = np.where(drift & (channel == "branch"), "app", channel)
    shut = (weekday[day] >= 5) | is_free[day]
    channel = np.where(shut & np.isin(channel, ("branch", "phone")), "web", channel)
    channel = np.where(place >= asked[day], "portal", channel)
    hour = np.where(
        rng.random(count) < 0.45, rng.normal(11, 1.8, count), rng.normal(19, 2.4, count)
    )
    office = np.isin(channel, ("branch", "broker", "phone"))
    hour = np.where(office, rng.triangular(8.5, 11, 18.5, count), hour) % 24
    product = _drawn(rng, "instalment car mortgage overdraft refinance", [42, 20, 14, 15, 9], count)
    spring = np.isin(month, (2, 3, 4))[day] & (rng.random(count) < 0.09)
    product = np.where(spring & (channel != "portal"), "car", product)
    product = np.where((channel == "portal") & (product == "overdraft"), "instalment", product)
    house, car = product == "mortgage", product == "car"
    credit_line = product == "overdraft"

    age = np.clip(np.round(rng.gamma(7, 3.3, count) + 18 + 3 * house), 18, 84).astype(int)
    jobs = _drawn(rng, "E1 E2 S1 P1 R1 U1 X9", [61, 11, 9, 8, 5, 4, 2], count)
    jobs = np.where((age > 66) & (jobs != "S1"), "R1", np.where(jobs == "R1", "E1", jobs))
    works = np.isin(jobs, ("E1", "E2", "S1", "P1"))
    base = np.where(works, 7.82, 7.25) + 0.18 * house + 0.15 * (jobs == "S1") - 0.2 * (jobs == "E2")
    income = np.exp(base + rng.normal(0, 0.36, count) + 0.0018 * day / 30.4)
    income = np.where(rng.random(count) < 0.03, income * rng.lognormal(1.0, 0.4, count), income)
    step = rng.choice([1, 10, 50, 100, 500], count, p=[0.2, 0.14, 0.2, 0.36, 0.1])
    income = np.maximum(np.round(income / step) * step, 450)
    dependents = np.minimum(rng.poisson(np.where((age > 27) & (age < 52), 1.05, 0.2)), 7)
    region = rng.choice(16, count, p=_zipf(16, 0.75))
    score = 545 + 38 * np.log(income / 1800) + 1.1 * (age - 40) + rng.normal(0, 62, count)
    score = np.clip(score + 18 * works - 25 * (channel == "portal"), 300, 850).astype(int)
    size = rng.lognormal(0, 0.62, count)
    amount = np.select([house, car, credit_line], [64 * income, 6.6 * income, 1.2 * income], 0.0)
    amount = np.where(amount == 0, 3.4 * income * np.where(product == "refinance", 1.7, 1), amount)
    amount = amount * np.where(credit_line, size**0.6, size ** np.where(house, 0.7, 1.15))
    amount = np.where(house, amount * (1 - 0.05 * (market[day] - 3)), amount)
    round_to = np.select([amount > 40_000, amount > 4000], [5000, 500], 100)
    round_to = np.where(rng.random(count) < 0.12, 10, round_to)
    amount = np.clip(np.round(amount / round_to) * round_to, 200, 1_500_000)
    term = rng.choice([12, 24, 36, 48, 60, 72, 84, 96, 120], count, p=np.array(
        [7, 13, 19, 20, 19, 9, 9, 2, 2]) / 100)  # fmt: skip
    term = np.where(house, rng.choice([180, 240, 300, 360, 420], count), term)
    value = amount / np.clip(rng.beta(5, 2.2, count), 0.3, 1.05)
    value = np.round(value / np.where(house, 1000, 100)) * np.where(house, 1000, 100)
    margin = np.select([house, car, credit_line], [0.95, 2.2, 6.9], 3.4)
    risk = np.clip(640 - score, -90, 260) * np.where(house, 0.0025, 0.013)
    noise = rng.normal(0, 0.12, count)
    rate = np.maximum(margin + market[day] + risk + 0.0015 * term * house + noise, 0.99)
    rate = np.where(rng.random(count) < 0.05, np.ceil(rate) - 0.01, np.round(rate, 2))
    fee = np.where(channel == "broker", 0.02 * amount, np.where(house, 390, 0.0))
    fee = np.where((fee == 0) & (rng.random(count) < 0.25), np.round(0.009 * amount, 2), fee)
    fee = np.round(fee, 2)
    monthly = (amount + fee) * rate / 1200 / (1 - (1 + rate / 1200) ** -term)
    burden = np.where(credit_line, 0, monthly) / income
    chance = 1 / (1 + np.exp(-(score - 515) / 38 + 9 * (burden - 0.33) + 0.8 * ~works))
    decision = np.where(rng.random(count) < chance, "approved", "declined")
    left = (decision == "approved") & (rng.random(count) < 0.09 + 0.05 * house)
    decision = np.where(left, "withdrawn", decision)
    doubtful = (np.abs(chance - 0.5) < 0.2) & (rng.random(count) < 0.45)
    decision = np.where(doubtful, "referred", decision)
    unknown = rng.random(count) < np.where(age < 24, 0.16, 0.018)
    crowd = np.exp(wander(rng, len(days), 0.9, 0.12))[day]
    hours = rng.lognormal(np.where(house, 4.0, np.where(office, 2.0, -0.4)), 0.9, count) * crowd
    hours = np.where(decision == "referred", hours + rng.gamma(2, 30, count), hours)
    hours = np.where(~house & ~office & (chance < 0.2), rng.gamma(2, 0.01, count), hours)
    broker = rng.choice(70, count, p=_zipf(70, 0.9)) * 17 % 400 + 100
    since = np.minimum(np.floor(rng.gamma(1.3, 5.5, count) * 2) / 2, age - 16.0)
    no_rate = np.isin(decision, ("declined", "referred")) & (rng.random(count) < 0.93)
    no_term = credit_line | (rng.random(count) < 0.002)
    frame = pl.DataFrame(
        {
            "applied_at": moments(days[day], hour * 3600, "Europe/Berlin"),
            "product": product,
            "channel": channel,
            "broker": _known(broker, channel == "broker"),
            "region": [f"R{each + 1:02}" for each in region],
            "age": age,
            "employment": jobs,
            "employed_for": _known(since, works & (rng.random(count) > 0.03)),
            "dependents": _known(dependents, rng.random(count) > 0.06 * (channel != "branch")),
            "income": income,
            "is_customer": rng.random(count) < np.where(office, 0.71, 0.38),
            "has_guarantor": rng.random(count) < np.where(age < 25, 0.2, 0.07),
            "purpose": _known(_purposes(rng, count), ~house & ~car & ~credit_line),
            "amount": amount,
            "fee": fee,
            "financed": np.round(amount + fee, 2),
            "term": _known(term, ~no_term),
            "security": _known(value, house | (car & (rng.random(count) < 0.8))),
            "score": _known(score, ~unknown),
            "rate": _known(rate, ~no_rate),
            "instalment": _known(np.round(monthly, 2), ~no_rate & ~no_term),
            "decision": decision,
            "decided_in": _known(np.round(hours, 2), decision != "withdrawn"),
        }
    )
    frame = frame.drop_nulls("applied_at").sort("applied_at", maintain_order=True)
    number = 310_400 + np.cumsum(rng.geometric(0.55, frame.height))
    return frame.insert_column(0, pl.Series("application_id", [f"LA-{each}" for each in number]))


def _purposes(rng: Rng, count: int) -> np.ndarray:
    """What customers want the money for, in some 300 wordings."""
    goods = [form.format(each) for each in GOODS for form in FORMS]
    texts = np.array([*EVENTS, *goods])
    weight = np.concatenate([_zipf(len(EVENTS), 0.7), _zipf(len(goods), 0.9)[rng.permutation(266)]])
    return texts[rng.choice(len(texts), count, p=weight / 2)]


def sensor_panel() -> pl.DataFrame:
    """Twenty stations of air quality every three hours for 20 months: traffic, winter, dust, ozone.

    Stations are away for hours or days when they are serviced; two were away for weeks. A station
    is set up in November 2023. The humidity of one was stuck for days.
    """
    rng = np.random.default_rng(20230403)
    times = np.arange("2023-04-01", "2024-12-01", 3, dtype="datetime64[h]")
    count = len(times)
    moments = pl.Series(times.astype("datetime64[us]")).dt.replace_time_zone("UTC")
    local = moments.dt.convert_time_zone("Europe/Vienna")
    hour, weekday = local.dt.hour().to_numpy() + 1.5, local.dt.weekday().to_numpy() - 1
    year = 2 * np.pi * (np.arange(count) / 8 + 90) / 365.25
    daylight = np.clip(np.sin(np.pi * (hour - 6) / 14) + 0.25 * -np.cos(year), 0, None)
    front = wander(rng, count, 0.97, 0.25)  # weather of some days
    blow = np.exp(0.95 + 0.35 * front + wander(rng, count, 0.8, 0.22))
    blow = blow * (1 + 0.25 * np.sin(np.pi * (hour - 6) / 14))
    turn = np.where(wander(rng, count, 0.98, 0.2) > 0.6, 4.5, 11.3 + front)  # east or west
    turn = turn + wander(rng, count, 0.9, 0.7)
    warm = 11.0 - 10.2 * np.cos(year - 0.45) + 4.4 * np.sin(2 * np.pi * (hour - 9.5) / 24)
    warm = warm + wander(rng, count, 0.985, 0.62) + 1.1 * front
    rain = (front + wander(rng, count, 0.6, 0.5) > 1.25) * rng.gamma(0.6, 2.2, count)
    press = 1015.5 - 3.1 * front + wander(rng, count, 0.99, 0.5)
    still = np.clip(1.9 / (blow + 0.25), 0.25, 3.2)
    still = still * np.where(np.cos(year) > 0.4, 1.15, 0.9)  # inversions
    free = (weekday >= 5) | np.isin(times.astype("datetime64[D]"), _holidays(times))
    rush = np.exp(-(((hour - 7.8) / 1.8) ** 2)) + 0.9 * np.exp(-(((hour - 18) / 2.6) ** 2))
    traffic = 0.25 + 0.75 * np.clip(rush, 0, 1) + 0.35 * ((hour > 8) & (hour < 20))
    traffic = traffic * np.where(free, 0.55, 1) * (1 - 0.12 * (np.cos(year) < -0.85))
    heating = np.clip(14 - warm, 0, None) / 14 * (1 + 0.5 * (hour > 17))
    dust = np.zeros(count)
    for begin in np.flatnonzero(rng.random(count) < 0.0022):
        length = int(rng.integers(8, 34))
        dust[begin : begin + length] += np.sin(np.linspace(0.2, 3, length))[: count - begin] * (
            rng.gamma(3, 13)
        )
    stamp = np.array([str(each)[5:] for each in times])
    dust = dust + np.select([stamp == "12-31T21", stamp == "01-01T00"], [60, 150], 0)
    kinds = ["traffic", "urban", "suburban", "rural", "industry"]
    frames = []
    for place in range(20):
        kind = kinds[[0, 1, 2, 1, 3, 0, 1, 4, 2, 3][place % 10]]
        near = {"traffic": 1.9, "urban": 1.0, "suburban": 0.6, "rural": 0.2, "industry": 0.9}[kind]
        near = near * float(rng.lognormal(0, 0.15))
        height = float(rng.uniform(150, 310)) + 180 * (kind == "rural")
        own = np.exp(wander(rng, count, 0.75, 0.16))
        emitted = near * traffic * still * own
        no = 15 * emitted**1.35 * (1 - 0.5 * daylight) * rng.lognormal(0, 0.18, count)
        no2 = (
            2.5
            + 5.5 * near
            + 13.5 * emitted**0.8
            + 5 * near * heating * still
            + rng.normal(0, 1.1, count)
        )
        no, no2 = np.round(np.clip(no, 0.1, None), 1), np.round(np.clip(no2, 0.5, None), 1)
        o3 = 46 + 62 * daylight * np.clip(warm / 24, 0, 1.7) - 0.75 * no2 - 14 * np.cos(year)
        o3 = o3 + 10 * (kind == "rural") + wander(rng, count, 0.7, 4.5)
        fine = 4.2 + (2.6 * near * traffic + 8.5 * heating * (0.5 + near / 2)) * still * own**0.6
        coarse = (2.8 + 3.6 * near * traffic * still) * np.where(rain > 0.5, 0.55, 1.2)
        burst = (rng.random(count) < 0.0015) * rng.pareto(1.9, count) * 18  # works, a barbecue
        fine = (fine + 0.25 * dust) * np.where(rain > 0.5, 0.7, 1) * rng.lognormal(0, 0.1, count)
        coarse = coarse * rng.lognormal(0, 0.2, count) + 0.75 * dust * (0.8 + 0.02 * place) + burst
        gust = np.minimum(rng.pareto(1.6, count) * 4, 110) * (rng.random(count) < 0.05)
        so2 = rng.gamma(1.5, 0.9, count) + 2.5 * heating + (gust if kind == "industry" else 0)
        co = 0.14 + 0.09 * near * traffic * still + 0.11 * heating * still
        temperature = warm - (height - 170) / 155 + 0.7 * near + wander(rng, count, 0.6, 0.3)
        humidity = 74 + 13 * np.cos(year) - 19 * daylight + 6 * front + 12 * (rain > 0)
        humidity = np.clip(np.round(humidity + wander(rng, count, 0.85, 3.0)), 14, 100).astype(int)
        wind = np.round(blow * (0.75 + 0.6 * (kind == "rural")) * rng.lognormal(0, 0.12, count), 1)
        sector = np.round(turn + place % 3 * 0.4 + rng.normal(0, 0.6, count)).astype(int) % 16
        frame = pl.DataFrame(
            {
                "station": [f"AQ{place + 1:02}"] * count,
                "measured_at": moments,
                "kind": [kind] * count,
                "no": no,
                "no2": no2,
                "nox": np.round(no + no2, 1),
                "o3": np.round(np.clip(0.6 * o3, 0.5, None), 1),
                "pm10": np.round(fine + coarse, 1),
                "pm25": np.round(fine, 1),
                "so2": np.round(so2, 1),
                "co": np.round(co * rng.lognormal(0, 0.08, count), 2),
                "temperature": np.round(temperature, 1),
                "humidity": humidity,
                "pressure": np.round(press - height / 8.4, 1),
                "wind_speed": wind,
                "wind_direction": _known(np.array(WINDS)[sector], wind >= 0.5),
                "rain": np.round(rain * rng.lognormal(0, 0.3, count), 1),
                "status": np.where(rng.random(count) < 0.02, 2, 1),
            }
        )
        frames.append(_observed(rng, frame, place, kind))
    return pl.concat(frames).sort("measured_at", "station")


def _observed(rng: Rng, frame: pl.DataFrame, place: int, kind: str) -> pl.DataFrame:
    """What a station measures at all, and what of it arrived."""
    count, times = frame.height, frame["measured_at"].dt.replace_time_zone(None).to_numpy()
    if kind == "traffic":
        frame = frame.with_columns(o3=pl.lit(None, pl.Float64))
    if kind in ("rural", "suburban"):
        frame = frame.with_columns(co=pl.lit(None, pl.Float64))
    # analysers are calibrated or fail one by one; the gases share a cabinet
    gases, lost = _breaks(rng, count, 0.0025, 1.4), _breaks(rng, count, 0.0018, 1.3)
    names = ("no", "no2", "nox", "o3", "so2", "co")
    frame = frame.with_columns(frame[name].set(pl.Series(gases), None) for name in names)
    frame = frame.with_columns(frame[name].set(pl.Series(lost), None) for name in ("pm10", "pm25"))
    frame = frame.with_columns(
        status=pl.when(pl.Series(gases | lost)).then(4).otherwise("status").cast(pl.Int64)
    )
    away = _breaks(rng, count, 0.0008, 1.2)
    for station, begin, end in ((6, "2023-08-07", "2023-08-30"), (13, "2024-06-17", "2024-07-06")):
        if place == station:
            away |= (times >= np.datetime64(begin)) & (times < np.datetime64(end))
    if place == 18:
        away |= times < np.datetime64("2023-11-14T09")
    if place == 3:
        stuck = (times >= np.datetime64("2024-09-09")) & (times < np.datetime64("2024-09-21"))
        frame = frame.with_columns(humidity=frame["humidity"].set(pl.Series(stuck), 100))
        away &= ~stuck
    return frame.filter(pl.Series(~away))


def _breaks(rng: Rng, count: int, often: float, steep: float) -> np.ndarray:
    """When something is out of order: for hours mostly, for six days at most."""
    out = np.zeros(count, dtype=bool)
    for begin in np.flatnonzero(rng.random(count) < often):
        out[begin : begin + min(1 + int(rng.pareto(steep) * 2), 48)] = True
    return out


def ad_sessions() -> pl.DataFrame:
    """A shop's advertisements of 28 months, by day, campaign, country and device.

    Campaigns come and go; each has its own countries. What is seen by nobody is no row.
    Poland is added in September 2023. What a click costs rises slowly.
    """
    rng = np.random.default_rng(20220604)
    days = np.arange("2022-06-01", "2024-10-01", dtype="datetime64[D]")
    weekday, count = _weekday(days), len(days)
    stamp = np.array([str(each)[5:] for each in days])
    sale = ((stamp >= "11-20") & (stamp <= "11-30")) | ((stamp >= "01-02") & (stamp <= "01-12"))
    quiet = (stamp >= "12-23") | (stamp <= "01-01")
    year = 2 * np.pi * np.arange(count) / 365.25
    mood = np.exp(wander(rng, count, 0.85, 0.06)) * np.where(sale, 1.5, np.where(quiet, 0.7, 1))
    price = np.exp(0.0045 * np.arange(count) / 30.4) * np.where(sale, 1.3, 1.0)
    price = price * np.exp(wander(rng, count, 0.95, 0.02))
    countries, devices = ("DE", "AT", "CH", "NL", "PL"), ("mobile", "desktop", "tablet")
    reach, rich = np.array([1.0, 0.16, 0.14, 0.24, 0.32]), np.array([1.0, 0.95, 1.5, 1.05, 0.55])
    frames = []
    for plan in _campaigns(rng, days):
        goes = plan["network"]
        shape = {
            "search": (2.6, 0.055, 0.62, 0.034), "shopping": (3.7, 0.011, 0.34, 0.024),
            "social": (4.6, 0.009, 0.42, 0.008), "display": (5.5, 0.0022, 0.21, 0.004),
            "video": (4.9, 0.0031, 0.13, 0.003),
        }[goes]  # fmt: skip
        age = np.arange(count) - plan["first"]
        live = (age >= 0) & (np.arange(count) < plan["last"])
        fades = plan["last"] - plan["first"] < count  # whoever has seen it often clicks no more
        wear = 1 / (1 + np.clip(age, 0, None) / 130) if fades else np.ones(count)
        own = np.exp(wander(rng, count, 0.8, 0.13)) * plan["size"]
        bursts = np.ones(count)
        for begin in np.flatnonzero(rng.random(count) < 0.006):
            bursts[begin : begin + 4] *= (
                1 + rng.pareto(1.7) * np.array([1, 0.6, 0.3, 0.1])[: count - begin]
            )
        for nation, gear in np.ndindex(5, 3):
            if nation not in plan["nations"]:
                continue
            there = live & ((nation != 4) | (days >= np.datetime64("2023-09-11")))
            part = reach[nation] * np.array([1.0, 0.55, 0.09])[gear]
            part = part * np.array([[1, 1, 1.05, 1, 1.2], [1, 0.6, 1.2, 1, 0.7]])[gear % 2, nation]
            week = np.where(weekday >= 5, [1.18, 0.62, 1.3][gear], 1.0)
            week = week * np.array([1.04, 1, 1, 1.01, 0.95, 1, 1.1])[weekday]
            seen = np.exp(shape[0]) * 70 * own * part * week * mood * np.minimum(bursts, 9)
            seen = rng.negative_binomial(7, 7 / (7 + seen * (1 + 0.1 * np.cos(year))))
            ctr = shape[1] * plan["good"] * wear * [1.1, 0.9, 1.0][gear]
            clicks = rng.binomial(seen, np.clip(ctr * rng.lognormal(0, 0.15, count), 0, 0.4))
            one = shape[2] * price * rich[nation] ** 0.5 / plan["good"] ** 0.3
            one = one * [0.85, 1.2, 0.9][gear]
            cost = np.round(clicks * one * rng.lognormal(0, 0.13, count), 2)
            if goes in ("display", "video"):  # paid for what is seen
                cost = np.round(seen * shape[1] * one * rng.lognormal(0, 0.06, count), 2)
            sessions = rng.binomial(clicks, [0.86, 0.93, 0.9][gear])
            leave = np.clip(0.34 + 4 * shape[2] * (0.5 - shape[2]), 0.2, 0.8)
            bounced = rng.binomial(sessions, leave)
            ready = rng.random(count) < 0.72  # on other days there is nothing in stock
            buys = shape[3] * [0.7, 1.5, 1.0][gear] * np.where(sale, 1.5, 1) / 0.72
            bought = rng.binomial(sessions - bounced, np.clip(buys * 1.6, 0, 0.5)) * ready
            basket = np.exp(4.05 + rng.normal(0, 0.55, count) / np.sqrt(np.maximum(bought, 1)))
            stay = rng.gamma(2 + sessions / 3, 1, count) / (2 + sessions / 3) * [68, 121, 96][gear]
            frame = pl.DataFrame(
                {
                    "day": pl.Series(days).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
                    "campaign": [plan["name"]] * count,
                    "country": [countries[nation]] * count,
                    "device": [devices[gear]] * count,
                    "network": [goes] * count,
                    "landing_page": [plan["page"]] * count,
                    "impressions": seen,
                    "clicks": clicks,
                    "ctr": np.round(clicks / np.maximum(seen, 1), 4),
                    "cost": cost,
                    "cpc": _known(np.round(cost / np.maximum(clicks, 1), 2), clicks > 0),
                    "sessions": sessions,
                    "bounced": bounced,
                    "engaged": sessions - bounced,
                    "seconds": _known(np.round(stay, 1), sessions > 0),
                    "conversions": bought,
                    "revenue": np.round(bought * basket * rich[nation], 2),
                    "budget_spent": own * mood * bursts > 1.7 * plan["size"],
                }
            )
            frames.append(frame.filter(pl.Series(there & (seen > 0))))
    return pl.concat(frames).sort("day", "campaign", "country", "device")


def _campaigns(rng: Rng, days: np.ndarray) -> list[dict]:
    """Four that always run, and others for some weeks, of which about five run at a time."""
    count, found = len(days), []
    always = {"brand_search": "search", "shoes_search": "search", "feed_all": "shopping"}
    for name, network in (always | {"return_visitors": "display"}).items():
        found.append({"name": name, "network": network, "first": 0, "last": count})
    ends = [int(rng.integers(15, 90)) for _ in range(5)]
    for slot, end in enumerate(ends):
        first = 0
        last = end
        while first < count:
            begin = str(days[first])
            network = ("social", "social", "video", "shopping", "display")[slot]
            topic = TOPICS[int(rng.integers(len(TOPICS)))]
            name = f"{begin[2:4]}{begin[5:7]}_{network[:2]}_{topic}_{slot + 1}"
            found.append({"name": name, "network": network, "first": first, "last": last})
            first = last + int(rng.choice([0, 0, 1, 3, 7]))
            last = first + int(np.clip(rng.lognormal(3.7, 0.55), 10, 150))
    for number, plan in enumerate(found):
        plan["size"] = float(rng.lognormal(0.0, 0.5))
        plan["good"] = float(rng.lognormal(0.0, 0.2))
        plan["page"] = "/" + ("" if number == 0 else TOPICS[number * 7 % 11])
        some = [0] + [each for each in (1, 2, 3, 4) if rng.random() < 0.55]
        plan["nations"] = (0, 1, 2, 3, 4) if number < 4 else tuple(some)
    return found


# --- helpers


def _weekday(days: np.ndarray) -> np.ndarray:
    """0 for Monday."""
    return (days.astype("datetime64[D]").astype(int) + 3) % 7


def _holidays(times: np.ndarray) -> np.ndarray:
    """The public holidays from the first to the last year of these times."""
    first, last = (int(str(each)[:4]) for each in (times[0], times[-1]))
    fixed = [f"{year}-{each}" for year in range(first, last + 1) for each in FIXED]
    return np.array([*fixed, *MOVING], dtype="datetime64[D]")


def _working(
    days: np.ndarray, day: np.ndarray, holidays: np.ndarray, later: np.ndarray | int
) -> np.ndarray:
    """The number of the day that comes so many working days later; Saturday is one."""
    moved = np.busday_offset(
        days[0] + day.astype("timedelta64[D]"), later, "preceding", "1111110", holidays
    )
    return (moved - days[0]).astype(int)


def _zipf(count: int, steep: float) -> np.ndarray:
    """Shares of which the first are large and the last are many."""
    weight = 1 / (np.arange(count) + 1.5) ** steep
    return weight / weight.sum()


def _drawn(rng: Rng, values: str, shares: list[int], count: int) -> np.ndarray:
    weight = np.array(shares)
    return np.array(values.split())[rng.choice(len(shares), count, p=weight / weight.sum())]


def _known(values: np.ndarray, known: np.ndarray) -> pl.Series:
    """These values where they are known, and null elsewhere."""
    return pl.Series(values).set(pl.Series(~known), None)


GENERATORS: dict[str, Callable[[], pl.DataFrame]] = {
    "ad_sessions": ad_sessions,
    "loan_applications": loan_applications,
    "parcel_scans": parcel_scans,
    "sensor_panel": sensor_panel,
}
