"""A world as a client is told of it, and the other parts and bounded kinds of field that messages are made of.

`WorldInfo` mirrors `models.spec.WorldSpec`; knows no message, socket or clock, and loads neither torch nor weights.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from worldloom.models.spec import WorldSpec

MAX_INT = 2**53 - 1  # the largest integer that a JavaScript number holds exactly

Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Line = Annotated[str, Field(max_length=1024)]
Text = Annotated[str, Field(max_length=2048)]
Millis = Annotated[float, Field(ge=0.0, le=1e12)]
Number = Annotated[float, Field(ge=-1e9, le=1e9)]


class Message(BaseModel):
    """What every message and part of a message shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AxisInfo(Message):
    """One analogue column of an action."""

    name: Name
    low: Number = Field(description="lowest value of one frame, in `unit`")
    high: Number = Field(description="highest value of one frame, in `unit`")
    unit: Annotated[str, Field(max_length=64)]
    kind: Literal["level", "amount"] = Field(description="a level holds until changed; an amount is spent once")


class KeyInfo(Message):
    """What holding one key adds to one column, every frame."""

    column: Name
    value: Number


class ActionInfo(Message):
    """The action vector: the buttons, then the axes; and how keys and the mouse map to it."""

    buttons: Annotated[tuple[Name, ...], Field(max_length=256)]
    axes: Annotated[tuple[AxisInfo, ...], Field(max_length=256)]
    keys: Annotated[dict[Name, KeyInfo], Field(max_length=256, description="by KeyboardEvent.code")]
    look: tuple[Name | None, Name | None] = Field(description="axes that (yaw, pitch) of `look` feed")

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order: buttons, then axes."""
        return self.buttons + tuple(axis.name for axis in self.axes)


class WorldInfo(Message):
    """A world's picture, clock and controls."""

    name: Name
    title: Line = ""
    help: Line = ""
    height: Annotated[int, Field(ge=1, le=65535, description="pixels")]
    width: Annotated[int, Field(ge=1, le=65535, description="pixels")]
    fps: tuple[Annotated[int, Field(ge=1, le=MAX_INT)], Annotated[int, Field(ge=1, le=MAX_INT)]] = Field(
        description="frames a second, as numerator and denominator"
    )
    chunk: Annotated[int, Field(ge=1, le=1024, description="frames that one step makes")]
    actions: ActionInfo
    prompts: bool = Field(description="takes a text")
    images: bool = Field(description="takes a picture")

    @classmethod
    def of(cls, spec: WorldSpec) -> WorldInfo:
        """What a client is told of `spec`."""
        actions = ActionInfo(
            buttons=spec.actions.buttons,
            axes=tuple(
                AxisInfo(name=axis.name, low=axis.low, high=axis.high, unit=axis.unit, kind=axis.kind)
                for axis in spec.actions.axes
            ),
            keys={code: KeyInfo(column=key.column, value=key.value) for code, key in spec.actions.keys.items()},
            look=spec.actions.look,
        )
        return cls(
            name=spec.name,
            title=spec.title,
            help=spec.help,
            height=spec.height,
            width=spec.width,
            fps=spec.fps.as_integer_ratio(),
            chunk=spec.chunk,
            actions=actions,
            prompts=spec.prompts,
            images=spec.images,
        )


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


class Percentiles(Message):
    """Milliseconds."""

    p50: Millis
    p95: Millis
