"""`worldloom serve` in a process of its own, for tests that come to it from outside.

Knows the command line, /readyz and /metrics; no browser, no player, no world.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

READY_S = 120.0


@dataclass
class ServerProcess:
    """One server."""

    process: subprocess.Popen[bytes]
    url: str  # like http://127.0.0.1:8000
    log: Path
    readiness: list[int] = field(default_factory=list)  # answers of /readyz, in order, repeats left out

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one answer; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self) -> None:
        """Poll /readyz until it says yes."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            status, _ = self.get("/readyz")
            if self.readiness[-1:] != [status]:
                self.readiness.append(status)
            if status == 200:
                return
            time.sleep(0.02)
        raise AssertionError(f"the server is not ready, /readyz said {self.readiness}:\n{self.log.read_text()}")

    def metric(self, name: str) -> float:
        """Sum over the labels of one metric of /metrics."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith((name + "{", name + " "))]
        assert lines, f"/metrics has no {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def memory_mb(self) -> float:
        """Resident memory of the process and its children."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        family = {self.process.pid}
        for pid, parent, _ in sorted(rows):
            if parent in family:
                family.add(pid)
        return sum(rss for pid, _, rss in rows if pid in family) / 1024

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end on SIGINT:\n{self.log.read_text()}") from None


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
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = folder() / "log"
        command = [sys.executable, "-m", "worldloom.streamer", "serve", "--port", str(port), *arguments]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
        running.append(ServerProcess(process, f"http://127.0.0.1:{port}", log))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop()
