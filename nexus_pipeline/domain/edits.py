"""What people wrote over a transcript, laid over it wherever it is read: who hears it again changes nothing.

An edit belongs to a span of the item's sound. Over the very transcript in which it was written it replaces a segment's
text; over another one (heard again, by another engine, cut elsewhere) exactly the words of that span (placing.py),
each new word in the segment of the word whose place it takes. Ids, times, number and order of segments stay as they
were; what was said between two words where nobody hears anything now is a segment more, with an id after all others.

Words keep their times where the person left them. A new word has a share, by letters, of the time of the words that it
replaces, or of the silence that it was put into; of what no engine has timed no word gets a time.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import SequenceMatcher
from itertools import accumulate, groupby
from typing import Literal

from nexus_pipeline.domain.placing import Token, near, pieces, place, spelled, tokens
from nexus_pipeline.domain.timeline import Segment, Span, Transcript, Word

What = Literal["text", "speaker"]

SAME_S = 0.01
"""Two spans whose ends are no farther apart are one: times of one transcript, written down and read again."""
FRESH = 1 << 32
"""Ids of segments that edits put in which are not kept yet lie beyond those of all that are."""
MOSTLY = 0.5
"""Who speaks is said of a segment of which so much lies in the span."""


@dataclass(frozen=True, slots=True)
class Edit:
    """From `start_s` to `end_s` it is `new`: what was said there, or the label of who said it. `old`: what was heard.

    An empty text means that nothing was said there. `id`: of the catalog; of one that is not kept yet below 0.
    """

    start_s: float
    end_s: float
    what: What
    old: str
    new: str
    id: int = 0
    at: datetime | None = None
    """When it was written; None before it is kept."""

    @property
    def span(self) -> Span:
        """Its seconds."""
        return self.start_s, self.end_s

    def covers(self, segment: Segment) -> bool:
        """Whether it is of exactly this segment."""
        return _same((segment.start_s, segment.end_s), self.span)


@dataclass(frozen=True)
class Laid:
    """A transcript with edits over it; `by_segment`: ids of the edits that stand in a segment, by the segment's id.

    An edit whose place is not there (any more) stands in none, and waits for a transcript that has it.
    """

    transcript: Transcript
    by_segment: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants a segment's text or speaker to be; None takes back what people wrote of it."""

    segment_id: int
    what: What
    value: str | None


# ---------------------------------------------------------------- reading


def lay(transcript: Transcript, edits: Sequence[Edit], until_s: float | None = None) -> Laid:
    """The transcript as people edited it; edits in the order in which they were written.

    `until_s`: the item's length; what lies behind it has no place.
    """
    if not edits:
        return Laid(transcript)
    over = _Over(transcript.segments)
    for edit in edits:
        if edit.what == "text" and (until_s is None or edit.start_s < until_s):
            over.write(edit)
    for edit in edits:
        if edit.what == "speaker":
            over.name(edit)
    laid = replace(transcript, segments=tuple(over.segments))
    return Laid(laid, {segment_id: tuple(ids) for segment_id, ids in over.standing.items()})


def without_empty(transcript: Transcript) -> Transcript:
    """The transcript without segments in which nothing was said: for whoever reads on, not for who edits."""
    segments = tuple(s for s in transcript.segments if s.text)
    return transcript if len(segments) == len(transcript.segments) else replace(transcript, segments=segments)


class _Over:
    """Segments while edits are laid over them."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = list(segments)
        self.standing: dict[int, list[int]] = defaultdict(list)
        self._by_start = sorted((s.start_s, n) for n, s in enumerate(segments))
        self._highest = max((s.id for s in segments), default=-1)

    def write(self, edit: Edit) -> None:
        """What was said in its span is what it says."""
        whole = self._whole(edit)
        new = pieces(edit.new)
        if whole is not None:
            self._replace(tokens(self.segments[whole], whole), new, (whole, edit.span))
            self._stands(edit, [whole])
            return
        heard = near(self.segments, edit.span)
        first, last = place(heard, edit.span, [pieces(edit.old), new])
        taken = heard[first:last]
        if taken:
            self._write_some(edit, taken, new)
        elif new:
            self._insert(edit)

    def name(self, edit: Edit) -> None:
        """Who speaks in its span is whom it names."""
        there = [n for n, s in enumerate(self.segments) if edit.covers(s)]
        there = there or [n for n, s in enumerate(self.segments) if _share(s, edit.span) > MOSTLY]
        for n in there:
            self.segments[n] = replace(self.segments[n], speaker=edit.new)
        self._stands(edit, there)

    def _stands(self, edit: Edit, places: Iterable[int]) -> None:
        for n in places:
            self.standing[self.segments[n].id].append(edit.id)

    def _whole(self, edit: Edit) -> int | None:
        """The segment of exactly its span; of several, the one that is known to say it."""
        first = bisect_left(self._by_start, (edit.start_s - SAME_S, -1))
        there = []
        for start_s, n in self._by_start[first:]:
            if start_s > edit.start_s + SAME_S:
                break
            if edit.covers(self.segments[n]):
                there.append(n)
        known = [n for n in there if self.segments[n].text in (edit.old, edit.new)]
        return next(iter([*known, *there]), None)

    def _write_some(self, edit: Edit, taken: Sequence[Token], new: Sequence[Token]) -> None:
        """Each touched segment keeps what it has outside of what is taken."""
        self._replace(taken, new, (taken[0].n, edit.span))
        self._stands(edit, dict.fromkeys(token.n for token in taken))

    def _replace(self, taken: Sequence[Token], new: Sequence[Token], home: tuple[int, Span]) -> None:
        """These words by those; where none are taken, they fill the segment `home` between its ends."""
        own = _placed(taken, new, home, self.segments)
        gone = {(token.n, token.at) for token in taken}
        for n in {home[0], *(token.n for token in taken)}:
            segment = self.segments[n]
            before = tokens(segment, n)
            here = [place for place, token in enumerate(before) if (n, token.at) in gone]
            first, last = (here[0], here[-1] + 1) if here else (len(before), len(before))
            mine = [token for token in own if token.n == n]
            self.segments[n] = _written(segment, [*before[:first], *mine, *before[last:]])

    def _insert(self, edit: Edit) -> None:
        """A segment more, behind the last one that begins before it. Its id stays while the edit does."""
        number = self._highest + (edit.id if edit.id > 0 else FRESH - edit.id)
        made = Segment(number, edit.start_s, edit.end_s, _text(pieces(edit.new)), edited=True)
        at = next((n for n, s in enumerate(self.segments) if s.start_s > edit.start_s), len(self.segments))
        self.segments.insert(at, made)
        self._by_start = sorted((s.start_s, n) for n, s in enumerate(self.segments))
        self._stands(edit, [at])


def _placed(
    taken: Sequence[Token], new: Sequence[Token], home: tuple[int, Span], segments: Sequence[Segment]
) -> list[Token]:
    """The new words, each with the segment and the seconds of what it is, replaces or follows."""
    own: list[Token] = []
    matching = SequenceMatcher(None, [t.key for t in taken], [t.key for t in new], autojunk=False)
    for how, i1, i2, j1, j2 in matching.get_opcodes():
        if how == "equal":
            pairs = zip(taken[i1:i2], new[j1:j2], strict=True)
            own += [replace(old, text=one.text, glued=one.glued) for old, one in pairs]
        elif how == "replace":
            own += _instead(taken[i1:i2], new[j1:j2])
        elif how == "insert":
            own += _between(taken, i1, new[j1:j2], home, segments)
    if own and taken:  # as the word before it was written
        own[0] = replace(own[0], glued=taken[0].glued)
    return own


def _instead(old: Sequence[Token], new: Sequence[Token]) -> list[Token]:
    """Spread over the old words' segments, in each over the time that they had there."""
    places = [old[k * len(old) // len(new)].n for k in range(len(new))]
    found = []
    for n, several in groupby(zip(places, new, strict=True), key=lambda pair: pair[0]):
        there = [token for token in old if token.n == n]
        found += _spread([token for _, token in several], there[0], (there[0].start_s, there[-1].end_s))
    return found


def _between(
    taken: Sequence[Token], i: int, new: Sequence[Token], home: tuple[int, Span], segments: Sequence[Segment]
) -> list[Token]:
    """Into the silence behind a word, before the next one of its segment, as far as it lies in the span."""
    if not taken:
        segment = segments[home[0]]
        return _spread(new, Token("", n=home[0]), (segment.start_s, segment.end_s))
    beside = taken[i - 1] if i else taken[0]
    segment = segments[beside.n]
    others = tokens(segment, beside.n)
    at = next(k for k, token in enumerate(others) if token.at == beside.at)
    if i:
        following = others[at + 1].start_s if at + 1 < len(others) else segment.end_s
        return _spread(new, beside, (beside.end_s, min(following, max(home[1][1], beside.end_s))))
    before = others[at - 1].end_s if at else segment.start_s
    return _spread(new, beside, (max(before, min(home[1][0], beside.start_s)), beside.start_s))


def _spread(new: Sequence[Token], like: Token, span: Span) -> list[Token]:
    """So many seconds each as it has letters, in the segment of another word."""
    start_s, end_s = span[0], max(span)
    letters = sum(len(token.text) for token in new)
    sofar = accumulate(len(token.text) for token in new)
    ends = [min(start_s + (end_s - start_s) * n / letters, end_s) for n in sofar]  # rounding must not lead out of it
    starts = [start_s, *ends]
    return [
        replace(token, start_s=a, end_s=b, timed=like.timed, n=like.n, at=-1)
        for token, a, b in zip(new, starts, ends, strict=False)
    ]


# ---------------------------------------------------------------- segments


def _written(segment: Segment, own: Sequence[Token]) -> Segment:
    """The segment with these words; whether they are timed is as it was."""
    words = tuple(_words(segment, own)) if spelled(segment) else ()
    return replace(segment, text=_text(own), words=words, log_probability=None, edited=True)


def _text(own: Sequence[Token]) -> str:
    return "".join(token.text if token.glued else f" {token.text}" for token in own).strip()


def _words(segment: Segment, own: Sequence[Token]) -> Iterator[Word]:
    """The engine's words where they are whole and as they were, else one for each that is written."""
    ends = list(accumulate(_letters(word) for word in segment.words))
    starts = {end - _letters(word): k for k, (word, end) in enumerate(zip(segment.words, ends, strict=True))}
    until = {end: k for k, end in enumerate(ends)}
    heard = {token.at: token.text for token in tokens(segment)}
    i = 0
    while i < len(own):
        kept = _kept(own, i, heard, until) if own[i].at in starts else None
        if kept is None:
            yield Word(own[i].start_s, own[i].end_s, own[i].text)
            i += 1
        else:
            last, letters = kept
            yield from segment.words[starts[own[i].at] : until[letters] + 1]
            i = last


def _kept(own: Sequence[Token], i: int, heard: Mapping[int, str], until: Mapping[int, int]) -> tuple[int, int] | None:
    """From here on as it was up to the end of a word of the engine: behind which token, after how many letters."""
    at = own[i].at
    for last in range(i, len(own)):
        if own[last].at != at or heard.get(at) != own[last].text:
            return None
        at += len(own[last].text)
        if at in until:
            return last + 1, at
    return None


def _letters(word: Word) -> int:
    return len("".join(word.text.split()))


def _same(one: Span, other: Span) -> bool:
    return abs(one[0] - other[0]) <= SAME_S and abs(one[1] - other[1]) <= SAME_S


def _share(segment: Segment, span: Span) -> float:
    """How much of a segment lies in a span, 0 to 1."""
    shared_s = min(segment.end_s, span[1]) - max(segment.start_s, span[0])
    long_s = segment.end_s - segment.start_s
    return shared_s / long_s if long_s > 0 else float(span[0] <= segment.start_s <= span[1])


# ---------------------------------------------------------------- writing


def told(
    heard: Transcript, edits: Sequence[Edit], wishes: Iterable[Wish], until_s: float | None = None
) -> tuple[list[Edit], set[int]]:
    """The edits that are to be kept for these wishes, with its id where it is one that was kept, and the ids that go.

    `heard`: the transcript without edits. What is wished as it stands anyway is kept nowhere: to write what was heard
    is to take back what was written. Raises KeyError with the id of a segment that is not there.
    """
    now = list(edits)
    for wish in wishes:
        now = _after(heard, now, wish, until_s)
    kept = {edit.id for edit in now}
    return [edit for edit in now if edit not in edits], {edit.id for edit in edits if edit.id not in kept}


def _after(heard: Transcript, edits: list[Edit], wish: Wish, until_s: float | None) -> list[Edit]:
    laid = lay(heard, edits, until_s)
    segment = _of(laid.transcript, wish.segment_id)
    if segment is None:
        raise KeyError(wish.segment_id)
    standing = laid.by_segment.get(segment.id, ())
    mine = {edit.id for edit in edits if edit.what == wish.what and edit.id in standing}
    if wish.value is None:
        return [edit for edit in edits if edit.id not in mine]
    same = [edit for edit in edits if edit.id in mine and edit.covers(segment)]
    others = [edit for edit in edits if edit not in same]
    bare = _of(lay(heard, others, until_s).transcript, wish.segment_id)
    old = next((edit.old for edit in same), "") if bare is None else _value(bare, wish.what)
    new = _text(pieces(wish.value)) if wish.what == "text" else wish.value
    if bare is not None and new == old:
        return others
    if len(same) == 1 and same[0].id == max(mine):  # the last word on it, written anew
        return [replace(edit, old=old, new=new) if edit in same else edit for edit in edits]
    number = min(0, *(edit.id for edit in edits)) - 1 if edits else -1
    return [*others, Edit(segment.start_s, segment.end_s, wish.what, old, new, number)]


def _of(transcript: Transcript, segment_id: int) -> Segment | None:
    return next((s for s in transcript.segments if s.id == segment_id), None)


def _value(segment: Segment, what: What) -> str:
    return segment.text if what == "text" else segment.speaker or ""
