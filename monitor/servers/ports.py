"""Ports that nobody listens on, and addresses where somebody answers."""

from __future__ import annotations

import random
import socket
import urllib.request

# Below the range that Linux hands to outgoing connections (32768 and up), so that no connection
# takes the port between the question and the server's start.
_LOWEST, _HIGHEST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Distinct ports of the loopback interface that nobody listens on now.

    Parameters
    ----------
    count
        How many, at least 1.

    Examples
    --------
    >>> first, second = free_ports(2)
    >>> first != second
    True
    """
    draw = random.SystemRandom()
    found: list[int] = []
    while len(found) < count:
        port = draw.randint(_LOWEST, _HIGHEST)
        if port not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def responds(url: str) -> bool:
    """Whether a GET of this address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(200 <= answer.status < 300)
    except OSError:  # refused, reset, timed out, or an HTTP error
        return False
