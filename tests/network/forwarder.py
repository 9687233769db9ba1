"""The process in the middle of a link: makes two network namespaces, and carries packets between their TUN devices.

Started by `link.Link` inside a user and a network namespace of its own, which becomes side a; side b is made here.
Listens to commands as JSON lines on its standard input and answers each on its standard output. When the input ends,
however that came about, it kills whatever runs in its two namespaces and goes; they vanish with it.
Knows devices and namespaces; nothing of what the packets are for.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .lane import Lane

ADDRESSES = {"a": "10.78.0.1", "b": "10.78.0.2"}
DEVICE = "link0"
MTU = 1500
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# Packets that the kernel holds until we read them. Ample, so that the losses are ours and counted.
DEVICE_QUEUE = 10_000
BATCH = 64  # packets read from one side before the other has its turn
CLEAR_S = 5.0  # seconds for what runs in the namespaces to be gone


def main() -> None:
    """Set up, serve until the input ends, clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # runs the clean-up
    namespaces = {"a": os.open("/proc/self/ns/net", os.O_RDONLY)}
    devices = {"a": open_device("a", "b")}
    enter_new_namespace()
    namespaces["b"] = os.open("/proc/self/ns/net", os.O_RDONLY)
    devices["b"] = open_device("b", "a")
    answer({"namespaces": namespaces, "addresses": ADDRESSES})
    try:
        Forwarder(devices, seed=int(sys.argv[1])).run()
    finally:
        clear([os.fstat(fd).st_ino for fd in namespaces.values()])


def enter_new_namespace() -> None:
    """What `os.unshare` does from Python 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "expected to make a second network namespace")


def open_device(here: str, there: str) -> int:
    """A TUN device in the namespace that we are in, with its address and a route to everything through it.

    It belongs to that namespace for good; its file keeps working when we have gone elsewhere. It offers no
    segmentation off-load, so what is read is one packet as it would be on a wire.
    """
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    except OSError as error:
        raise OSError(error.errno, f"/dev/net/tun makes no device: {error.strerror}") from error
    commands = f"""
        link set lo up
        link set {DEVICE} mtu {MTU} txqueuelen {DEVICE_QUEUE} up
        address add {ADDRESSES[here]} peer {ADDRESSES[there]} dev {DEVICE}
        route add default dev {DEVICE}
    """
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)
    return device


class Forwarder:
    """Two lanes between two devices, and the ear for commands.

    One thread around `select`, whose time-out is kept to microseconds; asyncio waits with `epoll`, which rounds up to
    whole milliseconds. Packets are due at times computed from when they came, so lateness of one never moves the next.
    """

    def __init__(self, devices: dict[str, int], *, seed: int) -> None:
        self._lanes = {"ab": Lane(seed), "ba": Lane(seed + 1)}
        self._from = {devices["a"]: self._lanes["ab"], devices["b"]: self._lanes["ba"]}
        self._to = {devices["b"]: self._lanes["ab"], devices["a"]: self._lanes["ba"]}
        self._control = sys.stdin.fileno()
        self._heard = b""

    def run(self) -> None:
        """Until nobody commands us any more."""
        while True:
            wake = min(lane.next_at() for lane in self._lanes.values())
            patience = None if wake == math.inf else max(0.0, wake - time.monotonic())
            ready, _, _ = select.select([*self._from, self._control], [], [], patience)
            if self._control in ready and not self._listen():
                return
            for device in self._from.keys() & ready:
                self._take(device)
            for device, lane in self._to.items():
                for packet in lane.leave(time.monotonic()):
                    os.write(device, packet)

    def _take(self, device: int) -> None:
        for _ in range(BATCH):
            try:
                packet = os.read(device, MTU)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4:  # the kernel's own search for IPv6 neighbours would only blur the counts
                self._from[device].enter(packet, time.monotonic())

    def _listen(self) -> bool:
        """Obey what was asked; false when the input has ended."""
        heard = os.read(self._control, 65536)
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            answer(self._obey(**json.loads(line)))
        return bool(heard)

    def _obey(self, command: str, **what: Any) -> dict[str, Any]:
        if command == "set":
            lane = self._lanes[what["direction"]]
            lane.conditions = replace(lane.conditions, **what["conditions"])
            return {}
        return {name: asdict(lane.counts) for name, lane in self._lanes.items()}


def answer(what: dict[str, Any]) -> None:
    """Tell who commands us."""
    print(json.dumps(what), flush=True)


def clear(inodes: list[int]) -> None:
    """Kill what runs in those network namespaces, again and again, as it may be forking."""
    deadline = time.monotonic() + CLEAR_S
    while (found := [pid for pid in processes_in(inodes) if pid != os.getpid()]) and time.monotonic() < deadline:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def processes_in(inodes: list[int]) -> list[int]:
    """The processes whose network namespace is one of those."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (entry / "ns/net").stat().st_ino in inodes:
                found.append(int(entry.name))
        except OSError:  # it has gone, or it is somebody else's
            continue
    return found


if __name__ == "__main__":
    main()
