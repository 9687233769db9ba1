"""The worlds that a server offers: each loaded once, behind an engine of its own, and proven before anybody enters.

A world that cannot be loaded, or whose warm-up fails, stays closed and says why; the others open. An engine that dies
is replaced. Knows engines and the catalog of worlds; no sockets, no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

from worldloom.models.catalog import open_world, shipped_worlds
from worldloom.models.spec import WorldModel

from .capacity import Capacity
from .config import ServerSettings
from .engine import Engine
from .engine_child import Job
from .engine_config import EngineConfig, SessionConfig
from .engine_process import EngineProcess
from .engine_stats import EngineStats
from .errors import ModelFault, UnknownWorld
from .home import EngineHome
from .logs import Style
from .past import PastConfig
from .world_info import WorldInfo

log = logging.getLogger(__name__)

WarmUp = Callable[["HostedWorld"], Awaitable[None]]
Make = Callable[[str], EngineHome]
"""An engine, not started, for a name of the catalog, a path, or module:Class."""

RESTART_AFTER = 0.2  # seconds before an engine that died is replaced
END_WITHIN = 2.0  # seconds that the step under way may take when the server stops
PATIENCE = 30.0  # seconds, the longest such wait: it doubles while engines die young


class HostedWorld:
    """One world of this server."""

    def __init__(self, name: str, make: Make, beside: Callable[[HostedWorld], float] = lambda _: 0.0) -> None:
        """`beside` tells the load of the other worlds on this machine."""
        self.source = name  # what it is loaded from: a name of the catalog, a path, or module:Class
        self.restarts = 0  # engines that died and were replaced by one that works
        self.trouble = ""  # why it is closed; empty while all is well
        self._make = make
        self._beside = beside
        self._engine: EngineHome | None = None
        self._ending = False
        self._loaded = asyncio.Event()  # the engine is there, or never will be
        self._proven = asyncio.Event()  # the warm-up is over, well or not, and who was here before is back

    @property
    def name(self) -> str:
        """What clients call it: its own name, once it is loaded."""
        return self._engine.spec.name if self._engine else self.source[-64:]

    @property
    def ready(self) -> bool:
        """Whether sessions may enter now."""
        return self._proven.is_set() and self._sound

    @property
    def _sound(self) -> bool:
        return not self.trouble and self._engine is not None and self._engine.alive

    @property
    def engine(self) -> EngineHome:
        """The engine of a loaded world.

        Raises:
            ModelFault: it did not load.
        """
        if self._engine is None:
            raise ModelFault(f"world {self.name!r} is closed: {self.trouble or 'it has not been loaded'}")
        return self._engine

    def stats(self) -> EngineStats | None:
        """What the engine did and holds; None before there is one."""
        return self._engine.stats() if self._engine else None

    @property
    def load(self) -> float:
        """Share of a frame's time that a step of its realtime sessions takes."""
        return self._engine.load if self._engine else 0.0

    def capacity(self) -> Capacity | None:
        """How many sessions it takes; None before there is an engine."""
        return self._engine.capacity() if self._engine else None

    async def entrance(self) -> EngineHome:
        """The engine, once the world is proven.

        Raises:
            ModelFault: the world is closed.
        """
        await self._proven.wait()
        while self._engine is not None and not (self._engine.alive or self._ending or self.trouble):
            await asyncio.sleep(RESTART_AFTER)  # it has just died, and will be replaced
            await self._proven.wait()
        if not self.ready:
            raise ModelFault(f"world {self.name!r} is closed: {self.trouble or 'its engine has stopped'}")
        return self.engine

    async def info(self) -> WorldInfo | None:
        """What a client is told of it, once it is loaded; None if it never will be."""
        await self._loaded.wait()
        return WorldInfo.of(self._engine.spec) if self._engine else None

    async def begin(self, warm_up: WarmUp | None) -> None:
        """Load the world, start its engine, prove it, open. Never raises: `trouble` says what went wrong."""
        try:
            await self._prove(warm_up)
        finally:
            self._proven.set()

    async def _prove(self, warm_up: WarmUp | None) -> None:
        started = time.monotonic()
        try:
            await asyncio.to_thread(self._start)
            self._loaded.set()
            self.trouble = ""
            if warm_up is not None:
                await warm_up(self)
            log.info("world %s is ready after %.1f s", self.name, time.monotonic() - started)
        except Exception as error:  # a third party's world may fail in any way
            self.trouble = f"{type(error).__name__}: {error}"[:256]
            log.exception("world %s stays closed", self.name)
        finally:
            self._loaded.set()

    async def keep(self, warm_up: WarmUp | None, recover: Callable[[HostedWorld], Awaitable[None]]) -> None:
        """Replace the engine whenever it dies. `recover` lets its sessions go on, before anybody else may enter. Ends
        with the world.
        """
        wait = RESTART_AFTER
        try:
            while self._engine is not None:
                begun = time.monotonic()
                await asyncio.wrap_future(self._engine.over)
                if self._ending:
                    return
                self._proven.clear()  # nobody enters meanwhile
                if time.monotonic() - begun > PATIENCE:
                    wait = RESTART_AFTER
                log.error("world %s: its engine has died; another starts in %.1f s", self.name, wait)
                await asyncio.sleep(wait)
                wait = min(2.0 * wait, PATIENCE)
                await self._prove(warm_up)
                if self._sound:
                    self.restarts += 1
                    await recover(self)
                self._proven.set()
        finally:
            self._ending = True
            self._proven.set()  # whoever waits for an engine waits in vain

    def _start(self) -> None:
        """Start an engine. Whoever waits for this may be cancelled: an engine that comes too late ends here."""
        engine = self._make(self.source)
        engine.others = lambda: self._beside(self)
        engine.start()
        self._engine = engine
        if self._ending:
            engine.stop()

    async def end(self) -> None:
        """End every session and the engine."""
        self._ending = True
        if self._engine is None:
            return
        try:
            await asyncio.to_thread(self._engine.stop, END_WITHIN)
        except TimeoutError as error:
            log.error("world %s: %s", self.name, error)


class HostedWorlds:
    """All worlds of this server, the default one first."""

    def __init__(self, names: Sequence[str], make: Make) -> None:
        chosen = tuple(names) or shipped_worlds() or ("toy",)
        if len(set(chosen)) != len(chosen):
            raise ValueError(f"expected distinct worlds, got {chosen}")
        self._worlds = tuple(HostedWorld(name, make, self._load_beside) for name in chosen)

    def __iter__(self) -> Iterator[HostedWorld]:
        return iter(self._worlds)

    def _load_beside(self, world: HostedWorld) -> float:
        """They share the machine: what the others take is not there for this one."""
        return sum(other.load for other in self._worlds if other is not world)

    @property
    def names(self) -> tuple[str, ...]:
        """What `hello` may ask for."""
        return tuple(world.name for world in self._worlds)

    def named(self, name: str | None) -> HostedWorld:
        """A world by name, the default one for None.

        Raises:
            UnknownWorld: it is not served here; the message lists those that are.
        """
        if name is None:
            return self._worlds[0]
        for world in self._worlds:
            if name in (world.name, world.source):
                return world
        raise UnknownWorld(f"expected one of the worlds {', '.join(self.names)}; got {name!r}")


def limits(settings: ServerSettings) -> EngineConfig:
    """What an engine of this server may take."""
    most = settings.max_sessions or EngineConfig.max_sessions
    past = PastConfig(settings.rewind_seconds, settings.rewind_bytes, settings.max_snapshots)
    return EngineConfig(
        max_sessions=most,
        max_batch=most,
        most_bytes=settings.memory_budget,
        share=settings.step_share,
        session=SessionConfig(past=past, park_after=settings.park_after),
    )


def engines(
    home: Literal["thread", "process"],
    config: EngineConfig,
    *,
    load: Callable[[str], WorldModel[Any]] = open_world,
    log_as: tuple[Style, str] = ("text", "info"),
) -> Make:
    """How engines of that home are made. For a process of its own, `load` must be a function of a module."""
    if home == "process":
        return lambda source: EngineProcess(Job(load, source, config, log_as))
    return lambda source: Engine(load(source), config)
