"""Later pages of a search are cut from the ranking that its first page made, for as long as that is remembered.

So a page repeats no hit of the one before it and skips none, also while new items arrive. What is asked for after
FOR_S, or of another process, is ranked anew: over an archive that has not changed, that is the same ranking.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

FOR_S = 300.0
"""A ranking is remembered so long after its first page."""
RANKINGS = 32
"""So many are: some 300 kB each."""

R = TypeVar("R")


class Rankings(Generic[R]):
    """The last searches' rankings by what was asked; used by many threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, R]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, asked: Hashable, ranking: R) -> None:
        """This is what its first page was cut from."""
        with self._lock:
            self._kept[asked] = (time.monotonic(), ranking)
            self._kept.move_to_end(asked)
            while self._kept and (len(self._kept) > RANKINGS or self._is_old(next(iter(self._kept.values()))[0])):
                self._kept.popitem(last=False)

    def of(self, asked: Hashable) -> R | None:
        """What was kept, unless it is too old."""
        with self._lock:
            at, ranking = self._kept.get(asked, (0.0, None))
        return None if self._is_old(at) else ranking

    @staticmethod
    def _is_old(at: float) -> bool:
        return time.monotonic() - at > FOR_S
