"""The guard of the child that fetches: no connection to an address that is not public, no program but two.

It is an audit hook below yt-dlp and sees every connection after names are resolved and redirects followed, so neither
an odd spelling of an address nor a name that answers otherwise the second time gets past it. It does not see the
connections of other programs, so yt-dlp must download by itself: no ffmpeg given an address, no curl.
"""

import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn"})
_SHELLS = frozenset({"os.system", "pty.spawn", "os.fork", "os.forkpty"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_CLOUD = ipaddress.ip_address("168.63.129.16")
"""Public by its number; inside Azure it is the host of every machine, which tells secrets."""


class PrivateAddress(PermissionError):
    """A connection was stopped. An OSError, so that what connects closes its socket and says so."""


class Guard:
    """Refuses connections to what is not public, but for the allowed hosts; programs but deno and a local ffmpeg."""

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self.refused = False
        self.names = frozenset(host.lower() for host in allow_hosts)
        self.addresses = {address for host in allow_hosts for address in _resolved(host)}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook (sys.addaudithook)."""
        if event in _CONNECTIONS and args[1] is not None:
            self._connects(args[1])
        elif event in _STARTS:
            self._starts(args[1])
        elif event in _SHELLS:
            raise PermissionError("no program is started while fetching")

    def _connects(self, address: object) -> None:
        host = str(address[0]).partition("%")[0] if isinstance(address, tuple) else ""
        if host.lower() in self.names or host in self.addresses or (host and is_public(host)):
            return
        self.refused = True
        raise PrivateAddress("a private address is not fetched")

    def _starts(self, command: object) -> None:
        told = [os.fsdecode(c) for c in command] if isinstance(command, (list, tuple)) else [str(command)]
        name = Path(told[0]).name
        if name == "deno" or (name in {"ffmpeg", "ffprobe"} and not any("://" in part for part in told)):
            return
        raise PermissionError(f"{name} is not started while fetching")


def is_public(host: str) -> bool:
    """Whether an address is public, however it is written: mapped, 6to4 and NAT64 forms by what is inside."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: only resolved addresses are judged
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inside is not None:
            return is_public(str(inside))
        if address.teredo or address.is_site_local or address in _NAT64_LOCAL:
            return False
    # 3.11 takes ::a.b.c.d for global
    return address.is_global and not address.is_multicast and not address.is_reserved and address != _CLOUD


def _resolved(host: str) -> set[str]:
    with suppress(OSError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return set()
