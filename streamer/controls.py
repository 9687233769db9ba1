"""From control events to action rows: what is held, what is to be spent, and what became of each event.

Knows one world's `ActionSpec` and nothing about sessions, time or sockets. Levels (buttons, keys, level axes) are
sampled once a chunk and hold until changed; amounts (look, mouse, amount axes) are summed and spent once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import ActionSpec

from .client_messages import Action, Axes, Key, Look
from .fields import Status

Event: TypeAlias = Key | Look | Axes | Action

MAX_WAITING_AMOUNTS = 256  # `look` and amount parts between two chunks; further ones are dropped and expire
CARRY_CHUNKS = 2  # what does not fit one chunk may be spent in this many more; the rest is dropped


@dataclass(frozen=True)
class Outcome:
    """What became of one event."""

    seq: int
    status: Status


@dataclass(eq=False)
class _Ticket:
    """An event that still waits for its outcome."""

    seq: int
    number: int  # in order of arrival
    parts: int = 1  # columns in which it can still shape a frame


@dataclass
class _Amount:
    """One event's share of the sum that waits in one column."""

    ticket: _Ticket
    column: int
    ahead: float  # what must be spent before this share begins


class ControlState:
    """The controls of one stream, sampled chunk by chunk.

    A key that goes down and up between two samples is held for one chunk, and its release takes effect in the next:
    the shortest press is one chunk. Keys that drive one column add up, so opposing ones cancel; every column is
    clipped to its range.
    """

    def __init__(self, spec: ActionSpec, chunk: int) -> None:
        self.last_applied = 0  # seq of the newest event that shaped a sample
        self.dropped_amounts = 0  # parts of events that were dropped because too much waited
        self.spec = spec
        self._chunk = chunk
        self._columns = {name: index for index, name in enumerate(spec.columns)}
        self._low, self._high = spec.low.astype(np.float64), spec.high.astype(np.float64)
        self._is_amount = np.array([False] * len(spec.buttons) + [axis.kind == "amount" for axis in spec.axes], bool)
        self._spends = self._is_amount | np.isin(spec.columns, [axis for axis in spec.look if axis is not None])
        self._down: dict[str, None] = {}  # keys that are held; a dict, so that sums have one order everywhere
        self._press: dict[str, _Ticket] = {}
        self._release: dict[str, _Ticket] = {}
        self._level = np.zeros(len(self._columns))  # what axes and actions hold
        self._level_tickets: dict[int, _Ticket] = {}
        self._action: tuple[_Ticket, NDArray[np.float64]] | None = None  # amounts of the newest action
        self._sum = np.zeros(len(self._columns))  # amounts to spend
        self._amounts: list[_Amount] = []
        self._outcomes: list[Outcome] = []
        self._arrivals = 0
        self._newest = 0  # arrival number behind `last_applied`

    def apply(self, event: Event) -> None:
        """Take in one event that `validation.check_event` has passed."""
        self._arrivals += 1
        ticket = _Ticket(event.seq, self._arrivals)
        match event:
            case Key():
                self._take_key(ticket, event)
            case Look():
                feeds = zip(self.spec.look, (event.yaw, event.pitch), strict=True)
                self._take_amounts(ticket, {self._columns[axis]: value for axis, value in feeds if axis is not None})
            case Axes():
                values = {self._columns[name]: value for name, value in event.values.items()}
                amounts = {column: value for column, value in values.items() if self._is_amount[column]}
                levels = {column: value for column, value in values.items() if not self._is_amount[column]}
                ticket.parts = len(values)
                self._take_levels(ticket, levels)
                self._take_amounts(ticket, amounts, parts=len(values))
            case Action():
                self._take_action(ticket, event)

    def sample(self) -> NDArray[np.float32]:
        """(F, A) rows for the next chunk. Outcomes of what shaped it are added to `drain`."""
        for code, ticket in self._press.items():
            self._down[code] = None
            self._shaped(ticket)
        for code in [code for code in self._release if code not in self._press]:
            self._down.pop(code, None)
            self._shaped(self._release.pop(code))
        self._press.clear()
        for ticket in self._level_tickets.values():
            self._shaped(ticket)
        self._level_tickets.clear()
        base = np.clip(self._level + self._held(), self._low, self._high)
        spent = self._spend(base)
        row = np.clip(base + spent / self._chunk, self._low, self._high)
        return np.repeat(row[None].astype(np.float32), self._chunk, axis=0)

    def settle(self, status: Status) -> None:
        """Close every waiting event with `status`: levels are kept, so that no key sticks; amounts are dropped."""
        for code, ticket in self._press.items():
            self._down[code] = None
            self._close(ticket, status)
        for code, ticket in self._release.items():
            self._down.pop(code, None)
            self._close(ticket, status)
        for ticket in self._level_tickets.values():
            self._close(ticket, status)
        for amount in self._amounts:
            self._close(amount.ticket, status)
        if self._action is not None:
            self._close(self._action[0], status)
        self._press.clear()
        self._release.clear()
        self._level_tickets.clear()
        self._amounts.clear()
        self._sum[:] = 0.0
        self._action = None

    def let_go(self) -> None:
        """Nobody holds anything any more: every key goes up, every level to rest; what waits expires."""
        self.settle("expired")
        self._down.clear()
        self._level[:] = 0.0

    def drain(self) -> list[Outcome]:
        """Outcomes since the last call; each event is named exactly once."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    # Taking events in -------------------------------------------------------------------------------------------------

    def _take_key(self, ticket: _Ticket, event: Key) -> None:
        if event.down:
            for waiting in (self._press, self._release):  # a new press replaces a tap that was never sampled
                if event.code in waiting:
                    self._close(waiting.pop(event.code), "superseded")
            self._press[event.code] = ticket
        else:
            if event.code in self._release:
                self._close(self._release.pop(event.code), "superseded")
            self._release[event.code] = ticket

    def _take_levels(self, ticket: _Ticket, levels: dict[int, float]) -> None:
        for column, value in levels.items():
            if column in self._level_tickets:
                self._lose(self._level_tickets[column], "superseded")
            self._level[column] = value
            self._level_tickets[column] = ticket

    def _take_amounts(self, ticket: _Ticket, amounts: dict[int, float], *, parts: int | None = None) -> None:
        ticket.parts = len(amounts) if parts is None else parts
        for column, value in amounts.items():
            if len(self._amounts) >= MAX_WAITING_AMOUNTS:
                self.dropped_amounts += 1
                self._lose(ticket, "expired")
                continue
            waiting = float(self._sum[column])
            self._amounts.append(_Amount(ticket, column, abs(waiting) if waiting * value > 0 else 0.0))
            self._sum[column] += value

    def _take_action(self, ticket: _Ticket, event: Action) -> None:
        if self._action is not None:
            self._lose(self._action[0], "superseded")
        values = np.array(event.values)
        levels = {int(column): float(values[column]) for column in np.flatnonzero(~self._is_amount)}
        for column in range(len(self.spec.buttons)):
            levels[column] = float(levels[column] >= 0.5)
        ticket.parts = 1 + len(levels)
        self._action = (ticket, np.where(self._is_amount, values, 0.0))
        self._take_levels(ticket, levels)

    # Sampling ---------------------------------------------------------------------------------------------------------

    def _held(self) -> NDArray[np.float64]:
        """(A,) what the held keys add to one frame."""
        held = np.zeros(len(self._columns))
        for code in self._down:
            key = self.spec.keys[code]
            held[self._columns[key.column]] += key.value
        return held

    def _spend(self, base: NDArray[np.float64]) -> NDArray[np.float64]:
        """(A,) amounts that this chunk spends beside `base`; carries over what may still fit."""
        total = self._sum.copy()
        if self._action is not None:
            total += self._action[1]
            self._shaped(self._action[0])
            self._action = None
        room_low, room_high = (self._low - base) * self._chunk, (self._high - base) * self._chunk
        spent = np.where(self._spends, np.clip(total, room_low, room_high), 0.0)
        left = np.where(self._spends, total - spent, 0.0)
        self._sum = np.clip(left, CARRY_CHUNKS * room_low, CARRY_CHUNKS * room_high)
        self._amounts = [amount for amount in self._amounts if not self._is_decided(amount, spent, left)]
        return spent

    def _is_decided(self, amount: _Amount, spent: NDArray[np.float64], left: NDArray[np.float64]) -> bool:
        """Whether this share began to be spent, or was dropped."""
        now = abs(float(spent[amount.column]))
        if amount.ahead < now or left[amount.column] == 0.0:
            self._shaped(amount.ticket)
            return True
        amount.ahead -= now
        if amount.ahead >= abs(float(self._sum[amount.column])):
            self.dropped_amounts += 1
            self._lose(amount.ticket, "expired")
            return True
        return False

    # Outcomes ---------------------------------------------------------------------------------------------------------

    def _shaped(self, ticket: _Ticket) -> None:
        self._close(ticket, "applied")
        if ticket.number > self._newest:
            self._newest, self.last_applied = ticket.number, ticket.seq

    def _lose(self, ticket: _Ticket, status: Status) -> None:
        """One part of the event came to nothing; the last one decides."""
        if ticket.parts == 1:
            self._close(ticket, status)
        elif ticket.parts > 1:
            ticket.parts -= 1

    def _close(self, ticket: _Ticket, status: Status) -> None:
        if ticket.parts > 0:
            ticket.parts = 0
            self._outcomes.append(Outcome(ticket.seq, status))
