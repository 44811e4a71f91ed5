"""Engines whose vendor says what a call took: each call in the log, and to whoever keeps count."""

import logging
from copy import copy
from typing import Self

from nexus_pipeline.domain.usage import Usage
from nexus_pipeline.ports import Metering

log = logging.getLogger(__name__)


class Counting:
    """A base of such engines."""

    name: str
    _metering: Metering | None = None

    def metered(self, metering: Metering) -> Self:
        """The same engine, which tells what its calls take; whatever it has learnt is shared."""
        own = copy(self)
        own._metering = metering  # noqa: SLF001 - it is one of its kind
        return own

    def _used(self, used: Usage) -> None:
        """One call's, as the vendor reports it."""
        log.info("answered engine=%s tokens_in=%s tokens_out=%s", self.name, used.tokens_in, used.tokens_out)
        if self._metering is not None:
            self._metering(used)
