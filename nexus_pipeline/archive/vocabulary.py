"""The words that an archive has, for a word that is still being typed: LanceDB has no search by a word's beginning.

They are read from the index of words itself, so there is nothing more to keep or to erase: each of its segments has
its words as a sorted set (fst.py), which never changes and is read once. Words of the few rows that no segment has yet
are read from those rows (docs/adr/0010).
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

from nexus_pipeline.archive.fst import Keys
from nexus_pipeline.archive.schema import WORDS
from nexus_pipeline.archive.snapshots import Snapshot
from nexus_pipeline.archive.stems import plain
from nexus_pipeline.archive.words import Stems, forms
from nexus_pipeline.domain.syntax import WORD

ENDINGS = 16
"""Words that a beginning may stand for in one search, the shortest first."""
LEAST = 2
"""Letters that a beginning has at least."""
SHORTER = 4
"""Letters that a stem may be shorter than what is typed: `happine` is on its way to a word indexed as `happi`."""
FRESH_ROWS = 2000
"""Rows without index that are read; care begins at half of that."""
_TOKENS = "_token_fst_bytes"
_BACK = ("", "e", "ed", "s", "ing")
"""What is stemmed away again: the index stems what is asked for, and not every stem is its own stem."""


class Vocabulary:
    """Of one table; remembers what it has read of each segment."""

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._options = dict(storage_options) if storage_options else None
        self._segments: dict[str, list[Keys]] = {}
        self._version = -1
        self._fresh: frozenset[str] = frozenset()

    def endings(self, snapshot: Snapshot, typed: str, languages: Sequence[str], stems: Stems) -> tuple[str, ...]:
        """What to ask the index for, where a typed word is none of the archive's own but the beginning of some."""
        begin = _folded(typed)
        if len(begin) < LEAST:
            return ()
        self._read(snapshot, stems)
        own = forms([typed], languages)
        if any(self._has(token) for token in stems.of(own).values()):
            return ()
        found = sorted(self._beginning(begin), key=lambda token: (len(plain(token)), token))[:ENDINGS]
        return _asked(found or self._shorter(begin, languages), stems)

    def _has(self, token: str) -> bool:
        return token in self._fresh or any(token in keys for keys in self._keys())

    def _beginning(self, begin: str) -> set[str]:
        indexed = (islice(keys.beginning(begin), 4 * ENDINGS) for keys in self._keys())
        return {*chain.from_iterable(indexed), *(token for token in self._fresh if token.startswith(begin))}

    def _shorter(self, begin: str, languages: Iterable[str]) -> list[str]:
        """The longest stem that a beginning has already gone past."""
        marks = ["", *(f"0{language}0" for language in languages)]
        for length in range(len(begin) - 1, max(len(begin) - SHORTER, LEAST + 1) - 1, -1):
            if found := [token for mark in marks if self._has(token := begin[:length] + mark)]:
                return found
        return []

    def _keys(self) -> Iterable[Keys]:
        return chain.from_iterable(list(self._segments.values()))

    def _read(self, snapshot: Snapshot, stems: Stems) -> None:
        if snapshot.version == self._version:
            return
        dataset = snapshot.dataset
        of_words = (index for index in dataset.describe_indices() if index.name == f"{WORDS}_idx")
        segments = [segment for index in of_words for segment in index.segments]
        known = self._segments
        self._segments = {s.uuid: known[s.uuid] if s.uuid in known else self._of(dataset.uri, s.uuid) for s in segments}
        covered = {fragment for segment in segments for fragment in segment.fragment_ids}
        new = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id not in covered]
        words: set[str] = set()
        if new:
            texts = dataset.scanner(columns=[WORDS], fragments=new, limit=FRESH_ROWS).to_table()[WORDS].to_pylist()
            words = {word for text in texts for word in WORD.findall(text)}
        self._fresh = frozenset(stems.of(words).values())
        self._version = snapshot.version

    def _of(self, uri: str, segment: str) -> list[Keys]:
        from lance.file import LanceFileSession

        files = LanceFileSession(f"{uri}/_indices/{segment}", storage_options=self._options)
        names = [name for name in files.list() if name.endswith("_tokens.lance")]
        columns = (files.open_reader(name, [_TOKENS]).read_all().to_table()[_TOKENS] for name in names)
        return [Keys(data) for column in columns for data in column.to_pylist()]


def _asked(tokens: Iterable[str], stems: Stems) -> tuple[str, ...]:
    """For each token a word that the index turns into it; the few that no such word is found for are left out."""
    ways = {token: [token + end for end in _BACK] for token in tokens}
    told = stems.of([way for all_ in ways.values() for way in all_])
    fitting = (next((way for way in all_ if told[way] == token), None) for token, all_ in ways.items())
    return tuple(way for way in fitting if way is not None)


def _folded(word: str) -> str:
    """In small letters and without accents, as the index has its words."""
    apart = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
