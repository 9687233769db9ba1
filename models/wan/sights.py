"""First pictures: those that a world has to begin with, and how CLIP sees one (ViT-H/14, the encoder of Wan's I2V).

The encoder runs on the CPU, once for each picture; what it saw can be kept in a file, and then it is not needed. It is
transformers' `CLIPVisionModel`, made of the public file by `clip_keys.py`. Knows pictures and tokens; no network of
ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..spec import Image

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures
STD = (0.26862954, 0.26130258, 0.27577711)

Look: TypeAlias = Callable[[Image], Tensor]
"""Tells what CLIP sees in a picture, as `Eye` does."""


class Eye:
    """CLIP's encoder of pictures, in a folder as transformers writes it."""

    def __init__(self, folder: Path) -> None:
        """Read it.

        Raises:
            ValueError: transformers is not installed, or the folder is not what it should be.
        """
        try:
            from transformers import CLIPVisionModel
        except ImportError as error:
            raise ValueError("first pictures need transformers: pip install 'worldloom[wan]'") from error
        try:
            self._encoder: Any = CLIPVisionModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype="auto"
            ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: expected CLIP's encoder of pictures: {str(error)[:300]}") from error

    @torch.inference_mode()
    def __call__(self, image: Image) -> Tensor:
        """(H, W, 3) uint8 -> (tokens, width): what the last block but one says, as Wan reads it."""
        size = self._encoder.config.image_size
        ready = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None] / 255.0
        small = F.interpolate(ready, (size, size), mode="bicubic", align_corners=False)  # the whole picture, squeezed
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
        seen = self._encoder(((small - mean) / std).to(self._encoder.dtype), output_hidden_states=True)
        hidden: Tensor = seen.hidden_states[-2][0]
        return hidden.clone()


class Sights:
    """Pictures to begin with, and how they are seen."""

    def __init__(self, known: Sequence[Image], seen: Sequence[Tensor] = (), eye: Look | None = None) -> None:
        """Put them together.

        Args:
            known: to begin with where nobody shows one; at least one.
            seen: what CLIP saw in these; (): it is asked.
            eye: CLIP; None: only known pictures will do, if the network wants to know what CLIP sees.
        """
        self.known, self._seen, self._eye = tuple(known), tuple(seen), eye
        self.free = eye is not None

    @classmethod
    def read(cls, path: Path, eye: Look | None) -> Sights:
        """What `write_sights` wrote.

        Raises:
            ValueError: no such file, or a damaged one.
        """
        try:
            tensors = load_file(path)
            return cls(list(tensors["pictures"].numpy()), list(tensors.get("seen", torch.zeros(0))), eye)
        except (OSError, SafetensorError, KeyError) as error:
            raise ValueError(f"{path}: expected a file of first pictures: {error}") from error

    def see(self, image: Image) -> Tensor:
        """(tokens, width) on the CPU.

        Raises:
            ValueError: a picture that is not known, and no CLIP to look at it.
        """
        for picture, seen in zip(self.known, self._seen, strict=False):
            if np.array_equal(picture, image):
                return seen
        if self._eye is None:
            raise ValueError(
                f"expected one of the {len(self.known)} pictures that were encoded here, for there is no encoder"
            )
        return self._eye(image)


def write_sights(path: Path, known: Sequence[Image], seen: Sequence[Tensor] = ()) -> None:
    """Pictures (H, W, 3) uint8 of one size, and perhaps what CLIP saw in them, as a file."""
    tensors = {"pictures": torch.from_numpy(np.stack(known))}
    save_file(tensors | ({"seen": torch.stack(list(seen))} if seen else {}), path)
