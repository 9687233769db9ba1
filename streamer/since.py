"""What befell a world's memory since its last frame, besides being stepped. A replay does the same, in the same order.

Values only; knows no engine and no world.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .client_messages import Say
from .fields import Switch


@dataclass(frozen=True)
class Told:
    """The world goes on under another text."""

    text: str
    how: Switch
    chunks: int
    rebuilt: bool = False  # its memory was made anew just before


@dataclass(frozen=True)
class Since:
    """See the module. The fields stand in the order in which things happened."""

    fresh: bool = True  # the stream began, or began anew
    back_to: int | None = None  # or it went back to before this frame
    told: tuple[Told, ...] = ()
    rebuilt: bool = False  # its memory was made anew (parking.py)

    def telling(self, event: Say) -> Since:
        """The same, and then this."""
        told = Told(event.text, event.how, event.chunks, self.rebuilt)
        return replace(self, told=(*self.told, told), rebuilt=False)

    def left(self, index: int, *, parked: bool) -> Since:
        """What there is to tell of a stream that goes back to here, to before frame `index`."""
        return replace(self, back_to=None if self.fresh else index, rebuilt=self.rebuilt or parked)


MADE = Since(fresh=False)
"""A frame was made."""


def in_order(told: Iterable[Told], *, rebuilt: bool) -> Iterator[Told | None]:
    """Each text that a world was told, and None where its memory was made anew, in the order in which that was.

    Args:
        told: see `Since`.
        rebuilt: its memory was made anew behind all of them.
    """
    for one in told:
        if one.rebuilt:
            yield None
        yield one
    if rebuilt:
        yield None
