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
