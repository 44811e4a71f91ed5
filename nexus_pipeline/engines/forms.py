"""What a language model is asked about a transcript, and the forms in which it answers.

Every field must be filled in, for so the vendors' strict modes want it; what one of a list cannot say is null. Values
are taken leniently and set right afterwards (`proven.py`): only a form that lacks a field is no answer.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Annotated

from pydantic import BaseModel, Field

from nexus_pipeline.engines.extractive import CATEGORIES, OTHER
from nexus_pipeline.engines.fences import DATA

PRIORITIES = ("low", "medium", "high")
SENTIMENTS = ("negative", "neutral", "positive")
KINDS = ("person", "organization")


def _one_of(names: Sequence[str], says: str) -> object:
    """A choice in the schema; another word is no broken form."""
    return Field(description=says, json_schema_extra={"enum": list(names)})


Quote = Annotated[str, Field(description="Up to 20 words, copied letter by letter from one place of the transcript.")]
Second = Annotated[float, Field(description="The number in brackets in front of the quoted line.")]


class Feeling(BaseModel):
    """How those who speak feel about what they say."""

    label: Annotated[str, _one_of(SENTIMENTS, "On the whole.")]
    score: Annotated[float, Field(description="From -1 (very negative) to 1 (very positive).")]


class Section(BaseModel):
    """A chapter: a stretch about one subject, up to the next one."""

    title: Annotated[str, Field(description="Its subject in 2 to 8 words.")]
    start_s: Second
    quote: Annotated[str, Field(description="The first words of it, copied letter by letter from the transcript.")]


class Promise(BaseModel):
    """Something that somebody said would be done, or asked somebody to do."""

    task: Annotated[str, Field(description="What is to be done, beginning with a verb.")]
    priority: Annotated[str, _one_of(PRIORITIES, "high: urgent or with a near deadline; low: if there is time.")]
    assignee: Annotated[
        str | None, Field(description="Who does it, by name as it was said, or the SPEAKER; else null.")
    ]
    estimate: Annotated[str | None, Field(description="How long it takes, if that was said; else null.")]
    at_s: Second
    quote: Quote


class Named(BaseModel):
    """A person or an organization that is named."""

    name: Annotated[str, Field(description="The fullest form of the name that was said.")]
    kind: Annotated[str, _one_of(KINDS, "Which of the two.")]
    at_s: Second
    quote: Annotated[str, Field(description="Words around the name, copied letter by letter from the transcript.")]


class Voice(BaseModel):
    """Whose voice a SPEAKER is, where what was said shows it."""

    label: Annotated[str, Field(description="The SPEAKER as written in front of the lines.")]
    name: Annotated[str, Field(description="The name, as it was said.")]
    at_s: Second
    quote: Annotated[str, Field(description="The words that show it, copied letter by letter from the transcript.")]


class Whole(BaseModel):
    """What a text is about as a whole."""

    summary: Annotated[str, Field(description="Two or three sentences.")]
    summary_long: Annotated[str, Field(description="One or more paragraphs: all that matters, in order of time.")]
    topics: Annotated[list[str], Field(description="Up to 5 subjects, each a noun phrase.")]
    tags: Annotated[list[str], Field(description="Up to 8 search words, lower case, each one to three words.")]
    category: Annotated[str, _one_of([*CATEGORIES, OTHER], "What it is about; `other` where none fits.")]
    suggested_title: Annotated[str, Field(description="A title of 3 to 10 words that says what it is about.")]


class Told(Whole):
    """All that is asked about a transcript."""

    sentiment: Feeling
    chapters: Annotated[list[Section], Field(description="In order of time; none for a text of less than 5 minutes.")]
    action_items: Annotated[list[Promise], Field(description="None where nobody promised or asked for anything.")]
    entities: Annotated[list[Named], Field(description="The most important first.")]
    speakers: Annotated[list[Voice], Field(description="Only those whose name was said; never a guess.")]


READ = f"""You read the transcript of a recording and fill in a form about it.

{DATA}

Each line of the transcript is `[seconds] SPEAKER: words`; where nobody knows who speaks, SPEAKER is left out. It was \
made by a machine and may hold wrong words. Write in the language of the transcript. Say only what follows from it: \
no outside knowledge, no guesses. A quote is copied from the transcript letter by letter, without the brackets and the \
SPEAKER; whatever has no such quote is left out."""

MERGE = f"""A long recording was read in parts, which overlap a little. You get notes on each part, in order of time, \
and fill in a form about the whole recording.

{DATA}

Write in the language of the notes. Say only what follows from them, and do not speak of parts or notes."""

CHAPTERS = """

Chapters: this text is part of a longer recording, so tell them whatever its length."""


@cache
def digest() -> str:
    """Of all that is asked: what changes it changes every answer."""
    schemas = [json.dumps(form.model_json_schema(), sort_keys=True) for form in (Told, Whole)]
    return hashlib.sha256("\0".join((READ, MERGE, CHAPTERS, *schemas)).encode()).hexdigest()[:16]
