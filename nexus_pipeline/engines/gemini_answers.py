"""What Gemini answers: in the form of a pydantic model or as text that streams, and why it may not answer at all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nexus_pipeline.domain.errors import EngineDown, EngineEmpty, EngineRefused
from nexus_pipeline.engines.gemini_line import GeminiLine
from nexus_pipeline.ports import Cancelled as IsCancelled
from nexus_pipeline.ports import Metering

if TYPE_CHECKING:
    from google.genai.types import GenerateContentConfig, GenerateContentResponse, Part

S = TypeVar("S")

TRIES = 2
"""An answer that is not in the form that was asked for is asked for once more, with the complaint."""
ANSWER_TOKENS = 1000
"""What an answer is taken to cost, for the limit of tokens a minute."""
LETTERS = 3
"""Of a token, at least, in most languages."""

# https://ai.google.dev/api/generate-content#FinishReason, read with google-genai 3.4.0 (types.FinishReason)
_REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
        "MODEL_ARMOR",
    }
)
_DONE = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED"})
# what Gemini reads of a JSON schema: google-genai 3.4.0, GenerateContentConfig.response_json_schema
_READ = frozenset(
    {"$id", "$defs", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems"}
    | {"maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required"}
)


def cost(*texts: str) -> int:
    """About how many tokens a question and its answer cost."""
    return ANSWER_TOKENS + sum(len(text) for text in texts) // LETTERS


def ask(
    line: GeminiLine,
    model: str,
    system: str,
    question: "Callable[[], Sequence[Part]]",
    schema: type[S],
    *,
    tokens: int,
    cancelled: IsCancelled,
    metering: Metering,
) -> S:
    """One answer in the form of a pydantic model (or of anything else that pydantic validates).

    Raises EngineEmpty where it is not in that form twice, or nothing; EngineRefused; and as `GeminiLine.call`.
    """
    form = TypeAdapter(schema)
    complaint: str | None = None
    for _ in range(TRIES):
        response = line.call(
            _asking(model, system, question, form.json_schema(), complaint),
            model=model,
            tokens=tokens,
            cancelled=cancelled,
            metering=metering,
        )
        try:
            return form.validate_json(_text(response))
        except ValidationError as error:
            complaint = _complaint(error)
    raise EngineEmpty(f"Gemini's {model} did not answer in the form that was asked for, {TRIES} times")


def tell(
    line: GeminiLine, model: str, system: str, question: str, *, cancelled: IsCancelled, metering: Metering
) -> Iterator[str]:
    """The answer's text in pieces as they come. Raises as `ask`, and EngineDown for a stream that breaks off."""

    def asking(client: Any) -> "Iterator[GenerateContentResponse]":
        pieces: Iterator[GenerateContentResponse] = client.models.generate_content_stream(
            model=model, contents=question, config=_config(system)
        )
        return pieces

    finish, said = None, False
    tokens = cost(system, question)
    coming = line.stream(asking, model=model, tokens=tokens, cancelled=cancelled, metering=metering)
    with closing(coming) as pieces:
        for piece in pieces:
            _blocked(piece)
            finish = _finish(piece) or finish
            text = piece.text
            if text:
                said = True
                yield text
    if finish is None:
        raise EngineDown("Gemini's answer broke off before its end")
    _finished(finish)
    if not said:
        raise EngineEmpty("Gemini answered with nothing")


def _asking(
    model: str, system: str, question: "Callable[[], Sequence[Part]]", form: dict[str, Any], complaint: str | None
) -> "Callable[[Any], GenerateContentResponse]":
    def asking(client: Any) -> "GenerateContentResponse":
        from google.genai.types import Content, Part

        parts = [*question(), *([Part(text=complaint)] if complaint else [])]
        response: GenerateContentResponse = client.models.generate_content(
            model=model, contents=[Content(role="user", parts=parts)], config=_config(system, readable(form))
        )
        return response

    return asking


def _config(system: str, form: Mapping[str, Any] | None = None) -> "GenerateContentConfig":
    from google.genai.types import AutomaticFunctionCallingConfig, GenerateContentConfig

    return GenerateContentConfig(
        system_instruction=system or None,
        response_mime_type="application/json" if form else None,
        response_json_schema=form,
        automatic_function_calling=AutomaticFunctionCallingConfig(disable=True),
    )


def readable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema without what Gemini does not read, and nothing beside a reference, which it would refuse."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    told = {key: value for key, value in schema.items() if key in _READ}
    if "const" in schema:
        told["enum"] = [schema["const"]]
    for key in ("properties", "$defs"):
        if key in told:
            told[key] = {name: readable(inner) for name, inner in told[key].items()}
    for key in ("anyOf", "oneOf", "prefixItems"):
        if key in told:
            told[key] = [readable(inner) for inner in told[key]]
    for key in ("items", "additionalProperties"):
        if isinstance(told.get(key), Mapping):
            told[key] = readable(told[key])
    return told


def _complaint(error: ValidationError) -> str:
    """For Gemini's eyes only: where its answer is not what was asked for."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    where = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in found)
    return f"An answer before this was not in the form that was asked for ({where}). Answer in that form only."


# ---------------------------------------------------------------- why it may not answer


def _text(response: "GenerateContentResponse") -> str:
    """Raises EngineRefused, EngineEmpty."""
    _blocked(response)
    finish = _finish(response)
    if finish is not None:
        _finished(finish)
    text = response.text
    if not text:
        raise EngineEmpty("Gemini answered with nothing")
    return text


def _blocked(response: "GenerateContentResponse") -> None:
    """Whether it refuses the question."""
    reason = response.prompt_feedback.block_reason if response.prompt_feedback else None
    if reason is not None:
        raise EngineRefused(f"Gemini will not do this one: its rules refuse the question ({_word(reason.value)})")


def _finish(response: "GenerateContentResponse") -> str | None:
    """Why the answer ended, if it has."""
    reason = response.candidates[0].finish_reason if response.candidates else None
    return _word(reason.value) if reason is not None else None


def _finished(reason: str) -> None:
    """Whether it ended as it should."""
    if reason in _REFUSALS:
        raise EngineRefused(f"Gemini will not do this one: its rules refuse the answer ({reason})")
    if reason == "MAX_TOKENS":
        raise EngineEmpty("Gemini's answer was longer than one may be, and ended in the middle (MAX_TOKENS)")
    if reason not in _DONE:
        raise EngineEmpty(f"Gemini gave no answer of use ({reason})")


def _word(reason: str) -> str:
    """A reason as it may stand in our messages."""
    return reason.upper() if re.fullmatch(r"\w{1,60}", reason) else "OTHER"
