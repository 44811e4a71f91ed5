"""Days of the calendar, one behind the other: the week, month or year of a day, and so many of them earlier. Pure."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

EARLIEST = date(1970, 1, 1)
"""No item came before."""
DAY = timedelta(days=1)
_MONTHS_OF = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True)
class Days:
    """From the first to the last of them, both among them; in UTC."""

    first: date
    last: date


def day_of(year: int, month: int, day: int) -> Days | None:
    """One day; None where the calendar has none such."""
    try:
        only = date(year, month, day)
    except ValueError:
        return None
    return Days(only, only)


def unit_of(unit: str, day: date) -> Days:
    """The day, week (from Monday on), month or year in which a day lies."""
    if unit == "day":
        return Days(day, day)
    if unit == "week":
        monday = day - day.weekday() * DAY
        return Days(monday, monday + 6 * DAY)
    if unit == "month":
        return Days(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))
    return Days(date(day.year, 1, 1), date(day.year, 12, 31))


def earlier(day: date, n: int, unit: str) -> date:
    """The day so many days, weeks, months or years before; where its month is shorter, that month's last day."""
    if unit not in _MONTHS_OF:
        return day - n * (7 if unit == "week" else 1) * DAY
    year, month = divmod(12 * day.year + day.month - 1 - n * _MONTHS_OF[unit], 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
