"""The workers of a gateway: given sessions to, relieved of them when they die or are drained.

One task for each worker hears how it is (heartbeat.py). A session whose worker has died goes on from its latest
snapshot on another one that has a place, or waits for one. Knows workers by what they answer; no Ray, no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import Busy, EngineLost, WorldloomError
from ..lease_messages import Lease, Wanted, Whereabouts
from .config import FleetConfig
from .figures import Figures
from .heartbeat import Heartbeat
from .placement import ranked, workers_wanted
from .registry import Entry, Registry
from .report import Held, Worker, WorkerAway
from .site import Site
from .vault import Vault

log = logging.getLogger(__name__)

HOME_EVERY = 0.2  # seconds between two looks for a place, for sessions that have none


class Fleet:
    """See the module. Belongs to the event loop."""

    def __init__(
        self, workers: Sequence[Worker], config: FleetConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = config
        self.figures = Figures()
        self.registry = Registry()
        self.vault = Vault(config.vault_bytes)
        self._clock = clock
        self._heartbeat = Heartbeat(config, self.registry, self.vault, self.figures, clock)
        self._sites = {worker.name: Site(worker, clock()) for worker in workers}
        self._rng = random.Random()
        self._asking = 0  # leases under way
        self._refused: deque[float] = deque(maxlen=1024)  # when leases found no place, seconds

    @property
    def ready(self) -> bool:
        """Whether any worker takes sessions."""
        return any(site.state == "ready" for site in self._sites.values())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for site in self._sites.values():
                tasks.create_task(self._heartbeat.run(site))
            tasks.create_task(self._find_homes())

    async def close(self) -> None:
        """The gateway stops: everybody at a worker that answers is told, and has left."""
        closing = (site.worker.close() for site in self._sites.values())
        await asyncio.gather(*closing, return_exceptions=True)  # of workers that are away

    # For clients ------------------------------------------------------------------------------------------------------

    async def lease(self, wanted: Wanted, address: str) -> Lease:
        """A place on the best worker that has one.

        Raises:
            Busy: none has; when to ask again is in `retry_after`.
            WorldloomError: the wish cannot be fulfilled anywhere.
        """
        if self._asking >= self.config.asking:
            raise Busy("too many ask for a place at once; try again in a moment")
        self._asking += 1
        try:
            lease = await self._lease(wanted, address)
        except Busy:
            self.figures.leases.labels("busy").inc()
            self._refused.append(self._clock())
            raise
        except WorldloomError:
            self.figures.leases.labels("refused").inc()
            raise
        finally:
            self._asking -= 1
        self.figures.leases.labels("made").inc()
        return lease

    def where(self, entry: Entry) -> Whereabouts:
        """Where a session is. Raises `EngineLost` while it is between two workers: ask again."""
        site = self._sites.get(entry.worker or "")
        if site is None or site.report is None or not entry.settled:
            raise EngineLost("the session's worker has died; it goes on elsewhere in a moment")
        return Whereabouts(session=entry.session, worker_url=site.report.url)

    async def end(self, entry: Entry) -> None:
        """End a session."""
        self._heartbeat.forget(entry)
        if entry.worker is not None:
            try:
                await self._sites[entry.worker].worker.end(entry.session)
            except WorkerAway:  # then it has ended with its worker, or is fenced
                log.info("session %s: its worker %s does not answer", entry.session, entry.worker)

    # For whoever runs it ----------------------------------------------------------------------------------------------

    async def drain(self, name: str, *, again: bool) -> int:
        """Let a worker's sessions go on elsewhere, and end its process; with `again` it starts anew. Returns how many.

        Raises:
            KeyError: there is no such worker.
            WorkerAway: it does not answer; its sessions go on as those of a worker that died.
        """
        site = self._sites[name]
        site.draining = True
        try:
            parcels = await site.worker.hand_over()
            now = self._clock()
            for parcel in parcels:
                self.vault.put(parcel, now)
            await site.worker.stop(again=again)
        except WorkerAway:
            site.draining = False
            raise
        self._heartbeat.evict(site)
        site.draining = not again
        return len(parcels)

    def states(self) -> dict[str, str]:
        """State by worker."""
        return {name: site.state for name, site in self._sites.items()}

    def table(self) -> dict[str, object]:
        """Places by worker, as plain data."""
        rooms = {name: site.room for name, site in self._sites.items()}
        workers = {
            name: {"state": self._sites[name].state, "places": room.places, "taken": room.taken}
            for name, room in rooms.items()
        }
        places, taken = (sum(getattr(room, field) for room in rooms.values()) for field in ("places", "taken"))
        return {"workers": workers, "places": places, "taken": taken}

    def tell_figures(self) -> bytes:
        """For Prometheus."""
        figures, sites, now = self.figures, list(self._sites.values()), self._clock()
        for state in ("ready", "starting", "draining", "away"):
            figures.workers.labels(state).set(sum(site.state == state for site in sites))
        rooms = [site.room for site in sites if site.state == "ready"]
        places, taken = sum(room.places for room in rooms), sum(room.taken for room in rooms)
        homeless = len(self.registry.homeless())
        refused = sum(now - at < self.config.remember_s for at in self._refused)
        each = places / len(rooms) if rooms else 1.0
        figures.places.set(places)
        figures.taken.set(taken)
        figures.sessions.set(len(self.registry))
        figures.homeless.set(homeless)
        figures.vault.set(self.vault.octets)
        figures.wanted.set(workers_wanted(taken + homeless, refused, each, self.config.spare))
        return figures.text()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _ranked(self) -> list[Site]:
        rooms = (site.room for site in self._sites.values())
        return [self._sites[name] for name in ranked(rooms, self.config.policy, self._rng)]

    async def _lease(self, wanted: Wanted, address: str) -> Lease:
        wait_s = []
        for site in self._ranked():
            assert site.report is not None
            incarnation = site.report.incarnation
            site.granted += 1
            try:
                lease = await site.worker.lease(wanted, address)
            except WorkerAway:  # perhaps it was made: nobody comes for it, and it expires
                self.figures.leases.labels("away").inc()
                continue
            except WorldloomError as error:
                site.granted = max(0, site.granted - 1)
                if not error.retryable:
                    raise
                wait_s.append(error.retry_after or Busy.retry_after)
                continue
            held = Held(lease.session, 0, lease.token, "")
            self.registry.began(held, site.name, incarnation, self._clock())
            return lease
        busy = Busy("all places of all workers are taken; try again later")
        busy.retry_after = min(wait_s, default=Busy.retry_after)
        raise busy

    async def _find_homes(self) -> None:
        while True:
            for entry in self.registry.homeless():
                await self._find_home(entry)
            await asyncio.sleep(HOME_EVERY)

    async def _find_home(self, entry: Entry) -> None:
        """Let a session go on, if there is a place."""
        if self.vault.take(entry.session, self._clock()) is None:
            return self._give_up(entry, "snapshot")
        if self._clock() - entry.since > self.config.keep_s:
            return self._give_up(entry, "place")
        for site in self._ranked():
            assert site.report is not None
            epoch = self.registry.assign(entry, site.name, site.report.incarnation, self._clock())
            if await self._move(entry, site, epoch) or entry.worker is not None:
                return None
        return None

    async def _move(self, entry: Entry, site: Site, epoch: int) -> bool:
        """Whether a worker took a session in. One that does not answer may have: its next report tells."""
        parcel = self.vault.take(entry.session, self._clock())
        assert parcel is not None
        site.granted += 1
        try:
            await site.worker.adopt(replace(parcel, epoch=epoch))
        except WorkerAway:
            return False
        except WorldloomError as error:
            log.info("session %s found no place on %s: %s", entry.session, site.name, error)
            self.registry.evict(entry, entry.since)
            return False
        self.registry.settle(entry, self._clock())
        self.figures.moved.inc()
        self.figures.age_seconds.observe(parcel.age_s)
        return True

    def _give_up(self, entry: Entry, cause: str) -> None:
        log.error("session %s cannot go on: no %s", entry.session, cause)
        self.figures.ended.labels(cause).inc()
        self._heartbeat.forget(entry)
