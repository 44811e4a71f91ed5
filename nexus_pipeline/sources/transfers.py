"""yt-dlp's way to the network, narrowed: http(s) only, bounded pages, and no file glued from two versions.

Imported in the child that fetches, after curl_cffi has been shut out, and nowhere else.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import YoutubeDLError

from nexus_pipeline.domain import errors
from nexus_pipeline.sources.versions import Unfinished, Version, listed

PAGE_BYTES = 32 << 20
"""No page, player or list is larger once unpacked: the largest known are lists of a day of two-second pieces, 8 MB."""
PAGES = 10
"""A page may lead to a page, that one to a player, and so on."""
REQUESTS = 200
"""So many answers at most until it is known what an address plays; YouTube takes about ten."""
PIECE_BYTES = 512 << 20
"""A piece of a stream is held in memory: ten seconds of 4K have 50 MB."""
_ON_AND_ON = "the address leads on and on and to no media; give the page that plays it"
_BLOCK = 1 << 16
_FROM = re.compile(r"bytes=(\d+)-")
_BEGINNING = 1024
"""Of a page yt-dlp looks at the first bytes before it reads on."""
_UNSATISFIABLE = 416
_PARTIAL = 206
_WHOLE = frozenset({"http", "https"})
_LISTS = frozenset({"m3u8", "m3u8_native"})


class Transfers(YoutubeDL):  # type: ignore[misc]  # yt-dlp has no types
    """A YoutubeDL whose every request and download passes here."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.finding = True
        """Until it is known what the address plays."""
        self.endless = False
        """The site said that it is a radio stream."""
        self.without_subtitles = False
        self.page = ""
        """The last page that was read: what it says of its media, yt-dlp leaves out where it finds a player itself."""
        self._asked = 0
        self._pages = 0
        self._versions: dict[str, Version] = {}
        self._current: Unfinished | None = None
        self._address = ""
        self._in_pieces = False
        self._piece: tuple[int, int] | None = None
        super().__init__({**options, "progress_hooks": [self._came, *options["progress_hooks"]]})

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Only what speaks http(s): neither ftp: nor data: nor WebSockets."""
        return super().build_request_director([h for h in handlers if h.RH_NAME == "requests"], preferences)

    def extract_info(self, *args: Any, **named: Any) -> Any:
        """What an address plays; comes back here for each page that leads to another. Raises SourceRefused."""
        self._pages += 1
        if self._pages > PAGES:
            raise errors.SourceRefused(_ON_AND_ON)
        return super().extract_info(*args, **named)

    def urlopen(self, req: Any) -> Any:
        """Every answer of a site comes from here. Raises SourceRefused, SourceBusy besides yt-dlp's own."""
        self._asked += 1
        if self.finding and self._asked > REQUESTS:
            raise errors.SourceRefused(_ON_AND_ON)
        request = Request(req) if isinstance(req, str) else req
        address = request.url
        start = int(found[1]) if (found := _FROM.match(request.headers.get("Range", ""))) else 0
        before = self._versions.get(address)
        if start and before and before.validator:
            request.headers["If-Range"] = before.validator
        try:
            response = super().urlopen(request)
            changed = start and before and not self._goes_on(response, before)
            version = Version.told(response.status, response.headers, before)
        except HTTPError as error:
            _bound(error.response)
            if error.status != _UNSATISFIABLE or not start:
                raise
            response, changed = error.response, True
        if changed:
            response = self._anew(request, response)
            version = Version.told(response.status, response.headers)
        self._learn(address, response, version)
        return self._bounded(address, response, version)

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:  # noqa: FBT001, FBT002 - yt-dlp's
        """Download one file. Subtitles that cannot be had are done without: what is said is heard instead."""
        if subtitle:
            try:
                return super().dl(name, info, subtitle, test)
            except (YoutubeDLError, OSError):
                self.without_subtitles = True
                return False, False
        protocol = str(info.get("protocol"))
        self._current = Unfinished(Path(name), f"{info.get('format_id')} {protocol}")
        self._address, self._in_pieces, self._piece = Request(info["url"]).url, protocol not in _WHOLE, None
        if not self._in_pieces:
            version = self._current.version()
            if version is not None:
                self._versions[self._address] = version
        elif protocol not in _LISTS:
            told = [str(piece.get("url") or piece.get("path")) for piece in info.get("fragments") or ()]
            self._current.pieces_of(listed(told, Version(None, None)) if told else None)
        elif info.get("hls_media_playlist_data"):
            self._current.pieces_of(None)
        done = super().dl(name, info, subtitle, test)
        self._current.done()
        return done

    def _goes_on(self, response: Any, before: Version) -> bool:
        """Whether an answer to a range is of the version known; a whole file instead is yt-dlp's to begin anew."""
        if response.status != _PARTIAL:
            return not self._in_pieces
        now = Version.told(response.status, response.headers, before)
        # ranges of one file that make a stream: where the site tells no versions there is nothing to compare
        unknown = self._in_pieces and not (now.validator and before.validator)
        return unknown or now.is_part_of(before)

    def _anew(self, request: Any, response: Any) -> Any:
        response.close()
        if self._in_pieces and self._current is not None:
            self._current.drop()
            raise errors.SourceBusy("it was changed on the site while it was fetched; it is fetched anew")
        for name in ("Range", "If-Range"):
            request.headers.pop(name, None)
        return super().urlopen(request)

    def _learn(self, address: str, response: Any, version: Version) -> None:
        self._versions[address] = version
        if any(name.lower().startswith("icy-") for name in response.headers):
            self.endless = True
        if self._current is not None and not self._in_pieces and address == self._address:
            self._current.is_of(version)

    def _bounded(self, address: str, response: Any, version: Version) -> Any:
        """The answer; read at once, it must be a page and no more, and a list of pieces is looked at."""

        def seen(page: bytes) -> None:
            if self.finding and "html" in response.headers.get("Content-Type", ""):
                self.page = page.decode(errors="replace")
            elif self._current is not None and self._in_pieces and address == self._address:
                self._current.pieces_of(listed(page.decode(errors="replace").splitlines(), version))

        return _bound(response, seen)

    def _came(self, now: Mapping[str, Any]) -> None:
        """A progress hook: whole pieces are noted, and too large a one is not read into memory."""
        number = now.get("fragment_index")
        if number is None or self._current is None:
            return
        bytes_now = int(now.get("downloaded_bytes") or 0)
        if self._piece is None:
            self._piece = (number, bytes_now)
        if number != self._piece[0]:
            self._piece = (number, bytes_now)
            self._current.piece_came(number)
        elif bytes_now - self._piece[1] > PIECE_BYTES:
            raise errors.TooLarge(f"a piece of the stream has more than {PIECE_BYTES >> 20} MiB; it is no usual stream")


def _bound(response: Any, seen: Callable[[bytes], None] = lambda _: None) -> Any:
    """Let nothing be read at once that is larger than a page. Raises SourceRefused on reading."""
    read = response.read
    page = bytearray()

    def bounded(amount: int | None = None) -> bytes:
        if amount is not None:
            block = bytes(read(amount))
            if not page:
                page.extend(block[:_BEGINNING])
            return block
        begins = len(page)
        while block := read(_BLOCK):
            page.extend(block)
            if len(page) > PAGE_BYTES:
                response.close()
                raise errors.SourceRefused(
                    f"the page has more than {PAGE_BYTES >> 20} MiB; give the address of what it plays"
                )
        seen(bytes(page))
        return bytes(page[begins:])

    response.read = bounded
    return response
