"""What the engine's process frees, it keeps: a step takes the same blocks again 20 ms later.

glibc gives blocks of some size back to the kernel and asks for them anew, page by page: some hundred page faults a
step, which show in the slowest ones. Knows glibc; nothing about worlds.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 256 * 2**20  # bytes that may lie free at the end of the heap
BLOCK = 32 * 2**20  # bytes of a block that is given back all the same: the most that glibc allows


def keep_freed_memory() -> bool:
    """For the whole process; whether this system could be told."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(M_MMAP_THRESHOLD, BLOCK))
