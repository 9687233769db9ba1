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

PUBLISHED: dict[str, Published] = {
    name: Published(
        family.title,
        family.source.repo,
        tuple(file for file in (family.source.network, family.source.lora) if file),
        family.licence,
        family=name,
        lora=family.source.lora,
    )
    for name, family in FAMILIES.items()
    if family.source.network
} | PARTS
"""By the name that `worldloom pull` takes; no family of which it is not known which file to take."""


def published(name: str) -> Published:
    """The one of that name. Raises `ValueError`, which lists them all."""
    if name not in PUBLISHED:
        raise ValueError(f"expected one of {', '.join(PUBLISHED)}, got {name!r}")
    return PUBLISHED[name]
