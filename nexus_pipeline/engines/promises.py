# ruff: noqa: RUF001 - the apostrophe that typesetters use is meant
"""What somebody said they would do, and the names and dates in it: rules over English sentences. Pure.

Rules find what is said plainly ("Anna will send the invoice by Friday", "please check the budget", "action: ...") and
leave out what only sounds like it (forecasts, questions, conditions, recipes): a short list that is right is worth
more than a long one. Other languages have no action items here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from nexus_pipeline.domain.sentences import Sentence
from nexus_pipeline.domain.timeline import ActionItem, Entity
from nexus_pipeline.engines.phrases import STOP_WORDS

MOST = 50
"""Action items and entities of one item at most."""

_DAY = r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_WORKS = (
    "add answer arrange ask assign book bring buy call change check clean close collect complete confirm contact copy "
    "create deliver deploy document draft email file find finish fix follow get help install invite move order "
    "organize pay plan practice prepare present print publish read record release remove repair replace report return "
    "review run schedule send set share ship show sign submit talk tell test translate update upload visit write"
)
_OFFICE = "send email call prepare review update schedule book share submit finish fix confirm arrange follow"
_MUST = r"(?:will|shall|should|must|needs? to|ha(?:s|ve) to|(?:is|are|am) going to|(?:is|are) to|'ll)"
_IS = "be|have|like|want|need|not|never"  # what comes after "will" and is nothing to do
_DOES = rf"(?:{_WORKS.replace(' ', '|')})"
_LABELLED = re.compile(r"^(?:action(?: item)?|to-?do|task|next step)s?\s*[:-]\s*(?P<task>\S.*)", re.IGNORECASE)
_NAMED = re.compile(
    rf"\b(?P<who>[A-Z][a-z]+(?: and [A-Z][a-z]+)?)\s+(?:also\s+)?{_MUST}\s+(?P<task>(?!(?:{_IS})\b)[a-z].*)"
)
_OURS = re.compile(
    rf"^(?:(?:and|so|then|okay|ok),?\s+)?(?P<who>I|we|you)\s*{_MUST}\s+(?P<task>{_DOES}\b.*)", re.IGNORECASE
)
_ASKED = re.compile(
    r"^(?:(?P<who>[A-Z][a-z]+),\s+)?(?:please|remember to|don['’]t forget to|make sure to|can you(?: please)?|"
    r"could you(?: please)?)\s+(?P<task>[a-z].*)",
    re.IGNORECASE,
)
_BARE = re.compile(
    rf"^(?P<task>(?:{_OFFICE.replace(' ', '|')})\s+(?:the|a|an|your|our|my|it|them|up)\b.*)", re.IGNORECASE
)
_CONDITION = re.compile(r"^(?:if|when|unless|whether)\b", re.IGNORECASE)
_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|immediately|right away|today|tonight|must|critical|important)\b", re.IGNORECASE
)
_IDLE = re.compile(r"\b(?:if possible|eventually|some ?time|some day|maybe|perhaps|could|no hurry)\b", re.IGNORECASE)
_COUNT = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|forty|fifty)"
_ESTIMATE = re.compile(
    rf"\b(?:takes?|needs?|about|around|for)\s+({_COUNT}\s+(?:minute|hour|day|week)s?)\b", re.IGNORECASE
)
_NOBODY = STOP_WORDS | {"everyone", "everybody", "somebody", "someone", "nobody", "people"}
_DATE = re.compile(rf"\b(?:{_DAY}|{_MONTH}(?:\s+\d{{1,2}}(?:st|nd|rd|th)?)?(?:,?\s+\d{{4}})?|(?:19|20)\d\d)\b")
_NAME = re.compile(r"[A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)*")
_DOER = re.compile(rf"(?:,\s+(?:please|can|could)|\s+(?:{_MUST}|said|says|has|wants|and\s+[A-Z]\w+))\b")


def action_items(sentences: Iterable[Sentence], names: Mapping[str, str]) -> tuple[ActionItem, ...]:
    """In order of time, numbered from 1; `at_s` is the sentence's start, `context` the sentence."""
    found: list[ActionItem] = []
    seen: set[str] = set()
    for sentence in sentences:
        said = sentence.text
        promise = _promise(said)
        if promise is None or (task := _task(promise["task"])).lower() in seen:
            continue
        seen.add(task.lower())
        estimate = _ESTIMATE.search(said)
        found.append(
            ActionItem(
                n=len(found) + 1,
                task=task,
                priority=_priority(said),
                at_s=round(sentence.start_s, 3),
                context=said,
                assignee=_assignee(promise.get("who"), sentence, names),
                estimate=estimate.group(1).lower() if estimate else None,
            )
        )
        if len(found) == MOST:
            break
    return tuple(found)


def entities(sentences: Iterable[Sentence]) -> tuple[Entity, ...]:
    """Names (capitalized where a sentence does not ask for it) and dates, most mentioned first.

    What kind of thing a name stands for, rules cannot say: `kind` is `name` or `date`. `at_s` is the start of the
    sentence that names it first.
    """
    counted: Counter[tuple[str, str]] = Counter()
    first_s: dict[tuple[str, str], float] = {}
    for sentence in sentences:
        text = sentence.text
        named = [("date", found.group()) for found in _DATE.finditer(text)]
        named += [("name", name) for name in _names(_DATE.sub(",", text))]
        counted.update(named)
        for one in named:
            first_s.setdefault(one, round(sentence.start_s, 3))
    return tuple(Entity(name, kind, first_s[kind, name]) for (kind, name), _ in counted.most_common(MOST))


def _names(text: str) -> Iterator[str]:
    for found in _NAME.finditer(text):
        words = found.group().split()
        first = found.start() == 0 or text[: found.start()].rstrip().endswith((".", "?", "!", ":"))
        if first and (len(words) == 1 or words[0].lower() in STOP_WORDS):
            doer = words[0].lower() not in _NOBODY and _DOER.match(text, found.start() + len(words[0]))
            words = words if doer else words[1:]
        while words and words[0].lower().removesuffix("'s") in STOP_WORDS:
            words = words[1:]
        if words:
            yield " ".join(words).removesuffix("'s").removesuffix("’s")


def _promise(said: str) -> dict[str, str] | None:
    labelled = _LABELLED.match(said)
    if labelled:
        return labelled.groupdict()
    asked = _ASKED.match(said)
    if asked and (asked["who"] is None or asked["who"].lower() not in _NOBODY):
        return asked.groupdict()
    if said.endswith("?") or _CONDITION.match(said):
        return None
    for named in _NAMED.finditer(said):
        if named["who"].lower() not in _NOBODY and not _DATE.match(named["who"]):
            return named.groupdict()
    other = _OURS.match(said) or _BARE.match(said)
    return other.groupdict() if other else None


def _task(said: str) -> str:
    task = said.strip().rstrip(".!?,; ")
    return task[:1].upper() + task[1:]


def _priority(said: str) -> str:
    if _IDLE.search(said):
        return "low"
    return "high" if _URGENT.search(said) else "medium"


def _assignee(who: str | None, sentence: Sentence, names: Mapping[str, str]) -> str | None:
    """A name that was said; for "I" the speaker; nobody for "we" and "you"."""
    if who is None or who.lower() in {"we", "you"}:
        return None
    if who.lower() == "i":
        return names.get(sentence.speaker, sentence.speaker) if sentence.speaker else None
    return who
