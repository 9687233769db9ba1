"""A picture as a JPEG file. Knows pixels."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def jpeg(picture: NDArray[np.uint8], quality: int, subsampling: Literal["4:4:4", "4:2:0"] = "4:4:4") -> bytes:
    """(H, W, 3) as a file; `quality` on Pillow's scale, `subsampling` of the colours."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()
