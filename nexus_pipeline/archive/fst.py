"""Keys of a finite state transducer, as LanceDB's index of words keeps its words: those that begin in some way.

The format is that of the Rust crate fst (versions 2 and 3): nodes are read backwards from their last byte, which says
what kind of node it is; a transition's address is kept as the distance from the node's first byte. Outputs, the
numbers of the words, are left unread.
"""

from collections import deque
from collections.abc import Iterator

_COMMON = b"te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG"
"""The bytes that a node of one transition keeps in six bits of its last byte."""
_INDEXED_FROM = 32
"""A node of more transitions has an index of 256 bytes over them."""
_VISITED_AT_MOST = 20_000
"""Nodes that one look goes through: some 20 ms."""

_NEXT, _ONE = 0b11, 0b10
"""Nodes of one transition: to the node written just before, and to any other one."""

_Node = tuple[bool, list[tuple[int, int]]]


class Keys:
    """The keys of one transducer."""

    def __init__(self, data: bytes) -> None:
        """Reads its ends only. Raises ValueError for another version of the format."""
        version = int.from_bytes(data[:8], "little")
        if version not in {2, 3}:
            raise ValueError(f"the index of words has a set of words of version {version}: 2 and 3 are known")
        end = len(data) - (4 if version > 2 else 0)  # noqa: PLR2004 - from then on a checksum stands behind it
        self._data = data
        self._count = int.from_bytes(data[end - 16 : end - 8], "little")
        self._root = int.from_bytes(data[end - 8 : end], "little")

    def __contains__(self, key: str) -> bool:
        """Whether it is one of them."""
        at = self._after(key.encode())
        return at is not None and self._node(at)[0]

    def beginning(self, begin: str) -> Iterator[str]:
        """Those that begin so, the shortest first, of equally long ones by their bytes."""
        first = self._after(begin.encode())
        waiting = deque([] if first is None else [(first, begin.encode())])
        for _ in range(_VISITED_AT_MOST):
            if not waiting:
                return
            at, key = waiting.popleft()
            final, onwards = self._node(at)
            if final:
                yield key.decode()
            waiting.extend((to, key + bytes((byte,))) for byte, to in onwards)

    def _after(self, begin: bytes) -> int | None:
        """The node to which these bytes lead."""
        at = self._root
        if not self._count:
            return None
        for byte in begin:
            onwards = dict(self._node(at)[1])
            if byte not in onwards:
                return None
            at = onwards[byte]
        return at

    def _node(self, at: int) -> _Node:
        """Whether a key ends here, and where each byte leads."""
        if at == 0:
            return True, []
        kind = self._data[at] >> 6
        if kind == _NEXT:
            byte, taken = self._one(at)
            return False, [(byte, at - taken - 1)]
        if kind == _ONE:
            byte, taken = self._one(at)
            to, distance = self._sizes(at - taken - 1)
            first = at - taken - 1 - to - distance
            return False, [(byte, self._led(at - taken - 1 - to, to, first))]
        return self._many(at)

    def _one(self, at: int) -> tuple[int, int]:
        """The byte of a node's only transition, and how many bytes it takes besides the last one."""
        common = self._data[at] & 0b0011_1111
        return (_COMMON[common - 1], 0) if common else (self._data[at - 1], 1)

    def _many(self, at: int) -> _Node:
        data, final = self._data, bool(self._data[at] & 0b0100_0000)
        count, taken = data[at] & 0b0011_1111, 0
        if not count:
            count, taken = data[at - 1], 1
            count = 256 if count == 1 else count
        to, output = self._sizes(at - taken - 1)
        bytes_ = at - taken - 1 - (256 if count > _INDEXED_FROM else 0)
        first = bytes_ - count - count * to - count * output - (output if final else 0)
        addresses = bytes_ - count
        return final, [(data[bytes_ - n - 1], self._led(addresses - (n + 1) * to, to, first)) for n in range(count)]

    def _sizes(self, at: int) -> tuple[int, int]:
        """Bytes of an address and of an output."""
        return self._data[at] >> 4, self._data[at] & 0b1111

    def _led(self, at: int, size: int, first: int) -> int:
        distance = int.from_bytes(self._data[at : at + size], "little")
        return first - distance if distance else 0
