"""What a program holds: keys, and levels of `action` and `axes`, so that it can be said again on another connection.

What the server refuses was never held: what had been before it still is. Knows messages and their answers; no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from worldloom.streamer.client_messages import Action, Axes, Key
from worldloom.streamer.world_info import ActionInfo

from .receipts import Said, Sent


@dataclass
class Levels:
    """All that is held at one moment."""

    keys: dict[str, None] = field(default_factory=dict)  # in order
    row: tuple[float, ...] | None = None  # what `action` said last
    axes: dict[str, float] = field(default_factory=dict)  # what `axes` said since

    def take(self, message: Said) -> None:
        """Hold this too."""
        match message:
            case Key():
                self.keys[message.code] = None
            case Action():
                self.row = message.values
                self.axes.clear()
            case Axes():
                self.axes |= message.values


class Held:
    """See the module."""

    def __init__(self, actions: ActionInfo) -> None:
        self.asked: list[Sent] = []  # and not decided yet; no more than may be unanswered
        self._taken = Levels()
        self._actions = actions
        self._lasting = {*actions.buttons} | {axis.name for axis in actions.axes if axis.kind == "level"}
        self._ranges = dict.fromkeys(actions.buttons, (0.0, 1.0))
        self._ranges |= {axis.name: (axis.low, axis.high) for axis in actions.axes}

    def ask(self, sent: Sent) -> None:
        """A press, or levels. What this world can never obey is not waited for, nor what was never sent."""
        if not sent.failed and self._possible(sent.message):
            self.asked.append(sent)
            sent.answer.add_done_callback(lambda _: self._decided(sent))

    def let_go(self, code: str) -> None:
        """Of a key."""
        self._taken.keys.pop(code, None)
        self.asked = [one for one in self.asked if not (isinstance(one.message, Key) and one.message.code == code)]

    def again(self, number: Callable[[], int]) -> list[Said]:
        """All of it as controls, each with a new number."""
        now = deepcopy(self._taken)
        for sent in self.asked:
            now.take(self._lasting_part(sent.message))
        held: list[Said] = [Key(seq=number(), code=code, down=True) for code in now.keys]
        if now.row is not None:
            held.append(Action(seq=number(), values=now.row))
        if now.axes:
            held.append(Axes(seq=number(), values=now.axes))
        return held

    def _decided(self, sent: Sent) -> None:
        """A server refuses at once and takes in order: it took this one, and all before that it did not refuse."""
        if sent not in self.asked:
            return
        place = self.asked.index(sent)
        if sent.refused:
            del self.asked[place]
            return
        for one in self.asked[: place + 1]:
            self._taken.take(self._lasting_part(one.message))
        del self.asked[: place + 1]

    def _lasting_part(self, message: Said) -> Said:
        """Without amounts, which are spent once."""
        match message:
            case Axes():
                lasting = {name: value for name, value in message.values.items() if name in self._lasting}
                return message.model_copy(update={"values": lasting})
            case Action():
                named = zip(self._actions.columns, message.values, strict=True)
                values = tuple(value if name in self._lasting else 0.0 for name, value in named)
                return message.model_copy(update={"values": values})
            case _:
                return message

    def _possible(self, message: Said) -> bool:
        """Whether a world with these columns can obey."""
        match message:
            case Key():
                return message.code in self._actions.keys
            case Axes():
                return self._within(message.values.items())
            case Action():
                columns = self._actions.columns
                return len(message.values) == len(columns) and self._within(zip(columns, message.values, strict=True))
            case _:
                return False

    def _within(self, values: Iterable[tuple[str, float]]) -> bool:
        """In float32, as the world sees them."""
        return all(
            name in self._ranges
            and np.float32(self._ranges[name][0]) <= np.float32(value) <= np.float32(self._ranges[name][1])
            for name, value in values
        )
