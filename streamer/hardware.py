"""What this machine is, in one line that may stand beside a measurement. Knows the operating system only."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any


def hardware() -> str:
    """Processor and the number of cores that this process may use."""
    return f"{_processor()}, {cores()} cores, {platform.system()}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_rss_mb() -> float:
    """Most memory that this process has held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in the words of the operating system; empty where that is not Linux."""
    found = _cpuinfo()
    return frozenset(found.get("flags", found.get("Features", "")).split())


def available_memory(device: str = "cpu") -> int | None:
    """Bytes that nobody uses, of this machine or of a CUDA device; None where that cannot be told.

    Inside a control group with a limit, what is left of it. Quick: nothing waits for the device.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    limits = [_meminfo("MemAvailable"), _group_left()]
    return min((bytes for bytes in limits if bytes is not None), default=None)


def _meminfo(name: str) -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):  # not Linux
        pass
    return None


def _group_left() -> int | None:
    """What the control group (version 2) of this process may still take; what it caches can be dropped."""
    group = Path("/sys/fs/cgroup")
    try:
        most, taken = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, most - taken + int(kept["inactive_file"]))
    except (OSError, ValueError, KeyError):  # no such group, or "max"
        return None


def _processor() -> str:
    name = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    return f"{name} (bf16 in AVX-512)" if "avx512_bf16" in cpu_flags() else name


def _cpuinfo() -> dict[str, str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def torch_facts() -> dict[str, Any]:
    """Version and threads, where the world uses torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"torch": None, "threads": 1}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": device}
