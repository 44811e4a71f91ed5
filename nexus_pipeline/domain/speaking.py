"""Who speaks when, and how that is laid over what was said: words get speakers, segments are cut where these change."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby

from nexus_pipeline.domain.timeline import Segment, Transcript, Word

NEAR_S = 2.0
"""A word that lies in nobody's turn is said by whoever speaks within so many seconds of it."""
CLEAR_S, CLEAR = 1.0, 0.2
"""A segment without times of words is cut where each side lasts so many seconds and has such a share of it."""
SNAP = 0.15
"""Such a cut goes to the end of a sentence that is no farther away than this share of the segment's letters."""

_ENDS = (".", "?", "!", "…", "。", "！", "？")  # noqa: RUF001 - of other scripts, too


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker speaks; turns of several may overlap. `speaker` is a label such as `S1`."""

    start_s: float
    end_s: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Speaking:
    """Who speaks when in an item, and their voices as unit vectors by label, all in the space of one model.

    A label without turns is of a run before: it is kept so that nobody else ever gets it.
    """

    turns: tuple[Turn, ...]
    voices: dict[str, tuple[float, ...]] = field(default_factory=dict)
    space: str = ""
    """The model in whose space the voices lie; empty where there are none."""
    labels: tuple[str, ...] = ()
    """All that were ever given in this item, in the order in which they were."""


def joined(turns: Sequence[Turn], gap_s: float) -> tuple[Turn, ...]:
    """In order of time; turns of one speaker with at most so much silence between them are one."""
    last: dict[str, int] = {}
    out: list[Turn] = []
    for turn in sorted(turns, key=lambda t: (t.start_s, t.end_s, t.speaker)):
        at = last.get(turn.speaker)
        if at is not None and turn.start_s - out[at].end_s <= gap_s:
            out[at] = replace(out[at], end_s=max(out[at].end_s, turn.end_s))
        else:
            last[turn.speaker] = len(out)
            out.append(turn)
    return tuple(out)


# ---------------------------------------------------------------- over a transcript


def laid(transcript: Transcript, turns: Sequence[Turn], names: Mapping[str, str]) -> Transcript:
    """The transcript with speakers, and with the names that people gave them.

    A segment that has a speaker already keeps it. With turns ids count from 0 again, since segments are cut.
    """
    if not turns and not names:
        return transcript
    segments = transcript.segments
    if turns:
        floor = _Floor(turns)
        pieces = [piece for s in segments for piece in ([s] if s.speaker else _cut(s, floor))]
        segments = tuple(replace(s, id=n) for n, s in enumerate(pieces))
    return named(replace(transcript, segments=segments), names)


def named(transcript: Transcript, names: Mapping[str, str]) -> Transcript:
    """The transcript with a name for each label in it: the one that is given, else the one it had, else the label."""
    labels = dict.fromkeys(s.speaker for s in transcript.segments if s.speaker)
    given = {label: names.get(label) or transcript.speakers.get(label, label) for label in labels}
    return replace(transcript, speakers=given)


class _Floor:
    """Turns by time: who has the floor between two seconds."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = sorted(turns, key=lambda t: (t.start_s, t.end_s))
        self._starts = [t.start_s for t in self.turns]
        self._reach = list(accumulate((t.end_s for t in self.turns), max))

    def between(self, start_s: float, end_s: float) -> Iterator[Turn]:
        """Turns that overlap it, in order."""
        first, last = bisect_right(self._reach, start_s), bisect_left(self._starts, end_s)
        return (t for t in self.turns[first:last] if t.end_s > start_s)

    def shares(self, start_s: float, end_s: float) -> dict[str, float]:
        """Seconds of each speaker in it."""
        found: dict[str, float] = {}
        for t in self.between(start_s, end_s):
            found[t.speaker] = found.get(t.speaker, 0.0) + min(t.end_s, end_s) - max(t.start_s, start_s)
        return found

    def nearest(self, start_s: float, end_s: float) -> str | None:
        """Who speaks within NEAR_S of it."""
        around = self.between(start_s - NEAR_S, end_s + NEAR_S)
        near = min(around, key=lambda t: max(t.start_s - end_s, start_s - t.end_s), default=None)
        return near.speaker if near else None


def _cut(segment: Segment, floor: _Floor) -> Iterator[Segment]:
    """The segment, or its pieces where the speaker changes."""
    words = segment.words if _spelled(segment.words) == _letters(segment.text) else ()
    speakers = _by_word(words, floor) if words else [floor.nearest(segment.start_s, segment.end_s)]
    whole = floor.shares(segment.start_s, segment.end_s)
    if not words and whole:
        speakers = [max(whole, key=lambda one: whole[one])]
        words, speakers = _clearly_two(segment, floor) or (words, speakers)
    if len(set(speakers)) == 1:
        yield replace(segment, speaker=speakers[0])
        return
    yield from _pieces(segment, words, speakers)


def _by_word(words: Sequence[Word], floor: _Floor) -> list[str | None]:
    """Each word's speaker: who has most of it, of equals who spoke before; in nobody's turn, the others'."""
    found: list[str | None] = []
    for word in words:
        shares = floor.shares(word.start_s, max(word.end_s, word.start_s + 0.001))
        most = max(shares.values(), default=0.0)
        best = [one for one, seconds in shares.items() if seconds > most - 1e-6]
        before = found[-1] if found else None
        found.append(before if before in best or not best else best[0])
    first = next((one for one in found if one), None) or floor.nearest(words[0].start_s, words[-1].end_s)
    return [one or first for one in found]


def _clearly_two(segment: Segment, floor: _Floor) -> tuple[tuple[Word, ...], list[str | None]] | None:
    """Words by their share of the letters, and their speakers; None where one speaker has all but a little of it."""
    least_s = max(CLEAR_S, CLEAR * (segment.end_s - segment.start_s))
    stretches = [
        Turn(max(t.start_s, segment.start_s), min(t.end_s, segment.end_s), t.speaker)
        for t in floor.between(segment.start_s, segment.end_s)
    ]
    stretches = [s for s in stretches if s.end_s - s.start_s >= least_s]
    runs = [list(run) for _, run in groupby(stretches, key=lambda s: s.speaker)]
    pieces = segment.text.split()
    if len(runs) < 2 or len(pieces) < len(runs):  # noqa: PLR2004 - two speakers
        return None
    ends = list(accumulate(len(p) for p in pieces))
    spoken_s = sum(run[-1].end_s - run[0].start_s for run in runs)
    cuts, said_s = [0], 0.0
    for run in runs[:-1]:
        said_s += run[-1].end_s - run[0].start_s
        cuts.append(max(cuts[-1], _snapped(pieces, ends, said_s / spoken_s)))
    speakers: list[str | None] = []
    words: list[Word] = []
    for (first, last), run in zip(zip(cuts, [*cuts[1:], len(pieces)], strict=True), runs, strict=True):
        words += _spread(pieces[first:last], run[0].start_s, run[-1].end_s)
        speakers += [run[0].speaker] * (last - first)
    return tuple(words), speakers


def _snapped(pieces: Sequence[str], ends: Sequence[int], share: float) -> int:
    """Behind how many words the cut lies: at a sentence's end if one is near, else at the nearest word."""
    at = share * ends[-1]
    near = sorted(range(1, len(pieces)), key=lambda n: abs(ends[n - 1] - at))
    ending = (n for n in near if pieces[n - 1].endswith(_ENDS) and abs(ends[n - 1] - at) <= SNAP * ends[-1])
    return next(ending, near[0])


def _spread(pieces: Sequence[str], start_s: float, end_s: float) -> list[Word]:
    letters = max(sum(len(p) for p in pieces), 1)
    ends = [start_s + (end_s - start_s) * n / letters for n in accumulate(len(p) for p in pieces)]
    return [Word(a, b, p) for a, b, p in zip([start_s, *ends], ends, pieces, strict=False)]


def _pieces(segment: Segment, words: Sequence[Word], speakers: Sequence[str | None]) -> Iterator[Segment]:
    """Runs of words of one speaker, with the segment's own text between them."""
    left, timed = segment.text, bool(segment.words)
    for speaker, run in groupby(zip(words, speakers, strict=True), key=lambda pair: pair[1]):
        own = tuple(word for word, _ in run)
        text, left = _taken(left, len(_spelled(own)))
        start_s, end_s = own[0].start_s, max(w.end_s for w in own)
        if text:
            yield Segment(segment.id, start_s, max(start_s, end_s), text, speaker, own if timed else ())


def _taken(text: str, letters: int) -> tuple[str, str]:
    """So many letters from the front, spaces not counted, and the rest."""
    seen = 0
    for at, one in enumerate(text):
        if seen == letters and not one.isspace():
            return text[:at].strip(), text[at:]
        seen += not one.isspace()
    return text.strip(), ""


def _spelled(words: Sequence[Word]) -> str:
    return "".join(_letters(w.text) for w in words)


def _letters(text: str) -> str:
    return "".join(text.split())
