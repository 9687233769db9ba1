"""The protocol, version 1: which messages there are, how text becomes one of them, and how one becomes text.

Knows no socket, session, torch or clock; the client imports it too. Every message is frozen, refuses unknown fields
and bounds every field. `docs/protocol.md` is generated from the unions here.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from .client_messages import (
    Action,
    Axes,
    Bye,
    Candidate,
    Fork,
    Hello,
    Key,
    Look,
    Offer,
    Pause,
    Ping,
    Prompt,
    Record,
    Report,
    Reset,
    Restore,
    Resume,
    Rewind,
    Say,
    Shift,
    Step,
    TakeSnapshot,
    View,
)
from .errors import BadMessage, MessageTooLarge, WorldloomError, kind_of
from .fields import MAX_INT, Message
from .server_messages import Answer, Error, FrameInfo, Notice, Pong, Receipt, Stats, Waiting, Welcome

PROTOCOL = 1
MAX_MESSAGE_BYTES = 128 * 1024

Control: TypeAlias = (
    Key | Look | Axes | Action | Prompt | Say | Reset | Pause | Resume | Shift | Step | Rewind | TakeSnapshot | Restore
)
ClientMessage: TypeAlias = Hello | View | Offer | Candidate | Control | Fork | Record | Report | Ping | Bye
ServerMessage: TypeAlias = (
    Waiting | Welcome | Notice | Answer | Candidate | Receipt | FrameInfo | Stats | Pong | Error | Bye
)

_M = TypeVar("_M")

_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_SERVER: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


def decode_client(data: str | bytes) -> ClientMessage:
    """What a client said.

    Raises:
        BadMessage: not JSON, or not a message of version 1; `seq` is attached where it could be read.
        MessageTooLarge: longer than `MAX_MESSAGE_BYTES`.
    """
    return _decode(_CLIENT, data)


def decode_server(data: str | bytes) -> ServerMessage:
    """What a server said. Raises as `decode_client`."""
    return _decode(_SERVER, data)


def encode(message: Message) -> str:
    """A message as JSON; absent optional fields are left out."""
    return message.model_dump_json(exclude_none=True)


def refusal(error: WorldloomError) -> tuple[Error | Receipt, ...]:
    """What to send for an error: the error and, where its control is known, the receipt `rejected`."""
    told = Error(
        code=error.code,
        message=str(error)[:2048],
        seq=error.seq,
        retryable=error.retryable,
        retry_after=error.retry_after,
    )
    return (told,) if error.seq is None else (told, Receipt(seq=error.seq, status="rejected"))


def told(receipt: Receipt) -> Error:
    """The error that goes before a receipt with a code."""
    kind = kind_of(receipt.code or "")
    return Error(code=kind.code, message=(kind.__doc__ or "").split("\n")[0], seq=receipt.seq, retryable=kind.retryable)


def _decode(adapter: TypeAdapter[_M], data: str | bytes) -> _M:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"expected at most {MAX_MESSAGE_BYTES} bytes, got {len(raw)}")
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        raise BadMessage(_first_fault(error), seq=_seq_of(raw)) from None


def _first_fault(error: ValidationError) -> str:
    """One bounded line about the first thing wrong."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part)[:32] for part in fault["loc"][:6]) or "message"
    return f"{where}: {fault['msg']}"[:256]


def _seq_of(raw: bytes) -> int | None:
    """`seq` of a message that is otherwise wrong."""
    try:
        seq = from_json(raw).get("seq")
    except (ValueError, AttributeError):
        return None
    return seq if type(seq) is int and 1 <= seq <= MAX_INT else None
