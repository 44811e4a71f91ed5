"""Transcripts as files: read beside an item (SRT, WebVTT, Whisper's and WhisperX's JSON), and written for people.

What a file is, is told from its contents. A speaker is `<v Name>` in WebVTT and `[Name]: ` in SRT, which is what is
written here and what WhisperX writes; `Name: ` counts where the same name opens at least two cues. A cue in another
language than the rest is `<lang de>` in WebVTT; SRT has no way to say it. Written by hand: webvtt-py would drop what
stands in angle brackets, pysubs2 what stands in braces.
"""

import html
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import webvtt
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from nexus_pipeline.domain.errors import BadTranscript, TooLarge
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript, Word

LARGEST_BYTES = 64 << 20
"""Of a transcript: a day of speech with a time for each word has 20 MB."""
FORMATS = ("srt", "vtt", "txt", "md")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>]+)>")
_LANG = re.compile(r"\s*<lang[ \t]+([A-Za-z0-9-]+)>((?:(?!</?lang).)*)(?:</lang>)?\s*(?:</v>)?\s*", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z0-9][^>]*>")
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
_LABEL = re.compile(r"\[([^\]\n]{1,80})\]: ?")
_NAME = re.compile(r"([^\W\d_][\w.'\u2019-]*(?: [^\W\d_][\w.'\u2019-]*){0,3}): ")
_TWICE = 2


class _WordIn(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    text: str = Field(validation_alias=AliasChoices("word", "text"))
    start: float | None = Field(None, validation_alias=AliasChoices("start", "start_s"))
    end: float | None = Field(None, validation_alias=AliasChoices("end", "end_s"))
    speaker: str | None = None


class _SegmentIn(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    start: float = Field(validation_alias=AliasChoices("start", "start_s"), ge=0)
    end: float = Field(validation_alias=AliasChoices("end", "end_s"), ge=0)
    text: str
    speaker: str | None = None
    language: str | None = None
    words: list[_WordIn] = Field(default_factory=list)


class _FileIn(BaseModel):
    segments: list[_SegmentIn]
    language: str | None = None


def read_transcript(path: Path) -> Transcript:
    """A transcript file: segments in order of time, speakers and words kept. Raises BadTranscript, TooLarge."""
    if path.stat().st_size > LARGEST_BYTES:
        raise TooLarge(f"the transcript has more than {LARGEST_BYTES >> 20} MiB; is it one?")
    return parse(path.read_bytes())


def parse(data: bytes) -> Transcript:
    """The same from its bytes; `engine` says which format it was: `file:srt`, `file:vtt`, `file:json`."""
    text = _decoded(data).strip()
    if not text:
        raise BadTranscript("the transcript is empty; give an SRT, a WebVTT or Whisper's JSON")
    if text.startswith(("{", "[")):
        try:
            return _from_json(text)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BadTranscript(
                f"the JSON is not Whisper's or WhisperX's: wrong at {where or 'its beginning'}; it needs "
                '"segments" with start, end and text'
            ) from error
    kind = "vtt" if text.startswith("WEBVTT") else "srt"
    return _transcript(_timed(text, kind), None, kind)


def write(transcript: Transcript, form: str, title: str = "") -> str:
    """The transcript as `srt`, `vtt`, `txt` or `md`, each line with its end; the title heads `md` only.

    Where nothing was said, `srt` and `txt` are empty. Raises ValueError for another format.
    """
    if form not in FORMATS:
        raise ValueError(f"a transcript is written as one of {', '.join(FORMATS)}")
    lines = _md(transcript, title) if form == "md" else {"srt": _srt, "vtt": _vtt, "txt": _txt}[form](transcript)
    return "".join(f"{line}\n" for line in lines)


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:4096]:
        raise BadTranscript("the transcript is no text; give an SRT, a WebVTT or Whisper's JSON")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what old subtitle editors write


def _timed(text: str, kind: str) -> list[Segment]:
    reader: Any = webvtt.WebVTT  # typed in part only
    try:
        captions = reader.from_buffer(io.StringIO(text), format=kind).captions
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError) as error:
        raise BadTranscript(
            "the transcript is neither SRT nor WebVTT nor JSON; an SRT begins with 1 and a line of two times"
        ) from error
    if not captions:
        raise BadTranscript("no line of the transcript has a time; an SRT or WebVTT has one for each cue")
    segments = []
    for caption in captions:
        start_s, end_s = (t.in_milliseconds() / 1000 for t in (caption.start_time, caption.end_time))
        cue = "\n".join(caption.lines)
        for speaker, said, tongue in _voices(cue) if kind == "vtt" else [(None, _plain(cue), None)]:
            if said:
                segments.append(Segment(0, start_s, max(start_s, end_s), said, speaker, language=tongue))
    return _labelled(segments) if kind == "srt" else segments


def _voices(cue: str) -> Iterator[tuple[str | None, str, str | None]]:
    """Who says what in one cue of WebVTT, and in which language where all of it is marked."""
    before, *spans = _VOICE.split(cue)
    yield None, _unescaped(before), _tongue(before)
    for name, said in zip(spans[::2], spans[1::2], strict=True):
        yield _unescaped(name) or None, _unescaped(said), _tongue(said)


def _tongue(said: str) -> str | None:
    marked = _LANG.fullmatch(said)
    return marked[1].lower() if marked else None


def _unescaped(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", text)).split())


def _plain(cue: str) -> str:
    return " ".join(_OVERRIDE.sub("", re.sub(r"</?(?:[ibus]|font)\b[^>]*>", "", cue)).split())


def _labelled(segments: Sequence[Segment]) -> list[Segment]:
    """Speakers of an SRT taken out of its texts."""
    names = Counter(match[1] for s in segments if (match := _NAME.match(s.text)))
    told = []
    for segment in segments:
        match = _LABEL.match(segment.text)
        if match is None:
            match = _NAME.match(segment.text)
            if match is not None and names[match[1]] < _TWICE:
                match = None
        text = segment.text[match.end() :] if match else segment.text
        if text:
            told.append(Segment(0, segment.start_s, segment.end_s, text, match[1] if match else None))
    return told


def _from_json(text: str) -> Transcript:
    file = _FileIn.model_validate_json(text if text.startswith("{") else f'{{"segments": {text}}}')
    segments = []
    for told in file.segments:
        said = " ".join(told.text.split())
        if said:
            spoken = Counter(w.speaker for w in told.words if w.speaker)
            speaker = told.speaker or (spoken.most_common(1)[0][0] if spoken else None)
            end_s = max(told.start, told.end)
            words = tuple(_words(told.words, told.start, end_s))
            segments.append(Segment(0, told.start, end_s, said, speaker, words, told.language or None))
    return _transcript(segments, file.language, "json")


def _words(told: Sequence[_WordIn], start_s: float, end_s: float) -> Iterator[Word]:
    """Words in order of time; WhisperX leaves out the times of what it could not align: they lie between the others."""
    at = start_s
    for n, word in enumerate(told):
        following = next((w.start for w in told[n + 1 :] if w.start is not None), end_s)
        start = at if word.start is None else max(word.start, 0.0)
        end = max(start, following if word.end is None else word.end)
        if word.text.strip():
            yield Word(start, end, word.text.strip())
        at = end


def _transcript(segments: Sequence[Segment], language: str | None, kind: str) -> Transcript:
    ordered = sorted(segments, key=lambda s: (s.start_s, s.end_s))
    numbered = tuple(replace(s, id=n) for n, s in enumerate(ordered))
    spoken_s = sum(s.end_s - s.start_s for s in numbered)
    return Transcript(language, f"file:{kind}", numbered, Coverage(spoken_s, spoken_s))


def _said(transcript: Transcript) -> Iterator[tuple[Segment, str | None, str]]:
    """Names and texts on one line each: an empty line would end a cue, so a segment without text is none."""
    for segment in transcript.segments:
        if not segment.text.strip():
            continue
        name = transcript.speakers.get(segment.speaker, segment.speaker) if segment.speaker else None
        yield segment, " ".join(name.split()) if name else None, " ".join(segment.text.split())


def _srt(transcript: Transcript) -> Iterator[str]:
    for n, (segment, name, text) in enumerate(_said(transcript), 1):
        times = f"{_clock(segment.start_s, ',')} --> {_clock(segment.end_s, ',')}"
        yield f"{n}\n{times}\n{f'[{name}]: ' if name else ''}{text}\n"


def _vtt(transcript: Transcript) -> Iterator[str]:
    yield "WEBVTT\n"
    for segment, name, text in _said(transcript):
        voice = f"<v {html.escape(name, quote=False)}>" if name else ""
        times = f"{_clock(segment.start_s, '.')} --> {_clock(segment.end_s, '.')}"
        said = html.escape(text, quote=False)
        yield f"{times}\n{voice}{f'<lang {segment.language}>{said}</lang>' if segment.language else said}\n"


def _txt(transcript: Transcript) -> Iterator[str]:
    for _, name, text in _said(transcript):
        yield f"{name}: {text}" if name else text


def _md(transcript: Transcript, title: str) -> Iterator[str]:
    """A heading, then a paragraph a segment with its time; the speaker where another one begins."""
    yield f"# {' '.join(title.split()) or 'Transcript'}"
    before = None
    for segment, name, text in _said(transcript):
        who = f"**{name}:** " if name and name != before else ""
        yield f"\n`{_clock(segment.start_s, '.')[:-4]}` {who}{text}"
        before = name


def _clock(seconds: float, mark: str) -> str:
    """`01:02:03` and, after the mark, milliseconds."""
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"
