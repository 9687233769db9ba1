"""One direction of a link as plain logic: packets go in at a time, and come out later or never.

Knows conditions, a queue and the time that it is told; nothing of devices, namespaces or processes.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

UDP = 17  # in the protocol field of an IPv4 header


@dataclass(frozen=True)
class Conditions:
    """What a direction does to its packets. As they stand here they do nothing."""

    loss: float = 0.0  # fraction of the packets
    delay_ms: float = 0.0
    jitter_ms: float = 0.0  # each delay is up to so much shorter or longer; packets keep their order
    rate_bps: float = 0.0  # bits a second; 0: no limit
    queue_bytes: int = 64 * 1024  # may wait where there is a rate; what comes on top is dropped
    duplicate: float = 0.0  # fraction of the packets
    down: bool = False  # nothing passes, and what was under way is gone
    block_udp: bool = False  # as a firewall does

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} as a fraction from 0 to 1, got {getattr(self, name)}")
        for name in ("delay_ms", "jitter_ms", "rate_bps", "queue_bytes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"expected {name} to be at least 0, got {getattr(self, name)}")


@dataclass
class Counts:
    """What became of the packets of one direction."""

    entered: int = 0
    forwarded: int = 0  # copies included
    forwarded_bytes: int = 0
    lost: int = 0
    queue_drops: int = 0
    cut: int = 0  # by an outage
    blocked: int = 0
    duplicated: int = 0


class Lane:
    """A queue before a wire of some rate, then a wire of some length on which packets get lost."""

    def __init__(self, seed: int) -> None:
        self.conditions = Conditions()
        self.counts = Counts()
        self._random = random.Random(seed)
        self._queue: deque[tuple[float, bytes]] = deque()  # when it came; waits for its turn on the wire
        self._queued_bytes = 0
        self._free_at = 0.0  # when the wire has taken the packet before
        self._under_way: deque[tuple[float, bytes]] = deque()  # when it arrives, unless it waits for one before

    def enter(self, packet: bytes, now: float) -> None:
        """A packet comes, at a time in seconds that never goes back."""
        conditions, counts = self.conditions, self.counts
        self._transmit(now)
        counts.entered += 1
        if conditions.down:
            counts.cut += 1
        elif conditions.block_udp and packet[9] == UDP:
            counts.blocked += 1
        elif self._free_at > now and self._queued_bytes + len(packet) > conditions.queue_bytes:
            counts.queue_drops += 1
        else:
            self._queue.append((now, packet))
            self._queued_bytes += len(packet)
            self._transmit(now)

    def leave(self, now: float) -> list[bytes]:
        """The packets that have arrived by now, in order."""
        self._transmit(now)
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(self._under_way.popleft()[1])
        if self.conditions.down:
            self.counts.cut += len(arrived)
            return []
        self.counts.forwarded += len(arrived)
        self.counts.forwarded_bytes += sum(map(len, arrived))
        return arrived

    def next_at(self) -> float:
        """When `leave` has something to do next; infinity where only a packet can change that."""
        arrives = self._under_way[0][0] if self._under_way else math.inf
        return min(arrives, self._free_at) if self._queue else arrives

    def _transmit(self, now: float) -> None:
        """Put on the wire what fits by now. A turn begins when the one before ended, however late we are called:
        lateness would add up to a lower rate. The rate counts as it is at that moment: what waits when it changes is
        sent at the new one."""
        while self._queue and self._free_at <= now:
            came, packet = self._queue.popleft()
            self._queued_bytes -= len(packet)
            rate = self.conditions.rate_bps
            self._free_at = max(came, self._free_at) + (8 * len(packet) / rate if rate else 0.0)
            self._send(packet, self._free_at)

    def _send(self, packet: bytes, sent_at: float) -> None:
        conditions = self.conditions
        if self._random.random() < conditions.loss:  # only now: a lost packet has used the wire too
            self.counts.lost += 1
            return
        jitter = self._random.uniform(-conditions.jitter_ms, conditions.jitter_ms)
        arrives = sent_at + max(0.0, conditions.delay_ms + jitter) / 1000
        self._under_way.append((arrives, packet))
        if self._random.random() < conditions.duplicate:
            self.counts.duplicated += 1
            self._under_way.append((arrives, packet))
