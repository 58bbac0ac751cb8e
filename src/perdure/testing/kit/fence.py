"""Keeps a test from the network: what connects or resolves is refused, in every thread, but for what is allowed.

An audit hook, which Python never takes away again; it does nothing while no fence stands.
"""

import ipaddress
import socket
import sys
from typing import Any, cast

from perdure.testing.kit.errors import NetworkRefused

_EVENTS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"))
_fences: "list[Fence]" = []
_installed = False


class Fence:
    """One environment's fence; this machine's own addresses are always allowed."""

    def __init__(self, allowed: frozenset[str]) -> None:
        """`allowed` are hosts, or hosts with their port as in `db.test:5432`."""
        self._allowed = allowed
        self._addresses: dict[str, frozenset[str]] = {}
        self._resolving = False

    def raise_up(self) -> None:
        """Refuse from now on."""
        global _installed
        if not _installed:
            _installed = True
            sys.addaudithook(_audit)
        _fences.append(self)

    def take_down(self) -> None:
        """Refuse nothing any more."""
        if self in _fences:
            _fences.remove(self)

    def check(self, event: str, host: str, port: object) -> None:
        """Raise `NetworkRefused` unless the address is allowed."""
        if self._resolving or _is_here(host):
            return
        for allowed in self._allowed:
            name, _, number = allowed.partition(":")
            if number and port is not None and str(port) != number:
                continue
            if host == name or (event != "socket.getaddrinfo" and host in self._addresses_of(name)):
                return
        what = f"{event.removeprefix('socket.')} to {host}{'' if port is None else f':{port}'}"
        raise NetworkRefused(what=what)

    def _addresses_of(self, name: str) -> frozenset[str]:
        if name not in self._addresses:
            self._resolving = True
            try:
                found = socket.getaddrinfo(name, None)
            except OSError:
                found = []
            finally:
                self._resolving = False
            self._addresses[name] = frozenset(str(each[4][0]) for each in found)
        return self._addresses[name]


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _fences or event not in _EVENTS:
        return
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host, port = args[0], (args[1] if len(args) > 1 else None)
    else:
        address: Any = args[1]
        # Anything but an internet address stays on this machine.
        if type(address) is not tuple or not address:
            return
        host, port = cast("tuple[Any, Any]", (*address, None)[:2])
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    for fence in tuple(_fences):
        fence.check(event, name, port)


def _is_here(host: str) -> bool:
    if host in ("", "localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
