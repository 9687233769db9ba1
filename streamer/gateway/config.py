"""How a fleet is made up, and how long its parts wait for one another."""

from __future__ import annotations

from dataclasses import dataclass

from .placement import Policy


@dataclass(frozen=True)
class FleetConfig:
    """Of one gateway."""

    workers: int = 2  # processes with a server each
    cpus: float = 1.0  # cores of each, as Ray counts them
    gpus: float = 0.0  # devices of each; 1: nobody else's
    policy: Policy = "spread"  # where a session goes, see placement.py
    ask_s: float = 1.0  # seconds between two reports of a worker
    answer_s: float = 3.0  # seconds that a worker may take to answer
    fence_s: float = 6.0  # seconds without a report after which a worker ends itself; longer than `ask_s` + `answer_s`
    margin_s: float = 1.0  # seconds more until its sessions go on elsewhere, where nobody knows that it is dead
    keep_s: float = 60.0  # seconds that a session may be without a worker
    snapshot_s: float = 5.0  # seconds between two snapshots of a session
    vault_bytes: int = 2**30  # what snapshots may hold together in the gateway; who finds no room keeps an older one
    asking: int = 64  # leases that may be under way at once; the next one is told "busy"
    spare: float = 0.2  # share of the places that should be free, for `worldloom_fleet_workers_wanted`
    remember_s: float = 60.0  # seconds that a refused lease counts as somebody who wants a place
