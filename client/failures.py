"""What goes wrong, as exceptions: an `error` message back to the one that the server raised, and a lost connection.

Knows the exception tree and the protocol only.
"""

from __future__ import annotations

from worldloom.streamer.errors import SessionClosed, WorldloomError, kind_of
from worldloom.streamer.server_messages import Error


class ConnectionLost(SessionClosed):
    """The connection was lost, and with it what the message says; it may be sought still, see `RemoteWorld.ended`."""

    code = "connection_lost"
    retryable = True


def raised(message: Error) -> WorldloomError:
    """The exception of that code; a plain `WorldloomError` carries a code that this version does not know."""
    error = kind_of(message.code)(message.message, seq=message.seq)
    error.code, error.retryable, error.retry_after = message.code, message.retryable, message.retry_after
    return error
