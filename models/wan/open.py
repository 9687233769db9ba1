"""A world of the Wan family out of a folder: `wan.json` says what it is and where its parts are.

    {"format": 1, "title": ..., "licence": ..., "source": ..., "height": 480, "width": 832, "fps": 16,
     "rollout": {"steps": [1000, 750, 500, 250], ...}, "shape": {...},
     "network": "network.safetensors", "decoder": "vae.safetensors", "vae": {...}, "small": "taew2_1.safetensors",
     "prompts": "prompts.safetensors", "encoder": "text_encoder", "known": ["..."],
     "pictures": "pictures.safetensors", "eye": "image_encoder", "hands": {...}}

Parts are named from the folder on. Memory is counted before anything is loaded. Knows files; nothing about sessions.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..exchange import Exchange
from ..free_memory import available_memory
from ..kv_format import KVFormat
from ..precision import native_dtype
from ..spec import WorldSpec
from .camera_steering import CameraSteering
from .config import PICTURES, ActionShape, CameraShape, Hands, Rollout, WanConfig
from .dit import WanDiT
from .fp8 import LinearFormat, refuse_fp8
from .fused import Kernels, fuses
from .hands import HandSteering
from .load import load_dit
from .load_vae import load_taehv, load_vae
from .need import Plan, refuse_too_little
from .rays import CELL
from .sights import Eye, Sights
from .split import SplitDiT
from .spread import ALONE, OnSeveral
from .steering import Steering, Unsteered
from .text import EncodedPrompts, Prompts, StoredPrompts
from .told import Blind, Told
from .vae import VaeConfig
from .world import WanWorld

FILE = "wan.json"
FORMAT = 1
PARTS: dict[str, type] = {
    "rollout": Rollout,
    "shape": WanConfig,
    "vae": VaeConfig,
    "hands": Hands,
    "camera": CameraShape,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WanFolder:
    """What `wan.json` says."""

    title: str
    licence: str  # of the weights, in the words of who made the folder
    source: str  # where they were published
    height: int  # pixels
    width: int
    fps: int  # pictures a second
    rollout: Rollout
    shape: WanConfig
    vae: VaeConfig = field(default_factory=VaeConfig)
    network: str = "network.safetensors"
    decoder: str = "vae.safetensors"  # the autoencoder
    small: str = ""  # TAEHV's decoder, which shows the pictures where it is there
    prompts: str = ""  # a file of encoded prompts
    encoder: str = ""  # a folder with umT5 and its tokenizer
    known: tuple[str, ...] = ()  # prompts to begin with, where there is an encoder
    pictures: str = ""  # a file of first pictures, where the network is shown one
    eye: str = ""  # a folder with CLIP's encoder of pictures, where the network looks through it
    hands: Hands | None = None  # what a keyboard and a mouse are to it
    camera: CameraShape | None = None  # how the player's way becomes the camera's

    @property
    def tokens(self) -> int:
        """Of a latent frame."""
        cell = self.vae.stride * self.shape.patch
        return (self.height // cell) * (self.width // cell)

    def write(self, folder: Path) -> None:
        """Put it into its folder."""
        (folder / FILE).write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> WanFolder:
        """What was written.

        Raises:
            ValueError: no such file, not JSON, of another format, or it makes no sense.
        """
        try:
            table: dict[str, Any] = json.loads((folder / FILE).read_text())
            if table.pop("format") != FORMAT:
                raise ValueError(f"expected format {FORMAT}")
            frozen = _frozen(table)
            if actions := frozen.get("shape", {}).get("actions"):
                frozen["shape"]["actions"] = ActionShape(**actions)
            for name, kind in PARTS.items():
                if frozen.get(name) is not None:
                    frozen[name] = kind(**frozen[name])
            return cls(**frozen)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder / FILE}: expected the description of a Wan world: {error}") from error


def open_wan(
    folder: Path,
    *,
    device: str | torch.device = "",
    dtype: torch.dtype | None = None,
    attention: int | None = None,
    small: bool = True,
    kv: KVFormat = "native",
    linears: LinearFormat = "native",
    kernels: Kernels = "auto",
    graphs: int = 0,
    exchange: Exchange | None = None,
    told: Told | None = None,
) -> WanWorld:
    """The world in a folder, on the given device (CUDA where there is one) in the dtype that the hardware does well.

    Args:
        folder: with a `wan.json`.
        device: where it goes.
        dtype: of weights and memory.
        attention: latent frames that attention reaches, where the checkpoint's own number takes too much memory.
        small: decode with TAEHV where it is there; False: always with the autoencoder's own decoder.
        kv: how memories keep keys and values.
        linears: how the network keeps and multiplies its large matrices: "fp8" (see fp8.py) or in `dtype`.
        kernels: "eager" has torch's own passes where Triton's kernels would be taken.
        graphs: for how many streams the device makes room beforehand to step them in CUDA graphs; 0: without.
        exchange: with the other processes that have a part of it (see leader.py); None: it is all here.
        told: what stands for encoders and decoder where the first of these has them; None: they are here.

    Raises:
        ValueError: a part is missing, damaged or of another shape, memory does not suffice, or the device cannot
            multiply in eight bits.
    """
    about = WanFolder.read(folder)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or native_dtype(place)
    roll = replace(about.rollout, attention=attention) if attention else about.rollout
    small = bool(about.small and small and not told)
    taehv = load_taehv(folder / about.small, dtype=dtype, device=place) if small else None
    if taehv and (taehv.config.stride, taehv.config.channels) != (about.vae.stride, about.vae.channels):
        raise ValueError(
            f"{folder / about.small}: expected as many pixels and numbers of a cell as the autoencoder has"
        )
    config = taehv.config if taehv else None
    if linears == "fp8":
        refuse_fp8(place, dtype, about.shape)
    if graphs and exchange:
        raise ValueError(f"expected graphs = 0 on several devices, got {graphs}: exchanges are no part of a graph")
    ranks, size = exchange.ranks if exchange else 1, (about.height, about.width)
    plan = Plan(about.shape, roll, about.vae, *size, dtype, config, kv, linears, graphs > 0, ranks)
    if not told or place.type == "cuda":  # on a CPU the first rank has counted for all
        wanted = refuse_too_little(_share(place, ranks), plan)
        log.info("%s: %s; licence of the weights: %s", about.title, wanted, about.licence)
    prompts, sights = _prompts(folder, about, told), _sights(folder, about, told)
    steering = _steering(about, roll, kv, ranks)
    vae = load_vae(folder / about.decoder, about.vae, dtype=dtype, device=place)
    kind = partial(SplitDiT, exchange=exchange) if exchange else WanDiT
    dit = load_dit(folder / about.network, about.shape, dtype=dtype, device=place, linears=linears, kind=kind)
    return WanWorld(
        _spec(folder, about, prompts, sights, steering),
        dit.fuse(fuses(place, kernels)),
        Blind() if told else taehv or vae,
        prompts,
        roll,
        encoder=vae,
        steering=steering,
        sights=sights,
        stride=about.vae.stride,
        kv=kv,
        graphs=graphs,
        spread=OnSeveral(exchange, len(steering.caches)) if exchange else ALONE,
        device=place,
    )


def _share(place: torch.device, ranks: int) -> int | None:
    """Bytes that a rank may take: processes on a CPU share its memory."""
    free = available_memory(str(place))
    return free if free is None or place.type == "cuda" else free // ranks


def _prompts(folder: Path, about: WanFolder, told: Told | None) -> Prompts | None:
    if about.shape.context == "picture":
        return None
    if told:
        return told
    if about.encoder:
        return EncodedPrompts(folder / about.encoder, about.shape.text_tokens, about.known)
    if about.prompts:
        return StoredPrompts.read(folder / about.prompts)
    raise ValueError(f"{folder / FILE}: expected an encoder of prompts, or a file of encoded ones")


def _sights(folder: Path, about: WanFolder, told: Told | None) -> Sights | None:
    if not about.shape.shown:
        return None
    if not about.pictures:
        raise ValueError(f"{folder / FILE}: expected a file of first pictures, for this network is shown one")
    eye = (told or Eye(folder / about.eye)) if about.eye else None
    return Sights.read(folder / about.pictures, eye)


def _steering(about: WanFolder, roll: Rollout, kv: KVFormat, ranks: int) -> Steering:
    if about.shape.cameras:
        if about.vae.stride != CELL:
            raise ValueError(f"expected latent cells of {CELL} pixels, as cameras' rays have, got {about.vae.stride}")
        return CameraSteering(about.camera or CameraShape(), about.height, about.width, about.shape.patch)
    if about.shape.actions is None:
        return Unsteered()
    if about.hands is None:
        raise ValueError("expected hands in the description: the columns of the keyboard that this network hears")
    return HandSteering(about.shape.actions, about.hands, roll, about.tokens // ranks, kv)


def _spec(
    folder: Path, about: WanFolder, prompts: Prompts | None, sights: Sights | None, steering: Steering
) -> WorldSpec:
    looks = about.shape.context == "picture"
    return WorldSpec(
        name=folder.resolve().name,
        height=about.height,
        width=about.width,
        fps=Fraction(about.fps),
        chunk=PICTURES * about.rollout.chunk,
        actions=steering.actions,
        prompts=prompts is not None,
        switches=("recache", "blend", "flush") if prompts else (),
        images=not looks or (sights is not None and sights.free),
        title=about.title,
        help=_help(prompts, steering)[:200],
    )


def _help(prompts: Prompts | None, steering: Steering) -> str:
    said = ""
    if prompts:
        said = "Say what you want to see." if prompts.free else "One of: " + "; ".join(prompts.known)
    keys = ", ".join(f"{code.removeprefix('Key')}: {key.column}" for code, key in steering.actions.keys.items())
    return ". ".join(part for part in (keys, said) if part)


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples, however deep; tables stay."""
    if isinstance(value, list):
        return tuple(_frozen(part) for part in value)
    return {name: _frozen(part) for name, part in value.items()} if isinstance(value, dict) else value
