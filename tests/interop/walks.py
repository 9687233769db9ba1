"""Clients that walk by themselves, each in a process of its own, behind a line that is cut once on the way.

Knows the lines that walkers print (`walkers/deeds.py`, `examples/godot/walk.gd`); nothing of how they walk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

from tests.serving import ServerProcess
from tests.wire import Wire

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SILENT = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}  # no screen
GODOT_S = "12"  # seconds of its walk, for it cannot be told to stop
AWAY_S = 0.7  # between the cut and the mending
PATIENCE_S = 90.0  # for a walk with all that comes before and after
FAINT = ("KeyW", "KeyS")  # far from where it began, the toy hardly changes when one walks
ENOUGH = 2  # deeds after the cut; then a walk may end

COMMANDS: dict[str, list[str]] = {
    "godot": ["godot3-server", "--path", str(ROOT / "examples" / "godot")],
    "pygame": [sys.executable, "-m", "tests.interop.walkers.pygame_walker", "{url}"],
    # Node 22 has a WebSocket; Node 20 has it behind this flag.
    "node": ["node", "--experimental-websocket", str(HERE / "walkers" / "node_walker.mjs"), "{url}"],
    "chromium": [sys.executable, "-m", "tests.interop.walkers.chromium_walker", "{url}"],
    "python": [sys.executable, "-m", "tests.interop.walkers.python_walker", "{url}"],
}


@dataclass
class Walk:
    """One client's, told by itself; and what was done to it."""

    client: str
    opened: threading.Event = field(default_factory=threading.Event)
    lines: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0  # connections that were ended under it
    status: int | None = None  # of its process, once it has ended
    problems: str = ""

    @property
    def sessions(self) -> list[str]:
        """Of each connection."""
        return [line["session"] for line in self.lines if "session" in line]

    def deeds(self, connection: int) -> list[dict[str, Any]]:
        """What it did on its first connection (0), or on the next (1)."""
        return [line for line in self.lines if "did" in line and line["times_lost"] == connection]

    def go(self, server: ServerProcess, cut_after: threading.Event | None = None) -> None:
        """Walk. The line is cut once, after a deed that was seen, and after what is given has happened."""
        wire = Wire(int(server.url.rsplit(":", 1)[1]))
        url = f"ws://127.0.0.1:{wire.port}"
        command = [part.format(url=url) for part in COMMANDS[self.client]]
        environment = os.environ | SILENT | {"WORLDLOOM_URL": url, "WORLDLOOM_WALK": GODOT_S}
        with subprocess.Popen(
            command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=environment, cwd=ROOT
        ) as process:
            watchdog = threading.Timer(PATIENCE_S, process.kill)
            watchdog.start()
            errors = threading.Thread(target=self._hear_problems, args=(process.stderr,))
            errors.start()
            try:
                for line in process.stdout or ():
                    self._hear(line)
                    if self.cut == 0 and self.deeds(0) and (cut_after is None or cut_after.is_set()):
                        self.cut = wire.cut()
                        time.sleep(AWAY_S)
                        wire.mend()
                    if len(self.deeds(1)) >= ENOUGH and process.stdin is not None:
                        process.stdin.close()
                self.status = process.wait()
            finally:
                watchdog.cancel()
                process.kill()
                errors.join()
                wire.close()
                self.opened.set()

    def _hear(self, line: str) -> None:
        if line.startswith("{"):
            self.lines.append(json.loads(line))
            self.opened.set()

    def _hear_problems(self, stderr: Iterable[str]) -> None:
        self.problems = "".join(stderr)[-2000:]

    def check(self) -> None:
        """It drove, saw and came back."""
        assert self.status == 0, (self.client, self.status, self.problems)
        assert self.cut > 0, f"{self.client}: there was no connection to cut"
        assert len(self.sessions) == 2, (self.client, self.lines)
        assert len(set(self.sessions)) == 1, f"{self.client} came back to another session"
        for connection in (0, 1):
            turned = [
                deed for deed in self.deeds(connection) if deed["status"] == "applied" and deed["did"] not in FAINT
            ]
            assert turned, f"{self.client} did not drive on connection {connection}: {self.lines}"
            for deed in turned:
                assert deed["change"] > 4.0 * deed["rest"] + 4.0, f"{self.client} saw nothing of {deed}"
        frames = [deed["frame"] for connection in (0, 1) for deed in self.deeds(connection)]
        assert frames == sorted(set(frames)), f"{self.client}: frames do not go on: {frames}"

    def told(self) -> str:
        """In a line."""
        before, after = (self.deeds(connection) for connection in (0, 1))
        changes = [deed["change"] for deed in before + after]
        done = f"{len(before)} deeds, cut, {len(after)} more"
        return f"{self.client}: {done}; changes of {min(changes):.0f} to {max(changes):.0f} levels"
