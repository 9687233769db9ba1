"""A real TURN server on the loop-back, where there is one on this machine; elsewhere the test is skipped."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def turn_server(folder: Path, secret: str, ports: tuple[int, int]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Yields its port and its process; it may take a moment to listen, and writes `folder/log`.

    Args:
        folder: takes its files.
        secret: with which its credentials are signed.
        ports: first and last one that it relays from.
    """
    path = shutil.which("turnserver")
    if path is None:
        pytest.skip("no coturn on this machine: there is no `turnserver` on the PATH (Debian: apt install coturn)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [path, "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--no-tls"]
    command += ["--no-dtls", "--no-cli", "--use-auth-secret", f"--static-auth-secret={secret}", "--realm=worldloom"]
    command += [
        "--allow-loopback-peers",
        "--log-file=stdout",
        f"--pidfile={folder / 'pid'}",
        f"--userdb={folder / 'db'}",
    ]
    command += [f"--min-port={ports[0]}", f"--max-port={ports[1]}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(10)
