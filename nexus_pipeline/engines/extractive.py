"""Enrichment without a key or a download: it chooses among what was said and writes nothing of its own.

Sentences, phrases and the descriptions of the categories lie in one embedding space: what lies near the middle of
the item and apart from what was chosen before becomes summary, topics and tags. The same transcript gives the same
enrichment.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nexus_pipeline.domain.sentences import Sentence, sentences
from nexus_pipeline.domain.timeline import Chapter, Enrichment, Sentiment, Transcript
from nexus_pipeline.engines.chapters import breaks
from nexus_pipeline.engines.phrases import STOP_WORDS, Phrases, candidates, content, distinct, spread
from nexus_pipeline.engines.promises import action_items, entities
from nexus_pipeline.engines.site import EngineSite
from nexus_pipeline.ports import Cancelled, Embedder, Vectors

Weights = npt.NDArray[np.float64]

CATEGORIES = {
    "business": "a business meeting about work, projects, budget, customers, marketing and deadlines",
    "technology": "software, computers, databases, programming, engineering and the internet",
    "science": "a science lecture about physics, space, planets, biology, chemistry or research",
    "education": "a lesson in which a teacher explains to students at school or university",
    "health": "health, medicine, doctors, exercise, psychology and wellbeing",
    "politics": "politics, government, parliament, law, elections and the news",
    "sports": "sports, games, matches, teams, players and training",
    "arts": "music, songs, concerts, film, theatre, painting, museums and literature",
    "food": "cooking, recipes, ingredients, baking, restaurants and meals",
    "travel": "travel, flights, hotels, islands, trips and tourism",
    "home": "home, garden, plants, pets, repairs and crafts",
    "personal": "a personal note about family, friends, feelings, reminders and everyday life",
}
"""What an item is about; `other` where nothing comes near. The descriptions are what is compared."""
OTHER = "other"

MOST_SENTENCES = 2000
"""Sentences that are looked at; of more, so many evenly spaced ones."""

_NEAR = 0.12  # cosine of an item's middle to a category's description below which it is none of them
_SAID = 3  # words that name something, below which an item is about nothing
_OPINION = 0.05  # VADER's own threshold for its compound score
_TAGS, _TOPICS = 8, 5
_READABLE = 30.0  # words of a sentence
_TITLES = 12  # phrases of a chapter that may be its title
_CHAPTER_SHARE = 0.5  # how much of the whole item is taken off a phrase's nearness to a chapter


class Extractive:
    """Summary, tags, chapters and so on, of the words of the transcript itself. English in full.

    In other languages sentiment is neutral (0) and there are no action items; the rest is as good as the embedder
    knows the language.
    """

    name = "local"

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        """Takes what gives an embedder, asked when it is first needed."""
        self._embedder = embedder
        self._lock = Lock()
        self._labels: Vectors | None = None

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:  # noqa: ARG003 - the constructor contract
        """Works with the site's embedder; it has no model of its own."""
        return cls(site.embedder)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:  # noqa: ARG003 - the constructor contract
        """Always here; its embedder answers for itself."""
        return None

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Nothing to fetch."""

    def parameters(self) -> Mapping[str, str]:
        """What changes its results: the embedder's parameters too."""
        return {"engine": self.name, **{f"embedder_{k}": v for k, v in self.embedder.parameters().items()}}

    @property
    def embedder(self) -> Embedder:
        """The one that it was given."""
        return self._embedder()

    def enrich(
        self,
        transcript: Transcript,
        *,
        title: str,
        duration_s: float | None,
        cancelled: Cancelled,  # noqa: ARG002 - at most 2000 sentences: seconds
    ) -> Enrichment:
        """Of a transcript without words: empty, category `other`, neutral. Raises ModelMissing, EngineFailed."""
        told = _evenly([s for s in sentences(transcript.segments) if any(c.isalnum() for c in s.text)])
        texts = [s.text for s in told]
        english = _is_english(transcript.language, texts)
        if not texts:
            return self._empty(title)
        phrases = candidates(texts, limit=min(24 + len(texts), 160))
        vectors = self.embedder.embed([*texts, *phrases.texts])
        said, phrased = vectors[: len(texts)], vectors[len(texts) :]
        # who only says "okay, right" does not move the middle
        weights = np.array([min(content(text), 12) + 0.1 for text in texts])
        middle = _middle(said, weights)
        topics, tags = _topics_and_tags(phrases, phrased, middle)
        short, long = _summaries(told, said, middle, weights)
        ends_s = duration_s or told[-1].end_s
        return Enrichment(
            summary=short,
            summary_long=long,
            topics=topics,
            tags=tags,
            category=self._category(middle) if sum(map(content, texts)) >= _SAID else OTHER,
            sentiment=_sentiment(texts) if english else Sentiment("neutral", 0.0),
            chapters=self._chapters(told, said, weights, ends_s),
            action_items=action_items(told, transcript.speakers) if english else (),
            entities=entities(told) if english else (),
            suggested_title=_title(topics or tags, title),
            engine=self.name,
        )

    def _empty(self, title: str) -> Enrichment:
        nothing = Sentiment("neutral", 0.0)
        return Enrichment("", "", (), (), OTHER, nothing, (), (), (), title, self.name)

    def _chapters(
        self, told: Sequence[Sentence], said: Vectors, weights: Weights, ends_s: float
    ) -> tuple[Chapter, ...]:
        """Each titled by the phrase that is near to it and not to the whole item."""
        starts = breaks([s.start_s for s in told], said, ends_s)
        if not starts:
            return ()
        parts = list(pairwise([0, *starts, len(told)]))
        phrases = [candidates((s.text for s in told[a:b]), limit=_TITLES) for a, b in parts]
        vectors = self.embedder.embed([phrase for several in phrases for phrase in several.texts])
        whole, at = _middle(said, weights), 0
        titled: list[Chapter] = []
        for (a, b), several in zip(parts, phrases, strict=True):
            own, at = vectors[at : at + len(several.texts)], at + len(several.texts)
            near = own @ _middle(said[a:b], weights[a:b]) - _CHAPTER_SHARE * (own @ whole)
            ranked = near + _often(several)
            used = {chapter.title for chapter in titled}
            best = (_capital(several.texts[i]) for i in np.argsort(-ranked, kind="stable"))
            title = next((t for t in best if t not in used), " ".join(told[a].text.split()[:6]))
            start_s = 0.0 if a == 0 else told[a].start_s
            end_s = ends_s if b == len(told) else told[b].start_s
            titled.append(Chapter(round(start_s, 3), round(max(start_s, end_s), 3), title))
        return tuple(titled)

    def _category(self, middle: Vectors) -> str:
        with self._lock:
            if self._labels is None:
                self._labels = self.embedder.embed(list(CATEGORIES.values()))
            near = self._labels @ middle
        best = int(np.argmax(near))
        return list(CATEGORIES)[best] if near[best] >= _NEAR else OTHER


def _evenly(told: list[Sentence]) -> list[Sentence]:
    if len(told) <= MOST_SENTENCES:
        return told
    return [told[i] for i in np.linspace(0, len(told) - 1, MOST_SENTENCES).astype(int)]


def _middle(vectors: Vectors, weights: Weights) -> Vectors:
    mean = (vectors * weights[:, None]).sum(axis=0)
    unit: Vectors = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def _often(phrases: Phrases) -> Weights:
    """A little for each doubling of how often it was said, and for each word beyond the first."""
    counts = np.array(phrases.counts, dtype=np.float64)
    longer = np.array([phrase.count(" ") for phrase in phrases.texts], dtype=np.float64)
    told: Weights = 0.05 * np.log2(np.maximum(counts, 1)) + 0.03 * longer
    return told


def _is_english(language: str | None, texts: Sequence[str]) -> bool:
    """As the transcript says; where it says nothing, by the share of English stop words."""
    if language:
        return language.lower().partition("-")[0] in {"en", "english"}
    words = [w.strip(".,;:?!\"'").lower() for text in texts for w in text.split()]
    return sum(w in STOP_WORDS for w in words) > 0.25 * len(words)


def _topics_and_tags(phrases: Phrases, vectors: Vectors, middle: Vectors) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not phrases.texts:
        return (), ()
    ranked = [phrases.texts[i] for i in spread(vectors @ middle + _often(phrases), vectors, 4 * _TAGS)]
    longer = [p for p in ranked if " " in p]
    return distinct([*longer, *ranked], _TOPICS), distinct(ranked, _TAGS)


def _summaries(told: Sequence[Sentence], vectors: Vectors, middle: Vectors, weights: Weights) -> tuple[str, str]:
    """Two or three sentences, and about a seventh of all up to ten; in order of time."""
    # a sentence that names little is seldom what an item is about, and a very long one is no summary
    lengths = np.array([s.weight for s in told])
    worth = (vectors @ middle) * np.minimum(1.0, weights / 4) * np.minimum(1.0, _READABLE / lengths)
    chosen = spread(worth, vectors, min(10, max(5, len(told) // 7)), weight=0.7)
    few = sorted(chosen[: 2 if len(told) < 12 else 3])  # noqa: PLR2004 - a minute's worth of sentences
    return " ".join(told[i].text for i in few), " ".join(told[i].text for i in sorted(chosen))


def _sentiment(texts: Sequence[str]) -> Sentiment:
    """The mean over sentences: VADER's score of a whole text runs to one of its ends as the text grows."""
    score = float(np.mean([_vader().polarity_scores(text)["compound"] for text in texts]))
    label = "neutral" if abs(score) < _OPINION else "positive" if score > 0 else "negative"
    return Sentiment(label, round(score, 4))


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def _title(topics: Sequence[str], title: str) -> str:
    told = " and ".join(topics[:2])
    return _capital(told) if told else title


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
