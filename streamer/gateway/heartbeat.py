"""Workers are asked once a second how they are and what they hold, and it is compared with what they should.

A worker whose process is another one than before, or that has been silent for so long that it has ended itself
(fence.py), has lost its sessions: nobody owns them then. Snapshots that come with a report are kept. Knows workers by
what they answer; gives nobody a place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from .config import FleetConfig
from .figures import Figures
from .registry import Entry, Registry
from .report import Held, Report, WorkerAway
from .site import Site
from .vault import Vault

log = logging.getLogger(__name__)


class Heartbeat:
    """See the module. Belongs to the event loop."""

    def __init__(
        self, config: FleetConfig, registry: Registry, vault: Vault, figures: Figures, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._registry = registry
        self._vault = vault
        self._figures = figures
        self._clock = clock

    async def run(self, site: Site) -> None:
        """Ask one worker for ever; until cancelled."""
        while True:
            await self._ask(site)
            await asyncio.sleep(self._config.ask_s)

    def evict(self, site: Site) -> None:
        """Its process is dead for certain: it owns nothing."""
        site.report, site.granted, site.acknowledged = None, 0, 0
        for entry in self._registry.of(site.name):
            self._registry.evict(entry, self._clock())

    def forget(self, entry: Entry) -> None:
        """A session has ended."""
        self._registry.forget(entry)
        self._vault.drop(entry.session)

    async def _ask(self, site: Site) -> None:
        site.number += 1
        number, began, granted = site.number, self._clock(), site.granted
        known = self._vault.stamps({entry.session for entry in self._registry.of(site.name)})
        try:
            report = await site.worker.report(number, site.acknowledged, known)
        except WorkerAway:
            silent = self._clock() - site.heard
            if silent > self._config.fence_s + self._config.margin_s and site.report is not None:
                log.error("worker %s has been silent for %.1f s: its sessions go on elsewhere", site.name, silent)
                self._lost(site)
            return
        if site.report is not None and report.incarnation != site.report.incarnation:
            log.error("worker %s has died and started anew: its sessions go on elsewhere", site.name)
            self._lost(site)
            granted = 0
        site.report, site.heard, site.acknowledged = report, self._clock(), number
        site.granted = max(0, site.granted - granted)
        await self._compare(site, report, began)

    def _lost(self, site: Site) -> None:
        """Its process has died."""
        self._figures.lost.inc()
        self.evict(site)

    async def _compare(self, site: Site, report: Report, began: float) -> None:
        """What a worker says it holds, and what it should."""
        held = {one.session: one for one in report.held}
        for parcel in report.parcels:
            self._vault.put(parcel, began)
        for one in report.held:
            self._registry.began(one, site.name, report.incarnation, self._clock())
            entry = self._registry.get(one.session)
            if entry is not None and entry.worker != site.name and entry.epoch >= one.epoch:
                await self._fenced(site, one, entry)
        for entry in self._registry.of(site.name):
            if entry.session in held:
                entry.watch = held[entry.session].watch
                if held[entry.session].epoch == entry.epoch:
                    entry.settled = True
            elif entry.since < began and entry.settled:
                self.forget(entry)
            elif entry.since < began:
                self._registry.evict(entry, self._clock())  # it was not taken in

    async def _fenced(self, site: Site, one: Held, entry: Entry) -> None:
        """A worker holds what is another's: an answer that got lost."""
        log.warning("session %s is %s's; %s ends it", one.session, entry.worker, site.name)
        with suppress(WorkerAway):  # the next report tells
            await site.worker.end(one.session)
