"""What goes wrong, as exceptions: an `error` message back to the one that the server raised, and a lost connection.

Knows the exception tree and the protocol only.
"""

from __future__ import annotations

from collections.abc import Iterator

from worldloom.streamer.errors import SessionClosed, WorldloomError
from worldloom.streamer.server_messages import Error


class ConnectionLost(SessionClosed):
    """The connection was lost, and with it what the message says; it may be sought still, see `RemoteWorld.ended`."""

    code = "connection_lost"
    retryable = True


def _tree(kind: type[WorldloomError]) -> Iterator[type[WorldloomError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def raised(message: Error) -> WorldloomError:
    """The exception of that code; a plain `WorldloomError` carries a code that this version does not know."""
    kinds = {kind.code: kind for kind in _tree(WorldloomError)}  # of kinds that share a code, the most specific
    error = kinds.get(message.code, WorldloomError)(message.message, seq=message.seq)
    error.code, error.retryable, error.retry_after = message.code, message.retryable, message.retry_after
    return error
