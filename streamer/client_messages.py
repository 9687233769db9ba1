"""What a client says: what it wants, what it controls and what it measured.

`Candidate` and `Bye` go both ways and stand here. Knows no answer, and nothing of how a text becomes a message.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .fields import Clock, Count, Line, Message, Millis, Mode, Name, Number, Sdp, Seed, Seq, Switch, Text, Token, Video
from .wire import Format

OWN_SCENES = "none"  # in place of an image id: what the world has to begin with

Degrees = Annotated[float, Field(ge=-3600.0, le=3600.0)]
Row = Annotated[tuple[Number, ...], Field(min_length=1, max_length=256)]
ImageId = Annotated[str, Field(min_length=1, max_length=64)]


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
    deterministic: bool = Field(default=False, description="pictures do not depend, to the bit, on who else is served")
    wait: bool = Field(default=False, description="when every place is taken: wait for one instead of `busy`")
    token: Token | None = Field(default=None, description="signed by the server; needed where it serves strangers")
    resume: Token | None = Field(
        default=None, description="from an earlier `welcome`, or a lease: go on with that session, and take it over"
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


class Say(Message):
    """Go on from here under another text. A later one supersedes one that was not taken up yet."""

    type: Literal["say"] = "say"
    seq: Seq
    text: Text
    how: Switch = Field(default="recache", description="one of the world's `switches`")
    chunks: Annotated[int, Field(ge=1, le=256)] = Field(default=8, description="with `blend`: that it takes")


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


class Shift(Message):
    """Move the schedule of frames by this much, once, so that pictures meet the beat of the display. Realtime only.

    Earlier by a quarter of a frame at the most, and never by more than the schedule has moved since the beginning.
    Whose steps serve other sessions as well stays with them: `unsupported`.
    """

    type: Literal["shift"] = "shift"
    seq: Seq
    ms: Annotated[float, Field(ge=-50.0, le=50.0, description="milliseconds, later +")]


class Step(Message):
    """Make one chunk: in lockstep, or while the clock is paused."""

    type: Literal["step"] = "step"
    seq: Seq
    actions: Annotated[tuple[Row, ...], Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="one row for each frame of the chunk; what the controls hold when absent"
    )


class Rewind(Message):
    """Go back in time, in place: frames go on from there, and what waited expires. Realtime sessions only.

    One of the two says how far: to the nearest restore point that is not younger; the receipt names it.
    """

    type: Literal["rewind"] = "rewind"
    seq: Seq
    seconds: Annotated[float, Field(ge=0.0, le=86400.0)] | None = Field(
        default=None, description="of the world's time, before now"
    )
    frame: Count | None = Field(default=None, description="to what was before this frame was made")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.seconds is None) == (self.frame is None):
            raise ValueError("expected seconds or a frame")
        return self


class TakeSnapshot(Message):
    """Keep the world as it is now, under the name that the receipt tells. A server keeps the latest few."""

    type: Literal["snapshot"] = "snapshot"
    seq: Seq


class Restore(Message):
    """Go back to a snapshot of this session, in place, as `rewind` does; any number of times."""

    type: Literal["restore"] = "restore"
    seq: Seq
    snapshot: Name = Field(description="from the receipt of a `snapshot`")


class Fork(Message):
    """Make a session of its own that goes on from here, for whoever brings the token of the receipt as `resume`.

    It takes a place like any other (`busy`). A realtime one is paused until its driver says `resume`; one that nobody
    drives in time ends.
    """

    type: Literal["fork"] = "fork"
    seq: Seq
    snapshot: Name | None = Field(default=None, description="of this session, to go on from; from now when absent")


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
