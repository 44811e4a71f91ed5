"""Answers with a model behind OpenAI's chat API: in the form of a schema, or in words as they come.

Servers differ in what they know of forms: OpenAI, vLLM, LM Studio and Ollama hold an answer to a JSON schema, others
know only that it is to be JSON, or not even that. So the form is tried from the strictest to none, what worked is
remembered, and every answer is checked here; a wrong one is asked for once more, with what was wrong with it.
"""

import json
import logging
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nexus_pipeline.domain.errors import EngineDown, EngineEmpty, EngineRefused
from nexus_pipeline.domain.usage import Usage
from nexus_pipeline.engines.openai_line import Api, FormRefused, OpenAIEngine, used
from nexus_pipeline.ports import Cancelled as IsCancelled

if TYPE_CHECKING:
    from openai import OpenAI
    from pydantic import BaseModel

log = logging.getLogger(__name__)

S = TypeVar("S")
Message = dict[str, str]
MODEL = "gpt-5.4-mini"
"""When no model is named: the small one that OpenAI's client lists without a date on which it ends (3.54)."""
WINDOWS: Mapping[str, int] = {
    "gpt-6": 400_000,
    "gpt-5": 400_000,
    "gpt-4.1": 1_000_000,
    "gpt-4o": 128_000,
    "gpt-4-turbo": 128_000,
    "o1": 128_000,
    "o3": 200_000,
    "o4": 200_000,
}
"""Tokens that models read at once, by how their names begin; gpt-6's is taken to be no smaller than gpt-5's."""
WINDOW = 4096
"""Of any other model: what Ollama takes by default. It cuts longer questions without a word."""
ANSWER_TOKENS = 2000
"""What an answer is thought to cost, for the limit of tokens a minute."""
LETTERS = 3
"""Characters a token: English has four, most other languages fewer."""

_FORMS = ("json_schema", "json_object", "none")
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)  # models that reason aloud on servers that let them
# keywords that a strict schema may not have; what they ask for is checked here
_NOT_STRICT = frozenset({"default", "minLength", "maxLength", "uniqueItems", "title", "examples"})
_BY_NAME = frozenset({"properties", "$defs"})  # their keys are names, not keywords


class OpenAILanguage(OpenAIEngine):
    """One model, for any number of threads."""

    usual = MODEL

    def __init__(self, model: str, api: Api) -> None:
        """Asks nobody yet."""
        super().__init__(model, api)
        self.window = next((w for begins, w in WINDOWS.items() if model.startswith(begins)), WINDOW)
        self._learnt = _Learnt()

    def ask(self, system: str, question: str, schema: type[S], cancelled: IsCancelled) -> S:
        """One answer in the form of a pydantic model, as ports.LanguageModel says."""
        wanted = _Wanted(schema)
        messages = [_message("system", system), _message("user", question)]
        answer = self._answer(messages, wanted, cancelled)
        found = wanted.read(answer)
        if isinstance(found, _Wrong):
            log.info("asked again, the answer was in another form engine=%s", self.name)
            complaint = f"That is not in the form that was asked for: {found.why}\n{wanted.in_words}"
            again = [*messages, _message("assistant", answer), _message("user", complaint)]
            found = wanted.read(self._answer(again, wanted, cancelled))
            if isinstance(found, _Wrong):
                raise EngineEmpty(
                    f"{self.name} answered twice in another form than was asked for: choose a larger model"
                )
            self._learnt.says_schema = True
        return cast("S", found)

    def tell(self, system: str, question: str, cancelled: IsCancelled) -> Iterator[str]:
        """The answer's text in pieces as they come, as ports.LanguageModel says."""
        messages = [_message("system", system), _message("user", question)]
        told = False
        with closing(self._said(messages, cancelled)) as pieces:
            for piece in pieces:
                told = told or bool(piece.strip())
                yield piece
        if not told:
            raise EngineEmpty(f"{self.name} answered nothing: ask again, or choose another model")

    def _said(self, messages: Sequence[Message], cancelled: IsCancelled) -> Generator[str, None, None]:
        """The pieces; a server that does not know how to say what a stream took is not asked to."""
        counts = self._learnt.counts
        try:
            yield from self._streamed(messages, cancelled, counts=counts)
        except FormRefused:
            if not counts:
                raise
            self._learnt.counts = False
            log.info("the server does not count what a stream takes engine=%s", self.name)
            yield from self._streamed(messages, cancelled, counts=False)

    def _streamed(
        self, messages: Sequence[Message], cancelled: IsCancelled, *, counts: bool
    ) -> Generator[str, None, None]:
        return self._api.stream(
            lambda client: self._pieces(client, messages, counts=counts), tokens=_tokens(messages), cancelled=cancelled
        )

    def _answer(self, messages: Sequence[Message], wanted: "_Wanted", cancelled: IsCancelled) -> str:
        """The text of one answer, in the strictest form that the server knows."""
        while True:
            form = self._learnt.form
            try:
                return self._text(self._completed(messages, wanted, form, cancelled))
            except FormRefused:
                if form == _FORMS[-1]:
                    raise
                self._learnt.form = _FORMS[_FORMS.index(form) + 1]
                log.info("the server does not know this form engine=%s form=%s", self.name, form)

    def _completed(self, messages: Sequence[Message], wanted: "_Wanted", form: str, cancelled: IsCancelled) -> Any:
        sent = list(messages)
        if form != _FORMS[0] or self._learnt.says_schema:
            sent[0] = _message("system", f"{sent[0]['content']}\n\n{wanted.in_words}")
        asked: dict[str, Any] = {"model": self.model, "messages": sent}
        if form == "json_schema":
            asked["response_format"] = {"type": form, "json_schema": wanted.strict}
        elif form == "json_object":
            asked["response_format"] = {"type": form}
        return self._api.call(
            lambda client: client.chat.completions.create(**asked), tokens=_tokens(sent), cancelled=cancelled
        )

    def _text(self, completion: Any) -> str:
        """What was said. Raises EngineRefused, EngineEmpty."""
        self._used(used(completion))
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        self._check_end(getattr(choice, "finish_reason", None), refusal=getattr(message, "refusal", None))
        content = getattr(message, "content", None)
        if not isinstance(content, str) or not content.strip():
            raise EngineEmpty(f"{self.name} answered nothing: ask again, or choose another model")
        return content

    def _pieces(self, client: "OpenAI", messages: Sequence[Message], *, counts: bool) -> Iterator[str]:
        asked: dict[str, Any] = {"model": self.model, "messages": list(messages), "stream": True}
        if counts:
            asked["stream_options"] = {"include_usage": True}
        ended, took = None, Usage()
        with client.chat.completions.create(**asked) as chunks:
            try:
                for chunk in chunks:
                    # the last one alone tells it, or each tells all so far
                    took = told if (told := used(chunk)).numbers else took
                    for choice in (chunk.choices or [])[:1]:
                        delta = choice.delta
                        if delta is not None and delta.content:
                            yield delta.content
                        ended = choice.finish_reason or ended
                        self._check_end(ended, refusal=getattr(delta, "refusal", None))
            finally:
                if took.numbers:
                    self._used(took)
        if ended is None:
            raise EngineDown(f"{self.name} broke off in the middle of its answer; ask again")

    def _check_end(self, ended: str | None, *, refusal: str | None) -> None:
        if refusal or ended == "content_filter":
            raise EngineRefused(f"{self.name} refuses this by its rules of safety: choose another engine for the item")
        if ended == "length":
            raise EngineEmpty(f"{self.name} came to the end of what it may write: choose a model with a larger window")


@dataclass
class _Learnt:
    """What is known of a server, for all who ask this model of it."""

    form: str = _FORMS[0]
    says_schema: bool = False
    """Whether the form must be told in words, too."""
    counts: bool = True
    """Whether it can be asked to say what a stream took."""


@dataclass(frozen=True)
class _Wrong:
    """Why an answer is not in the form that was asked for, in words for the model."""

    why: str


class _Wanted:
    """The form of an answer: as a strict schema, in words, and for checking."""

    def __init__(self, schema: type[Any]) -> None:
        from openai import pydantic_function_tool
        from pydantic import TypeAdapter

        tool: Any = pydantic_function_tool(cast("type[BaseModel]", schema))  # the client's own way to a strict schema
        strict = _without(tool["function"]["parameters"])
        self.strict = {"name": schema.__name__.strip("_"), "strict": True, "schema": strict}
        self.in_words = f"Answer with one JSON object and nothing else, by this JSON schema:\n{json.dumps(strict)}"
        self._adapter = TypeAdapter(schema)

    def read(self, answer: str) -> Any:
        """What was answered, or what is wrong with it."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(_json(answer))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)[:5]
            return _Wrong("; ".join(f"{'.'.join(map(str, f['loc'])) or 'the whole'}: {f['msg']}" for f in faults))


def _json(answer: str) -> str:
    """The object in an answer, without what a model may say around it."""
    said = _THOUGHTS.sub("", answer)
    first, last = said.find("{"), said.rfind("}")
    return said[first : last + 1] if 0 <= first < last else said


def _without(schema: Any, *, names: bool = False) -> Any:
    """A schema without the keywords that a strict one may not have."""
    if isinstance(schema, list):
        return [_without(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if names or key not in _NOT_STRICT}
    return {key: _without(value, names=not names and key in _BY_NAME) for key, value in kept.items()}


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _tokens(messages: Sequence[Message]) -> int:
    return sum(len(m["content"]) for m in messages) // LETTERS + ANSWER_TOKENS
