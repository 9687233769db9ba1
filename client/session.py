"""One open session on a server: what the driver says goes out, receipts and pictures arrive while he thinks.

Knows the wire protocol and asyncio; no model, no torch, no clock. How a session is opened is in `connection.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from websockets.exceptions import ConnectionClosed

from worldloom.streamer.client_messages import Bye, Offer, Step
from worldloom.streamer.errors import BadMessage, SessionClosed, WorldloomError
from worldloom.streamer.protocol import ServerMessage, decode_server
from worldloom.streamer.server_messages import Answer, Error, FrameInfo, Notice, Receipt, Stats, Welcome

from .controls import Controls
from .failures import ConnectionLost, raised
from .line import Line, lost
from .pictures import Picture, PictureQueue, unpack_picture
from .receipts import Receipts, Said, Sent, failed

if TYPE_CHECKING:
    from .webrtc import Receiver

Rows: TypeAlias = Sequence[Sequence[float]]

ANSWER_S = 2.0  # seconds on a new connection until what the server saw on the one before counts as never answered


class RemoteWorld(Controls):
    """One open session; made by `connect`. Not to be shared between event loops."""

    def __init__(self, line: Line, welcome: Welcome, depth: int | None) -> None:
        super().__init__(welcome)
        self.session = welcome.session
        self.mode = welcome.mode
        self.resume_token = welcome.resume  # opens this session again, from anywhere
        self.watch_token = welcome.watch  # lets others see it
        self.reconnected = 0  # times that a lost connection was found again
        self.stats: Stats | None = None  # the server's latest
        self.notice: Notice | None = None  # the server's latest: what ends soon, or has ended, unasked
        self.newest: Picture | None = None  # the latest picture that came, whoever has read it
        self._line = line
        chunk = welcome.world.chunk
        self._pictures = PictureQueue(chunk if depth is None else max(depth, chunk if self.mode == "lockstep" else 1))
        self._receipts = Receipts()
        self._welcome = welcome  # of the connection that there is, or was last
        self._away = False  # there is none; it is being sought
        self._finished = False
        self._fault: WorldloomError | None = None  # why the session ended
        self._receiver: Receiver | None = None

    async def upload(self, image: bytes | Path) -> str:
        """Bring a PNG, JPEG or WebP file, or its bytes, to the server: an id for `reset`. Raises as `images.upload`."""
        return await self._line.upload(image)

    @property
    def ended(self) -> WorldloomError | None:
        """Why the session has ended; None while it goes on, with or without a connection."""
        return self._why() if self._finished else None

    @property
    def dropped(self) -> int:
        """Pictures that arrived and were replaced before anyone read them."""
        return self._pictures.dropped

    # Answers ----------------------------------------------------------------------------------------------------------

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
        """Lockstep: make one chunk, of a row a frame or of what the controls hold, and return its pictures.

        Raises:
            WorldloomError: the step was rejected, or the session ended.
        """
        rows = None if actions is None else tuple(tuple(map(float, row)) for row in actions)
        receipt = await self._stepped(rows)
        first = receipt.frame
        if first is None:
            raise SessionClosed(f"expected the step to be applied, it is {receipt.status}: the session is paused")
        chunk: list[Picture] = []
        while len(chunk) < self.info.chunk:
            picture = await self._pictures.get(hopeless=lambda: first < self._welcome.frame)
            if picture is None:
                raise self.ended or ConnectionLost("the step was done; its pictures were lost with the connection")
            if picture.index >= first:
                chunk.append(picture)
        return chunk

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _stepped(self, rows: tuple[tuple[float, ...], ...] | None) -> Receipt:
        """A step is decided. One that a new connection let go of is asked for again: the world has not moved."""
        while True:
            connection = self.reconnected
            receipt = await self._send(Step(seq=self._next(), actions=rows))
            if receipt.status == "applied" or self.reconnected == connection:
                return receipt

    def _send(self, message: Said) -> Sent:
        if self._finished:
            raise self._why()
        if self._away and self.mode == "realtime":
            return failed(message, ConnectionLost("the connection is being sought; this was not sent"))
        return self._receipts.say(message)

    async def _write(self) -> None:
        """Controls, as they are said. One that meets a lost connection stays unanswered, and is said again."""
        while True:
            message = await self._receipts.next()
            with suppress(ConnectionClosed):
                await self._line.send(message)

    def _why(self) -> WorldloomError:
        return self._fault or SessionClosed("the session has ended; connect again")

    async def _start_webrtc(self) -> None:
        """Send the offer, and receive from now on."""
        from .webrtc import Receiver

        await self._stop_webrtc()
        self._receiver = Receiver(self.info, self._show, self._welcome.ice_servers)
        offer = Offer(sdp=await self._receiver.offer())
        with suppress(ConnectionClosed):  # lost again: the reader sees that too
            await self._line.send(offer)

    async def _stop_webrtc(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.close()

    async def _read(self) -> None:
        """Everything that the server sends, until the session ends. Never raises: the ends of it do."""
        try:
            while True:
                try:
                    async for data in self._line.messages():
                        if isinstance(data, bytes):
                            self._show(unpack_picture(data))
                        else:
                            await self._hear(decode_server(data))
                    return
                except ConnectionClosed as error:
                    await self._come_back(error)
        except WorldloomError as error:
            self._fault = self._fault or error
        except Exception as error:  # of a decoder, or of WebRTC: whatever came cannot be used
            self._fault = self._fault or BadMessage(str(error) or type(error).__name__)
        finally:
            self._finish()

    async def _come_back(self, error: ConnectionClosed) -> None:
        """The connection was lost: the same session again, or the error that ends it. Raises `WorldloomError`."""
        if self._fault is not None or not self._line.may_return(error):
            raise self._fault or lost(error)
        self._away = True
        self._welcome = welcome = await self._line.reopen()
        self._away = False
        self._welcomed(welcome)
        self.reconnected += 1
        seen = self._receipts.back(welcome.last_seq)
        why = ConnectionLost("the server has seen this; its answer was lost with the connection")
        asyncio.get_running_loop().call_later(ANSWER_S, self._receipts.lose, seen, why)
        self._receipts.repeat(self._held())
        self._pictures.look_again()
        if self._receiver is not None:
            await self._start_webrtc()

    def _show(self, picture: Picture) -> None:
        self.newest = picture
        self._pictures.put(picture)

    async def _hear(self, message: ServerMessage) -> None:
        match message:
            case Receipt():
                self._receipts.put(message)
            case Error(seq=None):
                self._fault = raised(message)
            case Error(seq=int(seq)):
                self._receipts.refuse(seq, raised(message))
            case Stats():
                self.stats = message
            case Notice():
                self.notice = message
            case Answer() if self._receiver is not None:
                await self._receiver.answer(message.sdp)
            case FrameInfo() if self._receiver is not None:
                self._receiver.facts(message)
            case _:
                pass  # candidates are in the answer; `bye` is followed by the end of the connection

    def _finish(self) -> None:
        """Nobody may go on waiting."""
        self._finished = True
        self._pictures.close()
        self._receipts.close(self._why())

    async def _leave(self) -> None:
        """Say goodbye, and close what is open."""
        if not self._finished:
            with suppress(ConnectionClosed):
                await self._line.send(Bye(reason="closed by the client"))
        await self._let_go()

    async def _let_go(self) -> None:
        """Close what is open. Harmless twice."""
        await self._stop_webrtc()
        await self._line.close()
