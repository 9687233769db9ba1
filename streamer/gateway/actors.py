"""Workers as plain Ray actors: each process runs the ordinary server on its own port. The only file that imports Ray.

Ray places an actor where its cores or devices are, restarts its process when that dies, and carries the calls. A
process ends itself when it has not heard of the gateway for too long (fence.py). Knows Ray; no session.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

import ray

from ..config import ServerSettings
from ..errors import Draining, WorldloomError, kind_of
from ..lease_messages import Lease, Wanted
from .config import FleetConfig
from .fence import Fence
from .report import Parcel, Report, WorkerAway

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

T = TypeVar("T")

FENCED = 75  # exit status of a process that has been given up
HAND_OVER_S = 20.0  # seconds that a worker may take to save all of its sessions
LEASE_S = 8.0  # seconds that a worker may take to begin a session


@dataclass(frozen=True)
class Refusal:
    """A `WorldloomError` as it travels: Ray would wrap it."""

    code: str
    message: str
    retry_after: float | None
    retryable: bool

    def error(self) -> WorldloomError:
        """The error that it was."""
        error = kind_of(self.code)(self.message)
        error.code, error.retry_after, error.retryable = self.code, self.retry_after, self.retryable
        return error


async def _told(work: Awaitable[T]) -> T | Refusal:
    try:
        return await work
    except WorldloomError as error:
        return Refusal(error.code, str(error), error.retry_after, error.retryable)


class Seat:
    """The actor: its calls are those of `Worker`. It answers before its server is loaded: it is known to live."""

    def __init__(self, settings: ServerSettings, fence_s: float, log_level: str) -> None:
        from ..logs import set_up

        set_up("text", log_level)
        if "{host}" in settings.public_url:
            host = ray.util.get_node_ip_address() if settings.host in ("0.0.0.0", "::") else settings.host
            settings = settings.model_copy(update={"public_url": settings.public_url.replace("{host}", host)})
        self._settings = settings
        self._incarnation = secrets.token_hex(8)
        self._fence = Fence(fence_s)
        self._fence.watch(lambda: os._exit(FENCED))
        self._serving: Serving | None = None
        self._running: asyncio.Task[None] | None = None

    async def report(self, number: int, acknowledged: int, known: dict[str, int]) -> Report:
        """See `Worker`."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        if self._serving is not None:
            return self._serving.report(number, acknowledged, known)
        self._fence.asked(number, acknowledged)
        return Report(self._incarnation, "", ready=False, places=0, taken=0)

    async def lease(self, wanted: Wanted, address: str) -> Lease | Refusal:
        """See `Worker`."""
        return await _told(self._there().lease(wanted, address)) if self._serving else self._starting()

    async def adopt(self, parcel: Parcel) -> None | Refusal:
        """See `Worker`."""
        return await _told(self._there().adopt(parcel)) if self._serving else self._starting()

    async def end(self, session: str, refusal: Refusal | None) -> None:
        """See `Worker`."""
        if self._serving is not None:
            await self._serving.end(session, refusal.error() if refusal else None)

    async def hand_over(self) -> tuple[Parcel, ...]:
        """See `Worker`."""
        return await self._serving.hand_over() if self._serving is not None else ()

    async def close(self) -> None:
        """See `Worker`."""
        if self._serving is not None:
            await self._serving.state.drain()

    async def pid(self) -> int:
        """Of the process."""
        return os.getpid()

    async def _run(self) -> None:
        try:  # on a thread: torch takes seconds to load
            module = await asyncio.to_thread(import_module, "worldloom.streamer.gateway.serving")
            self._serving = module.Serving(self._settings, self._incarnation, self._fence)
            await self._serving.run()
        except BaseException:
            log.critical("a worker's server has failed; its process ends", exc_info=True)
        os._exit(1)  # Ray starts another one

    def _there(self) -> Serving:
        assert self._serving is not None
        return self._serving

    def _starting(self) -> Refusal:
        return Refusal(Draining.code, "the worker is starting; try again in a moment", 1.0, True)


class RayWorker:
    """A `Worker` that is a Ray actor."""

    def __init__(self, name: str, settings: ServerSettings, config: FleetConfig, log_level: str = "info") -> None:
        """Starts it. Needs `ray.init` before."""
        self.name = name
        self._answer_s = config.answer_s
        actor = ray.remote(Seat).options(
            name=f"worldloom-{name}-{secrets.token_hex(4)}",
            num_cpus=config.cpus,
            num_gpus=config.gpus,
            max_restarts=-1,
        )
        self._seat: Any = actor.remote(settings, config.fence_s, log_level)

    async def report(self, number: int, acknowledged: int, known: dict[str, int]) -> Report:
        """See `Worker`."""
        return cast(Report, await self._ask(self._seat.report, number, acknowledged, known))

    async def lease(self, wanted: Wanted, address: str) -> Lease:
        """See `Worker`."""
        return cast(Lease, _unwrapped(await self._ask(self._seat.lease, wanted, address, within_s=LEASE_S)))

    async def adopt(self, parcel: Parcel) -> None:
        """See `Worker`."""
        _unwrapped(await self._ask(self._seat.adopt, parcel))

    async def end(self, session: str, error: WorldloomError | None = None) -> None:
        """See `Worker`."""
        refusal = None if error is None else Refusal(error.code, str(error), error.retry_after, error.retryable)
        await self._ask(self._seat.end, session, refusal)

    async def hand_over(self) -> tuple[Parcel, ...]:
        """See `Worker`."""
        return cast(tuple[Parcel, ...], await self._ask(self._seat.hand_over, within_s=HAND_OVER_S))

    async def close(self) -> None:
        """See `Worker`."""
        await self._ask(self._seat.close)

    async def stop(self, *, again: bool) -> None:
        """See `Worker`."""
        await asyncio.to_thread(ray.kill, self._seat, no_restart=not again)

    async def pid(self) -> int:
        """Of its process."""
        return cast(int, await self._ask(self._seat.pid))

    async def _ask(self, method: Any, *arguments: Any, within_s: float | None = None) -> Any:
        """Raises `WorkerAway`."""
        try:
            return await asyncio.wait_for(_answer(method.remote, *arguments), within_s or self._answer_s)
        except (ray.exceptions.RayError, TimeoutError) as error:
            raise WorkerAway(f"worker {self.name} does not answer: {type(error).__name__}") from error


async def _answer(remote: Callable[..., Any], *arguments: Any) -> Any:
    return await remote(*arguments)


def _unwrapped(answer: Any) -> Any:
    if isinstance(answer, Refusal):
        raise answer.error()
    return answer


def join(address: str | None, cpus: float) -> None:
    """Join the Ray cluster at that address, or begin one on this machine with so many cores, without a dashboard.

    Raises:
        ConnectionError: there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        ray.init(address=address, log_to_driver=True, logging_level="warning")
        return
    ray.init(
        num_cpus=max(1, round(cpus)),
        include_dashboard=False,
        object_store_memory=128 * 2**20,  # parcels pass through it, and are taken out at once
        log_to_driver=True,
        logging_level="warning",
    )


def leave() -> None:
    """End what `join` began."""
    ray.shutdown()
