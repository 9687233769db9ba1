"""`worldloom capacity WORLD`: how many sessions fit here, what limits them, and, if asked, whether that is true.

The prediction is the one that admission makes. Proving it opens ever more realtime sessions, past what admission would
let in, until they do not keep their rate. Knows the engine; no server, no codec.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .printing import refuse, show

KEPT = 0.98  # of the world's frame rate: below, sessions do not keep it
BEYOND = 8  # times what was predicted that is tried at most


def capacity(
    world: Annotated[str, typer.Argument(help="which world")],
    prove: Annotated[
        float, typer.Option(min=0.0, help="seconds for each number of sessions that is tried; 0: none")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """How many sessions of a world fit on this machine, and what limits them."""
    from .errors import WorldloomError

    try:
        show(predicted(world, prove), as_json)
    except (ValueError, WorldloomError) as error:
        raise refuse(str(error)) from error


def predicted(world: str, prove: float = 0.0) -> dict[str, Any]:
    """What admission would say with nobody there; with `prove`, the numbers of sessions that did keep their rate.

    Raises:
        ValueError: no such world.
        WorldloomError: it failed.
    """
    from worldloom.models.catalog import open_world

    from .config import ServerSettings
    from .engine import Engine
    from .freed_memory import keep_freed_memory
    from .hardware import hardware, torch_facts
    from .hosting import limits

    keep_freed_memory()
    config, model = limits(ServerSettings()), open_world(world)
    with Engine(model, config) as engine:
        engine.measure().result()
        found = engine.capacity()
    table: dict[str, Any] = {"world": model.spec.name, "hardware": hardware(), **torch_facts(), **found.table()}
    for name in ("sessions", "realtime", "load", "load_of_others", "level"):  # nobody is there
        del table[name]
    if prove:
        tried = proven(model, config, found.places.count, prove)
        table["tried"] = {str(count): round(fps, 2) for count, fps in tried.items()}
        table["kept_rate"] = max((n for n, fps in tried.items() if fps >= KEPT * model.spec.fps), default=0)
    return table


def proven(model: Any, config: Any, expected: int, seconds: float) -> dict[int, float]:
    """Frames a second of the slowest of so many realtime sessions, from what is expected to fit up to what does not.

    Args:
        model: the world.
        config: of its engine.
        expected: sessions that should fit; where they do not, fewer are tried.
        seconds: for each number.
    """
    tried: dict[int, float] = {}
    count = max(1, expected)
    while 1 <= count <= BEYOND * max(1, expected) and count not in tried:
        tried[count] = _rate(model, config, count, seconds)
        kept = tried[count] >= KEPT * model.spec.fps
        if not kept and any(n < count for n in tried):  # a smaller number was tried before: between the two it breaks
            break
        count += max(1, count // 8) if kept else -max(1, count // 8)
    return tried


def _rate(model: Any, config: Any, count: int, seconds: float) -> float:
    """Frames a second of the slowest of `count` realtime sessions whose keys are pressed at random."""
    import time

    from .bench_engine import Stopwatch, play
    from .engine import Engine
    from .origin import Origin

    with Engine(model, config) as engine:
        watches = [Stopwatch() for _ in range(count)]
        sessions = [engine.submit(one, Origin(k), entry="recovered").result() for k, one in enumerate(watches)]
        play(sessions[0], model.spec.actions, 1.0, seed=1)
        begun, before = time.monotonic(), [one.frames for one in watches]
        play(sessions[0], model.spec.actions, seconds, seed=2)
        spent = time.monotonic() - begun
        for one in watches:
            if one.error is not None:
                raise one.error
        return min(one.frames - made for one, made in zip(watches, before, strict=True)) / spent
