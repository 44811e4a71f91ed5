"""Keys of blobs: which are accepted, how errors name them, and how a folder's file names become keys.

File names are bytes and keys are text. A name that is not UTF-8 (unpacked from an old archive, say) must not stop the
listing of everything else nor be lost, so each byte that is no UTF-8 becomes one character of a private range, and
back. Characters of that range in a real name are written byte by byte too, so the translation has an inverse.
"""

import hashlib
import os
import re
from collections.abc import Callable

from nexus_pipeline.domain.errors import BadInput

PARTS = ".nexus-parts"
"""Folder in which our own puts grow until they are whole; never listed, never a key."""

_PRIVATE = 0xF700
"""Byte b >= 0x80 is U+F700 + b: a private range that no font, file system or archiver is known to use."""
_SURROGATE = 0xDC00
"""Byte b >= 0x80 as Python's surrogateescape writes it."""
_PRIVATE_CHARACTERS = re.compile(f"[{chr(_PRIVATE + 0x80)}-{chr(_PRIVATE + 0xFF)}]")
_SURROGATES = re.compile(f"[{chr(_SURROGATE + 0x80)}-{chr(_SURROGATE + 0xFF)}]")

_FAULTS: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda key: not key, "is empty"),
    (lambda key: "\0" in key, "has a NUL in it"),
    (lambda key: key.startswith("/"), "begins with a slash"),
    (lambda key: any("\ud800" <= c <= "\udfff" for c in key), "has half of a character in it"),
    (lambda key: "" in key.split("/"), "has an empty part"),
    (lambda key: {".", ".."} & set(key.split("/")), "climbs"),
    (lambda key: PARTS in key.split("/"), "is reserved for unfinished puts"),
)


def check_key(key: str) -> str:
    """The key itself. Raises BadInput if it is empty, absolute, climbs (`..`), or has NUL or empty parts."""
    for is_at_fault, reason in _FAULTS:
        if is_at_fault(key):
            raise BadInput(f"The key of a blob {reason}; use parts between single slashes, none of them . or ..")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself: empty, or a key and a slash. Raises BadInput."""
    if prefix and not prefix.endswith("/"):
        raise BadInput("A prefix of blobs names a folder: it ends with a slash or is empty")
    if prefix:
        check_key(prefix[:-1])
    return prefix


def shown(key: str) -> str:
    """The key as errors and logs may say it: names of dropped files are words of an item, so they become a digest."""
    if key.startswith("items/"):
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:16]}"


def key_of(name: str) -> str:
    """A path relative to the folder, as the filesystem says it, as a key; `name_of` is its inverse."""
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    text = _PRIVATE_CHARACTERS.sub(lambda m: "".join(chr(_PRIVATE + b) for b in m[0].encode()), text)
    return _SURROGATES.sub(lambda m: chr(ord(m[0]) - _SURROGATE + _PRIVATE), text)


def name_of(key: str) -> str:
    """The path that a key names, for the filesystem."""
    text = _PRIVATE_CHARACTERS.sub(lambda m: chr(ord(m[0]) - _PRIVATE + _SURROGATE), key)
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))
