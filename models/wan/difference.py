"""How the tensors that came differ from those that were expected, in lines that a person can read.

Thirty blocks with the same fault are one line. Knows names and shapes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]
LINES = 20


def difference(want: Shapes, got: Shapes) -> list[str]:
    """Lines that say what is missing, unexpected or of another shape; none where all is well."""
    faults: dict[str, list[int | None]] = defaultdict(list)
    for word, (here, there) in {"missing": (want, got), "unexpected": (got, want)}.items():
        for block in _blocks(here) - _blocks(there):
            faults[f"{word} blocks.*"].append(block)
    whole = _blocks(want) ^ _blocks(got)
    want, got = ({n: size for n, size in names.items() if _block(n) not in whole} for names in (want, got))
    for name in want.keys() - got.keys():
        _note(faults, "missing {} " + str(want[name]), name)
    for name in got.keys() - want.keys():
        _note(faults, "unexpected {} " + str(got[name]), name)
    for name in want.keys() & got.keys():
        if want[name] != got[name]:
            _note(faults, f"{{}}: expected {want[name]}, got {got[name]}", name)
    lines = sorted(line.replace("*", _ranges(numbers)) for line, numbers in faults.items())
    return lines if len(lines) <= LINES else [*lines[:LINES], f"and {len(lines) - LINES} more such lines"]


def _block(name: str) -> int | None:
    match = re.search(r"(?<=blocks\.)\d+", name)
    return int(match[0]) if match else None


def _blocks(names: Shapes) -> set[int]:
    return {block for name in names if (block := _block(name)) is not None}


def _note(faults: dict[str, list[int | None]], line: str, name: str) -> None:
    """Remember a fault of the tensor `name`, together with those that differ in the number of their block alone."""
    match = re.search(r"(?<=blocks\.)\d+", name)
    short = name[: match.start()] + "*" + name[match.end() :] if match else name
    faults[line.format(short)].append(int(match[0]) if match else None)


def _ranges(numbers: list[int | None]) -> str:
    """Numbers as people write them: "0-14", "0-3,7"."""
    parts: list[list[int]] = []
    for n in sorted(n for n in numbers if n is not None):
        if parts and parts[-1][-1] == n - 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
