"""Which words of a question say what it is about, and questions that lean on the one before. Pure.

The lists are English; in other languages every word counts, and a follow-up question is known by its shortness alone.
"""

import re
from collections.abc import Sequence

LEAST = 2
"""Words of its own that a question has at least if it stands alone."""
LENT = 8
"""Words of earlier questions that a follow-up question takes over at most."""

_WORD = re.compile(r"[^\W_]+")
STOP = frozenset(
    """a about above after again against all am an and any are as at be because been before being below between both
    but by can could did do does doing down during each few for from further had has have having he her here hers him
    his how i if in into is it its itself just me more most my no nor not now of off on once only or other our out over
    own same she should so some such than that the their them then there these they this those through to too under
    until up us very was we were what when where which while who whom whose why will with would you your s t re ve ll d
    m""".split()  # noqa: SIM905 - a list of a hundred words reads better as a text
)
"""Words that say nothing of a subject."""
SCAFFOLDING = frozenset(
    """summarize summarise summary summaries describe describes described explain explains explained tell told
    discuss discusses discussed discussing discussion discussions talk talks talked talking say says said saying
    mention mentioned mentions think thinks thought thoughts feel felt opinion opinions view views attitude attitudes
    idea ideas conclusion conclusions conclude concluded regarding concerning considered consider toward towards
    according people someone everyone give gave find show list whole""".split()  # noqa: SIM905
)
"""Words with which questions are put, and which stand in all passages or in none that answers."""
_ASKING = SCAFFOLDING | {"please", "know", "anything", "something", "answer"}
_AUXILIARIES = frozenset({"did", "does", "do", "was", "were", "is", "are", "has", "have", "had", "will", "would"})
_SAYING = frozenset(
    """add added agree agreed answer answered argue argued ask asked believe believed claim claimed comment commented
    conclude concluded consider considered contribute contributed debate debated decide decided describe described
    disagree disagreed discuss discussed elaborate elaborated expect expected explain explained feel felt hear heard
    hope hoped learn learned mean meant mention mentioned note noted object objected plan planned promise promised
    propose proposed recommend recommended remark remarked reply replied report reported respond responded say said
    state stated suggest suggested talk talked tell told think thought want wanted warn warned wish
    wished""".split()  # noqa: SIM905
)
"""Verbs of saying, thinking and deciding."""
_ASKED_AT_MOST = 5
"""Words between auxiliary and verb: `the whole project team not`."""
_LEANS = frozenset(
    {"it", "its", "he", "him", "his", "she", "her", "hers", "they", "them", "their", "theirs", "this", "these", "those"}
)
_MAY_LEAN = frozenset({"that", "there", "then", "one", "ones", "else"})
_BEGINS = re.compile(r"^\W*(and|but|so|or|also|why|how come|what about|how about)\b", re.IGNORECASE)


def content(question: str) -> list[str]:
    """What a question is about: its words in small letters without those of asking, each once.

    Where nothing is left, all of its words.
    """
    return _own(question) or list(dict.fromkeys(_words(question)))


def party(question: str) -> frozenset[str]:
    """Who is asked for it, and what they did with it: of `what did the group decide about oak` that is `group decide`.

    Who is asked stands between an auxiliary and a verb of saying, thinking or deciding, as far as all of it is written
    in small letters. A name is not among them: it tells whose words are looked for.
    """
    told = _WORD.findall(question)
    said = next((n for n, word in enumerate(told) if word.lower() in _AUXILIARIES), len(told)) + 1
    verb = next((n for n in range(said, min(said + _ASKED_AT_MOST + 1, len(told))) if told[n] in _SAYING), None)
    if verb is None:
        return frozenset()
    who = told[said:verb]
    return frozenset([told[verb], *(who if all(word.islower() for word in who) else ())])


def subject(question: str) -> list[str]:
    """What a question is about without who is asked for it; where nothing else is left, with that."""
    who = party(question)
    return [word for word in content(question) if word not in who] or content(question)


def leans(question: str) -> bool:
    """Whether it cannot be understood by itself: it points at something, goes on, or has hardly a word of its own."""
    words, own = set(_words(question)), len(_own(question))
    points = bool(words & _LEANS) or (own <= LEAST and bool(words & _MAY_LEAN))
    return own < LEAST or points or _BEGINS.match(question) is not None


def alone(question: str, before: Sequence[str]) -> str:
    """A question that leans, with the words of those before it (oldest first) back to one that stands alone.

    A plain rule: nobody finds out what "it" is, but a search finds what was spoken of.
    """
    if not before or not leans(question):
        return question
    own = set(_own(question))
    lent: list[str] = []
    for earlier in reversed(before):
        lent += [w for w in _own(earlier) if w not in own and w not in lent]
        if not leans(earlier):
            break
    return f"{question} ({' '.join(lent[:LENT])})" if lent else question


def _own(question: str) -> list[str]:
    return [w for w in dict.fromkeys(_words(question)) if w not in STOP and w not in _ASKING]


def _words(question: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(question)]
