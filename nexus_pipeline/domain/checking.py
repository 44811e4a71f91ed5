"""Where a transcript may be wrong, and which of two readings of a span is the better one. Pure.

Nothing here knows what was said: a finding is a span that no sound speech gives. It costs hearing the span again, so
that a false one costs time and no word: a reading must be better by the measures of `better` to take another's place.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import median

from nexus_pipeline.domain.timeline import Doubt, Finding, Segment, Span

Detect = Callable[[str], str | None]
"""Which language a text is in: ISO 639-1, or None where that is not sure."""

UNHEARD_S = 0.8
"""Voiced seconds in one place without text: two words. Silero takes a breath or a cough of less for a voice."""
EDGE_S = 0.3
"""Whisper's times are true to some 0.1 s, and Silero hears a voice 0.1 s around it."""
TOGETHER_S = 1.0
"""What is missing with less than this between belongs together."""
SILENT_S = 0.1
"""Text with less voice than this under it was invented: no word is shorter."""
FAST, SLOW = 32.0, 3.5
"""Letters a second. Languages are spoken at 5.2 to 7.8 syllables a second (Pellegrino, Coupe, Marsico, "A
cross-language perspective on speech information rate", 2011), of some 2.5 letters: 13 to 20. Twice and a quarter of the
middle."""
USUAL, USUAL_OF = 2.0, 8
"""So many times faster or slower than usual in the same item, where so many segments tell what is usual: a sentence was
left out under a segment that goes over it. Rates of what was heard well lie within 0.8 and 1.2 of their median."""
FAST_LETTERS = 16
"""A shorter text has no rate: its times are too coarse."""
SLOW_S = 2.5
"""So long must it be spoken slowly: hesitating is no mistake."""
COMPRESSED = 2.4
"""Whisper's own limit of UTF-8 bytes to zlib's (openai/whisper, transcribe.py, compression_ratio_threshold)."""
COMPRESSED_LETTERS = 240
"""Of so much text: some 15 s. Whisper looks at 30 s; a shorter text hardly compresses."""
PHRASE = 8
"""Words of the longest phrase that is sought as a loop; of longer ones the compression tells."""
TIMES, LOOP_WORDS = 3, 8
"""A phrase so often in a row, and so many words of it: people say "no, no, no" and "very, very good"."""
OVERLAP_S = 0.5
"""Segments of one voice overlap by less."""
UNSURE = -1.0
"""Whisper's own limit of the mean log probability (openai/whisper, transcribe.py, logprob_threshold)."""
LANGUAGE_LETTERS = 60
"""Lingua is right for 90 of 100 sentences of this length (its README, "How good is it?"), for 70 of 100 words."""
FLIP_S = 20.0
"""Another language for less than this between two segments of the usual one is a mistake rather than a quotation."""
MARGIN_S, MARGIN = 0.5, 0.05
"""By so many voiced seconds, or so much log probability, one reading must be better: less is chance."""
LONGEST_S = 28.0
"""Of a span that is heard again: one look of Whisper's."""


class Voice:
    """Where somebody speaks."""

    def __init__(self, runs: Iterable[Span]) -> None:
        """From voiced runs in order; without any, nothing is known."""
        self.runs = tuple(runs)
        self._starts = [a for a, _ in self.runs]
        self._before = [0.0, *accumulate(b - a for a, b in self.runs)]

    def __bool__(self) -> bool:
        """Whether it is known where somebody speaks."""
        return bool(self.runs)

    def within(self, start_s: float, end_s: float) -> float:
        """Voiced seconds between two times."""
        return max(0.0, self._until(end_s) - self._until(start_s))

    def between(self, start_s: float, end_s: float) -> tuple[Span, ...]:
        """The voiced runs between two times, cut there."""
        first = max(0, bisect_right(self._starts, start_s) - 1)
        last = bisect_left(self._starts, end_s)
        cut = ((max(a, start_s), min(b, end_s)) for a, b in self.runs[first:last])
        return tuple((a, b) for a, b in cut if a < b)

    def _until(self, at_s: float) -> float:
        n = bisect_right(self._starts, at_s)
        if n == 0:
            return 0.0
        a, b = self.runs[n - 1]
        return self._before[n - 1] + min(at_s, b) - a


def findings(
    segments: Sequence[Segment],
    voice: Voice,
    *,
    language: str | None = None,
    detect: Detect | None = None,
    rates: Span = (SLOW, FAST),
) -> tuple[Finding, ...]:
    """All that is in doubt, in order of time; without `detect` languages are only those that the engine told."""
    ordered = sorted(segments, key=lambda s: (s.start_s, s.end_s))
    found = [
        *_unheard(ordered, voice),
        *_rates(ordered, voice, rates),
        *_loops(ordered),
        *_compressed(ordered),
        *_jumps(segments),
        *(Finding(Doubt.UNSURE, s.start_s, s.end_s) for s in ordered if _below(s.log_probability, UNSURE)),
        *_flips(ordered, language, detect),
    ]
    return _merged(found)


def usual(segments: Sequence[Segment], voice: Voice) -> Span:
    """The lowest and the highest rate of speech that is in no doubt in this item, letters a second."""
    timed = [(letters(s.text), voice.within(s.start_s - EDGE_S, s.end_s + EDGE_S)) for s in segments]
    rates = [told / spoken_s for told, spoken_s in timed if told >= FAST_LETTERS and spoken_s >= SILENT_S]
    if len(rates) < USUAL_OF:
        return SLOW, FAST
    return max(SLOW, median(rates) / USUAL), min(FAST, median(rates) * USUAL)


def spans(found: Sequence[Finding], segments: Sequence[Segment], voice: Voice) -> tuple[Span, ...]:
    """What is to be heard again: whole segments, at most LONGEST_S where they let it be cut, in order of time."""
    blocks = _blocks(segments)
    starts = [a for a, _ in blocks]
    wide: list[Span] = []
    for finding in sorted(found, key=lambda f: f.start_s):
        first = max(0, bisect_right(starts, finding.start_s) - 1)
        touched = [b for b in blocks[first : bisect_left(starts, finding.end_s)] if b[1] > finding.start_s]
        start_s = min([finding.start_s, *(a for a, _ in touched)])
        end_s = max([finding.end_s, *(b for _, b in touched)])
        if wide and start_s < wide[-1][1] + EDGE_S:
            before = wide.pop()
            start_s, end_s = min(before[0], start_s), max(before[1], end_s)
        wide.append((start_s, end_s))
    return tuple(piece for span in wide for piece in _pieces(span, blocks, starts, voice))


def inside(segments: Sequence[Segment], span: Span) -> tuple[Segment, ...]:
    """The segments whose middle lies in a span."""
    return tuple(s for s in segments if span[0] <= (s.start_s + s.end_s) / 2 < span[1])


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of a reading without knowing what was said."""

    findings: int
    covered_s: float
    """Voiced seconds that its text explains."""
    compression: float
    log_probability: float | None


def measures(
    segments: Sequence[Segment],
    voice: Voice,
    *,
    language: str | None = None,
    detect: Detect | None = None,
    rates: Span = (SLOW, FAST),
) -> Measures:
    """Of a reading of a span; `voice` is the span's."""
    found = findings(segments, voice, language=language, detect=detect, rates=rates)
    covered = (min(voice.within(s.start_s - EDGE_S, s.end_s + EDGE_S), letters(s.text) / rates[0]) for s in segments)
    known = [(s.log_probability, len(s.text)) for s in segments if s.log_probability is not None]
    weight = sum(n for _, n in known)
    mean = sum(p * n for p, n in known) / weight if weight else None
    return Measures(len(found), sum(covered), compression(" ".join(s.text for s in segments)), mean)


def better(new: Measures, old: Measures) -> bool:
    """Whether a reading takes the place of another: it explains no less of what was voiced, and one measure tells.

    In this order: fewer findings, more voiced seconds explained, a compression below Whisper's limit, a higher log
    probability where both engines tell it.
    """
    if new.covered_s < old.covered_s - MARGIN_S:
        return False
    if new.findings != old.findings:
        return new.findings < old.findings
    if new.covered_s > old.covered_s + MARGIN_S:
        return True
    if (new.compression > COMPRESSED) != (old.compression > COMPRESSED):
        return new.compression <= COMPRESSED
    if new.log_probability is None or old.log_probability is None:
        return False
    return new.log_probability > old.log_probability + MARGIN


def compression(text: str) -> float:
    """UTF-8 bytes to zlib's; 0 for no text."""
    told = text.encode()
    return len(told) / len(zlib.compress(told)) if told else 0.0


def letters(text: str) -> float:
    """How much there is to say: letters; a sign that stands for a syllable is 2.5 of them, a figure, read out, 4."""
    told = 0.0
    for c in text:
        if c.isdigit():
            told += 4
        elif c.isalpha():
            told += 2.5 if c >= "\u2e80" else 1  # from here on: CJK, kana, Hangul
    return told


def spoken(segments: Sequence[Segment], language: str | None, detect: Detect) -> tuple[Segment, ...]:
    """The segments with their language where it is another one than the transcript's."""
    told = ((s, _language(s, detect)) for s in segments)
    return tuple(replace(s, language=x) if x and x != language and s.language is None else s for s, x in told)


# ------------------------------------------------------------ one kind of doubt each


def _unheard(ordered: Sequence[Segment], voice: Voice) -> Iterator[Finding]:
    """Voice without text."""
    left: list[Span] = []
    at = float("-inf")
    for start_s, end_s in [*((s.start_s - EDGE_S, s.end_s + EDGE_S) for s in ordered), (float("inf"),) * 2]:
        left += voice.between(at, start_s)
        at = max(at, end_s)
    group: list[Span] = []
    for run in [*left, (float("inf"),) * 2]:
        if group and run[0] - group[-1][1] > TOGETHER_S:
            if sum(b - a for a, b in group) >= UNHEARD_S:
                yield Finding(Doubt.UNHEARD, group[0][0], group[-1][1])
            group = []
        group.append(run)


def _rates(ordered: Sequence[Segment], voice: Voice, rates: Span) -> Iterator[Finding]:
    """More or less text than anybody says in the time; text without a voice."""
    slow, fast = rates
    for s in ordered:
        told = letters(s.text)
        spoken_s = voice.within(s.start_s - EDGE_S, s.end_s + EDGE_S) if voice else s.end_s - s.start_s
        if voice and told and spoken_s < SILENT_S:
            yield Finding(Doubt.SILENT, s.start_s, s.end_s)
        elif told >= FAST_LETTERS and told > fast * spoken_s:
            yield Finding(Doubt.FAST, s.start_s, s.end_s)
        elif spoken_s >= SLOW_S and told < slow * spoken_s:
            yield Finding(Doubt.SLOW, s.start_s, s.end_s)


def _loops(ordered: Sequence[Segment]) -> Iterator[Finding]:
    """A phrase again and again, within a segment or over several."""
    said = [(word, n) for n, s in enumerate(ordered) for word in _words(s.text)]
    for length in range(1, PHRASE + 1):
        same = 0
        for at in range(length, len(said) + 1):
            if at < len(said) and said[at][0] == said[at - length][0]:
                same += 1
                continue
            if same >= length * (TIMES - 1) and same + length >= LOOP_WORDS:
                first, last = said[at - same - length][1], said[at - 1][1]
                yield Finding(Doubt.LOOP, ordered[first].start_s, max(s.end_s for s in ordered[first : last + 1]))
            same = 0


def _compressed(ordered: Sequence[Segment]) -> Iterator[Finding]:
    """Text that compresses like none that was spoken."""
    end, size = 0, 0
    for start in range(len(ordered)):
        while end < len(ordered) and size < COMPRESSED_LETTERS:
            size += len(ordered[end].text) + 1
            end += 1
        if size >= COMPRESSED_LETTERS and compression(" ".join(s.text for s in ordered[start:end])) > COMPRESSED:
            yield Finding(Doubt.LOOP, ordered[start].start_s, max(s.end_s for s in ordered[start:end]))
        size -= len(ordered[start].text) + 1


def _jumps(segments: Sequence[Segment]) -> Iterator[Finding]:
    """Times that go back, or lie over each other, in the order in which it was told; two voices may."""
    for a, b in pairwise(segments):
        over_s = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
        if b.start_s < a.start_s or (over_s > OVERLAP_S and a.speaker == b.speaker) or b.end_s < b.start_s:
            yield Finding(Doubt.JUMP, min(a.start_s, b.start_s), max(a.end_s, b.end_s))


def _flips(ordered: Sequence[Segment], language: str | None, detect: Detect | None) -> Iterator[Finding]:
    """Another language for a moment."""
    told = [_language(s, detect) or language for s in ordered]
    first = 0
    for at in range(1, len(told) + 1):
        if at < len(told) and told[at] == told[first]:
            continue
        start_s, end_s = ordered[first].start_s, ordered[at - 1].end_s
        if told[first] != language and end_s - start_s < FLIP_S:
            yield Finding(Doubt.FLIP, start_s, end_s)
        first = at


# ------------------------------------------------------------ spans


def _language(segment: Segment, detect: Detect | None) -> str | None:
    if segment.language or detect is None:
        return segment.language
    return detect(segment.text) if letters(segment.text) >= LANGUAGE_LETTERS else None


def _words(text: str) -> Iterator[str]:
    """Words without case and marks; where words are not set apart, each sign."""
    for word in text.casefold().split():
        plain = "".join(c for c in word if c.isalnum())
        if plain and plain[0] >= "\u2e80":
            yield from plain
        elif plain:
            yield plain


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def _merged(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Of one kind, what lies over each other is one."""
    out: list[Finding] = []
    for one in sorted(found, key=lambda f: (f.doubt, f.start_s)):
        if out and out[-1].doubt is one.doubt and one.start_s < out[-1].end_s:
            out[-1] = replace(out[-1], end_s=max(out[-1].end_s, one.end_s))
        else:
            out.append(one)
    return tuple(sorted(out, key=lambda f: (f.start_s, f.end_s)))


def _blocks(segments: Sequence[Segment]) -> list[Span]:
    """Segments that lie over each other are one."""
    out: list[Span] = []
    for s in sorted(segments, key=lambda s: s.start_s):
        if out and s.start_s < out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], s.end_s)
        else:
            out.append((s.start_s, s.end_s))
    return out


def _pieces(span: Span, blocks: Sequence[Span], starts: Sequence[float], voice: Voice) -> Iterator[Span]:
    """A long span cut where a segment or a voice ends, and no segment lies."""
    start_s, end_s = span
    own = blocks[bisect_left(starts, start_s) : bisect_left(starts, end_s)]
    ends = {b for _, b in own} | {b for _, b in voice.between(start_s, end_s)}
    # a voice may end where a segment goes on
    cuts = sorted(at for at in ends if not _in(own, at))
    while end_s - start_s > LONGEST_S:
        n = bisect_right(cuts, start_s + LONGEST_S)
        at = cuts[n - 1] if n and cuts[n - 1] > start_s else [*cuts[n : n + 1], end_s][0]
        if at >= end_s:
            break
        yield start_s, at
        start_s = at
    yield start_s, end_s


def _in(blocks: Sequence[Span], at_s: float) -> bool:
    n = bisect_left(blocks, at_s, key=lambda b: b[0]) - 1
    return n >= 0 and blocks[n][0] < at_s < blocks[n][1]
