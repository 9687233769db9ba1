"""What the server says: what a client gets, what became of its controls, and how things are.

Knows how a world is described; nothing of what was asked, and nothing of how a message becomes a text.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .fields import (
    Clock,
    Count,
    Line,
    Message,
    Millis,
    Mode,
    Name,
    Reduced,
    Role,
    Sdp,
    Seed,
    Seq,
    Status,
    Text,
    Token,
    Video,
)
from .wire import Format
from .world_info import WorldInfo


class IceServer(Message):
    """A STUN or TURN server, as `RTCPeerConnection` takes it."""

    urls: Annotated[tuple[Line, ...], Field(max_length=16)]
    username: Line | None = None
    credential: Line | None = None


class Limits(Message):
    """What the server accepts."""

    message_bytes: Count = Field(description="longest message")
    inbox: Count = Field(description="controls that may wait for the world")
    recording: bool = Field(default=False, description="the driver may `record`")
    rewind: Count = Field(default=0, description="seconds that `rewind` reaches back at the most; 0: not at all")


class Percentiles(Message):
    """Milliseconds."""

    p50: Millis
    p95: Millis


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
    to: Count | None = Field(
        default=None, description="of `rewind` and `restore`: the world is as it was before this frame"
    )
    snapshot: Name | None = Field(default=None, description="of `snapshot`: its name, for `restore`")
    fork: Token | None = Field(default=None, description="of `fork`: drives the new session, as `resume` in `hello`")
    code: Name | None = Field(default=None, description="with `rejected` by the engine: the code of the `error`")


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
