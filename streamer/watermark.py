"""An invisible mark in a picture: 32 bits that say it was generated, as one fixed pattern of blue and yellow.

Spread spectrum after Cox et al. (1997, "Secure Spread Spectrum Watermarking for Multimedia"): the pattern is a sum of
cosines that span the whole picture, so a reader finds it at whatever size the picture comes back. It is in Cb, which
eyes see badly and encoders keep. It does not move: equal pictures stay equal, and reading a film is a mean over its
pictures. Four bytes are each told by one of 256 sign patterns (orthogonal signalling), of which the reader takes the
likeliest: far fewer pictures are needed than for bit by bit. The patterns are public: anybody can read the mark, and
who wants to can take it out or forge it. Knows pixels; no encoder, frame or session. `watermark_reader.py` reads it.
"""

from __future__ import annotations

import hashlib
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

KEY = b"worldloom watermark 1"  # another one is another mark
LOWEST, HIGHEST = 24, 64  # half waves from edge to edge: below pictures are too strong, above encoders too coarse
SYMBOLS, CHOICES = 4, 256  # bytes of the message, and what each may be
STRENGTH = 1.3  # grey levels of Cb, root mean square
SMALLEST = HIGHEST  # pixels of a side: smaller pictures cannot hold the pattern and are left as they are
IDENTS = 1 << 16

FROM_RGB = np.array([-0.168736, -0.331264, 0.5], np.float32)  # to Cb (ITU-R BT.601, full range)
TO_RGB = np.array([0.0, -0.344136, 1.772], np.float32)


def message(ident: int) -> bytes:
    """What the mark of this sender says: its number and two bytes that only we would put beside it."""
    number = ident.to_bytes(2, "big")
    return number + hashlib.sha256(KEY + number).digest()[:2]


class Watermark:
    """The mark of one sender on pictures of one size. Any thread."""

    def __init__(self, height: int, width: int, ident: int = 0) -> None:
        """`ident`: the sender, 0 to 65535."""
        if not 0 <= ident < IDENTS:
            raise ValueError(f"expected a sender from 0 to {IDENTS - 1}, got {ident}")
        self._size = (height, width)
        self._message = message(ident)

    def __call__(self, picture: Picture) -> Picture:
        """(H, W, 3) RGB, marked; the given one is left as it is."""
        if min(self._size) < SMALLEST:
            return picture
        marked: Picture = np.clip(picture + self._pattern, 0, 255).astype(np.uint8)
        return marked

    @cached_property
    def _pattern(self) -> NDArray[np.int16]:
        """(H, W, 3). Made with the first picture, for an event loop may make the mark."""
        cb = STRENGTH * _pattern(*self._size, self._message)
        return np.rint(cb[:, :, None] * TO_RGB).astype(np.int16)


@lru_cache(maxsize=8)
def watermark(height: int, width: int, ident: int) -> Watermark:
    """The same, made once: all sessions of a world share it."""
    return Watermark(height, width, ident)


@cache
def places() -> NDArray[np.intp]:
    """(SYMBOLS, N, 2): vertical and horizontal half waves of the cosines that tell each byte."""
    rows, columns = np.mgrid[: HIGHEST + 1, : HIGHEST + 1]
    radius = np.hypot(rows, columns)
    found = np.argwhere((radius >= LOWEST) & (radius <= HIGHEST))
    drawn = np.frombuffer(_drawn(b"places", 8 * len(found)), ">u8")
    found = found[np.argsort(drawn, kind="stable")]
    return found[: len(found) // SYMBOLS * SYMBOLS].reshape(SYMBOLS, -1, 2)


@cache
def signs() -> Floats:
    """(SYMBOLS, CHOICES, N): each +1 or -1."""
    count = SYMBOLS * CHOICES * places().shape[1]
    bits = np.unpackbits(np.frombuffer(_drawn(b"signs", -(-count // 8)), np.uint8))[:count]
    return (bits.reshape(SYMBOLS, CHOICES, -1) * np.float32(2) - 1).astype(np.float32)


@lru_cache(maxsize=16)
def cosines(size: int) -> Floats:
    """(HIGHEST + 1, size): the first rows of an orthonormal DCT-II."""
    waves = np.arange(HIGHEST + 1)[:, None]
    basis = np.cos(np.pi * waves * (np.arange(size) + 0.5) / size) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _pattern(height: int, width: int, text: bytes) -> Floats:
    """(H, W), root mean square 1."""
    waves = np.zeros((HIGHEST + 1, HIGHEST + 1), np.float32)
    for symbol, byte in enumerate(text):
        rows, columns = places()[symbol].T
        waves[rows, columns] = signs()[symbol, byte]
    pattern = cosines(height).T @ waves @ cosines(width)
    return (pattern / pattern.std()).astype(np.float32)


def _drawn(purpose: bytes, count: int) -> bytes:
    """So many bytes that are the same on every machine, and with every version of numpy."""
    return hashlib.shake_256(KEY + purpose).digest(count)
