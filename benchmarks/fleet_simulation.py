"""A fleet that is simulated: sessions that come, wait, stay and leave, workers that grow slower and die.

Workers are step curves that were measured, placed by the gateway's own functions (`streamer/gateway/placement.py`),
which see reports up to a second old. Everything else is an assumption, and a field of `Plan`. Knows no file.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import simpy

from worldloom.streamer.capacity import Line, fit
from worldloom.streamer.gateway.placement import Policy, Room, ranked

MOST = 64  # sessions of one worker


@dataclass(frozen=True)
class Plan:
    """What is simulated. Seconds, unless a field says otherwise."""

    world: str = "arm"  # whose step curve
    policy: Policy = "spread"
    load: float = 0.85  # share of all places that those who come would take
    workers: int = 500
    sessions: int = 10_000  # counted, after those that fill the fleet
    seed: int = 1
    share: float = 0.85  # of a chunk's duration that a step may take, as `step_share`
    stay_median: float = 480.0
    stay_sigma: float = 1.0  # of the stay's logarithm
    patience: float = 120.0  # that somebody waits for a place
    retry: float = 5.0  # between two questions, as `Retry-After` says
    report: float = 1.0  # between two reports of a worker
    lives: float = 100 * 3600.0  # mean, of a worker's process
    noticed: float = 4.2  # until its sessions go on: measured, see docs/fleet.md
    again: float = 13.0  # until its next process takes sessions: measured, the toy world on two shared cores
    keep: float = 60.0  # that a session may be without a worker
    snapshot: float = 6.1  # mean age of what it goes on from: measured
    drift: float = 600.0  # mean, until a machine's speed changes
    slowness_sigma: float = 0.15  # of the logarithm of a machine's step times


@dataclass
class Result:
    """What was seen of the sessions that count."""

    waits: list[float] = field(default_factory=list)  # of those who got in, seconds
    came: int = 0
    left: int = 0  # who had no patience any more
    moved: int = 0  # sessions that went on elsewhere
    lost: int = 0  # that could not
    stream_s: float = 0.0
    overloaded_s: float = 0.0  # session-seconds in steps that take more than a chunk's duration
    dark_s: float = 0.0  # session-seconds between two workers
    repeated_s: float = 0.0  # seconds of world that were lost with snapshots
    idle_worker_s: float = 0.0
    worker_s: float = 0.0
    refused_with_room: int = 0  # questions that were refused while some worker had a place
    refused: int = 0


class Machine:
    """A worker."""

    def __init__(self, name: str, line: Line, period_ms: float, plan: Plan) -> None:
        self.name = name
        self.line = line
        self.period_ms = period_ms
        self.plan = plan
        self.alive = True
        self.sessions: dict[int, simpy.Process] = {}
        self.slow(1.0)
        self.room = Room(name, self.places, 0)  # as the gateway knows it

    def slow(self, slowness: float) -> None:
        """Its steps take so many times as long as was measured. Its engine says how many places that makes."""
        self.slowness = slowness
        now = Line(self.line.base * slowness, self.line.each * slowness)
        self._places = max(1, now.fitting(self.plan.share * self.period_ms, MOST))

    @property
    def places(self) -> int:
        """While it lives."""
        return self._places if self.alive else 0

    @property
    def overloaded(self) -> bool:
        """Whether its step takes longer than the frames last."""
        return bool(self.sessions) and self.line.at(len(self.sessions)) * self.slowness > self.period_ms

    def report(self) -> None:
        self.room = Room(self.name, self.places, len(self.sessions))

    def grant(self) -> None:
        self.room = replace(self.room, taken=self.room.taken + 1)


class Simulation:
    """One run."""

    def __init__(self, plan: Plan, curves: dict[str, Any]) -> None:
        curve = curves[plan.world]
        times = {int(batch): float(ms) for batch, ms in curve["step_ms"].items()}
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.env = simpy.Environment()
        line = fit(times)
        names = [f"w{number}" for number in range(plan.workers)]
        self.machines = {name: Machine(name, line, curve["period_ms"], plan) for name in names}
        self.changed = set(self.machines.values())  # since the latest report
        for machine in self.machines.values():
            machine.slow(self._slowness())
        self.places = sum(machine.places for machine in self.machines.values())
        self.seen = Result()
        self.mean_stay = plan.stay_median * math.exp(plan.stay_sigma**2 / 2)
        self.counted_from = math.inf
        self.numbers = 0

    def run(self) -> dict[str, Any]:
        """Until every session that counts has come; what was seen, as plain data."""
        for machine in self.machines.values():
            self.env.process(self._life(machine))
            self.env.process(self._weather(machine))
        self.env.process(self._reports())
        self.env.process(self._meter())
        arrivals = self.env.process(self._arrivals(self.places * self.plan.load / self.mean_stay))
        self.env.run(until=arrivals)
        return self._told()

    # What happens -----------------------------------------------------------------------------------------------------

    def _arrivals(self, rate: float) -> Generator[simpy.Event, Any, None]:
        for _ in range(round(rate * self.mean_stay)):  # the fleet as it is on an ordinary day, nearly
            self.env.process(self._visit(counts=False))
        while self.env.now < 2 * self.mean_stay:
            yield self.env.timeout(self.rng.expovariate(rate))
            self.env.process(self._visit(counts=False))
        self.counted_from = self.env.now
        for _ in range(self.plan.sessions):
            yield self.env.timeout(self.rng.expovariate(rate))
            self.env.process(self._visit(counts=True))

    def _visit(self, *, counts: bool) -> Generator[simpy.Event, Any, None]:
        self.numbers += 1
        number, came = self.numbers, self.env.now
        self.seen.came += counts
        while (machine := self._placed()) is None:
            if self.env.now - came + self.plan.retry > self.plan.patience:
                self.seen.left += counts
                return
            yield self.env.timeout(self.plan.retry)
        if counts:
            self.seen.waits.append(self.env.now - came)
        left = self.rng.lognormvariate(math.log(self.plan.stay_median), self.plan.stay_sigma)
        while left > 0 and machine is not None:
            began = self.env.now
            machine.sessions[number] = self.env.active_process
            self.changed.add(machine)
            try:
                yield self.env.timeout(left)
            except simpy.Interrupt:
                left -= self.env.now - began
                machine = yield from self._moved()
                continue
            del machine.sessions[number]
            self.changed.add(machine)
            return

    def _moved(self) -> Generator[simpy.Event, Any, Machine | None]:
        """Its worker has died: another one, or none in time."""
        died = self.env.now
        yield self.env.timeout(self.plan.noticed)
        while (machine := self._placed()) is None:
            if self.env.now - died > self.plan.keep:
                self.seen.lost += self._counting
                return None
            yield self.env.timeout(0.2)
        if self._counting:
            self.seen.moved += 1
            self.seen.dark_s += self.env.now - died
            self.seen.repeated_s += self.rng.uniform(0.5, 1.5) * self.plan.snapshot
        return machine

    def _placed(self) -> Machine | None:
        """A worker with a place. What the gateway knows may be wrong: the worker has the last word."""
        for name in ranked((machine.room for machine in self.machines.values()), self.plan.policy, self.rng):
            machine = self.machines[name]
            machine.grant()
            self.changed.add(machine)
            if len(machine.sessions) < machine.places:
                return machine
        if self._counting:
            self.seen.refused += 1
            self.seen.refused_with_room += any(len(m.sessions) < m.places for m in self.machines.values())
        return None

    def _life(self, machine: Machine) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.env.timeout(self.rng.expovariate(1 / self.plan.lives))
            machine.alive = False
            self.changed.add(machine)
            sessions, machine.sessions = machine.sessions, {}
            for process in sessions.values():
                process.interrupt()
            yield self.env.timeout(self.plan.again)
            machine.alive = True
            self.changed.add(machine)

    def _weather(self, machine: Machine) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.env.timeout(self.rng.expovariate(1 / self.plan.drift))
            machine.slow(self._slowness())
            self.changed.add(machine)

    def _reports(self) -> Generator[simpy.Event, Any, None]:
        while True:
            for machine in self.changed:
                machine.report()
            self.changed.clear()
            yield self.env.timeout(self.plan.report)

    def _meter(self, every: float = 5.0) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.env.timeout(every)
            if not self._counting:
                continue
            seen, machines = self.seen, list(self.machines.values())
            seen.stream_s += every * sum(len(machine.sessions) for machine in machines)
            seen.overloaded_s += every * sum(len(machine.sessions) for machine in machines if machine.overloaded)
            seen.worker_s += every * len(machines)
            seen.idle_worker_s += every * sum(not machine.sessions for machine in machines)

    def _slowness(self) -> float:
        return self.rng.lognormvariate(0.0, self.plan.slowness_sigma)

    @property
    def _counting(self) -> bool:
        return self.env.now >= self.counted_from

    def _told(self) -> dict[str, Any]:
        seen = self.seen
        busy_s = seen.worker_s - seen.idle_worker_s
        return {
            "plan": {name: getattr(self.plan, name) for name in ("world", "policy", "load", "seed")},
            "places": self.places,
            "sessions": seen.came,
            "hours": round((self.env.now - self.counted_from) / 3600, 2),
            "wait_s": {f"p{q}": round(percentile(seen.waits, q), 2) for q in (50, 95, 99)},
            "waited": round(sum(wait > 0 for wait in seen.waits) / max(1, len(seen.waits)), 4),
            "left_without": round(seen.left / seen.came, 4),
            "refused_with_room": round(seen.refused_with_room / max(1, seen.refused), 4),
            "overloaded": round(seen.overloaded_s / seen.stream_s, 4),
            "idle_workers": round(seen.idle_worker_s / seen.worker_s, 4),
            "moved": seen.moved,
            "lost": seen.lost,
            "dark_s": round(seen.dark_s / max(1, seen.moved), 2),
            "worker_hours_per_stream_hour": round(seen.worker_s / seen.stream_s, 4),
            "the_same_without_idle_workers": round(busy_s / seen.stream_s, 4),
        }


def percentile(values: Sequence[float], q: int) -> float:
    """Nearest rank; 0 where there are none."""
    return sorted(values)[max(0, math.ceil(q / 100 * len(values)) - 1)] if values else 0.0
