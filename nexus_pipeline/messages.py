"""Celery's queue in a folder, of which workers see whole messages only.

Kombu's own writes a message where workers look for it: one that looks meanwhile takes half of it, and dies
(kombu 5.7; its issue 1551). `folder://` is the same with a message that appears at once.
"""

from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):  # type: ignore[misc]  # no types are shipped with it
    """As kombu's, but for how a message is put."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Behind what was put before. Raises ChannelError where the folder cannot be written to."""
        whole = Path(self.data_folder_out) / f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"
        part = whole.with_name(f".{whole.name}")  # no worker takes it for a message of its queue
        try:
            part.write_text(dumps(payload), "utf-8")
            part.replace(whole)
        except OSError as error:
            raise ChannelError(f"the message {whole} cannot be written: {error.strerror}") from error


class Transport(filesystem.Transport):  # type: ignore[misc]
    """Of `folder://`."""

    Channel = Channel
