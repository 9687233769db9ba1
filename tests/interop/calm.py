"""A world for many clients on a busy machine: the toy, at half its rate, in half its size."""

from __future__ import annotations

from fractions import Fraction

from worldloom.models.toy import ToyWorld


class CalmToy(ToyWorld):
    """See the module."""

    def __init__(self) -> None:
        super().__init__(height=48, width=64, fps=Fraction(10))
