"""How a program reaches worlds that make a chunk when they are asked to: in this process, or on a server.

Both drive the same engine; only the way to it differs. `embedded` is the one place where the client reaches the engine
and the worlds, and it imports them when it is called, so that importing the client loads neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worldloom.streamer.worlds import Worlds

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel


def reach(
    world: str | WorldModel[Any], name: str | None, size: int, *, token: str | None = None, deterministic: bool = False
) -> Worlds:
    """So many streams of a world; see `WorldEnv` for the arguments.

    Raises:
        ValueError: an unknown world, or a name or a token without an address.
        WorldloomError: what the server answered.
    """
    if isinstance(world, str) and "://" in world:
        from .remote_worlds import RemoteWorlds

        return RemoteWorlds(world, size, name=name, token=token, deterministic=deterministic)
    if name is not None or token is not None:
        raise ValueError(f"expected no name and no token with {world!r}: they belong to a server's address")
    return embedded(world, size, deterministic=deterministic)


def embedded(world: str | WorldModel[Any], size: int, *, deterministic: bool = False) -> Worlds:
    """Worlds in this process, on an engine of their own."""
    from worldloom.streamer.embed import WorldBatch

    return WorldBatch(world, size, deterministic=deterministic)
