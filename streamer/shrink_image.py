"""A stranger's picture in, plain pixels out: a program of its own, because a decoder that meets a hostile file may take
all memory or time, or crash.

    python -I shrink_image.py PIXELS SIDE BYTES SECONDS < picture > width, height (two little-endian u32), RGB

At most PIXELS may be decoded, which the header is asked first; the result has no side above SIDE. The operating system
holds it to BYTES of memory and SECONDS of processor. Exit status 0, `TOO_MANY` or `UNREADABLE`. Knows Pillow and the
standard streams; imports nothing of ours, so that it starts quickly and without anybody's environment.
"""

from __future__ import annotations

import io
import struct
import sys
from contextlib import suppress

FORMATS = ("PNG", "JPEG", "WEBP")
SIZE = struct.Struct("<II")
TOO_MANY, UNREADABLE = 3, 4


class TooMany(Exception):
    """More pixels than may be decoded."""


def shrink(data: bytes, most: int, side: int) -> tuple[int, int, bytes]:
    """Width, height and RGB of a picture; of an animation the first frame.

    Raises:
        TooMany: its header promises more than `most` pixels.
        Exception: it is not a picture, or damaged.
    """
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # the bound is ours
    _check(webp_size(data), most)  # Pillow's reader of WebP takes memory for the whole picture when it opens it
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        _check(opened.size, most)
        opened.draft("RGB", (side, side))  # a JPEG need not be decoded at its full size
        picture: Image.Image = ImageOps.exif_transpose(opened)
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture.convert("RGBA"))
        picture = picture.convert("RGB")
        picture.thumbnail((side, side))
        return picture.width, picture.height, picture.tobytes()


def webp_size(data: bytes) -> tuple[int, int]:
    """What the header of a WebP file promises; (0, 0) for any other file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return 0, 0
    kind, rest = data[12:16], data[20:]
    if kind == b"VP8X":
        return 1 + int.from_bytes(rest[4:7], "little"), 1 + int.from_bytes(rest[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(rest[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", rest, 6)
    return width & 0x3FFF, height & 0x3FFF


def _check(size: tuple[int, int], most: int) -> None:
    if size[0] * size[1] > most:
        raise TooMany


def _limit(memory: int, seconds: int) -> None:
    """From now on this process gets no more than that."""
    try:
        import resource
    except ImportError:  # not on Windows; whoever started us ends us after a while
        return
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # a system that does not know it, or allows less already
            resource.setrlimit(limit, (value, value))


def main(most: int, side: int, memory: int, seconds: int) -> int:
    """Exit status."""
    _limit(memory, seconds)
    try:
        width, height, pixels = shrink(sys.stdin.buffer.read(), most, side)
    except TooMany:
        return TOO_MANY
    except Exception:  # Pillow meets a stranger's bytes with whatever error comes first, MemoryError among them
        return UNREADABLE
    sys.stdout.buffer.write(SIZE.pack(width, height) + pixels)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:5])))
