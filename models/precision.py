"""Which number format a machine multiplies natively. Knows devices; no network, no world."""

from __future__ import annotations

import torch


def native_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and any(_cpu_has(flag) for flag in ("avx512_bf16", "amx_bf16", "bf16")):
        return torch.bfloat16
    return torch.float32


def _cpu_has(flag: str) -> bool:
    try:
        with open("/proc/cpuinfo") as cpu:
            return any(flag in line.split() for line in cpu if line.startswith(("flags", "Features")))
    except OSError:  # not Linux: float32 is always right
        return False
