"""What a person says of what they add, from JSON, forms and tus's metadata alike."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from nexus_api.adding import Said
from nexus_api.models import choice
from nexus_api.problems import BadRequest
from nexus_api.schemas import Wishes

_SEVERAL = frozenset({"tags", "vocabulary"})

W = TypeVar("W", bound=Wishes)


class Process(Wishes):
    """An address, or an upload that has come before; `mic`: an upload that is a recording."""

    source: Literal["url", "file", "mic"]
    data: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    transcript: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="An upload that is the transcript beside it: SRT, VTT or JSON."
    )


def wished(fields: Mapping[str, Sequence[str]], kind: type[W]) -> W:
    """Fields of a form, all of them text. Raises BadRequest that names those that are wrong."""
    values: dict[str, Any] = {n: _several(given) if n in _SEVERAL else given[-1] for n, given in fields.items()}
    try:
        if values.get("engines"):
            values["engines"] = json.loads(values["engines"])
        return kind.model_validate({name: value for name, value in values.items() if value not in ("", None)})
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise BadRequest(lines) from error
    except ValueError as error:
        raise BadRequest('engines: a JSON object such as {"transcript": "faster-whisper:small"}') from error


def said(told: Wishes, owner: str, source: str = "upload") -> Said:
    """As it is added. Raises BadInput for an engine that is not there."""
    engines = dict(choice(f"{step}={engine}") for step, engine in told.engines.items())
    tags, vocabulary = tuple(dict.fromkeys(told.tags)), tuple(dict.fromkeys(told.vocabulary))
    return Said(owner, told.title, tags, told.language, engines, told.priority, told.prompt, vocabulary, source)


def _several(given: Sequence[str]) -> list[str]:
    """Several fields, or one with commas, as forms of pages send them."""
    return [word.strip() for one in given for word in one.split(",") if word.strip()]
