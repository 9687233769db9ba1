"""What `worldloom doctor` finds out about this machine: packages, processor, codecs, sockets and weights, one by one.

A check is a function that returns what it found, or raises; the name of the check that fails and what to do about it
are the point of it all. Each imports what it needs by itself, because what is missing may be what it is to find. Knows
this machine only; a server is examined in `doctor_server.py`.
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .hardware import cores, cpu_flags

if TYPE_CHECKING:
    from .config import ServerSettings

FAST_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of a processor that multiplies bfloat16 natively
PROBE = b"worldloom doctor"
REINSTALL = "Run `pip install 'worldloom[server]'` again, in this Python."


@dataclass(frozen=True)
class Finding:
    """What came out of one check."""

    check: str
    state: Literal["ok", "note", "failed"]  # a note is no reason to worry, and good to know
    found: str
    remedy: str = ""  # what to do, where it did not go well


class Failed(Exception):
    """A check that failed, with what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


class Noted(Failed):
    """Works, though not as well as it might."""


def examine(check: str, call: Callable[[], str], remedy: str) -> Finding:
    """Run one check; any exception is a failure with the given remedy."""
    try:
        return Finding(check, "ok", call())
    except Exception as error:
        return failure(check, error, remedy)


async def examine_async(check: str, call: Awaitable[str], remedy: str) -> Finding:
    """As `examine`, of something to await."""
    try:
        return Finding(check, "ok", await call)
    except Exception as error:
        return failure(check, error, remedy)


def failure(check: str, error: Exception, remedy: str) -> Finding:
    """A check that raised."""
    if isinstance(error, Failed):
        return Finding(check, "note" if isinstance(error, Noted) else "failed", str(error), error.remedy)
    return Finding(check, "failed", f"{type(error).__name__}: {error}"[:256], remedy)


def examine_basics() -> list[Finding]:
    """Python, packages and processor: what has to be there before anything of ours can be imported."""
    return [
        examine("Python", lambda: f"{sys.version.split()[0]} at {sys.executable}", REINSTALL),
        examine("packages", _packages, REINSTALL),
        examine("torch", _torch, REINSTALL),
        examine("bfloat16", _bfloat16, REINSTALL),
    ]


def examine_machine(settings: ServerSettings, worlds: Sequence[str] | None = None) -> list[Finding]:
    """Codecs, sockets and weights; `worlds` are those that ship when absent."""
    from worldloom.models.catalog import DATA, shipped_worlds

    names = {"h264": "H.264 encoder", "vp8": "VP8 encoder"}
    findings = [
        examine(names[codec], partial(_encodes, codec, settings), f"{REINSTALL} PyAV brings the codecs.")
        for codec in settings.webrtc.codecs
    ]
    findings.append(examine("UDP", _udp, "Allow this process UDP sockets (container, sandbox or firewall)."))
    chosen = shipped_worlds() if worlds is None else worlds
    if not chosen:
        findings.append(Finding("weights", "note", f"none in {DATA}", "Only the toy world can be served."))
    damaged = "The files are incomplete or damaged: install Worldloom again, or fetch them again (Git LFS?)."
    return findings + [examine(f"weights of {name}", partial(weights, name), damaged) for name in chosen]


def weights(name: str) -> str:
    """Whether a world is whole: by the hash in its `.json` where there is one, and by making a chunk of frames.

    Raises:
        Exception: it is not.
    """
    from worldloom.models.catalog import DATA, open_world
    from worldloom.models.check import random_actions
    from worldloom.models.weights import read_table

    path = Path(name) if name.endswith(".safetensors") else DATA / f"{name}.safetensors"
    told = read_table(path).get("weights_sha256")
    if told is not None and (real := hashlib.sha256(path.read_bytes()).hexdigest()) != told:
        raise Failed(f"{path}: expected SHA-256 {told[:12]}…, got {real[:12]}…", "Fetch the file again.")
    world = open_world(str(path))
    state = world.start(seed=0)
    frames = world.step([state], random_actions(world.spec, 0))
    world.release(state)
    how = "by its hash" if told is not None else "it dreams"
    return f"{path.stat().st_size / 1e6:.0f} MB, whole ({how}), {frames.shape[3]}x{frames.shape[2]}"


def _packages() -> str:
    """Versions of what the server needs, as its own metadata says."""
    found, wrong = [], []
    for name, bounds in _requirements(metadata.requires("worldloom") or []):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        wrong += [f"{name} {version}, expected {op}{bound}" for op, bound in bounds if not _fits(version, op, bound)]
    if wrong:
        raise Failed("; ".join(wrong), REINSTALL)
    return ", ".join(found)


def _requirements(lines: list[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(name, [(operator, version)]) of what `worldloom[server]` needs on this platform."""
    kept = []
    for line in lines:
        spec, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        if (extra and extra[1] != "server") or ("win32" in marker and sys.platform == "win32"):
            continue
        name = re.match(r"[\w.-]+", spec)
        if name:
            kept.append((name[0], re.findall(r"(>=|==)\s*([\d.]+)", spec)))
    return kept


def _fits(version: str, operator: str, bound: str) -> bool:
    """Whether a version is what was asked for; numbers only, which is all that we ask for."""
    real, least = ([int(part) for part in re.findall(r"\d+", text.split("+")[0])] for text in (version, bound))
    return real[: len(least)] == least if operator == "==" else real >= least


def _torch() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.__version__} on {torch.cuda.get_device_name(0)}"
    threads = torch.get_num_threads()
    found = f"{torch.__version__} on the CPU, {threads} of {cores()} cores"
    if threads >= cores() > 1:
        raise Noted(found, "Set OMP_NUM_THREADS to half of the cores: encoder, network and browser need the rest.")
    return found


def _bfloat16() -> str:
    import torch

    if torch.cuda.is_available():
        return f"the GPU {'multiplies' if torch.cuda.is_bf16_supported() else 'does not multiply'} it"
    flags = [flag for flag in FAST_FLAGS if flag in cpu_flags()]
    if not flags:
        remedy = "Weights run in float32, which is about half as fast; see `worldloom bench engine`."
        raise Noted("the processor does not multiply it (no AVX512-BF16, no AMX)", remedy)
    return f"multiplied natively ({', '.join(flags)})"


def _encodes(codec: Any, settings: ServerSettings) -> str:
    """Open the encoder as a session does, and compress a picture."""
    from fractions import Fraction

    import numpy as np

    from .transports.coders import choose
    from .transports.encoder import VideoEncoder

    h264, trouble = choose(settings.webrtc.encoder.h264)
    chosen = settings.compressing_with(h264).webrtc.encoder
    encoder = VideoEncoder(codec, height=96, width=128, fps=Fraction(20), settings=chosen)
    made = encoder.encode(np.zeros((96, 128, 3), np.uint8), 0)
    if not made.data or not made.key:
        raise Failed("it opens, and compresses nothing", "Run `pip install --force-reinstall av`.")
    found = f"{made.coder}, a picture in {made.encode_ns / 1e6:.1f} ms"
    if codec == "h264" and trouble and settings.webrtc.encoder.h264 == "nvenc":
        raise Noted(
            f"{found}; nvenc: {trouble}", "Look at the NVIDIA driver, or set webrtc.encoder.h264 to auto or x264."
        )
    return found


def _udp() -> str:
    """A socket on every address that WebRTC will offer, and a datagram through it."""
    import aioice.ice

    from .transports import aiortc_patches

    aiortc_patches.install()
    works, refused = [], []
    for address in aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True):
        try:
            _echo(address)
            works.append(address)
        except OSError as error:
            refused.append(f"{address}: {error}")
    if not works:
        raise Failed("; ".join(refused), "Allow this process UDP sockets; without them pictures go over the WebSocket.")
    return ", ".join(works)


def _echo(address: str) -> None:
    """Send a datagram to ourselves. Raises `OSError`."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        probe.settimeout(2.0)
        probe.sendto(PROBE, probe.getsockname())
        if probe.recv(64) != PROBE:
            raise OSError("another datagram arrived than was sent")
