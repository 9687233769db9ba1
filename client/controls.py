"""What a driver can say, one method a control: each returns its number, for `RemoteWorld.receipt`.

Knows messages and how they are numbered; no socket, no answers.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from worldloom.streamer.client_messages import OWN_SCENES, Action, Axes, Key, Look, Pause, Prompt, Record, Reset, Resume
from worldloom.streamer.protocol import Control


class Controls(ABC):
    """The controls of one session."""

    def __init__(self, seed: int, last_seq: int) -> None:
        self.seed = seed
        self._seq = last_seq
        self._ended = False

    async def key(self, code: str, down: bool) -> int:
        """A key of the world went down or up; `code` as in `info.actions.keys`."""
        return await self._send(Key(seq=self._next(), code=code, down=down))

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
        return await self._send(Look(seq=self._next(), yaw=yaw, pitch=pitch))

    async def axes(self, values: Mapping[str, float]) -> int:
        """New values for some axes, by name."""
        return await self._send(Axes(seq=self._next(), values=dict(values)))

    async def action(self, values: Sequence[float]) -> int:
        """A whole action row, columns as in `info.actions.columns`."""
        return await self._send(Action(seq=self._next(), values=tuple(map(float, values))))

    async def prompt(self, text: str) -> int:
        """Begin the world anew from a text."""
        return await self._send(Prompt(seq=self._next(), text=text))

    async def reset(self, seed: int | None = None, image: bytes | Path | None = None) -> int:
        """Begin the world anew; the seed and the picture before where none is given.

        Args:
            seed: of the world's random numbers.
            image: a PNG, JPEG or WebP file, or its bytes; empty bytes: what the world has to begin with.

        Raises:
            WorldloomError: the server refused the picture.
        """
        ident = None if image is None else await self._upload(image) if image else OWN_SCENES
        if seed is not None:
            self.seed = seed
        return await self._send(Reset(seq=self._next(), seed=seed, image=ident))

    async def pause(self) -> int:
        """Stop making frames."""
        return await self._send(Pause(seq=self._next()))

    async def resume(self) -> int:
        """Go on making frames."""
        return await self._send(Resume(seq=self._next()))

    async def record(self, on: bool = True) -> int:
        """Record the session on the server, or stop. The receipt comes once the files are open, or complete."""
        return await self._send(Record(seq=self._next(), on=on))

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    @abstractmethod
    async def _upload(self, image: bytes | Path) -> str:
        """Bring a picture to the server; returns what it is called there."""

    @abstractmethod
    async def _send(self, message: Control | Record) -> int:
        """Send it, and return its number."""
