"""The kinds of field that messages are made of, each with its bounds, and what every message shares.

Knows no message. Every field is bounded, so what has been decoded needs no second check of its size.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from worldloom.models.spec import Switch as Switch

MAX_INT = 2**53 - 1  # the largest integer that a JavaScript number holds exactly

Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Line = Annotated[str, Field(max_length=1024)]
Text = Annotated[str, Field(max_length=2048)]
Millis = Annotated[float, Field(ge=0.0, le=1e12)]
Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Seq = Annotated[int, Field(ge=1, le=MAX_INT, description="chosen by the client; the receipt names it")]
Seed = Annotated[int, Field(ge=0, le=MAX_INT, description="of the world's random numbers")]
Sdp = Annotated[str, Field(min_length=1, max_length=65536, description="a session description")]
Clock = Annotated[float, Field(ge=-1e15, le=1e15)]
Token = Annotated[str, Field(min_length=8, max_length=1024)]

Mode: TypeAlias = Literal["realtime", "lockstep"]
Video: TypeAlias = Literal["webrtc", "websocket", "none"]
Role: TypeAlias = Literal["drive", "watch"]
Status: TypeAlias = Literal["applied", "superseded", "expired", "rejected"]
Reduced: TypeAlias = Literal["", "steps", "rate"]


class Message(BaseModel):
    """What every message and part of a message shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
