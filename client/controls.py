"""What a driver can say, one method a control: each sends at once and returns what can be awaited for the receipt.

    world.look(yaw=2.0)                     # sent; nobody waits
    receipt = await world.press("KeyW")     # sent, and decided: receipt.frame is the first frame that it shaped

Knows messages and how they are numbered; no socket, no answers. What is held is in `held.py`.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from worldloom.streamer.client_messages import Action, Axes, Key, Look, Pause, Prompt, Record, Reset, Resume, Say
from worldloom.streamer.errors import WorldloomError
from worldloom.streamer.fields import Switch
from worldloom.streamer.server_messages import Receipt, Welcome

from .held import Held
from .receipts import Said, Sent
from .travel import Travel


class Controls(Travel):
    """The controls of one session."""

    def __init__(self, welcome: Welcome) -> None:
        self.info = welcome.world
        self.seed = welcome.seed  # of the latest beginning
        self._seq = welcome.last_seq
        self._holding = Held(welcome.world.actions)

    def press(self, code: str) -> Sent:
        """A key goes down and stays; `code` as in `info.actions.keys`."""
        sent = self._send(Key(seq=self._next(), code=code, down=True))
        self._holding.ask(sent)
        return sent

    def release(self, code: str) -> Sent:
        """A key comes up."""
        sent = self._send(Key(seq=self._next(), code=code, down=False))
        self._holding.let_go(code)  # also without a line: the server has let go of it then
        return sent

    def tap(self, code: str) -> Sent:
        """A key goes down and up again: held for one chunk. Returns the press."""
        pressed = self.press(code)
        self.release(code)
        return pressed

    @asynccontextmanager
    async def hold(self, code: str) -> AsyncIterator[Sent]:
        """Hold a key inside the block; yields the press."""
        pressed = self.press(code)
        try:
            yield pressed
        finally:
            self._holding.let_go(code)
            if not self.ended:
                self.release(code)

    def look(self, yaw: float = 0.0, pitch: float = 0.0) -> Sent:
        """Turn the view by so many degrees: yaw right +, pitch up +."""
        return self._send(Look(seq=self._next(), yaw=yaw, pitch=pitch))

    def axes(self, values: Mapping[str, float]) -> Sent:
        """New values for some axes, by name."""
        sent = self._send(Axes(seq=self._next(), values={name: float(value) for name, value in values.items()}))
        self._holding.ask(sent)
        return sent

    def action(self, values: Sequence[float]) -> Sent:
        """A whole action row, columns as in `info.actions.columns`."""
        sent = self._send(Action(seq=self._next(), values=tuple(map(float, values))))
        self._holding.ask(sent)
        return sent

    def prompt(self, text: str) -> Sent:
        """Begin the world anew from a text."""
        return self._send(Prompt(seq=self._next(), text=text))

    def say(self, text: str, how: Switch = "recache", *, chunks: int = 8) -> Sent:
        """Go on from here under another text; the receipt says from which frame on.

        Args:
            text: what is to be seen now.
            how: one of `info.switches`.
            chunks: that `blend` takes.
        """
        return self._send(Say(seq=self._next(), text=text, how=how, chunks=chunks))

    def reset(self, seed: int | None = None, image: str | None = None) -> Sent:
        """Begin the world anew; the seed and the picture before where none is given.

        Args:
            seed: of the world's random numbers.
            image: what `upload` returned; "none": what the world has to begin with.
        """
        sent = self._send(Reset(seq=self._next(), seed=seed, image=image))
        if seed is not None:
            sent.answer.add_done_callback(lambda answer: self._begun(seed, answer))
        return sent

    async def start_from(self, image: bytes | Path, seed: int | None = None) -> Receipt:
        """Begin the world anew from a PNG, JPEG or WebP file, or its bytes.

        Raises:
            WorldloomError: the server refused the picture, or the world takes none.
        """
        return await self.reset(seed, await self.upload(image))

    def pause(self) -> Sent:
        """Stop making frames."""
        return self._send(Pause(seq=self._next()))

    def resume(self) -> Sent:
        """Go on making frames."""
        return self._send(Resume(seq=self._next()))

    def record(self, on: bool = True) -> Sent:
        """Record the session on the server, or stop. The receipt comes once the files are open, or complete."""
        return self._send(Record(seq=self._next(), on=on))

    @property
    @abstractmethod
    def ended(self) -> WorldloomError | None:
        """Why the session has ended; None while it goes on."""

    @abstractmethod
    async def upload(self, image: bytes | Path) -> str:
        """Bring a picture to the server; returns what it is called there, for about a minute."""

    def _begun(self, seed: int, answer: asyncio.Future[Receipt]) -> None:
        if not answer.cancelled() and answer.exception() is None and answer.result().status == "applied":
            self.seed = seed

    def _welcomed(self, welcome: Welcome) -> None:
        """The same session on another connection."""
        self._seq = max(self._seq, welcome.last_seq)
        self.seed = welcome.seed

    def _held(self) -> list[Said]:
        """What the server has let go of and the program has not, as controls to be said again."""
        return self._holding.again(self._next)

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    @abstractmethod
    def _send(self, message: Said) -> Sent:
        """Send it.

        Raises:
            WorldloomError: the session has ended, or too much waits for an answer.
        """
