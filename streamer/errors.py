"""The exception tree. A fault that we chose crosses the wire as `code` and message; any other becomes `internal_error`.

WorldloomError
├── ProtocolError            the peer's bytes are wrong; the session lives on unless the code says otherwise
│   ├── BadMessage           bad_message       not JSON, unknown type, unknown or out-of-range field
│   ├── MessageTooLarge      message_too_large closes the connection
│   ├── HelloExpected        hello_expected    closes the connection
│   ├── VersionMismatch      version_mismatch  closes the connection
│   └── BadOffer             bad_offer         the offer is not SDP, or has no video that we can send
├── ControlError             a well-formed message that this world cannot obey
│   ├── UnknownKey           unknown_key
│   ├── BadAction            bad_action        wrong length or out of range
│   ├── Unsupported          unsupported       prompt, image or mode that this world does not take
│   ├── UnknownPrompt        unknown_prompt    a text that this world does not take
│   └── UnknownImage         unknown_image     no picture of that id was uploaded, or it was too long ago
├── OutOfReach               out_of_reach      no restore point is that old; the session goes on
│   └── UnknownSnapshot      unknown_snapshot  the session has no such snapshot, or not any more
├── BadImage                 bad_image         an upload that is not a picture, or cannot be decoded in time
│   ├── ImageTooLarge        image_too_large   too many bytes
│   └── TooManyPixels        too_many_pixels
├── Busy                     busy              no free session; retryable
├── Draining                 draining          the server is stopping: nobody enters, everybody leaves; retryable
├── TimeLimit                time_limit        the session has lasted, or waited for a control, as long as it may
├── UnknownWorld             unknown_world
├── RateLimited              rate_limited      retryable
├── UnknownSession           unknown_session   the token opens nothing: wrong, or the session has ended
├── Unauthorized             unauthorized      no token, or one that does not allow this; closes the connection
├── Forbidden                forbidden         a spectator may not drive
├── TakenOver                taken_over        somebody else drives this session now; closes the connection
├── RecordingFailed          recording_failed  the disk refused; the recording ends, the session goes on
│   ├── RecordingOff         recording_off     this server was given no folder to record into
│   └── RecordingFull        recording_full    a recording, or the folder, has grown as far as it may
├── SessionClosed            session_closed
├── EngineLost               engine_lost       the engine died and starts anew; retryable
└── ModelFault               model_fault       the world failed; that session ends, the server goes on
"""

from __future__ import annotations

from collections.abc import Iterator


class WorldloomError(Exception):
    """Every error that Worldloom raises on purpose.

    Attributes:
        code: stable, snake_case, safe to switch on; it is what crosses the wire.
        retryable: the same request may succeed later.
        seq: the message that caused it, where one is known.
        retry_after: seconds after which the same request is worth trying again, where that can be told.
    """

    code = "internal_error"
    retryable = False
    retry_after: float | None = None

    def __init__(self, message: str, *, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class ProtocolError(WorldloomError):
    """The peer broke the wire protocol."""

    code = "bad_message"


class BadMessage(ProtocolError):
    """A message that cannot be decoded."""

    code = "bad_message"


class MessageTooLarge(ProtocolError):
    """A message above the size limit."""

    code = "message_too_large"


class HelloExpected(ProtocolError):
    """Anything but `hello` as the first message."""

    code = "hello_expected"


class VersionMismatch(ProtocolError):
    """The peer speaks another version of the protocol."""

    code = "version_mismatch"


class BadOffer(ProtocolError):
    """An offer that is not SDP, or that asks for no video."""

    code = "bad_offer"


class ControlError(WorldloomError):
    """A well-formed control that this world cannot obey."""

    code = "bad_action"


class UnknownKey(ControlError):
    """A key code that this world does not bind."""

    code = "unknown_key"


class BadAction(ControlError):
    """An action vector of the wrong length, or with a value out of range."""

    code = "bad_action"


class Unsupported(ControlError):
    """A prompt, an image or a mode that this world does not take."""

    code = "unsupported"


class UnknownImage(ControlError):
    """An image id of no picture: it was never uploaded, or too long ago."""

    code = "unknown_image"


class UnknownPrompt(ControlError):
    """A text that this world does not take: it knows a list of them, and this is another."""

    code = "unknown_prompt"


class OutOfReach(WorldloomError):
    """A moment to which no restore point leads; the session goes on."""

    code = "out_of_reach"


class UnknownSnapshot(OutOfReach):
    """A snapshot that the session does not have, or not any more; the session goes on."""

    code = "unknown_snapshot"


class BadImage(WorldloomError):
    """An upload that is not a picture, or one that cannot be decoded in time."""

    code = "bad_image"


class ImageTooLarge(BadImage):
    """An upload of too many bytes."""

    code = "image_too_large"


class TooManyPixels(BadImage):
    """An upload whose header promises more pixels than may be decoded."""

    code = "too_many_pixels"


class Busy(WorldloomError):
    """No free session."""

    code = "busy"
    retryable = True
    retry_after: float = 5.0


class Draining(WorldloomError):
    """The server is stopping."""

    code = "draining"
    retryable = True


class TimeLimit(WorldloomError):
    """A session has lasted, or waited for a control, as long as it may."""

    code = "time_limit"


class UnknownWorld(WorldloomError):
    """A world name that this server does not serve."""

    code = "unknown_world"


class RateLimited(WorldloomError):
    """Too many messages in too short a time."""

    code = "rate_limited"
    retryable = True


class UnknownSession(WorldloomError):
    """A token that opens no session: it is wrong, or its session has ended."""

    code = "unknown_session"


class Unauthorized(WorldloomError):
    """No token, or one that is forged, has expired or does not allow this."""

    code = "unauthorized"


class Forbidden(WorldloomError):
    """A message that this role may not send."""

    code = "forbidden"


class TakenOver(WorldloomError):
    """Somebody else drives this session now, with the same token."""

    code = "taken_over"


class RecordingFailed(WorldloomError):
    """The disk refused what was recorded; the recording ends, the session goes on."""

    code = "recording_failed"


class RecordingOff(RecordingFailed):
    """This server was given no folder to record into."""

    code = "recording_off"


class RecordingFull(RecordingFailed):
    """A recording has lasted or grown as far as it may, or the folder has; the session goes on."""

    code = "recording_full"


class SessionClosed(WorldloomError):
    """The session has ended."""

    code = "session_closed"


class EngineLost(WorldloomError):
    """The engine died: killed, out of memory, or a fault of its device."""

    code = "engine_lost"
    retryable = True


class ModelFault(WorldloomError):
    """The world model raised; its session ends and its state is freed."""

    code = "model_fault"


def kind_of(code: str) -> type[WorldloomError]:
    """The error of that code, of kinds that share one the most specific; the root where it is not known."""

    def tree(kind: type[WorldloomError]) -> Iterator[type[WorldloomError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from tree(below)

    return {kind.code: kind for kind in tree(WorldloomError)}.get(code, WorldloomError)
