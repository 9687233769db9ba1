"""Two network namespaces joined by a link in user space, whose loss, delay and rate change while it runs.

Needs no kernel module, and no privilege where users may make namespaces. Each namespace lives as long as a process is
in it or holds it, and one process holds both: the forwarder. It ends when its input ends, so nothing outlives us, not
even when we are killed. Knows namespaces and commands; nothing of servers, browsers or worlds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from .lane import Conditions, Counts

Side = Literal["a", "b"]
Direction = Literal["ab", "ba"]
DIRECTIONS: tuple[Direction, Direction] = ("ab", "ba")
ROOT = Path(__file__).parents[2]
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
CLOSE_S = 10.0  # seconds that the forwarder may take to clean up


class NoNamespaces(Exception):
    """This machine has no tools for namespaces or TUN devices, or allows us none."""


class Link:
    """Side a and side b, in namespaces of their own, with nothing between them but this.

    Use it as a context manager. `seed` decides which packets are lost.

    Raises:
        NoNamespaces: on entering, with the reason.
    """

    def __init__(self, *, seed: int = 1) -> None:
        self.address: dict[Side, str] = {}
        self.namespace: dict[Side, str] = {}  # a path for `nsenter --net=`
        self._seed = seed
        self._conditions = {direction: Conditions() for direction in DIRECTIONS}
        self._forwarder: subprocess.Popen[str] | None = None
        self._asking = threading.Lock()
        self._started: list[subprocess.Popen[Any]] = []

    @property
    def pid(self) -> int:
        """Of the forwarder, which holds both namespaces."""
        assert self._forwarder is not None, "the link is not up"
        return self._forwarder.pid

    def __enter__(self) -> Self:
        for tool, package in TOOLS.items():
            if shutil.which(tool) is None:
                raise NoNamespaces(f"no `{tool}` on the PATH; it comes with {package}")
        # `unshare` becomes the forwarder. Python could make the namespaces itself, but /proc entries of a process that
        # has changed its rights without an exec are closed to the user who started it, and `nsenter` needs them.
        command = ["unshare", "--user", "--map-root-user", "--net"]
        command += [sys.executable, "-m", "tests.network.forwarder", str(self._seed)]
        pipe = subprocess.PIPE
        self._forwarder = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        try:
            told = self._answer()
        except BaseException as error:
            self.close()
            if isinstance(error, BrokenPipeError):
                raise NoNamespaces(str(error)) from error
            raise
        self.address = told["addresses"]
        self.namespace = {side: f"/proc/{self.pid}/fd/{fd}" for side, fd in told["namespaces"].items()}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill what runs in the namespaces, and let them go."""
        if self._forwarder is None:
            return
        forwarder, self._forwarder = self._forwarder, None
        with forwarder:  # closes its input, at which it ends
            assert forwarder.stdin is not None
            with suppress(BrokenPipeError):
                forwarder.stdin.close()
            try:
                forwarder.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                forwarder.kill()
        for process in self._started:
            process.kill()
            with process:  # closes its pipes and takes its exit status
                pass
        self._started.clear()

    def command_in(self, side: Side, argv: Sequence[str]) -> list[str]:
        """A command that runs `argv` in a namespace. `nsenter` becomes it: it has the process id that was started."""
        enter = ["nsenter", "--preserve-credentials", f"--user=/proc/{self.pid}/ns/user"]
        return [*enter, f"--net={self.namespace[side]}", "--", *argv]

    def run_in(self, side: Side, argv: Sequence[str], **popen: Any) -> subprocess.Popen[Any]:
        """Start a process in a namespace. It is killed with the link, and so is whatever it starts."""
        process = subprocess.Popen(self.command_in(side, argv), **{"start_new_session": True, **popen})
        self._started.append(process)
        return process

    def set(self, direction: Direction | Literal["both"], **conditions: Any) -> None:
        """Change some conditions of a direction, those of `lane.Conditions`; they hold when this returns."""
        for one in DIRECTIONS if direction == "both" else (direction,):
            self._conditions[one] = replace(self._conditions[one], **conditions)  # refuses nonsense in this process
            self._ask(command="set", direction=one, conditions=conditions)

    def counts(self) -> dict[Direction, Counts]:
        """What became of the packets so far."""
        told = self._ask(command="counts")
        return {direction: Counts(**told[direction]) for direction in DIRECTIONS}

    def _ask(self, **what: Any) -> dict[str, Any]:
        with self._asking:
            assert self._forwarder is not None, "the link is not up"
            assert self._forwarder.stdin is not None
            self._forwarder.stdin.write(json.dumps(what) + "\n")
            self._forwarder.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The next line of the forwarder.

        Raises:
            BrokenPipeError: it has ended; with its last words.
        """
        assert self._forwarder is not None
        assert self._forwarder.stdout is not None
        assert self._forwarder.stderr is not None
        if line := self._forwarder.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        words = self._forwarder.stderr.read().strip().splitlines()
        raise BrokenPipeError(words[-1] if words else f"the forwarder ended with {self._forwarder.wait()}")


def why_no_link() -> str | None:
    """Why there can be no link on this machine; None where there can."""
    try:
        with Link():
            return None
    except NoNamespaces as error:
        return str(error)
