"""Version keys: what a result was made from and with. Pure; equal keys mean that doing it again changes nothing."""

import hashlib
import json
from collections.abc import Mapping, Sequence


def version_key(
    step: str, code_version: str, parameters: Mapping[str, str], inputs: Sequence[tuple[str, str | None]] = ()
) -> str:
    """16 hexadecimal characters over the step, its code, engine, model, parameters and its inputs' version keys.

    An input that is not there (a wanted step that failed) counts as None: when it lands, the key differs.
    """
    told = json.dumps(
        [step, code_version, sorted(parameters.items()), sorted(inputs, key=lambda pair: pair[0])],
        separators=(",", ":"),
    )
    return hashlib.sha256(told.encode()).hexdigest()[:16]
