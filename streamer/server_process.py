"""`worldloom serve` in a process of its own, seen from outside: started, ready, asked, ended as Ctrl-C does.

Knows the command line, what it prints, /readyz and /metrics; nothing inside the server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

READY_S = 180.0  # seconds that the worlds may take
STOP_S = 15.0  # seconds that the end may take
ASK_EVERY_S = 0.05
SERVE = (sys.executable, "-m", "worldloom.streamer", "serve")


class ServerFailed(Exception):
    """It did not start, did not become ready, or did not end."""


@dataclass
class ServerProcess:
    """One server."""

    process: subprocess.Popen[str]
    url: str  # like http://127.0.0.1:8000
    log: Path | None = None  # what it writes to stderr, where that is not the terminal
    readiness: list[int] = field(default_factory=list)  # answers of /readyz, in order, repeats left out

    @classmethod
    def start(cls, *arguments: str, log: Path | None = None, **environment: str) -> Self:
        """One that listens, on a free port; its worlds may not be ready yet.

        Args:
            arguments: further ones of `worldloom serve`.
            log: takes its stderr.
            environment: variables besides our own.

        Raises:
            ServerFailed: it ended before it listened.
        """
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        command = [*SERVE, "--port", "0", *arguments]
        with nullcontext() if log is None else log.open("w") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=variables)
        assert process.stdout is not None
        url = process.stdout.readline().rpartition(" ")[2].partition("/?")[0].strip()
        started = cls(process, url, log)
        if not url.startswith("http"):
            process.communicate()
            raise ServerFailed(f"the server did not start; it ended with {process.returncode}{started.written()}")
        return started

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one answer; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_until_ready(self, seconds: float = READY_S) -> None:
        """Poll /readyz until it says yes.

        Raises:
            ServerFailed: it did not in time, or ended.
        """
        deadline, said = time.monotonic() + seconds, ""
        while time.monotonic() < deadline and self.process.poll() is None:
            status, said = self.get("/readyz")
            if self.readiness[-1:] != [status]:
                self.readiness.append(status)
            if status == 200:
                return
            time.sleep(ASK_EVERY_S)
        raise ServerFailed(f"the server is not ready: {said}{self.written()}")

    def metric(self, name: str) -> float:
        """Sum over the labels of one metric of /metrics.

        Raises:
            LookupError: there is none of that name.
        """
        text = self.get("/metrics")[1]
        if f"# TYPE {name} " not in text:
            raise LookupError(f"/metrics has no {name}")
        lines = [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self) -> None:
        """End it as Ctrl-C does.

        Raises:
            ServerFailed: it had to be killed.
        """
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise ServerFailed(f"the server did not end on SIGINT{self.written()}") from None

    def written(self) -> str:
        """What it wrote into its log, to be added to a complaint."""
        return f":\n{self.log.read_text()}" if self.log is not None else ""
