"""The messages of protocol version 1 and how text becomes one of them.

Knows no socket, session, torch or clock; the client imports it too. Every message is frozen, refuses unknown fields
and bounds every field, so what has been decoded needs no second check of its size. `docs/protocol.md` is generated
from the descriptions here.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from .errors import BadMessage, MessageTooLarge, WorldloomError
from .wire import CLOSE_CODES, HEADER_BYTES, NORMAL_CLOSE, Format, FrameHeader, close_code, pack_frame, unpack_frame
from .world_info import (
    MAX_INT,
    ActionInfo,
    AxisInfo,
    Count,
    IceServer,
    KeyInfo,
    Limits,
    Line,
    Message,
    Millis,
    Name,
    Number,
    Percentiles,
    Text,
    WorldInfo,
)

# The client imports from here alone, so what it needs of the modules below is offered again.
__all__ = ["CLOSE_CODES", "HEADER_BYTES", "NORMAL_CLOSE", "Format", "FrameHeader", "close_code", "pack_frame"]
__all__ += ["ActionInfo", "AxisInfo", "IceServer", "KeyInfo", "Limits", "Percentiles", "WorldInfo", "unpack_frame"]

PROTOCOL = 1
MAX_MESSAGE_BYTES = 128 * 1024
OWN_SCENES = "none"  # in place of an image id: what the world has to begin with

Mode: TypeAlias = Literal["realtime", "lockstep"]
Video: TypeAlias = Literal["webrtc", "websocket", "none"]
Role: TypeAlias = Literal["drive", "watch"]
Status: TypeAlias = Literal["applied", "superseded", "expired", "rejected"]
Reduced: TypeAlias = Literal["", "steps", "rate"]

Seq = Annotated[int, Field(ge=1, le=MAX_INT, description="chosen by the client; the receipt names it")]
Seed = Annotated[int, Field(ge=0, le=MAX_INT, description="of the world's random numbers")]
Sdp = Annotated[str, Field(min_length=1, max_length=65536, description="a session description")]
Degrees = Annotated[float, Field(ge=-3600.0, le=3600.0)]
Clock = Annotated[float, Field(ge=-1e15, le=1e15)]
ImageId = Annotated[str, Field(min_length=1, max_length=64)]
Token = Annotated[str, Field(min_length=8, max_length=1024)]
Row = Annotated[tuple[Number, ...], Field(min_length=1, max_length=256)]


# Client to server -----------------------------------------------------------------------------------------------------


class Hello(Message):
    """The first message: what the client wants."""

    type: Literal["hello"] = "hello"
    protocol: Count = Field(description="version that the client speaks: 1")
    world: Name | None = Field(default=None, description="a world's name; the server's first one when absent")
    seed: Seed | None = Field(default=None, description="the server draws one when absent")
    prompt: Text | None = Field(default=None, description="a text to start from, where the world takes one")
    image: ImageId | None = Field(
        default=None, description="id of an uploaded picture to start from, where it takes one"
    )
    video: Video = Field(default="webrtc", description="how pictures travel")
    mode: Mode = Field(default="realtime", description="paced by the clock, or one chunk for each `step`")
    format: Format = Field(default="jpeg", description="of pictures over the WebSocket")
    wait: bool = Field(default=False, description="when every place is taken: wait for one instead of `busy`")
    token: Token | None = Field(default=None, description="signed by the server; needed where it serves strangers")
    resume: Token | None = Field(
        default=None, description="from an earlier `welcome`: go on with that session, and take it over"
    )
    watch: Token | None = Field(
        default=None, description="from a driver's `welcome`: see that session, without control"
    )


class View(Message):
    """Change how pictures travel; the world does not notice. An `offer` may come before or after."""

    type: Literal["view"] = "view"
    video: Video
    format: Format = Field(default="jpeg", description="of pictures over the WebSocket")


class Offer(Message):
    """WebRTC: the client's session description, with one video line that receives. A later one replaces it."""

    type: Literal["offer"] = "offer"
    sdp: Sdp


class Candidate(Message):
    """WebRTC, both ways: one ICE candidate; an empty one ends the list."""

    type: Literal["candidate"] = "candidate"
    candidate: Line
    sdp_mid: Annotated[str, Field(max_length=64)] | None = None
    sdp_mline_index: Annotated[int, Field(ge=0, le=65535)] | None = None


class Key(Message):
    """A key went down or up."""

    type: Literal["key"] = "key"
    seq: Seq
    code: Annotated[str, Field(min_length=1, max_length=32, description="W3C KeyboardEvent.code")]
    down: bool


class Look(Message):
    """The view turned by this much since the last `look`; amounts are summed and spent once."""

    type: Literal["look"] = "look"
    seq: Seq
    yaw: Degrees = Field(default=0.0, description="degrees, right +")
    pitch: Degrees = Field(default=0.0, description="degrees, up +")


class Axes(Message):
    """New values for some axes: a level is held until changed, an amount is spent once."""

    type: Literal["axes"] = "axes"
    seq: Seq
    values: Annotated[dict[Name, Number], Field(min_length=1, max_length=256, description="by axis name, in its unit")]


class Action(Message):
    """A whole action row, columns as in `welcome`: levels are held, amounts are spent once."""

    type: Literal["action"] = "action"
    seq: Seq
    values: Row


class Prompt(Message):
    """Start the world anew from a text; the frame index goes on."""

    type: Literal["prompt"] = "prompt"
    seq: Seq
    text: Text


class Reset(Message):
    """Start the world anew; the frame index goes on."""

    type: Literal["reset"] = "reset"
    seq: Seq
    seed: Seed | None = Field(default=None, description="the seed before when absent")
    image: ImageId | None = Field(
        default=None, description="id of an uploaded picture; `none`: the world's own; the one before when absent"
    )


class Pause(Message):
    """Stop making frames."""

    type: Literal["pause"] = "pause"
    seq: Seq


class Resume(Message):
    """Go on making frames from now."""

    type: Literal["resume"] = "resume"
    seq: Seq


class Step(Message):
    """Lockstep: make one chunk."""

    type: Literal["step"] = "step"
    seq: Seq
    actions: Annotated[tuple[Row, ...], Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="one row for each frame of the chunk; what the controls hold when absent"
    )


class Record(Message):
    """Record the session, or stop: its pictures as MP4, and beside it what replays it. Both are harmless twice."""

    type: Literal["record"] = "record"
    seq: Seq
    on: bool = Field(description="the receipt comes once the files are open, or complete")


class Photon(Message):
    """How long one input took until the client showed what it did, in milliseconds, and where the time went."""

    total: Millis
    wait: Millis = Field(default=0.0, description="until the controls were sampled")
    compute: Millis = Field(default=0.0, description="the world")
    encode: Millis = Field(default=0.0, description="compressing, and waiting to be sent")
    network: Millis = Field(default=0.0, description="both ways, with jitter buffer and decoder")
    display: Millis = Field(default=0.0, description="from the decoder to the screen")


class Report(Message):
    """What the client measured, for the server's figures; it sees what the server cannot."""

    type: Literal["report"] = "report"
    photons: Annotated[tuple[Photon, ...], Field(min_length=1, max_length=64)]


class Ping(Message):
    """Answered by `pong` with the same `t`."""

    type: Literal["ping"] = "ping"
    t: Clock = Field(description="anything; say the client's clock in milliseconds")


class Bye(Message):
    """Both ways: the sender is about to close."""

    type: Literal["bye"] = "bye"
    reason: Line = Field(default="", description="from the server: the code of the error that ends the connection")


# Server to client -----------------------------------------------------------------------------------------------------


class Welcome(Message):
    """The answer to `hello`: what the client gets."""

    type: Literal["welcome"] = "welcome"
    protocol: Count
    session: Name
    world: WorldInfo
    worlds: Annotated[tuple[Name, ...], Field(max_length=256)] = Field(
        default=(), description="names that `hello` may ask for"
    )
    limits: Limits
    seed: Seed
    video: Video
    mode: Mode
    format: Format
    role: Role = "drive"
    resume: Token | None = Field(default=None, description="opens this session again after a lost connection")
    watch: Token | None = Field(default=None, description="lets others see this session")
    frame: Count = Field(default=0, description="number of the next frame")
    ice_servers: Annotated[tuple[IceServer, ...], Field(max_length=16)] = Field(
        default=(), description="for WebRTC; credentials among them expire"
    )
    relay_only: bool = Field(default=False, description="WebRTC must go through TURN")
    last_seq: Count = Field(default=0, description="highest `seq` that this session has seen; go on from there")


class Waiting(Message):
    """Before `welcome`: every place is taken, and the client asked to wait. Say `bye` to give up."""

    type: Literal["waiting"] = "waiting"
    position: Count = Field(description="1: next")
    estimate_s: Annotated[float, Field(ge=0.0, le=1e9)] | None = Field(
        default=None, description="seconds until a place is probably free, once that can be told"
    )


class Notice(Message):
    """Something that will happen, or that has happened and the session survives."""

    type: Literal["notice"] = "notice"
    code: Name = Field(
        description="`time_limit` will end the session; after `engine_lost` it goes on in a moment; "
        "`recording_full` and `recording_failed` have ended its recording"
    )
    message: Text = Field(description="for people")
    seconds: Count = Field(description="until then; 0: it has happened")


class Answer(Message):
    """WebRTC: the server's session description."""

    type: Literal["answer"] = "answer"
    sdp: Sdp


class Receipt(Message):
    """What became of one control."""

    type: Literal["receipt"] = "receipt"
    seq: Seq
    status: Status
    frame: Count | None = Field(default=None, description="with `applied`: index of the first frame that it shaped")


class FrameInfo(Message):
    """Facts about a frame that leaves over WebRTC; over the WebSocket they are in its header."""

    type: Literal["frame"] = "frame"
    index: Count
    pts: Count = Field(description="90 kHz")
    applied_seq: Count = Field(description="last control that shaped it, 0 for none")
    rtp_timestamp: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = Field(
        default=None, description="of its RTP packets"
    )
    compute_ms: Millis = Field(description="what the world took for its chunk")
    encode_ms: Millis | None = None
    age_ms: Millis = Field(description="from sampling the controls to sending")


class Stats(Message):
    """How this session and its server fare; sent about once a second."""

    type: Literal["stats"] = "stats"
    fps: Millis = Field(description="frames a second that left the server")
    step_ms: Percentiles = Field(description="one step of the world")
    encode_ms: Percentiles | None = None
    photon_ms: Percentiles | None = Field(default=None, description="input to photon, as this client reported it")
    bitrate: Count = Field(default=0, description="bits a second of pictures")
    dropped: Count = Field(default=0, description="frames that were made and replaced before they could leave")
    sessions: Count = Field(default=0, description="open on this server")
    watchers: Count = Field(default=0, description="spectators of this session")
    recording: bool = Field(default=False, description="this session is being recorded")
    reduced: Reduced = Field(default="", description="what an overloaded server gives up: denoising steps, or the rate")
    level: Count = Field(default=0, description="how much it gives up: 0 nothing, 1 the least")


class Pong(Message):
    """The answer to `ping`."""

    type: Literal["pong"] = "pong"
    t: Clock = Field(description="as in the `ping`")


class Error(Message):
    """Something was refused or failed."""

    type: Literal["error"] = "error"
    code: Name = Field(description="stable; see the table of codes")
    message: Text = Field(description="for people")
    seq: Seq | None = Field(default=None, description="the message that caused it, where one is known")
    retryable: bool = Field(default=False, description="the same request may succeed later")
    retry_after: Annotated[float, Field(ge=0.0, le=1e9)] | None = Field(
        default=None, description="seconds after which that is worth trying"
    )


# Text to message and back ---------------------------------------------------------------------------------------------

Control: TypeAlias = Key | Look | Axes | Action | Prompt | Reset | Pause | Resume | Step
ClientMessage: TypeAlias = Hello | View | Offer | Candidate | Control | Record | Report | Ping | Bye
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
