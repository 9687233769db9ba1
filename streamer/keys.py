"""What opens a room: long random strings. Knows nothing else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Keys:
    """Of one room: whoever has one may enter."""

    resume: str = field(default_factory=lambda: secrets.token_urlsafe(24))  # to drive
    watch: str = field(default_factory=lambda: secrets.token_urlsafe(24))  # to see
