"""Enrichment by a language model: it fills in a form about the transcript, and what it claims is looked up there."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nexus_pipeline.domain import errors
from nexus_pipeline.domain.timeline import Enrichment, Sentiment, Transcript
from nexus_pipeline.engines import forms
from nexus_pipeline.engines.extractive import OTHER
from nexus_pipeline.engines.fences import fenced, line, tokens
from nexus_pipeline.engines.over_language import OverLanguage
from nexus_pipeline.engines.proven import (
    MOST_TAGS,
    MOST_TOPICS,
    Proven,
    category,
    joined,
    phrases,
    proven,
    sentiment,
    short,
    summaries,
)
from nexus_pipeline.engines.proven import title as titled
from nexus_pipeline.engines.quotes import Said
from nexus_pipeline.engines.transcript_parts import Part, parts
from nexus_pipeline.ports import Cancelled

ANSWER = 8000
"""Tokens that the form, filled in, takes at most; with small windows a third of the window."""
ASKED = 3000
"""Tokens of what is asked: the system's words and the form's description."""
LEAST = 400
"""Tokens of a part at least, however small a window is said to be."""


class LanguageEnricher(OverLanguage):
    """Summary, chapters, action items and so on, in the transcript's own language."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: the model's parameters, and all that it is asked."""
        told = {"engine": self.name, "asked": forms.digest(), "window": str(self._model.window)}
        return {**self._model.parameters(), **told}

    def enrich(
        self, transcript: Transcript, *, title: str, duration_s: float | None, cancelled: Cancelled
    ) -> Enrichment:
        """Of a transcript without words: empty, category `other`, neutral.

        Raises EngineEmpty where words were said and nothing was answered; else what the model raises.
        """
        read = parts(transcript.segments, self._room, transcript.speakers)
        if not read[0].lines:
            nothing = Sentiment("neutral", 0.0)
            return Enrichment("", "", (), (), OTHER, nothing, (), (), (), title, self.name)
        told = [self._read(part, title, cancelled, whole=len(read) == 1) for part in read]
        labels = {s.speaker for s in transcript.segments if s.speaker} - set(transcript.speakers)
        stands = [
            (proven(one, Said(part.sentences), labels), part.seen_s) for one, part in zip(told, read, strict=True)
        ]
        ends_s = duration_s or transcript.segments[-1].end_s
        feelings = [(one.sentiment, float(part.tokens)) for one, part in zip(told, read, strict=True)]
        whole = self._whole(told, cancelled)
        return self._enrichment(whole, joined(stands, ends_s), sentiment(feelings), title)

    @property
    def _room(self) -> int:
        """Tokens of a transcript that fit into the window beside the question and its answer."""
        window = self._model.window
        return max(LEAST, window - ASKED - min(ANSWER, window // 3))

    def _read(self, part: Part, title: str, cancelled: Cancelled, *, whole: bool) -> forms.Told:
        system = forms.READ if whole else forms.READ + forms.CHAPTERS
        question = fenced(f"Title: {line(title)}\n\n{part.text}")
        return self._model.ask(system, question, forms.Told, cancelled)

    def _whole(self, told: Sequence[forms.Whole], cancelled: Cancelled) -> forms.Whole:
        """One form about all parts, out of those about each; in several rounds where they do not fit in at once."""
        while len(told) > 1:
            notes = [_note(n, one, self._room // 3) for n, one in enumerate(told, 1)]
            told = [
                told[a]
                if b - a == 1
                else self._model.ask(forms.MERGE, fenced("\n\n".join(notes[a:b])), forms.Whole, cancelled)
                for a, b in pairwise(_cuts([tokens(note) for note in notes], self._room))
            ]
        return told[0]

    def _enrichment(self, whole: forms.Whole, found: Proven, feeling: Sentiment, title: str) -> Enrichment:
        brief, long = summaries(whole)
        if not brief:
            raise errors.EngineEmpty(f"{self.name} answered without a summary: try again, or choose another model")
        return Enrichment(
            summary=brief,
            summary_long=long,
            topics=phrases(whole.topics, MOST_TOPICS),
            tags=phrases(whole.tags, MOST_TAGS, lower=True),
            category=category(whole),
            sentiment=feeling,
            chapters=found.chapters,
            action_items=found.action_items,
            entities=found.entities,
            suggested_title=titled(whole, title),
            engine=self.name,
            speakers=found.speakers,
        )


class GeminiEnricher(LanguageEnricher):
    """By Gemini."""

    language = "gemini"


class OpenAIEnricher(LanguageEnricher):
    """By OpenAI, or any server that speaks its API."""

    language = "openai"


def _note(n: int, told: forms.Whole, letters: int) -> str:
    """What one part was about, for the question about all of them."""
    brief, long = summaries(told)
    rows = {
        "Title": titled(told, ""),
        "Summary": short(f"{brief} {long}", max(100, letters)),
        "Topics": ", ".join(phrases(told.topics, MOST_TOPICS)),
        "Tags": ", ".join(phrases(told.tags, MOST_TAGS, lower=True)),
        "Category": category(told),
    }
    return "\n".join([f"Notes {n}", *(f"{name}: {text}" for name, text in rows.items() if text)])


def _cuts(weights: Sequence[int], limit: int) -> list[int]:
    """Where groups of at most `limit` begin, and the end; at least two in the first, so that fewer are left."""
    cuts, weight = [0], 0
    for n, one in enumerate(weights):
        if weight + one > limit and n - cuts[-1] > 1:
            cuts.append(n)
            weight = 0
        weight += one
    return [*cuts, len(weights)]
