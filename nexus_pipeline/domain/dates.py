"""On which days an item came, as a question tells it: `last week`, `in March 2026`, `since 2026-05-03`. Pure.

Read for English; dates such as `2026-05-03` in any language. `March` may be a subject, `May` a person and `may` a verb,
so a month or a year alone counts only behind a word such as `in`, and where no other word takes it for its own (`in
March Madness`, `in 2025 dollars`). Days are those of UTC; a week begins on Monday.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from nexus_pipeline.domain.asking import SCAFFOLDING, STOP
from nexus_pipeline.domain.days import DAY, EARLIEST, Days, day_of, earlier, unit_of
from nexus_pipeline.domain.questions import ITEM
from nexus_pipeline.domain.syntax import WORD, muted

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_PEOPLE = frozenset({"jan", "april", "may", "june", "august"})
_IN_SMALL = frozenset({"january", "february", "april", "june", "july", "september", "october", "november", "december"})
"""Months in small letters, too: `march`, `may`, `august` and what is cut short are other words then."""

_MONTH = (
    r"\b(?P<month>(?i:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec))\b"
)
_DATE = r"(?<![\w.:/-])(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b"
_YEAR = r"\b(?P<year>(?:19|20)\d\d)(?![\w/-])"
_N = rf"(?P<n>\d{{1,3}}|(?i:a|{'|'.join(_NUMBERS)}))"
_UNIT = r"(?P<unit>day|week|month|year)"

_LEAD = re.compile(
    r"\b(in|on|at|of|from|during|since|before|after|between|and|or|to|by|for|until|till)\s+"
    r"(?:the\s+)?(?:(?:early|late|mid)[\s-])?\Z",
    re.IGNORECASE,
)
_LEAD_AT_MOST = 30
_NEVER = frozenset({"by", "for", "until", "till"})
"""A deadline, or how long something takes: behind these stands no day on which it was spoken of."""
_JOINS = frozenset({"and", "or", "to"})
"""Behind these stands a date that goes with the one before."""
_ALONE = frozenset({"in", "during", "since", "before", "after", "from", "between", *_JOINS})
"""Behind these a month or a year may stand alone."""
_A_DAY = _ALONE - {"in", "during"} | {"on", "of"}
"""Behind these a day may stand without its year."""
_ANY = _ALONE | _A_DAY | {"at"}
_WHOSE = frozenset({"from", "before", "after"})
"""Behind these `May` is rather a person."""

_OWNS = re.compile(r"['\u2019]s?\b")
_ITS_ITEM = re.compile(rf"['\u2019]s?\s+(?:\w+\s+){{0,2}}{ITEM}\b", re.IGNORECASE)
_NEXT = re.compile(r"\s+([^\W_]+)")

Read = Callable[["re.Match[str]", date], Days | None]


@dataclass(frozen=True, slots=True)
class Dated:
    """What a question says of days: any of `days`; none of them where it says nothing.

    `rest` is the question without words such as `last week`: where they are said, they mean other days. `March 2026`
    stays in it: it may be what is spoken of. `undated` has none of the words that told a day. Both are the whole
    question where it asks for nothing else.
    """

    days: tuple[Days, ...]
    rest: str
    undated: str


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to write a date.

    `behind`: words of which one must stand before it. `any_case`: even `may` is a month there. `alone`: no word may
    follow that takes it for its own. `points`: from the day of asking, and with a capital it is a name, unless it
    begins the text.
    """

    pattern: "re.Pattern[str]"
    read: Read
    behind: frozenset[str] | None = None
    any_case: bool = False
    alone: bool = False
    points: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """A date where it stands in a text, from the word that leads it on."""

    start: int
    end: int
    lead: str
    found: "re.Match[str]"
    form: _Form

    def read(self, today: date) -> Days | None:
        """Which days it tells."""
        return self.form.read(self.found, today)


def dated(text: str, today: date | None) -> Dated:
    """What a question says of days, none of which is still to come; nothing where `today` (in UTC) is not known.

    A day or month without its year is the last one of its name. Phrases in quotes and what is left out tell nothing.
    """
    if today is None:
        return Dated((), text, text)
    spans = _spans(_told(muted(text)), today)
    rest = _without(text, [(start, end) for start, (end, _, points) in spans.items() if points])
    undated = _without(text, [(start, end) for start, (end, _, _) in spans.items()])
    return Dated(tuple(some for _, some, _ in spans.values()), rest, undated)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """What a question asks but for these of its parts; all of it where nothing else is asked."""
    rest, at = "", 0
    for start, end in spans:
        rest, at = f"{rest}{text[at:start]} ", end
    rest += text[at:]
    asks = any(word.lower() not in STOP and word.lower() not in SCAFFOLDING for word in WORD.findall(rest))
    return rest if asks else text


def _told(text: str) -> list[_Told]:
    """All dates of a text in order; of two ways to read one, the one that says more."""
    told: list[_Told] = []
    for form in _FORMS:
        for found in form.pattern.finditer(text):
            one = _placed(form, found, text)
            if one and not any(one.start < other.end and other.start < one.end for other in told):
                told.append(one)
    return sorted(told, key=lambda one: one.start)


def _placed(form: _Form, found: "re.Match[str]", text: str) -> _Told | None:
    """A date as it stands in the text; None where it is none there."""
    start, end = found.span()
    begins = max(0, start - _LEAD_AT_MOST)
    led = _LEAD.search(text, begins, start)
    lead = led[1].lower() if led else ""
    if lead in _NEVER or (form.behind is not None and lead not in form.behind) or not _is_meant(form, found, lead):
        return None
    if owns := _OWNS.match(text, end):
        if form.alone or not _ITS_ITEM.match(text, end):
            return None
        end = owns.end()
    elif form.alone and (after := _NEXT.match(text, end)) and after[1] not in STOP and after[1] not in SCAFFOLDING:
        return None
    return _Told(led.start() if led else start, end, lead, found, form)


def _is_meant(form: _Form, found: "re.Match[str]", lead: str) -> bool:
    """Whether it is no name and no other word, by its capital and by what leads it."""
    if form.points:
        return not found[0][0].isupper() or not WORD.search(found.string, 0, found.start())
    month = found.groupdict().get("month")
    if month is None or form.any_case:
        return True
    if form.alone and lead in _WHOSE and month.lower() in _PEOPLE:
        return False
    return month[0].isupper() or month in _IN_SMALL


def _spans(told: list[_Told], today: date) -> dict[int, tuple[int, Days, bool]]:
    """By where they begin in the text: where they end, which days they tell, and whether they point from today.

    Two that are joined may tell one span: `from March to May`.
    """
    spans: dict[int, tuple[int, Days, bool]] = {}
    for before, one in zip([None, *told], told, strict=False):
        start, points = one.start, one.form.points
        goes_with = before if before and one.lead in _JOINS and start <= before.end + 1 else None
        days: Days | None = None
        if goes_with and (one.lead == "to" or goes_with.lead == "between"):
            start, days = goes_with.start, _range(goes_with, one, today)
            points = points and goes_with.form.points
        elif one.lead != "between" and (goes_with or one.lead not in _JOINS):
            days = _led(one.lead, one.read(today), today)
        if days:
            spans[start] = one.end, days, points
    return spans


def _range(one: _Told, other: _Told, today: date) -> Days | None:
    """From one date to the other: `from November to March` began in the November before that March."""
    last = other.read(today)
    first = last and one.read(last.last)
    return _there(first.first, last.last, today) if first and last else None


def _led(lead: str, days: Days | None, today: date) -> Days | None:
    """These days, or those that lie `since`, `after` or `before` them."""
    if days is None:
        return None
    if lead == "since":
        return _there(days.first, max(today, days.last), today)
    if lead == "after":
        return _there(days.last + DAY, today, today)
    if lead == "before":
        return _there(EARLIEST, days.first - DAY, today)
    return _there(days.first, days.last, today)


def _there(first: date, last: date, today: date) -> Days | None:
    """From one day to the other; None where none of them has come, or could have an item."""
    first = max(first, EARLIEST)
    return Days(first, last) if first <= min(last, today) else None


def _iso(found: "re.Match[str]", _today: date) -> Days | None:
    return day_of(int(found["year"]), int(found["number"]), int(found["day"]))


def _day(found: "re.Match[str]", today: date) -> Days | None:
    month, day = _number_of(found["month"]), int(found["day"])
    if year := found.groupdict().get("year"):
        return day_of(int(year), month, day)
    # a leap day may be eight years ago
    days = (day_of(today.year - n, month, day) for n in range(9))
    return next((one for one in days if one and one.first <= today), None)


def _month(found: "re.Match[str]", today: date) -> Days | None:
    month = _number_of(found["month"])
    year = found.groupdict().get("year") or today.year - (month > today.month)
    return unit_of("month", date(int(year), month, 1))


def _that_month(found: "re.Match[str]", today: date) -> Days | None:
    if found["which"] in {"last", "Last"}:
        return _month(found, today.replace(day=1) - DAY)
    return unit_of("month", date(today.year, _number_of(found["month"]), 1))


def _year(found: "re.Match[str]", _today: date) -> Days | None:
    return unit_of("year", date(int(found["year"]), 1, 1))


def _weekday(found: "re.Match[str]", today: date) -> Days | None:
    return unit_of("day", today - ((today.weekday() - _WEEKDAYS.index(found["weekday"].lower()) - 1) % 7 + 1) * DAY)


def _that(found: "re.Match[str]", today: date) -> Days | None:
    return unit_of(found["unit"], earlier(today, int(found["which"].lower() != "this"), found["unit"]))


def _past(found: "re.Match[str]", today: date) -> Days | None:
    return Days(earlier(today, _count(found["n"]), found["unit"]), today)


def _ago(found: "re.Match[str]", today: date) -> Days | None:
    return unit_of(found["unit"], earlier(today, _count(found["n"]), found["unit"]))


def _days_ago(n: int) -> Read:
    return lambda _found, today: unit_of("day", today - n * DAY)


def _number_of(month: str) -> int:
    return _MONTHS.index(month[:3].lower()) + 1


def _count(told: str) -> int:
    """How many: nothing said is one."""
    small = told.lower()
    return int(told) if told.isdigit() else _NUMBERS.index(small) + 1 if small in _NUMBERS else 1


def _form(pattern: str, read: Read, behind: frozenset[str] | None = None, **told: bool) -> _Form:
    return _Form(re.compile(pattern), read, behind, **told)


_FORMS = (
    _form(r"(?<![\w-])(?P<year>(?:19|20)\d\d)-(?P<number>\d\d)-(?P<day>\d\d)(?![\w-])", _iso),
    _form(rf"{_DATE}\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}", _day, any_case=True),
    _form(rf"{_MONTH}\s+{_DATE},?\s+{_YEAR}", _day, any_case=True),
    _form(rf"{_MONTH},?\s+(?:of\s+)?{_YEAR}", _month, _ANY, any_case=True),
    _form(rf"{_MONTH},?\s+(?:of\s+)?{_YEAR}", _month),
    _form(rf"{_DATE}\s+(?:of\s+)?{_MONTH}", _day, _A_DAY, any_case=True),
    _form(rf"{_MONTH}\s+{_DATE}", _day, _A_DAY, any_case=True),
    _form(rf"\b(?P<which>[Ll]ast|[Tt]his)\s+{_MONTH}", _that_month, alone=True),
    _form(rf"\b[Tt]he\s+{_MONTH}(?=\s+(?:\w+\s+)?{ITEM}\b)", _month),
    _form(rf"\b[Ll]ast\s+(?P<weekday>(?i:{'|'.join(_WEEKDAYS)}))\b", _weekday, points=True),
    _form(rf"\b(?:[Tt]he\s+)?(?:[Ll]ast|[Pp]ast)\s+{_N}\s+{_UNIT}s?\b(?!\s+of\b)", _past, points=True),
    _form(r"\b(?:[Tt]he\s+(?:last|past)|[Pp]ast)\s+(?P<n>)(?P<unit>week|month|year)\b(?!\s+of\b)", _past, points=True),
    _form(r"\b(?P<which>[Ll]ast|[Pp]revious|[Tt]his)\s+(?P<unit>week|month|year)\b(?!\s+of\b)", _that, points=True),
    _form(rf"\b{_N}\s+{_UNIT}s?\s+ago\b", _ago, points=True),
    _form(r"\b[Tt]he\s+day\s+before\s+yesterday\b", _days_ago(2), points=True),
    _form(r"\b[Yy]esterday\b", _days_ago(1), points=True),
    _form(r"\b[Ee]arlier\s+today\b|\b[Tt]oday(?=['\u2019]s)", _days_ago(0), points=True),
    _form(rf"{_MONTH}(?![/-])", _month, _ALONE, alone=True),
    _form(rf"{_YEAR}", _year, _ALONE, alone=True),
)
