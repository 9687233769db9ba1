"""Servers in processes of their own, for tests that come to them from outside.

Knows what `ServerProcess` knows, and how to look at a process; no browser, no player, no world.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worldloom.streamer import server_process


class ServerProcess(server_process.ServerProcess):
    """One server."""

    def family(self) -> dict[int, float]:
        """The process and its children: MB of resident memory by process."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        family, before = {self.process.pid}, 0
        while len(family) > before:  # numbers of processes wrap: a child's may be below its parent's
            before = len(family)
            family |= {pid for pid, parent, _ in rows if parent in family}
        return {pid: rss / 1024 for pid, _, rss in rows if pid in family}

    def memory_mb(self) -> float:
        """Resident memory of the process and its children."""
        return sum(self.family().values())

    def engines(self) -> list[int]:
        """The children that step worlds."""
        return self.children("spawn_main")

    def children(self, word: str) -> list[int]:
        """Those, however deep, whose command has this word."""
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in self.family()}
        return [pid for pid, command in commands.items() if word in command]


ServerMaker = Callable[..., ServerProcess]


@contextmanager
def servers(folder: Callable[[], Path]) -> Iterator[ServerMaker]:
    """Starts servers, and ends them on the way out.

    The arguments of a server are those of `worldloom serve`, its keywords are environment variables.

    Args:
        folder: makes a new one for each server's log.
    """
    running: list[ServerProcess] = []

    def start(*arguments: str, **environment: str) -> ServerProcess:
        running.append(ServerProcess.start(*arguments, log=folder() / "log", **environment))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop()
