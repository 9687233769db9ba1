"""What can be pulled: where the family's weights are published, what their owners allow, and what they are for here.

Sizes are told by the hub before anything is taken; what is known beforehand is written here, in bytes. No revision is
pinned, for none was loaded and looked at yet: what is pulled is named by its commit. Knows names; no network.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import FAMILIES

GB = 1_000_000_000
WAN = "Apache-2.0"


@dataclass(frozen=True)
class Published:
    """One thing to pull."""

    title: str
    repo: str  # on the Hugging Face hub
    files: tuple[str, ...]  # names or patterns; the first is what `worldloom convert` is given
    licence: str  # of the weights, as far as we know; read it at the repository
    octets: int = 0  # about; 0: not known before the hub is asked
    revision: str = "main"
    family: str = ""  # of `worldloom convert`; "": a part that others need
    lora: str = ""  # a file among `files` to be merged

    @property
    def page(self) -> str:
        """Where people read of it."""
        return f"https://huggingface.co/{self.repo}"


PARTS: dict[str, Published] = {
    "wan-vae": Published(
        "Wan 2.1's autoencoder", "Wan-AI/Wan2.1-T2V-1.3B", ("Wan2.1_VAE.pth",), WAN, octets=508_000_000
    ),
    "umt5": Published(
        "umT5-xxl, the encoder of prompts, and its tokenizer",
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        ("text_encoder/*", "tokenizer/*"),
        WAN,
        octets=int(11.4 * GB),
    ),
    "clip": Published(
        "CLIP, through which Matrix-Game-2.0 and ForgeWM see a first picture",
        "Skywork/Matrix-Game-2.0",
        ("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",),
        "MIT",
    ),
    "taew2_1": Published("TAEHV's small decoder for Wan 2.1", "madebyollin/taehv", ("taew2_1.pth",), "MIT"),
}
"""What a world needs besides its network."""

_NETWORKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "self-forcing": ("gdhe17/Self-Forcing", ("checkpoints/self_forcing_dmd.pt",), ""),
    "causal-forcing": ("zhuhz22/Causal-Forcing", ("chunkwise/causal_forcing.pt",), ""),
    "causal-forcing-frame": ("zhuhz22/Causal-Forcing", ("framewise/causal_forcing.pt",), ""),
    "longlive": (
        "Efficient-Large-Model/LongLive-1.3B",
        ("models/longlive_base.pt", "models/lora.pt"),
        "models/lora.pt",
    ),
    "rolling-forcing": ("TencentARC/RollingForcing", ("checkpoints/rolling_forcing_dmd.pt",), ""),
    "causvid": ("tianweiy/CausVid", ("autoregressive_checkpoint/model.pt",), ""),
    "matrix-game": ("Skywork/Matrix-Game-2.0", ("base_distilled_model/base_distill.safetensors",), ""),
    "matrix-game-temple": (
        "Skywork/Matrix-Game-2.0",
        ("templerun_distilled_model/templerun_7dim_onlykey.safetensors",),
        "",
    ),
    "forgewm-4": ("ForgeWM/ForgeWM", ("stage3/model.pt",), ""),
    "forgewm-2": ("ForgeWM/ForgeWM", ("2step/model.pt",), ""),
    "forgewm-1": ("ForgeWM/ForgeWM", ("1step/model.pt",), ""),
}

UNPLACED = frozenset({"lingbot-fast", "lingbot-2"})
"""Families of which it is not known which files of which repository to take."""

PUBLISHED: dict[str, Published] = {
    name: Published(FAMILIES[name].title, repo, files, FAMILIES[name].licence, family=name, lora=lora)
    for name, (repo, files, lora) in _NETWORKS.items()
} | PARTS
"""By the name that `worldloom pull` takes."""


def published(name: str) -> Published:
    """The one of that name. Raises `ValueError`, which lists them all."""
    if name not in PUBLISHED:
        raise ValueError(f"expected one of {', '.join(PUBLISHED)}, got {name!r}")
    return PUBLISHED[name]
