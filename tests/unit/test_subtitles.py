"""Transcripts as files: what is written is read again, and what others write is understood."""

import contextlib
import json

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_pipeline.domain.errors import BadTranscript
from nexus_pipeline.domain.timeline import Coverage, Segment, Transcript
from nexus_pipeline.sources.subtitles import parse, read_transcript, write

LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp"))
# A text that itself begins like a speaker ("[Anna]: ", "Anna: ") reads as one: that is what these files mean by it.
TEXTS = (
    st.lists(st.text(LETTERS.filter(lambda c: not c.isspace() and c != ":"), min_size=1, max_size=12), min_size=1)
    .map(lambda words: " ".join(" ".join(words).split()))
    .filter(bool)
)
NAMES = st.from_regex(r"[A-Z][a-zäöü]{1,8}( [A-Z][a-z]{1,8})?|SPEAKER_[0-9]{2}|R&D <x> \{y\}", fullmatch=True)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    segments, at = [], 0
    for n in range(draw(st.integers(1, 8))):
        start = at + draw(st.integers(0, 5_000_000))
        at = start + draw(st.integers(0, 60_000))
        segments.append(Segment(n, start / 1000, at / 1000, draw(TEXTS), draw(st.none() | NAMES)))
    return Transcript("en", "test", tuple(segments), Coverage(0, 0))


def facts(transcript: Transcript) -> list[tuple[int, int, str, str | None]]:
    return [(round(s.start_s * 1000), round(s.end_s * 1000), s.text, s.speaker) for s in transcript.segments]


@given(transcripts())
def test_vtt_that_is_written_reads_as_the_same_times_texts_and_speakers(transcript: Transcript) -> None:
    assert facts(parse(write(transcript, "vtt").encode())) == facts(transcript)


@given(transcripts())
def test_srt_that_is_written_reads_as_the_same_times_and_speakers(transcript: Transcript) -> None:
    read = parse(write(transcript, "srt").encode())
    times = [(start, end, speaker) for start, end, _, speaker in facts(transcript)]
    assert [(start, end, speaker) for start, end, _, speaker in facts(read)] == times


@given(transcripts())
def test_srt_that_is_written_reads_as_the_same_texts_where_they_hold_no_mark_up(transcript: Transcript) -> None:
    plain = Transcript(
        None, "t", tuple(Segment(s.id, s.start_s, s.end_s, _plain(s.text)) for s in transcript.segments), Coverage(0, 0)
    )
    assert facts(parse(write(plain, "srt").encode())) == facts(plain)


def _plain(text: str) -> str:
    return " ".join("".join(c for c in text if c not in "<>{}[]").split()) + "."


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_no_bytes_break_the_reader_in_another_way_than_its_own(data: bytes) -> None:
    with contextlib.suppress(BadTranscript):
        assert parse(data).engine.startswith("file:")


def test_speakers_of_vtt_are_kept_and_its_other_tags_are_not() -> None:
    told = parse(
        b"WEBVTT - a talk\n\nNOTE not said\n\nSTYLE\n::cue { color: red }\n\nintro\n"
        b"00:01.000 --> 00:02.500 align:start\n"
        b"<v.loud Anna Lee>Good <i>morning</i> &amp; <00:01.500><c>welcome</c></v>\n\n"
        b"1:00:00.000 --> 1:00:01.000\nno one\nin two lines\n\n01:00:02.000 --> 01:00:03.000\n<v A>Yes</v> <v B>No\n"
    )
    assert [(s.speaker, s.text) for s in told.segments] == [
        ("Anna Lee", "Good morning & welcome"),
        (None, "no one in two lines"),
        ("A", "Yes"),
        ("B", "No"),
    ]
    assert told.segments[1].start_s == 3600.0
    assert told.engine == "file:vtt"


def test_speakers_of_srt_are_labels_or_names_that_come_twice() -> None:
    told = parse(
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\n[SPEAKER_00]: Hello\r\n\r\n"
        "2\r\n00:00:02,000 --> 00:00:03,000\r\nAnna: Good <i>day</i>\r\n\r\n"
        "3\r\n00:00:03,000 --> 00:00:04,000\r\nRemember: bring bread\r\n\r\n"
        "4\r\n00:00:04,000 --> 00:00:05,000\r\n{\\an8}Anna: Yes\r\n".encode()
    )
    assert [(s.speaker, s.text) for s in told.segments] == [
        ("SPEAKER_00", "Hello"),
        ("Anna", "Good day"),
        (None, "Remember: bring bread"),
        ("Anna", "Yes"),
    ]


def test_whisper_json_keeps_words_and_language() -> None:
    told = parse(
        json.dumps(
            {
                "text": " Good morning.",
                "language": "en",
                "segments": [
                    {"id": 0, "seek": 0, "start": 0.5, "end": 1.5, "text": " Good morning.", "tokens": [1]}
                    | {"words": [{"word": " Good", "start": 0.5, "end": 0.8, "probability": 0.9}]},
                    {"id": 1, "start": 2, "end": 3, "text": "  "},
                ],
            }
        ).encode()
    )
    assert told.language == "en"
    assert [(s.text, s.start_s, [w.text for w in s.words]) for s in told.segments] == [("Good morning.", 0.5, ["Good"])]


def test_whisperx_json_keeps_speakers_and_places_words_that_it_could_not_align() -> None:
    words = [{"word": "In", "start": 1.0, "end": 1.2, "speaker": "SPEAKER_01"}, {"word": "1984"}]
    words.append({"word": "we", "start": 2.0, "end": 2.1, "speaker": "SPEAKER_01"})
    told = parse(json.dumps({"segments": [{"start": 1, "end": 3, "text": "In 1984 we", "words": words}]}).encode())
    (segment,) = told.segments
    assert segment.speaker == "SPEAKER_01"
    assert [(w.start_s, w.end_s) for w in segment.words] == [(1.0, 1.2), (1.2, 2.0), (2.0, 2.1)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"just some words", "neither SRT nor WebVTT"),
        (b"WEBVTT\n\n", "no line"),
        (b'{"segments": [{"start": "x"}]}', "segments.0"),
        (b'{"talk": 1}', "segments"),
        (b'{"segments": [{"start": 1, "end": NaN, "text": "x"}]}', "JSON"),
        (b"PK\x03\x04\0\0", "no text"),
    ],
)
def test_what_is_no_transcript_is_refused_with_what_to_do(data: bytes, words: str) -> None:
    with pytest.raises(BadTranscript, match=words):
        parse(data)


def test_old_encodings_are_read(tmp_path) -> None:
    told = "1\n00:00:01,000 --> 00:00:02,000\nCafé\n"
    for n, data in enumerate((told.encode("cp1252"), told.encode("utf-16"), told.encode("utf-8-sig"))):
        path = tmp_path / f"{n}.srt"
        path.write_bytes(data)
        assert read_transcript(path).segments[0].text == "Café"


SAID = Transcript(
    "en",
    "test",
    (
        Segment(0, 0.0, 1.5, "Hello {there} & <you>", "S1"),
        Segment(1, 2.0, 3.0, "Good morning.", "S1"),
        Segment(2, 3661.0, 3662.25, "Two\n\nlines"),
        Segment(3, 360_000.0, 360_000.5, "Still here.", "S2"),
    ),
    Coverage(0, 0),
    {"S1": "Ann\n\nLee"},
)


def test_text_is_a_line_a_segment_with_the_speakers_name() -> None:
    assert write(SAID, "txt") == (
        "Ann Lee: Hello {there} & <you>\nAnn Lee: Good morning.\nTwo lines\nS2: Still here.\n"
    )


def test_markdown_names_the_item_the_times_and_each_speaker_that_begins() -> None:
    assert write(SAID, "md", "A\ntalk") == (
        "# A talk\n\n`00:00:00` **Ann Lee:** Hello {there} & <you>\n\n`00:00:02` Good morning.\n\n"
        "`01:01:01` Two lines\n\n`100:00:00` **S2:** Still here.\n"
    )


def test_srt_keeps_braces_and_empty_lines_do_not_end_a_cue() -> None:
    assert write(SAID, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\n[Ann Lee]: Hello {there} & <you>\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\n[Ann Lee]: Good morning.\n\n"
        "3\n01:01:01,000 --> 01:01:02,250\nTwo lines\n\n"
        "4\n100:00:00,000 --> 100:00:00,500\n[S2]: Still here.\n\n"
    )


def test_vtt_names_the_voice_and_escapes_markup() -> None:
    assert write(SAID, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n<v Ann Lee>Hello {there} &amp; &lt;you&gt;\n\n"
        "00:00:02.000 --> 00:00:03.000\n<v Ann Lee>Good morning.\n\n"
        "01:01:01.000 --> 01:01:02.250\nTwo lines\n\n"
        "100:00:00.000 --> 100:00:00.500\n<v S2>Still here.\n\n"
    )


@pytest.mark.parametrize(
    ("form", "title", "written"),
    [
        ("txt", "A talk", ""),
        ("srt", "A talk", ""),
        ("vtt", "A talk", "WEBVTT\n\n"),
        ("md", "A talk", "# A talk\n"),
        ("md", " ", "# Transcript\n"),
    ],
)
def test_where_nothing_was_said_only_what_a_file_must_have_is_written(form: str, title: str, written: str) -> None:
    assert write(Transcript("en", "test", (), Coverage(0, 0)), form, title) == written


def test_another_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="srt, vtt, txt, md"):
        write(SAID, "doc")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 359_000_000),  # pysubs2 reads no times of a hundred hours
            st.integers(1, 30_000),
            st.text(st.characters(categories=("L", "N")), min_size=1).filter(lambda s: not s.isdigit()),
        ),
        max_size=20,
    )
)
def test_a_reader_that_is_not_ours_finds_every_segment_at_its_time_in_srt_and_vtt(told) -> None:
    segments = tuple(Segment(n, at / 1000, (at + long) / 1000, text) for n, (at, long, text) in enumerate(sorted(told)))
    said = Transcript("en", "x", segments, Coverage(0, 0))
    for form in ("srt", "vtt"):
        read = pysubs2.SSAFile.from_string(write(said, form), format_=form) if segments else []
        assert [(line.start, line.end, line.plaintext) for line in read] == [
            (round(s.start_s * 1000), round(s.end_s * 1000), s.text) for s in segments
        ]


def test_a_cue_in_another_language_says_so_in_vtt_and_is_read_so() -> None:
    told = Transcript(
        "en",
        "test",
        (
            Segment(0, 0.0, 1.0, "Good morning.", "Anna"),
            Segment(1, 1.0, 2.0, "Guten Morgen & <los>.", "Ben", language="de"),
            Segment(2, 2.0, 3.0, "Au revoir.", language="fr"),
        ),
        Coverage(0, 0),
    )
    written = write(told, "vtt")
    assert "<v Ben><lang de>Guten Morgen &amp; &lt;los&gt;.</lang>" in written
    assert [(s.speaker, s.text, s.language) for s in parse(written.encode()).segments] == [
        (s.speaker, s.text, s.language) for s in told.segments
    ]
    assert "lang" not in write(told, "srt")


def test_a_foreign_word_inside_a_cue_does_not_make_all_of_it_foreign() -> None:
    told = parse(b"WEBVTT\n\n00:01.000 --> 00:02.000\nShe has <lang fr>savoir vivre</lang>, they say.\n")
    assert [(s.text, s.language) for s in told.segments] == [("She has savoir vivre, they say.", None)]


def test_languages_of_segments_in_json_are_kept() -> None:
    segments = [{"start": 0, "end": 1, "text": "Hello"}, {"start": 1, "end": 2, "text": "Hallo", "language": "de"}]
    told = parse(json.dumps({"language": "en", "segments": segments}).encode())
    assert [s.language for s in told.segments] == [None, "de"]
