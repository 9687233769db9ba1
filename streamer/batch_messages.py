"""What is said at `/v1/batch`, for those who write a program of their own: the shapes, with their bounds.

A map in MessagePack each. The server's door reads these by hand, because arrays are numpy's there; the tests hold what
it says, and what our client says, against these. Knows no socket.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from .fields import MAX_INT, Count, Message, Millis, Name, Text, Token
from .world_info import WorldInfo

MOST = 256  # streams of one batch; how many really fit is the engine's business

State: TypeAlias = Annotated[bytes, Field(max_length=64, description="name of a saved state, good on this server")]
Id = Annotated[int, Field(ge=1, le=MAX_INT, description="of a request; its answer has it too")]
Which = Annotated[tuple[Annotated[int, Field(ge=0, le=MOST - 1)], ...], Field(max_length=MOST)]
WHICH = Field(default=None, description="numbers of streams, each once; all of them when absent")


class NdArray(Message):
    """Numbers, as openpi's `msgpack_numpy` packs them. The four keys of this map are bytes, not text."""

    ndarray: Literal[True] = Field(alias="__ndarray__")
    data: bytes = Field(description="the numbers, the last axis closest together")
    dtype: Name = Field(description="numpy's name of their type and byte order, like `<f4` or `|u1`")
    shape: Annotated[tuple[Count, ...], Field(max_length=8)]


class BatchBeginning(Message):
    """What one stream begins from."""

    seed: int = Field(ge=0, le=2**63 - 1, description="of the world's random numbers")
    prompt: Text | None = Field(default=None, description="a text to start from, where the world takes one")
    image: NdArray | None = Field(default=None, description="a picture, (H, W, 3) uint8, where the world takes one")
    frames: NdArray | None = Field(default=None, description="what was seen before, (K, H, W, 3) uint8")
    actions: NdArray | None = Field(default=None, description="what led to each of `frames`, (K, A) float32")
    state: State | None = None


class BatchError(Message):
    """Why something was refused."""

    code: Name = Field(description="as in `error`")
    message: Text = Field(description="for people")
    retryable: bool = Field(description="the same request may succeed later")
    retry_after: Annotated[float, Field(ge=0.0, le=1e9)] | None = Field(description="seconds until then")


class BatchHello(Message):
    """The first message of a program: the streams that it wants."""

    type: Literal["hello"] = "hello"
    protocol: Count = Field(description="version that the program speaks: 1")
    world: Name | None = Field(default=None, description="a world's name; the server's first one when absent")
    size: int = Field(default=1, ge=1, le=MOST, description="streams")
    token: Token | None = Field(default=None, description="signed by the server; needed where it serves strangers")
    resume: Token | None = Field(default=None, description="from a `welcome`: go on with the batch whose line was lost")


class BatchStart(Message):
    """Begin streams, or begin them anew; all of these or none."""

    id: Id
    verb: Literal["start"] = "start"
    which: Which | None = WHICH
    starts: Annotated[tuple[BatchBeginning, ...], Field(max_length=MOST, description="one for each of `which`")]


class BatchStep(Message):
    """Make one chunk of each stream."""

    id: Id
    verb: Literal["step"] = "step"
    which: Which | None = WHICH
    rows: NdArray = Field(description="actions, (n, F, A) float32: a row for each frame of the chunk")


class BatchSave(Message):
    """Keep the states of streams."""

    id: Id
    verb: Literal["save"] = "save"
    which: Which | None = WHICH


class BatchBye(Message):
    """The program is done; its streams are freed, and the connection closed."""

    verb: Literal["bye"] = "bye"


class BatchWelcome(Message):
    """The answer to `hello`. No stream has begun yet."""

    type: Literal["welcome"] = "welcome"
    protocol: Count
    world: WorldInfo
    size: int = Field(ge=1, le=MOST, description="streams")
    resume: Token = Field(description="goes on with this batch after a lost connection")


class BatchStarted(Message):
    """The answer to `start`."""

    id: Id


class BatchStepped(Message):
    """The answer to `step`."""

    id: Id
    frames: NdArray = Field(description="(n, F, H, W, 3) uint8")
    drift: NdArray | None = Field(description="(n,) how far the last pictures are from what the world should look like")
    compute_ms: Millis = Field(description="what the world took")


class BatchSaved(Message):
    """The answer to `save`."""

    id: Id
    states: Annotated[tuple[State, ...], Field(max_length=MOST)]


class BatchRefused(Message):
    """The answer to what cannot be done; with id 0 the connection ends."""

    id: Count
    error: BatchError


SAID: tuple[type[Message], ...] = (BatchHello, BatchStart, BatchStep, BatchSave, BatchBye)
ANSWERED: tuple[type[Message], ...] = (BatchWelcome, BatchStarted, BatchStepped, BatchSaved, BatchRefused)
PARTS: tuple[type[Message], ...] = (BatchBeginning, BatchError, NdArray)
