"""The log of a process: each event once, on stderr, as a line of text or of JSON, and no key in it.

Our records are an event, then facts: `landed item_id=... step=... seconds=1.20`. In JSON the facts stand by name.

Dagster, Celery and uvicorn bring handlers of their own for stdout and stderr, in forms of their own, and Dagster writes
again, through a logger that it makes for each run, what its run has captured of ours. So loggers that are made after
`set_up` take no such handler but ours instead, and ours writes nothing twice.
"""

import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping, Sequence
from typing import Any, Literal

Form = Literal["text", "json"]

QUIET = logging.WARNING
"""From here on others' events are told."""
OURS = ("nexus_pipeline", "nexus_api")
LEAST = 6
"""Letters of a key at least: a shorter one would be found in words that are none."""
HIDDEN = "[key]"

WHOLE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
BRIEF = "%(levelname)s %(message)s"

_CLOCK = "%Y-%m-%dT%H:%M:%S"
_FACT = re.compile(r"(?<![\w.])([a-z][a-z_]*)=([^\s,;]+)")
_WRITTEN = "nexus_written"
_META = "dagster_meta"


def set_up(form: Form, secrets: Sequence[str] = (), *, brief: bool = False, level: int = logging.INFO) -> None:
    """From now on this process logs so.

    Args:
        form: Of each line.
        secrets: Hidden wherever they stand in a line.
        brief: Level and message alone, for a command that a person watches; JSON has all in any case.
        level: From which on our own events are told.
    """
    handler = OneHandler(sys.stderr)
    handler.setFormatter(Discreet(_json() if form == "json" else _text(BRIEF if brief else WHOLE), secrets))
    _handler.clear()
    _handler.append(handler)
    if not brief:
        from structlog import configure, stdlib

        # Dagster configures it else, and with its factory comes a class of loggers that is not ours
        configure(processors=[stdlib.render_to_log_kwargs], logger_factory=stdlib.LoggerFactory())
    logging.setLoggerClass(OneLogger)
    for name in (None, *OURS):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        # ours first: what Dagster's handler has captured is another record afterwards
        logger.setLevel(QUIET if name is None else level)
    logging.captureWarnings(capture=True)


_handler: list["OneHandler"] = []


class OneHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stderr is
    """Writes a record once, however many loggers it comes through."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Dagster hands the mark on when it logs a record of ours again."""
        if getattr(record, _WRITTEN, False):
            return False
        setattr(record, _WRITTEN, True)
        return bool(super().handle(record))


class OneLogger(logging.Logger):
    """A logger whose events for the terminal go through our handler."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - logging's
        """Files and the like are left alone."""
        to_terminal = isinstance(hdlr, logging.StreamHandler) and not isinstance(hdlr, logging.FileHandler)
        super().addHandler(_handler[0] if to_terminal and _handler else hdlr)


class Discreet(logging.Formatter):
    """Another formatter's lines without the keys: the last net, wherever a vendor's message has them from."""

    def __init__(self, under: logging.Formatter, secrets: Sequence[str]) -> None:
        """Also as JSON writes them."""
        super().__init__()
        self._under = under
        told = {form for key in secrets if len(key) >= LEAST for form in (key, json.dumps(key)[1:-1])}
        # the longest first: one may begin with another
        found = "|".join(re.escape(key) for key in sorted(told, key=len, reverse=True))
        self._keys = re.compile(found) if found else None

    def format(self, record: logging.LogRecord) -> str:
        """One line, but for a traceback in text."""
        line = self._under.format(record)
        return self._keys.sub(HIDDEN, line) if self._keys else line


# ---------------------------------------------------------------- forms


def _text(told: str) -> logging.Formatter:
    formatter = logging.Formatter(told, _CLOCK)
    formatter.converter = time.gmtime
    return formatter


def _json() -> logging.Formatter:
    from structlog import processors, stdlib

    return stdlib.ProcessorFormatter(
        foreign_pre_chain=[_told],
        processors=[
            stdlib.ProcessorFormatter.remove_processors_meta,
            processors.format_exc_info,
            processors.EventRenamer("message"),
            processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _told(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level, logger and facts of a record; the run's id of one that Dagster has written."""
    record: logging.LogRecord = event["_record"]
    meta: Any = getattr(record, _META, None) or {}
    event["time"] = f"{time.strftime(_CLOCK, time.gmtime(record.created))}.{int(record.msecs):03}Z"
    event["level"] = record.levelname
    event["logger"] = record.name
    facts = {name: meta[name] for name in ("run_id", "step_key") if meta.get(name)}
    event["facts"] = facts | {name: _value(told) for name, told in _FACT.findall(event["event"])}
    return event


def _value(told: str) -> str | float | int:
    """A number where it is written as one."""
    told = told.rstrip(".:")
    for kind in (int, float):
        try:
            return kind(told)
        except ValueError:
            continue
    return told
