"""What a benchmark says: figures with their date, machine and command, printed and perhaps kept. Knows no figure."""

from __future__ import annotations

import json
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch


def hardware() -> str:
    """The device, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    tiles = ", AMX" if any("amx_bf16" in line for line in lines) else ""
    return (named[0] if named else platform.processor()) + tiles


def tell(script: str, line: list[str] | None, figures: dict[str, Any], file: Path | None) -> None:
    """Print JSON, and write it to the file where there is one.

    Args:
        script: of `benchmarks/`.
        line: its arguments; None: those of this process.
        figures: what it measured.
        file: to keep it in.
    """
    told = {
        "date": date.today().isoformat(),
        "hardware": hardware(),
        "torch": torch.__version__,
        "command": " ".join(["python", f"benchmarks/{script}", *(sys.argv[1:] if line is None else line)]),
    }
    text = json.dumps(told | figures, indent=1)
    print(text)
    if file:
        file.write_text(text + "\n")
