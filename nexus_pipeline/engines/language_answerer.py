"""Answers by a language model, out of the passages that it is shown, with the number of each behind what it says."""

import re
from collections.abc import Iterable, Iterator, Sequence

from nexus_pipeline.engines.fences import DATA, fenced, line
from nexus_pipeline.engines.over_language import OverLanguage
from nexus_pipeline.ports import Cancelled

NOTHING = "NOT SAID"
"""What the model writes where the passages do not say it; whoever asked gets an empty answer."""
ANSWER = 2000
"""Tokens that an answer takes at most; with small windows a third of the window."""

SYSTEM = f"""You answer a question about recordings, out of numbered passages of their transcripts and out of nothing \
else.

{DATA}

- Behind every statement stands the number of each passage that says it, in brackets: [1] or [2][5].
- Keep to the passages' own words, in their order: each statement is compared with the passage behind it, and names, \
numbers and what is denied must be the same.
- Say nothing that no passage says; what you know from elsewhere does not count.
- If the passages do not answer the question, write only: {NOTHING}
- Write in the language of the question, short and plain, without a heading."""

ALONE = f"""You are shown a conversation about recordings, and the question that comes next. Write that question so \
that somebody who has not read the conversation understands it: put names and subjects where it only points at them. \
If it can be understood already, repeat it as it is.

{DATA}

- Write the question and nothing else, in its own language, in one line. Do not answer it."""
LONGEST = 500
"""Characters of a question that was written anew; a longer one is no question."""
TOLD = 300
"""Characters of each earlier message that are shown for it."""

_CITED = re.compile(r"\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]")
_OPEN = re.compile(r"\[[\d,;\s]*$")
_LONGEST = 24  # letters of a citation that is still being written


class LanguageAnswerer(OverLanguage):
    """Streams; cites only passages that it was given; is silent where they do not answer."""

    writes = True

    def answer(self, question: str, passages: Sequence[str], cancelled: Cancelled) -> Iterator[str]:
        """Its text as it comes; nothing where the passages do not say it, or there is none."""
        shown = list(self._fitting(passages, system=SYSTEM, question=question, answer=ANSWER))
        if not shown:
            return
        asked = f"{fenced(chr(10).join(shown))}\n\nThe question: {line(question)}"
        pieces = self._model.tell(SYSTEM, asked, cancelled)
        yield from _cited(_unless_nothing(pieces), len(shown))

    def alone(self, question: str, said: Sequence[tuple[str, str]], cancelled: Cancelled) -> str:
        """The question written anew; as it is where the model writes nothing of use."""
        lines = [
            f"{who}: {line(text)[:TOLD]}"
            for pair in said
            for who, text in zip(("Question", "Answer"), pair, strict=True)
        ]
        asked = f"{fenced(chr(10).join(lines))}\n\nThe question that comes next: {line(question)}"
        told = line("".join(self._model.tell(ALONE, asked, cancelled)))
        return told if 0 < len(told) <= LONGEST else question


class GeminiAnswerer(LanguageAnswerer):
    """By Gemini."""

    language = "gemini"


class OpenAIAnswerer(LanguageAnswerer):
    """By OpenAI, or any server that speaks its API."""

    language = "openai"


def _unless_nothing(pieces: Iterable[str]) -> Iterator[str]:
    """The same, once it is clear that it does not say NOTHING; nothing at all where it does."""
    held = ""
    decided = False
    for piece in pieces:
        if decided:
            yield piece
            continue
        held += piece
        begun = held.lstrip()
        if begun.startswith(NOTHING):
            continue  # whatever it adds; the rest is read, so that the stream comes to its end
        if not NOTHING.startswith(begun):
            decided = True
            yield begun
    if not decided and not held.lstrip().startswith(NOTHING) and held.strip():
        yield held.strip()


def _cited(pieces: Iterable[str], count: int) -> Iterator[str]:
    """`[1, 3]` as `[1][3]`, and no number of a passage that was not shown; a citation is held until it is whole."""

    def numbers(found: re.Match[str]) -> str:
        told = [int(n) for n in re.findall(r"\d+", found.group())]
        return "".join(f"[{n}]" for n in told if 1 <= n <= count)

    held = ""
    for piece in pieces:
        held += piece
        begun = _OPEN.search(held)
        cut = begun.start() if begun and len(held) - begun.start() <= _LONGEST else len(held)
        ready, held = _CITED.sub(numbers, held[:cut]), held[cut:]
        if ready:
            yield ready
    if held:
        yield _CITED.sub(numbers, held)
