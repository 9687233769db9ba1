"""Prompts as the network reads them: umT5's encoding (arXiv 2304.09151), computed on the CPU or read from a file.

A prompt is a (n, width) tensor of its tokens; the network is given zeros behind them up to its `text_tokens`. The
encoder has four times the weights of the smallest network, so it stays off the GPU, and what it said is remembered.
Knows texts and tensors; no network of ours. The only file that imports transformers.
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .latest import Latest

REMEMBERED = 64  # prompts whose encoding is kept, 4 MB each at the most


class Prompts(Protocol):
    """Where encoded prompts come from."""

    @property
    def known(self) -> tuple[str, ...]:
        """Prompts to begin with where nobody says one."""

    @property
    def free(self) -> bool:
        """Whether any text will do; otherwise one of `known`."""

    def encode(self, prompt: str) -> Tensor:
        """(n, width) on the CPU. On any thread.

        Raises:
            ValueError: no such prompt here.
        """


class StoredPrompts:
    """Prompts that somebody encoded before: no encoder is needed to dream them."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self.known = tuple(self._tensors)
        self.free = False

    @classmethod
    def read(cls, path: Path) -> StoredPrompts:
        """What `write_prompts` wrote.

        Raises:
            ValueError: no such file, or a damaged one.
        """
        try:
            with safe_open(path, "pt") as file:
                texts: dict[str, str] = file.metadata() or {}
                return cls({texts[name]: file.get_tensor(name) for name in sorted(file.keys(), key=int)})
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: expected a file of encoded prompts: {error}") from error

    def encode(self, prompt: str) -> Tensor:
        """See `Prompts`."""
        if prompt not in self._tensors:
            known = "; ".join(repr(text) for text in self.known)
            raise ValueError(
                f"expected a prompt that is encoded here, for there is no encoder, got {prompt!r}: {known}"
            )
        return self._tensors[prompt]


def write_prompts(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Encoded prompts as a file."""
    numbered = {str(k): tensor.contiguous() for k, tensor in enumerate(tensors.values())}
    save_file(numbered, path, {str(k): text for k, text in enumerate(tensors)})


class EncodedPrompts:
    """Any text, by umT5 in a folder as transformers writes it: the encoder and its tokenizer."""

    def __init__(self, folder: Path, tokens: int, known: tuple[str, ...] = (), dtype: Any = None) -> None:
        """Read the encoder.

        Args:
            folder: with the encoder, and the tokenizer there or in `tokenizer` beside it.
            tokens: of a prompt, at the most; what is longer is cut.
            known: prompts to begin with where nobody says one.
            dtype: of the weights in memory; None: as they are.

        Raises:
            ValueError: transformers is not installed, or the folder is not what it should be.
        """
        self.known, self.free, self._tokens = known, True, tokens
        self._said: Latest[Tensor] = Latest(REMEMBERED)
        self._lock = threading.Lock()  # a tokenizer is not for two threads at once
        try:
            from transformers import AutoTokenizer, UMT5EncoderModel
        except ImportError as error:
            raise ValueError("prompts need transformers: pip install 'worldloom[wan]'") from error
        beside = folder.parent / "tokenizer"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                beside if beside.is_dir() else folder, local_files_only=True, trust_remote_code=False
            )
            self._encoder = UMT5EncoderModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype or "auto"
            ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: expected a umT5 encoder and its tokenizer: {str(error)[:300]}") from error

    def encode(self, prompt: str) -> Tensor:
        """See `Prompts`."""
        text = cleaned(prompt)
        return self._said.get(text, lambda: self._encode(text))

    @torch.inference_mode()
    def _encode(self, text: str) -> Tensor:
        with self._lock:
            read = self._tokenizer([text], max_length=self._tokens, truncation=True, return_tensors="pt")
            hidden: Tensor = self._encoder(read.input_ids, attention_mask=read.attention_mask).last_hidden_state
        return hidden[0].clone()


def cleaned(prompt: str) -> str:
    """A prompt without HTML escapes and with single spaces, as the network's authors clean it (ftfy apart)."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(prompt))).strip()


def padded(encoded: Tensor, tokens: int) -> Tensor:
    """(n, width) -> (tokens, width), zeros behind the end."""
    return torch.nn.functional.pad(encoded[:tokens], (0, 0, 0, max(0, tokens - len(encoded))))
