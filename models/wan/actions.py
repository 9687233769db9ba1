"""The modules that hear a keyboard and a mouse (Matrix-Game 2.0, arXiv 2508.13009, after GameFactory, 2501.08325).

One stands behind the cross-attention of each of the first blocks. The mouse joins every token of the picture, which
then looks along time at itself; the keyboard is one token a frame, at which all tokens of the picture look. What a
latent frame hears are the actions of its own pictures and of those before it. Names are those of the public files.
Knows nothing about caches but that it is given some.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import PICTURES, ActionShape
from .controls import Controls

EPS = 1e-6  # of the norms of queries and keys


class Gain(nn.Module):
    """The gain of a norm as the public files have it. Nothing is multiplied by it: its authors' program does not."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same at unit mean square."""
        return F.rms_norm(x, x.shape[-1:], eps=EPS)


class ActionModule(nn.Module):
    """What a block does about the player's hands."""

    def __init__(self, shape: ActionShape, picture: int) -> None:
        super().__init__()
        self.shape, rows, width = shape, PICTURES * shape.history, shape.width
        if shape.mouse:
            inner = nn.Linear(picture + shape.mouse * rows, width), nn.GELU("tanh"), nn.Linear(width, width)
            self.mouse_mlp = nn.Sequential(*inner, nn.LayerNorm(width))
            self.t_qkv = nn.Linear(width, 3 * width, bias=False)
            self.img_attn_q_norm, self.img_attn_k_norm = Gain(shape.head_dim), Gain(shape.head_dim)
            self.proj_mouse = nn.Linear(width, picture, bias=False)
        first = nn.Linear(shape.keys, shape.embedded)
        self.keyboard_embed = nn.Sequential(first, nn.SiLU(), nn.Linear(shape.embedded, shape.embedded))
        self.mouse_attn_q = nn.Linear(picture, width, bias=False)
        self.keyboard_attn_kv = nn.Linear(shape.embedded * rows, 2 * width, bias=False)
        self.key_attn_q_norm, self.key_attn_k_norm = Gain(shape.head_dim), Gain(shape.head_dim)
        self.proj_keyboard = nn.Linear(width, picture, bias=False)

    def forward(self, x: Tensor, layer: int, controls: Controls) -> Tensor:
        """Tokens (B, F, N, D) -> the same, moved."""
        told, keys = controls.told, self.shape.keys
        assert told is not None
        told = told.to(x.dtype)
        if self.shape.mouse:
            x = x + self._moved(x, told[..., keys:], layer, controls)
        return x + self._pressed(x, told[..., :keys], layer, controls)

    def _moved(self, x: Tensor, mouse: Tensor, layer: int, controls: Controls) -> Tensor:
        """What the mouse adds: mouse (B, F, pictures, 2)."""
        assert controls.mouse
        hand = mouse.flatten(2).unsqueeze(2).expand(-1, -1, x.shape[2], -1)
        q, k, v = (self._heads(part) for part in self.t_qkv(self.mouse_mlp(torch.cat([x, hand], -1))).chunk(3, -1))
        seen = controls.mouse.attend(layer, self.img_attn_q_norm(q), self.img_attn_k_norm(k), v)
        return self.proj_mouse(_joined(seen))

    def _pressed(self, x: Tensor, keys: Tensor, layer: int, controls: Controls) -> Tensor:
        """What the keyboard adds: keys (B, F, pictures, columns)."""
        assert controls.keys
        k, v = self.keyboard_attn_kv(self.keyboard_embed(keys).flatten(2)).unsqueeze(2).chunk(2, -1)
        q, k, v = self._heads(self.mouse_attn_q(x)), self._heads(k), self._heads(v)
        seen = controls.keys.attend(layer, self.key_attn_q_norm(q), self.key_attn_k_norm(k), v)
        return self.proj_keyboard(_joined(seen))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, F, N, width) -> (B, heads, F, N, d)."""
        return torch.unflatten(x, -1, (self.shape.heads, -1)).permute(0, 3, 1, 2, 4)


def _joined(x: Tensor) -> Tensor:
    """(B, heads, F, N, d) -> (B, F, N, width)."""
    return x.permute(0, 2, 3, 1, 4).flatten(3)
