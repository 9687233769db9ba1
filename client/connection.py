"""A world on a server, from Python: controls out, receipts and pictures in.

    async with connect("ws://127.0.0.1:8000/v1/session", world="doom") as world:
        async with world.hold("KeyW"):
            async for picture in world.pictures():
                show(picture.pixels)

Knows the wire protocol and asyncio; no model, no torch, no clock but the time of arrival. One background task reads the
socket, so pings are answered and receipts arrive while the caller thinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from worldloom.streamer import protocol as wire
from worldloom.streamer.errors import BadMessage, SessionClosed, WorldloomError

from .failures import raised
from .handshake import WELCOME_S, endpoint, greet
from .pictures import Picture, PictureQueue, decode_pixels
from .receipts import Receipts

if TYPE_CHECKING:
    from .webrtc import Receiver

Rows: TypeAlias = Sequence[Sequence[float]]

MAX_PICTURE_BYTES = 64 * 1024 * 1024


@asynccontextmanager
async def connect(
    url: str,
    *,
    world: str | None = None,
    seed: int | None = None,
    video: wire.Video = "websocket",
    mode: wire.Mode = "realtime",
    format: wire.Format = "jpeg",
    prompt: str | None = None,
    buffer: int | None = None,
) -> AsyncIterator[RemoteWorld]:
    """Open a world and close it on the way out.

    Args:
        url: of the server's session endpoint, like "ws://127.0.0.1:8000/v1/session"; "ws://127.0.0.1:8000" will do.
        world: its name; the server's first one when absent.
        seed: of its random numbers; the server draws one when absent.
        video: how pictures travel: "websocket", "webrtc" (needs the `server` extra), or "none".
        mode: "realtime" is paced by the server's clock; in "lockstep" a chunk is made for each `step`.
        format: of pictures over the WebSocket; "raw" is exact and needs no decoder.
        prompt: a text to start from, where the world takes one.
        buffer: pictures that may wait to be read, the oldest dropped first; one chunk when absent.

    Raises:
        WorldloomError: what the server answered, for example `Busy` or `UnknownWorld`.
        ConnectionError: there is no server, or it went away.
    """
    hello = wire.Hello(
        protocol=wire.PROTOCOL, world=world, seed=seed, prompt=prompt, video=video, mode=mode, format=format
    )
    failure: Exception | None = None
    async with open_websocket(endpoint(url), max_size=MAX_PICTURE_BYTES, compression=None, proxy=None) as socket:
        welcome = await asyncio.wait_for(greet(socket, hello), WELCOME_S)
        remote = RemoteWorld(socket, welcome, buffer or welcome.world.chunk)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(remote._read())]
            try:
                if welcome.video == "webrtc":
                    running.append(tasks.create_task(await remote._start_webrtc()))
                yield remote
            except Exception as error:  # leaves as itself and not inside a group
                failure = error
            finally:
                await remote._leave()
                for task in running:
                    task.cancel()
    if failure is not None:
        raise failure


class RemoteWorld:
    """One open session; made by `connect`. Not to be shared between event loops."""

    def __init__(self, socket: ClientConnection, welcome: wire.Welcome, depth: int) -> None:
        self.info = welcome.world
        self.session = welcome.session
        self.seed = welcome.seed
        self.mode = welcome.mode
        self.stats: wire.Stats | None = None  # the server's latest
        self._socket = socket
        self._seq = 0
        self._pictures = PictureQueue(depth)
        self._receipts = Receipts()
        self._fault: WorldloomError | None = None  # why the session ended
        self._receiver: Receiver | None = None
        self._ended = False

    @property
    def dropped(self) -> int:
        """Pictures that arrived and were replaced before anyone read them."""
        return self._pictures.dropped

    # Controls: each returns its number, for `receipt` -----------------------------------------------------------------

    async def key(self, code: str, down: bool) -> int:
        """A key of the world went down or up; `code` as in `info.actions.keys`."""
        return await self._send(wire.Key(seq=self._next(), code=code, down=down))

    async def press(self, code: str, seconds: float = 0.1) -> None:
        """Hold a key for a while."""
        async with self.hold(code):
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def hold(self, code: str) -> AsyncIterator[int]:
        """Hold a key inside the block; yields the number of the press."""
        seq = await self.key(code, True)
        try:
            yield seq
        finally:
            if not self._ended:
                await self.key(code, False)

    async def look(self, yaw: float = 0.0, pitch: float = 0.0) -> int:
        """Turn the view by so many degrees: yaw right +, pitch up +."""
        return await self._send(wire.Look(seq=self._next(), yaw=yaw, pitch=pitch))

    async def axes(self, values: Mapping[str, float]) -> int:
        """New values for some axes, by name."""
        return await self._send(wire.Axes(seq=self._next(), values=dict(values)))

    async def action(self, values: Sequence[float]) -> int:
        """A whole action row, columns as in `info.actions.columns`."""
        return await self._send(wire.Action(seq=self._next(), values=tuple(map(float, values))))

    async def prompt(self, text: str) -> int:
        """Begin the world anew from a text."""
        return await self._send(wire.Prompt(seq=self._next(), text=text))

    async def reset(self, seed: int | None = None) -> int:
        """Begin the world anew; the seed before when none is given."""
        if seed is not None:
            self.seed = seed
        return await self._send(wire.Reset(seq=self._next(), seed=seed))

    async def pause(self) -> int:
        """Stop making frames."""
        return await self._send(wire.Pause(seq=self._next()))

    async def resume(self) -> int:
        """Go on making frames."""
        return await self._send(wire.Resume(seq=self._next()))

    # Answers ----------------------------------------------------------------------------------------------------------

    async def receipt(self, seq: int) -> wire.Receipt:
        """What became of a control.

        Raises:
            WorldloomError: it was rejected, and why; or the session ended first.
        """
        return await self._receipts.get(seq)

    async def pictures(self) -> AsyncGenerator[Picture, None]:
        """Pictures as they come, until the session ends. A slow reader misses the older ones; see `dropped`.

        Raises:
            WorldloomError: the session ended because something failed.
        """
        while (picture := await self._pictures.get()) is not None:
            yield picture
        if self._fault is not None:
            raise self._fault

    async def step(self, actions: Rows | None = None) -> list[Picture]:
        """Lockstep: make one chunk and return its pictures.

        Args:
            actions: one row a frame of the chunk; what the controls hold when absent.

        Raises:
            WorldloomError: the step was rejected, or the session ended.
        """
        rows = None if actions is None else tuple(tuple(map(float, row)) for row in actions)
        receipt = await self.receipt(await self._send(wire.Step(seq=self._next(), actions=rows)))
        if receipt.frame is None:
            raise SessionClosed(f"expected the step to be applied, it is {receipt.status}: the session is paused")
        chunk: list[Picture] = []
        while len(chunk) < self.info.chunk:
            picture = await self._pictures.get()
            if picture is None:
                raise self._why()
            if picture.index >= receipt.frame:
                chunk.append(picture)
        return chunk

    # Inside -----------------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    async def _send(self, message: wire.Control) -> int:
        self._check_open()
        await self._post(message)
        return message.seq

    async def _post(self, message: wire.ClientMessage) -> None:
        try:
            await self._socket.send(wire.encode(message))
        except ConnectionClosed:
            raise self._why() from None

    def _check_open(self) -> None:
        if self._ended:
            raise self._why()

    def _why(self) -> WorldloomError:
        return self._fault or SessionClosed("the session has ended; connect again")

    async def _start_webrtc(self) -> Coroutine[None, None, None]:
        """Send the offer; returns what must run meanwhile."""
        from .webrtc import Receiver

        self._receiver = Receiver(self.info, self._pictures.put)
        await self._post(wire.Offer(sdp=await self._receiver.offer()))
        return self._receiver.run()

    async def _read(self) -> None:
        """Everything that the server sends, until the connection ends. Never raises: the ends of it do."""
        try:
            async for data in self._socket:
                if isinstance(data, bytes):
                    self._see(data)
                else:
                    await self._hear(wire.decode_server(data))
        except ConnectionClosed as error:
            self._fault = self._fault or SessionClosed(f"the connection was lost: {error}")
        except (WorldloomError, ImportError) as error:
            self._fault = error if isinstance(error, WorldloomError) else BadMessage(str(error))
        finally:
            self._finish()

    def _see(self, data: bytes) -> None:
        header, payload = wire.unpack_frame(data)
        self._pictures.put(
            Picture(
                index=header.index,
                pts=header.pts,
                pixels=decode_pixels(header, payload),
                applied_seq=header.applied_seq,
                compute_ms=header.compute_us / 1000,
                age_ms=header.age_us / 1000,
                received_ns=time.monotonic_ns(),
            )
        )

    async def _hear(self, message: wire.ServerMessage) -> None:
        match message:
            case wire.Receipt():
                self._receipts.put(message)
            case wire.Error(seq=None):
                self._fault = raised(message)
            case wire.Error(seq=int(seq)):
                self._receipts.refuse(seq, raised(message))
            case wire.Stats():
                self.stats = message
            case wire.Answer() if self._receiver is not None:
                await self._receiver.answer(message.sdp)
            case wire.FrameInfo() if self._receiver is not None:
                self._receiver.facts(message)
            case _:
                pass  # candidates are in the answer; `bye` is followed by the end of the connection

    def _finish(self) -> None:
        """Nothing more will come: nobody may go on waiting."""
        self._ended = True
        self._pictures.close()
        self._receipts.close(self._why())

    async def _leave(self) -> None:
        """Say goodbye and let go of the video."""
        if not self._ended:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(wire.encode(wire.Bye(reason="closed by the client")))
        if self._receiver is not None:
            await self._receiver.close()
