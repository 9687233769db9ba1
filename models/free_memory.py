"""How much memory is left, of this machine or of a CUDA device. Knows the operating system only."""

from __future__ import annotations

from pathlib import Path


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
