"""Three tables that are made up: a shop's orders, machines' sensors and a site's sessions.

They have what real ones seldom show together: growth, launches, campaign days, wear, maintenance,
and amounts that add up. The same rows come of the same seed.
"""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

DAY = np.timedelta64(1, "D")
SECOND = np.timedelta64(1, "s")
NOTES = (
    "Please leave it with the neighbours.", "Ring twice, the bell is weak.", "It is a present.",
    "Wrap it as a gift, please.", "Deliver after 5 pm.", "The parcel may stay in the garage.",
    "Invoice to the office.", "Please call before you come.", "Thank you!", "No plastic, please.",
    "Second floor, on the left.", "Gate code is on the letter box.",
)  # fmt: skip
COUNTRIES = (
    "US DE GB FR IN CA NL BR AU ES IT JP PL SE CH MX AT BE DK NO FI IE PT CZ KR SG TR ZA AR "
    "RO UA GR HU IL NZ CO CL TH ID MY PH VN TW HK AE SA EG NG KE MA PE BG HR RS SK SI LT LV "
    "EE LU IS PK BD LK"
)  # the more sessions, the earlier
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Henry", "Ida", "Jonas")


def shop_orders() -> pl.DataFrame:
    """Order lines of 30 months: growth, launches, a price list each January, campaign days."""
    rng = np.random.default_rng(20220101)
    days = np.arange("2022-01-01", "2024-07-01", dtype="datetime64[D]")
    orders = rng.poisson(_orders_expected(days))
    day = np.repeat(np.arange(len(days)), orders)
    hours = rng.normal(15.5, 4.2, len(day))
    # nobody orders at night, when clocks are put forward and back
    hours = np.where((hours < 5) | (hours > 23.98), rng.uniform(8, 22, len(day)), hours)
    seconds = hours * 3600
    order = np.lexsort((seconds, day))
    day, seconds = day[order], seconds[order].astype(int)
    lines = 1 + rng.poisson(0.55, len(day))
    customers = rng.integers(0, 4_000 + 14 * day)  # more of them each day
    number = np.repeat(np.arange(len(day)), lines)
    line = np.arange(len(number)) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    when = day[number]
    campaign = _is_campaign(days)[when]
    product, category, price = _products(rng, when, days[when])
    quantity = 1 + rng.poisson(np.where(category == "supplies", 1.6, 0.25))
    discounted = np.where(campaign, rng.random(len(when)) < 0.7, rng.random(len(when)) < 0.04)
    price = np.round(price * np.where(discounted, 0.8, 1.0), 2)
    net = np.round(price * quantity, 2)
    tax = np.round(net * np.where(category == "books", 0.07, 0.19), 2)
    share = rng.random(len(day))
    channel = np.where(share < 0.2 + 0.25 * day / len(days), "app", "web")
    channel = np.where(share > 0.9, "shop", channel)
    # instalments are offered from March 2023 on
    means = np.array(["card", "paypal", "invoice", "instalments"])
    offered = days[day] >= np.datetime64("2023-03-01")
    payment = means[np.searchsorted([0.5, 0.8], rng.random(len(day)))]
    payment = np.where(offered & (rng.random(len(day)) < 0.08), "instalments", payment)
    state = np.array([50, 40, 30, 90])[np.searchsorted([0.9, 0.94, 0.98], rng.random(len(when)))]
    in_shop = channel[number] == "shop"
    slow = np.where(campaign, 3.0, 1.2)
    delivery = 1 + rng.poisson(slow + (days[when].astype("datetime64[M]").astype(int) % 12 == 11))
    return pl.DataFrame(
        {
            "order_id": [f"SO{400_000 + 3 * each}" for each in number],
            "line": line,
            "ordered_at": (days[when] + seconds[number] * SECOND).astype("datetime64[us]"),
            "customer_id": 100_000 + customers[number],
            "channel": channel[number],
            "payment": payment[number],
            "product_code": product,
            "category": category,
            "price": price,
            "quantity": quantity,
            "net": net,
            "tax": tax,
            "gross": np.round(net + tax, 2),
            "discount_code": pl.Series(np.where(discounted, _codes(days)[when], "")).replace(
                {"": None}
            ),
            "status": state,
            "delivery_days": pl.Series(delivery).set(pl.Series(in_shop), None),
            "note": _notes(rng, len(day), 0.12).gather(number),
        }
    )


def _orders_expected(days: np.ndarray) -> np.ndarray:
    """Orders a day: they double in two years, are fewer at weekends and many in campaigns."""
    age = (days - days[0]) / DAY
    weekday = np.array([1.1, 1.05, 1.0, 1.0, 1.05, 0.85, 0.95])[(days.astype(int) + 3) % 7]
    month = days.astype("datetime64[M]").astype(int) % 12
    season = np.array([0.95, 0.9, 0.95, 1, 1, 0.95, 0.9, 0.9, 1, 1.05, 1.2, 1.45])[month]
    closed = np.isin(days.astype(str), ["2022-12-25", "2023-12-25"])
    campaign = np.where(_is_campaign(days), 3.2, 1.0)
    return 75 * 2 ** (age / 730) * weekday * season * campaign * np.where(closed, 0.1, 1.0)


def _is_campaign(days: np.ndarray) -> np.ndarray:
    """The four days from the fourth Friday of November on, and three days each June."""
    fridays = [date(year, 11, 1) for year in (2022, 2023)]
    starts = [(each + timedelta((4 - each.weekday()) % 7 + 21), 4) for each in fridays]
    starts += [(date(2022, 6, 17), 3), (date(2023, 6, 16), 3), (date(2024, 6, 14), 3)]
    found = {start + timedelta(more) for start, length in starts for more in range(length)}
    return np.isin(days, np.array(sorted(found), dtype="datetime64[D]"))


def _codes(days: np.ndarray) -> np.ndarray:
    month = days.astype("datetime64[M]").astype(int) % 12
    special = np.where(month == 10, "BLACK20", "SUMMER20")
    return np.where(_is_campaign(days), special, "FRIEND20")


def _products(
    rng: np.random.Generator, when: np.ndarray, day: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Product, category and list price of each line; a third of the range is launched later."""
    count = 180
    kinds = np.array(["books", "home", "supplies", "toys", "garden"])
    kind = kinds[np.arange(count) % 4]
    launched = np.where(np.arange(count) < 120, 0, rng.integers(60, 860, count))
    kind[150:] = "garden"  # a range of its own, from the second spring on
    launched[150:] = 420 + rng.integers(0, 12, 30) ** 2
    middle = {"books": 14.0, "home": 38.0, "supplies": 6.0, "toys": 24.0, "garden": 52.0}
    base = np.array([middle[each] for each in kind]) * rng.lognormal(0, 0.45, count)
    weight = rng.pareto(1.6, count) + 0.15
    chosen = np.empty(len(when), dtype=int)
    for each in np.unique(when):
        there = np.flatnonzero(launched <= each)
        lines = np.flatnonzero(when == each)
        share = weight[there] / weight[there].sum()
        chosen[lines] = rng.choice(there, len(lines), p=share)
    raised = 1.03 ** (day.astype("datetime64[Y]").astype(int) - 52)
    price = np.floor(base[chosen] * raised) + 0.99
    codes = np.array([f"{kind[each][:2].upper()}-{1000 + 7 * each}" for each in range(count)])
    return codes[chosen], kind[chosen], price


def _notes(rng: np.random.Generator, count: int, share: float) -> pl.Series:
    """Free texts, most of which come once."""
    first, second = rng.integers(0, len(NOTES), count), rng.integers(0, len(NAMES), count)
    floor, there = rng.integers(1, 400, count), rng.random(count) < share
    made = [
        f"{NOTES[first[each]]} {NAMES[second[each]]}, door {floor[each]}" if there[each] else None
        for each in range(count)
    ]
    return pl.Series(made, dtype=pl.String)


def machine_sensors() -> pl.DataFrame:
    """Twelve machines hour by hour for 24 months: wear, a daily cycle, gaps for maintenance."""
    rng = np.random.default_rng(20230101)
    hours = np.arange("2023-01-01", "2025-01-01", dtype="datetime64[h]")
    count = len(hours)
    clock = np.arange(count) % 24
    weekend = ((hours.astype("datetime64[D]").astype(int) + 3) % 7) >= 5
    room = 18 + 7 * np.sin(2 * np.pi * (np.arange(count) / 8766 - 0.3))
    room = room + 2.5 * np.sin(2 * np.pi * (clock - 9) / 24) + wander(rng, count, 0.99, 0.35)
    frames = []
    for place in range(12):
        stopped, since = _maintenance(rng, count)
        wear = since / 2200
        load = np.where((clock >= 6) & (clock < 22), 0.85, 0.45) * np.where(weekend, 0.5, 1.0)
        load = np.clip(load + wander(rng, count, 0.9, 0.035), 0.05, 1.0)
        running = (rng.random(count) > 0.03) & ~(weekend & (clock < 6))
        load = np.where(running, load, 0.0)
        speed = np.round(load * (1450 + 20 * place) / 5) * 5
        motor = np.round(load * (22 + place) * (1 + 0.1 * wear) + 0.3, 2)
        heating = np.round(np.clip(24 - room, 0, None) * 0.22 + rng.gamma(2, 0.05, count), 2)
        vibration = (0.4 + 2.6 * load) * (1 + wear**2) * rng.lognormal(0, 0.08, count)
        temperature = room + 32 * load * (1 + 0.15 * wear) + rng.normal(0, 0.6, count)
        pressure = 5.8 + 0.4 * load + 0.05 * place + rng.normal(0, 0.04, count)
        parts = rng.poisson(load * (110 + 6 * place))
        failed = running & (rng.random(count) < 0.002 + 0.006 * wear)
        kinds = np.array([12, 17, 31, 44])[rng.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])]
        update = np.datetime64("2023-11-06") + int(rng.integers(0, 21)) * DAY
        frame = pl.DataFrame(
            {
                "machine": np.full(count, 101 + place),
                "measured_at": hours.astype("datetime64[us]"),
                "shift": np.where(clock < 6, "night", np.where(clock < 14, "early", "late")),
                "running": running,
                "speed": speed.astype(int),
                "temperature": np.round(temperature, 1),
                "vibration": np.round(vibration, 3),
                "pressure": np.round(pressure, 2),
                "motor_power": motor,
                "heating_power": heating,
                "power": np.round(motor + heating, 2),
                "energy_total": np.round(8000 * (place + 1) + np.cumsum(motor + heating), 1),
                "parts": parts,
                "error_code": pl.Series(kinds).set(pl.Series(~failed), None),
                "firmware": np.where(hours < update, "4.2.1", "4.3.0"),
            }
        )
        # a sensor drops out now and then
        lost = pl.Series(rng.random(count) < 0.004)
        frame = frame.with_columns(frame["vibration"].set(lost, None))
        frames.append(frame.filter(pl.Series(~stopped)))
    return pl.concat(frames)


def wander(rng: np.random.Generator, count: int, keep: float, step: float) -> np.ndarray:
    """Noise of which each value is near the one before."""
    steps = rng.normal(0, step, count)
    values = np.empty(count)
    value = 0.0
    for each in range(count):
        value = keep * value + steps[each]
        values[each] = value
    return values


def _maintenance(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which hours a machine is out of work, and how many hours ago it was last maintained."""
    stopped, since = np.zeros(count, dtype=bool), np.empty(count)
    begin = -int(rng.integers(0, 2000))
    while begin < count:
        end = begin + int(rng.integers(1500, 2600))
        there = np.arange(max(begin, 0), min(end, count))
        since[there] = there - begin
        gap = int(rng.integers(6, 40))
        stopped[max(end - gap, 0) : max(min(end, count), 0)] = True
        begin = end
    return stopped, since


def web_sessions() -> pl.DataFrame:
    """A site's sessions of 24 months: weeks, campaigns, a launch in the middle, late growth."""
    rng = np.random.default_rng(20230102)
    days = np.arange("2023-01-01", "2025-01-01", dtype="datetime64[D]")
    month = (days.astype("datetime64[M]") - np.datetime64("2023-01", "M")).astype(int)
    weekday = (days.astype(int) + 3) % 7
    campaign = np.isin(days.astype(str), ["2023-05-09", "2023-11-24", "2024-03-12", "2024-11-29"])
    expected = 250 * np.array([1.15, 1.2, 1.15, 1.1, 1.0, 0.65, 0.75])[weekday]
    expected = expected * np.where(month >= 19, 1.1 ** (month - 18), 1.0)
    sessions = rng.poisson(expected * np.where(campaign, 2.5, 1.0))
    day = np.repeat(np.arange(len(days)), sessions)
    count = len(day)
    seconds = np.clip(rng.normal(14, 5, count), 0.001, 23.99) * 3600
    order = np.lexsort((seconds, day))
    seconds = seconds[order].astype(int)
    launched = days[day] >= np.datetime64("2023-12-05")
    phone = rng.random(count) < 0.42 + 0.12 * day / len(days)
    device = np.where(phone, "mobile", np.where(rng.random(count) < 0.06, "tablet", "desktop"))
    pages = 1 + rng.negative_binomial(1, np.where(phone, 0.36, 0.26))
    clicks, scrolls = rng.poisson(1.4 * pages), rng.poisson(np.where(phone, 3.1, 2.2) * pages)
    duration = np.where(pages == 1, rng.exponential(14, count), pages * rng.gamma(1.3, 38, count))
    landing = np.array(["/", "/pricing", "/blog", "/docs", "/products"])
    page = landing[rng.choice(5, count, p=[0.4, 0.12, 0.2, 0.16, 0.12])]
    page = np.where(launched & (rng.random(count) < 0.18), "/products/nova", page)
    browser = np.array(["Chrome", "Safari", "Firefox", "Edge", "Other"])
    browser_of = browser[
        np.where(
            phone,
            rng.choice(5, count, p=[0.5, 0.42, 0.03, 0.02, 0.03]),
            rng.choice(5, count, p=[0.62, 0.12, 0.12, 0.12, 0.02]),
        )
    ]
    on_day = campaign[day] & (rng.random(count) < 0.55)
    letter = rng.random(count) < 0.05
    source = np.array(["search", "direct", "referral", "social"])
    source_of = source[rng.choice(4, count, p=[0.46, 0.3, 0.14, 0.1])]
    source_of = np.where(on_day, "campaign", np.where(letter, "newsletter", source_of))
    bought = (pages > 2) & (rng.random(count) < 0.035 + 0.015 * launched)
    revenue = np.round(rng.lognormal(3.6 + 0.25 * launched, 0.6, count), 2)
    halves = rng.integers(0, 2**32, (2, count), dtype=np.uint64)
    names = _launch_names(days, campaign)[day]
    return pl.DataFrame(
        {
            "session_id": [f"{a:08x}{b:08x}" for a, b in halves.T.tolist()],
            "started_at": (days[day] + seconds * SECOND).astype("datetime64[us]"),
            "country": _countries(rng, count),
            "device": device,
            "browser": browser_of,
            "source": source_of,
            "campaign": pl.Series(np.where(on_day, names, "")).replace({"": None}),
            "landing_page": page,
            "pages": pages,
            "clicks": clicks,
            "scrolls": scrolls,
            "events": clicks + scrolls,
            "duration": np.round(duration).astype(int),
            "is_bounce": pages == 1,
            "load_time": np.round(rng.lognormal(np.where(phone, 7.2, 6.7), 0.4)).astype(int),
            "revenue": pl.Series(revenue).set(pl.Series(~bought), None),
        }
    )


def _launch_names(days: np.ndarray, campaign: np.ndarray) -> np.ndarray:
    return np.where(campaign, np.char.add("C-", days.astype("datetime64[M]").astype(str)), "")


def _countries(rng: np.random.Generator, count: int) -> np.ndarray:
    codes = np.array(COUNTRIES.split())
    weight = 1 / np.arange(1, len(codes) + 1) ** 1.15
    return codes[rng.choice(len(codes), count, p=weight / weight.sum())]


GENERATORS: dict[str, Callable[[], pl.DataFrame]] = {
    "machine_sensors": machine_sensors,
    "shop_orders": shop_orders,
    "web_sessions": web_sessions,
}
