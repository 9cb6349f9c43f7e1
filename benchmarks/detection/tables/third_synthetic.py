"""Three tables that are made up and held out: claims of an insurer, admissions, and invoices.

They have what insurers, hospitals and subscriptions know: rhythms of day, week and year, holidays,
storms and waves of flu, heavy tails, growth, values that are missing for a reason, and two or three
changes each that are meant. The same rows come of the same seed. `third_panels.py` has three more.
"""

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import polars as pl
from fresh_synthetic import moments
from synthetic import wander

Rng = np.random.Generator
# line, cause, claims a day, day of the year with most, swing, usual loss, spread of the loss
CAUSES = """
motor collision 5.6 15 0.16 2600 0.9; motor parking 3.3 345 0.1 1150 0.6
motor glass 2.0 35 0.22 540 0.35; motor animal 0.8 310 0.4 2900 0.6
motor theft 0.4 300 0.1 7800 0.8; motor hail 0.05 195 0.9 2700 0.6
home water 2.0 25 0.2 2900 1.0; home fire 0.35 0 0.2 9500 1.6
home storm 0.35 20 0.5 1700 1.0; contents burglary 1.0 350 0.35 2400 0.9
contents bicycle 1.5 195 0.4 780 0.5; contents device 1.1 200 0.1 340 0.4
liability damage 2.2 180 0.05 620 1.2; liability dog 0.4 190 0.1 900 1.0
travel cancelled 0.9 180 0.45 900 0.8; travel luggage 0.5 215 0.55 420 0.6
travel illness 0.5 215 0.5 1100 1.3; liability other 0.2 100 0.1 1500 1.4
"""
HAPPENED = (
    "at the crossroads", "on the car park", "overnight", "while we were away", "in the kitchen",
    "in the cellar", "by a neighbour", "by my son", "on the motorway", "at the station", "in Spain",
    "during the storm", "after the party", "at work", "on the way home", "in the garden",
)  # fmt: skip
FOUND = ("noticed {}", "happened {}", "{}, police informed", "{}, photos follow", "{}, see report")
# code, kind, ward, admissions in a hundred of its kind, age, days
DIAGNOSES = """
J18.9 E M1 9 71 6.5;J44.1 E M1 7 69 5.2;J20.9 E M1 4 55 3.0;I50.0 E C1 6 78 8.1;I21.4 E C1 5 68 4.6
I48.9 E C1 5 72 2.9;R07.4 E C1 8 58 1.0;A41.9 E M2 5 70 9.5;N39.0 E M2 7 74 5.8;R55 E M2 4 66 1.6
T40.2 E M2 3 38 1.3;F10.3 E M2 3 49 3.2;K35.8 E S1 4 33 2.6;K80.0 E S1 4 54 3.9;K92.2 E S1 3 67 4.2
R10.4 E S1 7 42 1.2;S72.0 E O1 5 82 13.0;S82.6 E O1 3 48 5.1;S52.5 E O1 3 51 1.3;I63.9 E N1 5 75 11
S06.0 E N1 3 47 1.4;G40.9 E N1 3 44 2.3;J21.9 E P1 4 1 2.2;R50.9 E P1 4 4 1.2;N20.1 E U1 2 47 1.6
M16.1 D O1 17 69 3.7;M17.1 D O1 18 70 3.6;K40.9 D S1 11 60 0.8;K80.2 D S1 9 52 1.5;C18.9 D S1 4 70 8
N40 D U1 8 70 2.0;C67.9 D U1 6 72 1.8;I25.1 D C1 9 67 1.4;J35.0 D P1 6 7 0.9;D25.9 D G1 5 46 2.2
C50.9 D S1 7 60 1.7;O80 M G1 55 31 1.5;O82 M G1 26 33 3.1;O42.9 M G1 11 30 2.2;O14.9 M G1 8 32 4.4
"""
COMPLAINTS = (
    "short of breath", "chest pain", "fall at home", "fever", "abdominal pain", "found on floor",
    "dizzy", "cough", "as planned", "worse since yesterday", "leg swollen", "vomiting", "headache",
    "confused", "for operation", "contractions", "rash", "weak", "bleeding", "pain in the back",
)  # fmt: skip
ENGLISH = (
    "2022-08-29", "2022-09-19", "2022-12-26", "2022-12-27", "2023-01-02", "2023-04-07",
    "2023-04-10", "2023-05-01", "2023-05-08", "2023-05-29", "2023-08-28", "2023-12-25",
    "2023-12-26", "2024-01-01", "2024-03-29", "2024-04-01", "2024-05-06", "2024-05-27",
    "2024-08-26", "2024-12-25", "2024-12-26",
)  # fmt: skip
DUTCH = (
    "2021-12-25", "2021-12-26", "2022-01-01", "2022-04-18", "2022-04-27", "2022-05-26",
    "2022-06-06", "2022-12-26", "2023-04-10", "2023-04-27", "2023-05-18", "2023-05-29",
    "2023-12-25", "2023-12-26", "2024-01-01", "2024-04-01", "2024-05-09", "2024-05-20",
    "2024-12-25", "2024-12-26",
)  # fmt: skip
NATIONS, RATES = ("IE", "GB", "DE", "FR", "NL", "AT", "US"), (23, 0, 19, 20, 21, 20, 0)
PLANS = ("STARTER", "BASIC", "PRO", "BUSINESS", "SCALE")
OLD, NEW = (900, 1900, 3900, 6900, 5500), (1000, 2100, 4200, 7400, 5500)  # cents for a seat
SCALES, WALLETS, END = (np.datetime64(each) for each in ("2023-10-16", "2024-05-06", "2024-12-01"))


def insurance_claims() -> pl.DataFrame:
    """An insurer's claims of 36 months as they stand 60 days after the report: storms, late ones.

    Customers can report by an app since March 2023. The usual deductible of cars rises in 2024. A
    clerk joins in June 2024.
    """
    rng = np.random.default_rng(20220107)
    days = np.arange("2021-06-01", "2025-01-01", dtype="datetime64[D]")
    count = len(days)
    rows = [each.split() for each in CAUSES.strip().replace("\n", ";").split(";")]
    lines, causes = (np.array([each[k] for each in rows]) for k in (0, 1))
    many, peak, much, usual, spread = np.array([each[2:] for each in rows]).astype(float).T
    rates = np.array([many[k] * swing(days, peak[k], much[k]) for k in range(len(rows))]).T
    mood = {line: np.exp(wander(rng, count, 0.8, 0.09)) for line in sorted({*lines})}
    rates = rates * np.array([mood[each] for each in lines]).T
    rates = rates * np.exp(0.0025 * np.arange(count) / 30.4)[:, None]
    rates[:, :4] *= np.array([1.05, 1.03, 1.0, 1.05, 1.12, 0.95, 0.8])[weekdays(days), None]
    # a storm in winter or hail in summer, three or four a year each
    for begin in np.flatnonzero(rng.random(count) < 0.011 * swing(days, 25, 0.95)):
        rates[begin : begin + 3, 8] += (
            rng.gamma(1.3, 30) * np.array([0.7, 0.25, 0.05])[: count - begin]
        )
    for begin in np.flatnonzero(rng.random(count) < 0.008 * swing(days, 190, 0.98)):
        rates[begin, [5, 8]] += rng.gamma(1.2, 26) * np.array([0.75, 0.25])
    found = rng.poisson(rates)
    lost, cause = (np.repeat(each.ravel(), found.ravel()) for each in np.indices(found.shape))
    count = len(lost)
    line, name = lines[cause], causes[cause]
    late = rng.lognormal(np.where(line == "travel", 2.1, 1.0), 1.05, count)
    late = np.where(rng.random(count) < 0.02, late * 15, late).astype(int)
    day = lost + np.minimum(late, 500)
    kept = (day < len(days)) & (days[np.minimum(day, len(days) - 1)] >= np.datetime64("2021-12-20"))
    lost, cause, line, name, day = (each[kept] for each in (lost, cause, line, name, day))
    count, along = len(day), (day - 214) / 365.25
    young = np.where(line == "travel", 0.9, np.where(line == "home", 0.55, 0.75))
    app = np.clip((days[day] - np.datetime64("2023-03-15")).astype(int) / 200, 0, 1) * 0.2 * young
    app = np.where(days[day] >= np.datetime64("2023-03-15"), app + 0.02, 0)
    shares = [0.42 - 0.02 * along, 0.26 + 0.02 * along, 0.24 + 0 * along, 0.08 - 0.012 * along, app]
    channel = picked(rng, np.array(["phone", "web", "broker", "letter", "app"]), np.array(shares).T)
    # brokers and letters come on working days; fewer call at a weekend
    shut = (weekdays(days)[day] >= 5) | np.isin(days[day], np.array(DUTCH, dtype="datetime64[D]"))
    waits = np.isin(channel, ("broker", "letter")) | (rng.random(count) < 0.35)
    moved = np.busday_offset(days[day], 0, "forward", holidays=DUTCH)
    reported = np.where(shut & waits, moved, days[day])
    office = np.isin(channel, ("broker", "letter", "phone"))
    hour = np.where(office, rng.triangular(8, 10.5, 18, count), rng.normal(17.5, 3.6, count) % 24)
    claimed = usual[cause] * np.exp(spread[cause] * rng.normal(0, 1, count) + 0.035 * along)
    hurt = (name == "collision") & (rng.random(count) < 0.05)
    claimed = np.where(hurt, claimed * (1 + 3 * rng.pareto(1.6, count)), claimed)
    claimed = np.round(np.clip(claimed, 20, 2_500_000), 2)
    reserve = claimed * rng.lognormal(0, 0.45, count)
    steps = np.where(reserve > 5000, 500, np.where(reserve > 800, 100, 50))
    reserve = np.maximum(np.round(reserve / steps) * steps, 50).astype(int)
    share, old = rng.random(count), days[lost] < np.datetime64("2024-01-01")
    usual_cut = np.where(share < 0.25, 0, np.where(share < 0.8, np.where(old, 150, 200), 500))
    cut = np.select(
        [line == "motor", line == "home", line == "contents", line == "travel"],
        [usual_cut, 250 * (share < 0.5), 100 * (share < 0.6), 50],
        0,
    )
    cut = np.minimum(cut, claimed)
    busy = np.exp(wander(rng, len(days), 0.95, 0.05))[day]  # how much there is to do
    settled = rng.gamma(1.1, 7 + 5 * np.log1p(claimed / 900) ** 1.3, count) * busy
    settled = np.where(hurt | (rng.random(count) < 0.03), settled * 6, settled).astype(int)
    status = picked(
        rng, np.array(["settled", "declined", "withdrawn"]), np.array([0.88, 0.08, 0.04]), count
    )
    status = np.where(settled > 60, "open", status)
    valued = (status == "settled") | ((status == "open") & (share > 0.55))
    teams = {"motor": 0, "home": 5, "contents": 7, "liability": 9, "travel": 11}
    clerk = np.select([line == each for each in teams], [*teams.values()], 0)
    clerk = clerk + (rng.random(count) ** 1.3 * np.where(line == "motor", 5, 2)).astype(int)
    joined = (
        (reported >= np.datetime64("2024-06-03")) & (line == "motor") & (rng.random(count) < 0.17)
    )
    regions = np.array(["ZH", "NH", "NB", "GE", "UT", "OV", "LI", "FR", "GR", "DR", "ZE", "FL"])
    at_sea = np.isin(regions, ("ZH", "NH", "FR", "GR", "ZE"))
    living = zipf(12, 0.9) * np.where((name == "storm")[:, None] & at_sea, 2.5, 1)
    texts = np.array([form.format(each) for each in HAPPENED for form in FOUND])
    told = rng.choice(len(texts), count, p=zipf(len(texts), 0.6)[rng.permutation(len(texts))])
    frame = pl.DataFrame(
        {
            "reported_at": moments(reported, hour * 3600, "Europe/Amsterdam"),
            "loss_date": pl.Series(days[lost]),
            "line": line,
            "cause": name,
            "region": picked(rng, regions, living),
            "channel": channel,
            "clerk": [f"K{each:02}" for each in np.where(joined, 14, clerk + 1)],
            "injured": hurt,
            "reserve": reserve,
            "claimed": where_known(claimed, valued),
            "deductible": where_known(np.round(cut, 2), valued),
            "payable": where_known(np.round(claimed - cut, 2), valued),
            "settled_in": where_known(settled, (settled <= 60) & (status != "withdrawn")),
            "status": status,
            "statement": where_known(
                texts[told], rng.random(count) < np.where(channel == "letter", 0.5, 0.93)
            ),
        }
    )
    frame = within(frame, "reported_at", "Europe/Amsterdam", date(2022, 1, 1), date(2024, 12, 31))
    numbers = [f"CL{each}" for each in 700_200 + np.cumsum(rng.geometric(0.8, frame.height))]
    return frame.insert_column(0, pl.Series("claim", numbers))


def hospital_admissions() -> pl.DataFrame:
    """A hospital's admissions of 30 months: waves of flu, planned ones, some who come again.

    A ward for emergencies opens in October 2023. New beds in April 2024 weigh who lies in them.
    """
    rng = np.random.default_rng(20220711)
    days = np.arange("2022-07-01", "2025-01-01", dtype="datetime64[D]")
    count, weekday = len(days), weekdays(days)
    free = np.isin(days, np.array(ENGLISH, dtype="datetime64[D]"))
    flu = np.zeros(count)
    for winter in (2022, 2023, 2024):
        top = (np.datetime64(f"{winter}-12-20") - days[0]).astype(int) + rng.integers(-8, 30)
        flu += rng.uniform(0.8, 1.5) * np.exp(-(((np.arange(count) - top) / 21) ** 2))
    mood = np.exp(wander(rng, count, 0.7, 0.05))
    sudden = 17.5 * swing(days, 10, 0.04) * mood * (1 + 0.12 * flu)
    sudden = sudden * np.array([1.12, 1.03, 1.0, 1.0, 1.02, 0.92, 0.91])[weekday]
    planned = 7.1 * np.array([1.35, 1.4, 1.3, 1.25, 0.95, 0.08, 0.5])[weekday] * mood
    stamp = np.array([str(each)[5:] for each in days])
    planned = (
        planned * np.where(free, 0.1, 1) * np.where((stamp > "12-19") | (stamp < "01-04"), 0.4, 1)
    )
    planned = (
        planned
        * (1 - 0.15 * (stamp > "07-25") * (stamp < "09-01"))
        * (1 - 0.2 * np.minimum(flu, 1))
    )
    births = 2.3 * swing(days, 265, 0.06) * np.where(weekday >= 5, 0.85, 1.06)
    many = rng.poisson(
        np.stack([sudden, planned, births], axis=1) * np.linspace(1, 1.06, count)[:, None]
    )
    day, kind = (np.repeat(each.ravel(), many.ravel()) for each in np.indices(many.shape))
    count = len(day)
    known = [each.split() for row in DIAGNOSES.split("\n") for each in row.split(";") if each]
    codes = np.array([each[0] for each in known])
    weight = np.array([["EDM".index(each[1]) == k for each in known] for k in range(3)])[kind]
    weight = weight * np.array([float(each[3]) for each in known])
    breath = np.array([each[0][0] == "J" and each[1] == "E" for each in known])
    weight = weight * np.where(breath, (swing(days, 15, 0.25) + 1.1 * flu)[day, None], 1)
    found = picked(rng, np.arange(len(known)), weight)
    age = np.array([float(each[4]) for each in known])[found]
    age = np.where(
        age < 10,
        rng.gamma(1.5, age / 1.5 + 0.3),
        age + rng.normal(0, 13, count) * (1 - 0.6 * (kind == 2)),
    )
    age = np.clip(age, np.where(kind == 2, 16, np.where(age < 17, 0, 17)), 102).astype(int)
    female = rng.random(count) < np.where(
        codes[found] == "N40", 0, np.where(np.isin(codes[found], ("C50.9", "D25.9")), 0.99, 0.5)
    )
    female |= kind == 2
    code = codes[found]
    other = rng.random(count) < 0.13  # what is coded more finely or otherwise
    code = np.where(
        other & (kind < 2),
        np.char.add(np.array([e[:3] + "." for e in code]), rng.integers(0, 10, count).astype(str)),
        code,
    )
    ward = np.array([each[2] for each in known])[found]
    ward = np.where((rng.random(count) < 0.05 + 0.05 * flu[day]) & (ward == "M1"), "M2", ward)
    patient = 400_000 + rng.permutation(900_000)[:count]
    for each in np.flatnonzero(rng.random(count) < 0.15 * (kind == 0)):  # comes again
        before = each - int(rng.geometric(1 / 700))
        if before >= 0 and kind[before] == 0:
            for values in (patient, age, female, code, ward, found):
                values[each] = values[before]
    opened = (days[day] >= np.datetime64("2023-10-02")) & np.isin(ward, ("M1", "M2"))
    ward = np.where(opened & (rng.random(count) < 0.55), "A1", ward)
    hour = np.where(kind == 1, rng.normal(8.2, 1.1, count), rng.uniform(0, 24, count))
    hour = np.where(
        (kind == 0) & (rng.random(count) < 0.75), rng.normal(15.5, 4.2, count) % 24, hour
    ).clip(0, 23.9)
    stay = np.array([float(each[5]) for each in known])[found]
    stay = stay * rng.gamma(1.4, 1 / 1.4, count) * np.exp(wander(rng, len(days), 0.9, 0.03))[day]
    stay = (
        stay
        * np.where((age > 75) & (rng.random(count) < 0.06), 4, 1)
        * np.linspace(1.03, 0.97, count)
    )
    stay = np.minimum(stay + 0.35 + 0.4 * ((weekday[day] + stay.astype(int)) % 7 == 4), 170)
    intensive = rng.random(count) < np.where(np.isin(found, (3, 4, 7, 19)), 0.17, 0.03)
    infected = np.isin(
        codes[found], ("J18.9", "A41.9", "N39.0", "J20.9", "R50.9", "J21.9", "K35.8")
    )
    heat = 36.7 + rng.normal(0, 0.3, count) + infected * rng.gamma(2.2, 0.5, count)
    pressure = (
        116 + 0.32 * np.minimum(age, 75) + rng.normal(0, 17, count) - 14 * (codes[found] == "A41.9")
    )
    heavy = np.where(
        age < 17, 3.6 + 2.6 * age + 0.06 * age**2, 68 + 11 * ~female - 0.12 * np.abs(age - 55)
    )
    heavy = np.round(heavy * rng.lognormal(0, np.where(age < 17, 0.13, 0.21), count), 1)
    asked = np.where(days[day] >= np.datetime64("2024-04-08"), 0.12, 0.34)
    unweighed = rng.random(count) < np.where(kind == 0, asked * np.where(age < 17, 0.1, 1), 0.03)
    ending = rng.random(count)
    dies = 0.0007 * np.exp(age / 20) * np.where(infected, 2, 1) * (kind == 0)
    care = dies + np.clip((age - 62) / 90, 0, 1) * np.where(stay > 6, 1.1, 0.45)
    left = np.where(
        ending < dies,
        "died",
        np.where(ending < care, "care", np.where(ending > 0.97, "hospital", "home")),
    )
    sent = picked(
        rng,
        np.array(["ambulance", "self", "gp", "hospital", "clinic", "midwife"]),
        np.array([[48, 27, 21, 4, 0, 0], [0, 0, 55, 5, 40, 0], [4, 22, 3, 2, 0, 69]])[kind],
    )
    texts = np.array(
        [*COMPLAINTS, *(f"{a}, {b}" for a in COMPLAINTS for b in COMPLAINTS[::3] if a != b)]
    )
    told = texts[
        rng.choice(len(texts), count, p=zipf(len(texts), 0.7)[rng.permutation(len(texts))])
    ]
    frame = pl.DataFrame(
        {
            "admitted_at": moments(days[day], hour * 3600, "Europe/London"),
            "patient": patient,
            "kind": np.array(["emergency", "elective", "maternity"])[kind],
            "ward": ward,
            "diagnosis": code,
            "referred_by": sent,
            "age": age,
            "sex": np.where(female, "F", "M"),
            "weight": where_known(heavy, ~unweighed),
            "systolic": where_known(
                np.round(pressure).astype(int), rng.random(count) > np.where(age < 17, 0.5, 0.02)
            ),
            "temperature": where_known(
                np.round(np.minimum(heat, 42), 1), rng.random(count) > 0.015
            ),
            "stay": np.round(stay, 1),
            "intensive_hours": where_known(
                np.round(rng.gamma(1.2, 52, count) + 3).astype(int), intensive
            ),
            "discharged_to": left,
            "complaint": where_known(told, (kind == 0) | (rng.random(count) < 0.3)),
        }
    )
    frame = within(frame, "admitted_at", "Europe/London", date(2022, 7, 1), date(2024, 12, 31))
    return frame.insert_column(0, pl.Series("admission", 5_120_000 + np.arange(frame.height)))


def subscription_billing() -> pl.DataFrame:
    """A software's invoices of 30 months, issued every night: plans, seats, coupons and credits.

    The price list changes in March 2023. The plan SCALE is new in October 2023, and paying by
    wallet in May 2024. Coupons have a new code each quarter.
    """
    rng = np.random.default_rng(20220606)
    days = np.arange("2018-01-01", END, dtype="datetime64[D]")
    usual = np.interp(np.arange(len(days)), [0, 1600, 2526], [1.0, 2.6, 3.1])
    usual = usual * np.where(weekdays(days) >= 5, 0.4, 1.24) * swing(days, 40, 0.12)
    first = np.repeat(days, rng.poisson(usual * np.exp(wander(rng, len(days), 0.8, 0.12))))
    rows = [row for each, start in enumerate(first) for row in _invoices(rng, each, start)]
    fields = (
        "issued", "kind", "customer", "country", "plan", "seats", "unit_price", "list_amount",
        "discount", "net", "tax", "coupon", "payment", "paid_after",
    )  # fmt: skip
    frame = pl.DataFrame(rows, schema=list(fields), orient="row", infer_schema_length=None)
    frame = frame.sort("issued", maintain_order=True)
    issued = frame["issued"].to_numpy()
    order = frame.select(pl.int_range(pl.len()).over("issued")).to_series()
    slow = rng.uniform(0.6, 1.6, len(days) + 60)[(issued - days[0]).astype(int)]
    seconds = 7800 + order.to_numpy() * slow + rng.exponential(0.3, frame.height) * slow
    frame = frame.with_columns(
        gross=pl.col("net") + pl.col("tax"),
        issued_at=moments(issued, seconds, "UTC"),
        customer=pl.col("customer") + 20_011,
        paid_after=pl.when(pl.col("paid_after") <= 60).then("paid_after"),
    )
    money = ("unit_price", "list_amount", "discount", "net", "tax", "gross")
    frame = frame.with_columns(pl.col(name) / 100 for name in money)
    frame = within(frame, "issued_at", "UTC", date(2022, 6, 1), date(2024, 11, 30))
    frame = frame.insert_column(0, pl.Series("invoice", 610_000 + np.arange(frame.height)))
    return frame.select(
        "invoice", "issued_at", "kind", "customer", "country", "plan", "seats", "unit_price",
        "list_amount", "discount", "net", "tax", "gross", "coupon", "payment", "paid_after",
    )  # fmt: skip


def _invoices(rng: Rng, customer: int, start: np.datetime64) -> Iterator[list]:
    """All invoices of a customer who comes that day, in cents, and the credits that follow them."""
    yearly, company = rng.random() < 0.13, rng.random() < 0.64
    nation = int(rng.choice(7, p=[0.16, 0.24, 0.2, 0.11, 0.1, 0.04, 0.15]))
    # a tax is due at home, and from private persons of other countries of the European Union
    rate = 0 if nation in (1, 6) or (nation > 0 and company) else RATES[nation]
    plan = int(rng.choice(4, p=[0.38, 0.34, 0.2, 0.08]))
    plan = 4 if start >= SCALES and rng.random() < 0.14 else plan
    seats = min(max(1, int(rng.pareto(1.5 if company else 3) * (1 + plan)) + 1), 400)
    month, place = start.astype("datetime64[M]"), min(int(str(start)[8:10]), 28)
    place = 1 if rng.random() < 0.25 else place  # some wish the first of the month
    lifetime = int(rng.geometric(0.05 if rng.random() < 0.3 else 0.013)) * (12 if yearly else 1)
    ways = [0.5, 0.2, 0.3] if company else [0.68, 0.2, 0.12]
    pay = str(rng.choice(["card", "debit", "transfer"], p=ways))
    pay = "wallet" if start >= WALLETS and rng.random() < 0.2 else pay
    special, likes_new = rng.random(), rng.random() < 0.6
    percent = int(rng.choice([10, 20, 25, 30, 50], p=[0.2, 0.4, 0.2, 0.15, 0.05]))
    quarter = ("WINTER", "SPRING", "SUMMER", "AUTUMN")[(int(str(start)[5:7]) - 1) // 3]
    coupon = f"{quarter}{str(start)[2:4]}" if rng.random() < 0.27 else None
    for turn in range(0, lifetime, 12 if yearly else 1):
        issued = (month + turn).astype("datetime64[D]") + place - 1
        if issued >= END:
            break
        if rng.random() < 0.07:
            seats = max(1, seats + int(rng.choice([-1, 1, 1, 2])) * max(1, seats // 12))
        plan = _later_plan(rng, plan, issued)
        if issued >= WALLETS and pay == "card" and likes_new and rng.random() < 0.012:
            pay = "wallet"
        if issued < END - 960:
            continue
        price = (NEW if issued >= np.datetime64("2023-03-01") else OLD)[plan]
        price = price * (10 if yearly else 1) * (85 if special < 0.05 else 100) // 100
        code = coupon if turn < (12 if yearly else 3) else None
        cut = 0 if code is None else percent
        code, cut = ("CHARITY", 40) if special > 0.97 else (code, cut)
        discount = seats * price * cut // 100
        net = seats * price - discount
        where = [customer, NATIONS[nation], PLANS[plan] + ("-Y" if yearly else ""), seats]
        money = [price, seats * price, discount, net, (net * rate + 50) // 100]
        yield [issued.astype(object), "invoice", *where, *money, code, pay, _paid(rng, pay)]
        if rng.random() < 0.012:  # a mistake, or somebody changed their mind
            later = issued + int(rng.integers(1, 25))
            yield [
                later.astype(object),
                "credit",
                *where,
                *(-each for each in money),
                code,
                pay,
                None,
            ]


def _later_plan(rng: Rng, plan: int, issued: np.datetime64) -> int:
    """A customer's plan from this invoice on: mostly the same, else a larger one."""
    if plan == 2 and issued >= SCALES and rng.random() < 0.008:
        return 4
    return plan + 1 if plan < 3 and rng.random() < 0.007 else plan


def _paid(rng: Rng, pay: str) -> int:
    """After how many days an invoice is paid."""
    tries, wait = rng.choice([0, 0, 0, 0, 0, 0, 0, 3, 5]), rng.integers(3, 8)
    late = {"card": tries, "wallet": 0, "debit": wait}.get(pay, rng.lognormal(2.6, 0.7))
    return int(late + (rng.exponential(40) if rng.random() < 0.035 else 0))


# --- helpers


def weekdays(days: np.ndarray) -> np.ndarray:
    """0 for Monday."""
    return (days.astype("datetime64[D]").astype(int) + 3) % 7


def swing(days: np.ndarray, peak: float, size: float) -> np.ndarray:
    """Around 1: the most at that day of the year, the least half a year later."""
    return 1 + size * np.cos(2 * np.pi * (days.astype("datetime64[D]").astype(int) - peak) / 365.25)


def zipf(count: int, steep: float) -> np.ndarray:
    """Shares of which the first are large and the last are many."""
    weight = 1 / (np.arange(count) + 1.5) ** steep
    return weight / weight.sum()


def picked(rng: Rng, values: np.ndarray, weights: np.ndarray, count: int = 1) -> np.ndarray:
    """One of the values for each row of weights; or for so many rows of the same weights."""
    rows = np.broadcast_to(weights, (count, len(values))) if weights.ndim == 1 else weights
    edges = np.cumsum(rows, axis=1)
    below = rng.random((len(rows), 1)) * edges[:, -1:] > edges
    return values[np.minimum(below.sum(axis=1), len(values) - 1)]


def where_known(values: np.ndarray, is_known: np.ndarray) -> pl.Series:
    """These values where they are known, and null elsewhere."""
    return pl.Series(values).set(pl.Series(~is_known), None)


def within(frame: pl.DataFrame, moment: str, zone: str, first: date, last: date) -> pl.DataFrame:
    """Its rows of these days, in their order."""
    local = pl.col(moment).dt.convert_time_zone(zone).dt.date()
    return frame.filter(local.is_between(first, last)).sort(moment, maintain_order=True)


GENERATORS: dict[str, Callable[[], pl.DataFrame]] = {
    "hospital_admissions": hospital_admissions,
    "insurance_claims": insurance_claims,
    "subscription_billing": subscription_billing,
}
