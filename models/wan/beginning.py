"""What streams begin with: a prompt, or what CLIP sees in a picture; and the picture that their frames are shown.

What follows from the latest few of them is kept. Knows the network's embeddings and the autoencoder; no sampling.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..autoencoder import to_signed
from ..spec import Image, WorldSpec
from .dit import WanDiT
from .latest import Latest
from .shown import shown_of
from .sights import Sights
from .state import Said
from .text import Prompts, padded
from .vae import WanVae

KEPT = 8  # prompts, and pictures, of which what follows from them stays for streams to come


class Beginning:
    """Prompts and pictures on a device."""

    def __init__(
        self,
        spec: WorldSpec,
        dit: WanDiT,
        prompts: Prompts | None,
        sights: Sights | None,
        encoder: WanVae | None,
        device: torch.device,
    ) -> None:
        """Put it together.

        Args:
            spec: of the world.
            dit: its network.
            prompts: encoded; None where the network looks at a picture instead.
            sights: pictures to begin with, where the network wants one.
            encoder: of pictures, where the world takes some.
            device: where all of it is.

        Raises:
            ValueError: these do not fit each other.
        """
        self.spec, self.dit, self.device = spec, dit, device
        self._prompts, self._sights, self._encoder = prompts, sights, encoder
        by_text = dit.config.context == "text"
        if by_text and not (prompts and prompts.known):
            raise ValueError("expected at least one prompt to begin with")
        if (dit.config.shown or not by_text) and not (sights and sights.known and encoder):
            raise ValueError("expected a picture to begin with, and an encoder of pictures")
        if (spec.prompts and not by_text) or (spec.images and not encoder):
            raise ValueError("expected prompts of a network that reads them, and pictures where there is an encoder")
        self._said: Latest[Said] = Latest(KEPT)
        self._shown: Latest[Tensor] = Latest(KEPT)

    def of(self, seed: int, prompt: str | None, image: Image | None) -> tuple[Said, Tensor | None]:
        """What cross-attention of a new stream looks at, and what its frames are shown, if anything.

        Raises:
            ValueError: the world takes no such thing, or it is not as it should be.
        """
        if prompt is not None and not self.spec.prompts:
            raise ValueError(f"the world {self.spec.name!r} takes no prompt")
        if image is not None:
            self._refuse(image)
        if not self.dit.config.shown:
            return self.said(self.prompt(seed, prompt) or ""), None
        assert self._sights
        first = image if image is not None else self._sights.known[seed % len(self._sights.known)]
        said = self.seen(first) if self.dit.config.context == "picture" else self.said(self.prompt(seed, prompt) or "")
        return said, self._latents_of(first)

    def prompt(self, seed: int, prompt: str | None) -> str | None:
        """The prompt of a new stream, where the network reads one: this one, or the one that the seed chooses."""
        if self._prompts is None or prompt:
            return prompt
        return self._prompts.known[seed % len(self._prompts.known)]

    def said(self, prompt: str) -> Said:
        """Keys and values of a prompt.

        Raises:
            ValueError: no such prompt here.
        """
        assert self._prompts
        prompts = self._prompts
        return self._said.get(prompt, lambda: self.keys_of(prompts.encode(prompt)))

    def read(self, prompt: str) -> None:
        """Have a prompt encoded, so that `said` is quick with it. On any thread.

        Raises:
            ValueError: no such prompt here.
        """
        if self._prompts:
            self._prompts.encode(prompt)

    def seen(self, image: Image) -> Said:
        """Keys and values of what CLIP sees in a picture.

        Raises:
            ValueError: it is not known here, and there is no CLIP.
        """
        assert self._sights
        sights = self._sights
        return self._said.get(image.tobytes(), lambda: self.keys_of(sights.see(image)))

    @torch.inference_mode()
    def keys_of(self, encoded: Tensor) -> Said:
        """Of an encoded prompt, or picture (n, text_width).

        Raises:
            ValueError: it is of another width.
        """
        c = self.dit.config
        if encoded.ndim != 2 or encoded.shape[1] != c.text_width:
            raise ValueError(f"expected prompts of (n, {c.text_width}) numbers, got {tuple(encoded.shape)}")
        return Said(encoded, self.dit.text_keys(padded(encoded, c.text_tokens).to(self.device)))

    def signed(self, image: Image) -> Tensor:
        """(1, 3, H, W) within [-1, 1], on the device."""
        return to_signed(torch.from_numpy(np.ascontiguousarray(image))[None].to(self.device))

    def _latents_of(self, image: Image) -> Tensor:
        assert self._encoder
        encoder = self._encoder
        return self._shown.get(image.tobytes(), lambda: shown_of(encoder, self.signed(image)))

    def _refuse(self, image: Image) -> None:
        if not self.spec.images:
            raise ValueError(f"the world {self.spec.name!r} takes no picture")
        want = (self.spec.height, self.spec.width, 3)
        if image.shape != want or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 picture of shape {want}, got {image.dtype} {image.shape}")
