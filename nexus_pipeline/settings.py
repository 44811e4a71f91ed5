"""The only reader of the environment: NEXUS_* variables and `.env`. docs/settings.md has the table."""

import os
import re
from contextlib import suppress
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from nexus_pipeline.domain.chain import STEPS
from nexus_pipeline.engines.site import CALLS, TOKENS_A_MINUTE


class Settings(BaseSettings):
    """Every setting, with its default for a laptop. Frozen: what was read at the start holds until the end."""

    model_config = SettingsConfigDict(env_prefix="NEXUS_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path(".nexus"), description="Folder under which everything embedded lives.")
    blobs: str | None = Field(None, description="Where bytes are kept: `file:///folder` or `s3://bucket/prefix`.")
    inbox: str | None = Field(
        None, description="Where items are dropped: `file://` or `s3://`; `blobs/inbox` by default."
    )
    catalog: str | None = Field(None, description="SQLAlchemy URL of the catalog; SQLite under the home by default.")
    archive: str | None = Field(None, description="Folder or `s3://` URL of the LanceDB archive.")
    s3_endpoint: str | None = Field(None, description="Address of an S3 server other than Amazon's.")
    speech: str = Field(
        "faster-whisper:auto", description="Speech engine, `engine[:model]`, a list of them, or `none`."
    )
    speakers: str = Field(
        "none", description="Engine that tells speakers apart, `engine[:model]`, a list of them, or `none`."
    )
    history: bool = Field(
        False,  # noqa: FBT003 - its default
        description="Whether searches are kept, for whoever made them: 90 days, 10,000 at most.",
    )
    know_voices: bool = Field(
        False,  # noqa: FBT003 - its default
        description="Whether a voice that has a name is known again in other items of its owner, as a proposal.",
    )
    enricher: str = Field("auto", description="Enrichment engine, `engine[:model]`, a list of them, `auto` or `none`.")
    embedder: str = Field("minilm", description="Embedding engine, `engine[:model]`.")
    answerer: str = Field(
        "auto", description="Engine that answers questions, `engine[:model]`, a list of them, `auto` or `none`."
    )
    reranker: str = Field(
        "none", description="Engine that reads the best of what a search found, `engine[:model]`, a list, or `none`."
    )
    translate_to: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Languages that items are translated into, such as `en,de`."
    )
    translator: str = Field("auto", description="Engine that translates, `engine[:model]`, a list, or `auto`.")
    prompt: str | None = Field(None, description="What the speech engine is told before it listens.")
    vocabulary: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names and jargon that the speech engine should know, separated by commas."
    )
    gemini_api_key: SecretStr | None = Field(None, description="Key for Google's Gemini API.")
    gemini_base_url: str | None = Field(None, description="Address of another server that speaks Gemini's API.")
    openai_api_key: SecretStr | None = Field(None, description="Key for OpenAI's API.")
    openai_base_url: str | None = Field(
        None, description="Address of another server that speaks OpenAI's API: Ollama, vLLM, LM Studio, speaches."
    )
    calls: int = Field(CALLS, ge=1, le=100, description="Calls under way to a cloud engine from this machine.")
    tokens_a_minute: int = Field(
        TOKENS_A_MINUTE, ge=1000, description="Tokens a minute that a cloud engine is sent from this machine."
    )
    models: Path | None = Field(None, description="Folder with models: tried first, and fetched into.")
    batch: int = Field(64, ge=1, le=1000, description="Items in one run at most.")
    width: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=dict, description="Items side by side for each step, `transcript=2,raw=4`."
    )
    max_bytes: int = Field(50_000_000_000, ge=1, description="Largest file that is taken, in bytes.")
    max_duration_s: float = Field(86_400, gt=0, description="Longest item that is taken, in seconds.")
    allow_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Private hosts that fetching may reach, separated by commas."
    )
    site: str = Field("http://127.0.0.1:8000", description="Address of Nexus's pages, for the links in Dagster's UI.")
    url: str | None = Field(None, description="Address of a Nexus server: makes the command line a client of it.")
    key: SecretStr | None = Field(None, description="Key for that server.")
    log: Literal["text", "json"] = Field("text", description="Form of log lines.")
    dagster_home: Path | None = Field(
        None, validation_alias="DAGSTER_HOME", description="Dagster's own: set by `nexus up` for what it starts."
    )

    @field_validator("width", mode="before")
    @classmethod
    def _widths(cls, told: object) -> object:
        if not isinstance(told, str):
            return told
        pairs = (part.partition("=") for part in told.split(",") if part.strip())
        return {step.strip(): int(number) for step, _, number in pairs}

    @field_validator("width")
    @classmethod
    def _known_steps(cls, width: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(width) - set(STEPS))
        if unknown or any(number < 1 for number in width.values()):
            msg = f"NEXUS_WIDTH wants step=number with steps {', '.join(STEPS)} and numbers from 1"
            raise ValueError(msg)
        return width

    @field_validator("gemini_api_key", "openai_api_key", "gemini_base_url", "openai_base_url", mode="before")
    @classmethod
    def _empty_is_none(cls, told: object) -> object:
        return told or None

    @field_validator("allow_hosts", "translate_to", "vocabulary", mode="before")
    @classmethod
    def _several(cls, told: object) -> object:
        return tuple(h.strip() for h in told.split(",") if h.strip()) if isinstance(told, str) else told

    @field_validator("translate_to")
    @classmethod
    def _languages(cls, told: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", one) for one in told):
            msg = "NEXUS_TRANSLATE_TO wants codes of languages, such as en,de"
            raise ValueError(msg)
        return tuple(dict.fromkeys(one.lower() for one in told))

    @cached_property
    def root(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show: keys, and passwords in addresses."""
        told = [getattr(self, name) for name in type(self).model_fields]
        keys = (one.get_secret_value() for one in told if isinstance(one, SecretStr))
        addresses = (one for one in told if isinstance(one, str) and "://" in one)
        passwords = (_password(one) for one in addresses)
        return tuple(one for one in (*keys, *passwords) if one)

    @property
    def blobs_url(self) -> str:
        """Where bytes are kept."""
        return self.blobs or (self.root / "blobs").as_uri()

    @property
    def inbox_url(self) -> str:
        """Where items are dropped."""
        return self.inbox or self.blobs_url.rstrip("/") + "/inbox"

    @property
    def catalog_url(self) -> str:
        """SQLAlchemy URL of the catalog."""
        return self.catalog or f"sqlite:///{self.root / 'catalog.sqlite'}"

    @property
    def archive_path(self) -> str:
        """Absolute folder (LanceDB takes relative ones for its cloud) or `s3://` URL of the archive."""
        told = self.archive or str(self.root / "archive")
        return told if "://" in told else str(Path(told).expanduser().absolute())

    @property
    def cache(self) -> Path:
        """What can be made again: converted models, downloads on their way."""
        return self.root / "cache"


def _password(address: str) -> str | None:
    with suppress(ValueError):  # a port that is none: whoever uses the address says so
        found = urlsplit(address).password
        return unquote(found) if found else None
    return None


def unknown() -> dict[str, str | None]:
    """Names in the environment and in `.env` that begin as ours and are no setting: each with the nearest right one."""
    from dotenv import dotenv_values

    prefix, env_file = str(Settings.model_config["env_prefix"]), str(Settings.model_config["env_file"])
    told = {name.upper() for name in (*os.environ, *dotenv_values(env_file)) if name.upper().startswith(prefix)}
    right = {f"{prefix}{name.upper()}" for name in Settings.model_fields}
    return {name: next(iter(get_close_matches(name, right, n=1, cutoff=0.75)), None) for name in sorted(told - right)}
