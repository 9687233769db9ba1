"""Tiny random worlds: every weight non-zero, so that nothing is hidden by a zero-initialised layer."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from torch import nn

from worldloom.models.album import Album
from worldloom.models.autoencoder import Autoencoder, AutoencoderConfig
from worldloom.models.camera_view import CameraOutlook
from worldloom.models.detail import DetailConfig, DetailNet
from worldloom.models.dit import CausalDiT, DiTConfig
from worldloom.models.hand_view import HandOutlook
from worldloom.models.keyframes import Keyframes
from worldloom.models.kv_format import KVFormat
from worldloom.models.motion import MotionConfig, MotionNet
from worldloom.models.reach import Reach, ReachConfig
from worldloom.models.reader import Reader
from worldloom.models.spec import ActionSpec, Axis, Key, WorldSpec
from worldloom.models.state import StartScene
from worldloom.models.thing import Thing
from worldloom.models.training.gripper import AXES, CAMERA, VIEW
from worldloom.models.training.hands import HIGH, LOW, THINGS
from worldloom.models.warp import WarpConfig, WarpNet
from worldloom.models.world import DiTWorld, DreamConfig

from .room import WALKER, plan, room_album, walker

TINY_ACTIONS = ActionSpec(
    buttons=("forward",),
    axes=(Axis("turn", -6.0, 6.0, "degree/frame", "amount"), Axis("lift", -1.0, 1.0, "cm/frame")),
    keys={"KeyW": Key("forward"), "ArrowRight": Key("turn", 5.0)},
    look=("turn", None),
)


HAND = ActionSpec(
    buttons=(),
    axes=tuple(Axis(name, -1.0, 1.0, "cm/frame") for name in ("x", "y", "z", "gripper")),
    keys={"KeyD": Key("x", 1.0)},
    look=(None, None),
)


def randomise(module: nn.Module, seed: int, scale: float = 0.25) -> None:
    """Every parameter from the seed alone; gains and their like around one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            mean = 1.0 if bool((parameter == 1.0).all()) else 0.0
            fan = parameter[0].numel() if parameter.ndim > 1 else 16
            parameter.copy_(mean + torch.randn(parameter.shape, generator=generator) * max(scale, fan**-0.5))


def tiny_dit(
    fov: float = 0.0,
    *,
    recalls: bool = False,
    moves: bool = False,
    rows: int = 2,
    columns: int = 3,
    patch: int = 1,
    actions: int = 3,
) -> CausalDiT:
    dit = CausalDiT(
        DiTConfig(
            channels=4,
            rows=rows,
            columns=columns,
            actions=actions,
            width=32,
            layers=2,
            heads=2,
            patch=patch,
            stem=16,
            moves=moves,
            recalls=recalls,
            fov=fov,
            history=2,
        )
    )
    randomise(dit, 0, 0.15)
    dit.change.fill_(0.5)
    return dit.eval()


PLAIN = MotionConfig(32, 48, 3, 2, turn=1, degrees=6.0, fov=90.0, gait=10.0, widths=(8, 8, 8))


def tiny_motion(config: MotionConfig = PLAIN) -> MotionNet:
    """Turns by six degrees, and things are about a unit away."""
    motion = MotionNet(config)
    randomise(motion, 4, 0.1)
    return motion.eval()


def tiny_world(
    chunk: int = 1,
    sink: int = 0,
    azimuth: str = "",
    *,
    keyframes: int = 0,
    steps: tuple[int, int] = (0, 0),
    moves: bool = False,
    hand: bool = False,
    planned: bool = False,
    pool: int = 0,
    kv: KVFormat = "native",
) -> DiTWorld:
    spec = WorldSpec("tiny", 32, 48, Fraction(20), chunk, HAND if hand else TINY_ACTIONS, images=True, steps=steps)
    columns = len(spec.actions.columns)
    autoencoder = Autoencoder(AutoencoderConfig(32, 48, 4, (8, 8, 16), position=True))
    randomise(autoencoder, 1, 0.0)
    if moves or hand:  # pictures come back as latents, and a random loop would make a storm of every rounding
        with torch.no_grad():
            last = [p for n, p in autoencoder.encoder.named_parameters()][-2:]
            last[0].mul_(0.03)
            last[1].fill_(1.0)
    generator = torch.Generator().manual_seed(2)
    scenes = [
        StartScene(torch.randn(3, 4, 2, 3, generator=generator).half().float(), torch.zeros(3, columns))
        for _ in range(2)
    ]
    config = DreamConfig((1.0, 0.5, 0.0), 0.1, window=2 * chunk, sink=sink, azimuth=azimuth)
    dit = tiny_dit(90.0 if azimuth else 0.0, recalls=keyframes > 0, moves=moves or hand, actions=columns)
    recalled = tiny_keyframes(keyframes) if keyframes else None
    outlook = tiny_outlook(planned=planned) if moves else tiny_hand_outlook() if hand else None
    return DiTWorld(spec, dit, autoencoder, config, scenes, recalled, outlook, kv=kv, pool=pool)


def tiny_keyframes(count: int) -> Keyframes:
    latents = torch.randn(count, 4, 2, 3, generator=torch.Generator().manual_seed(3))
    return Keyframes.unpacked(Keyframes(latents).packed())


def tiny_album(count: int) -> Album:
    """Taken in a circle about the origin, each towards another side and of another colour."""
    angles = torch.linspace(0.0, 360.0, count + 1, dtype=torch.float64)[:count]
    poses = torch.stack([angles.deg2rad().sin(), angles.deg2rad().cos(), angles], 1)
    x, y = np.meshgrid(np.arange(48), np.arange(32))
    grey = ((x + y) % 16 * 4)[..., None]
    pictures = [
        (grey + np.array([200 * k // count, 40, 190 - 190 * k // count])).astype(np.uint8) for k in range(count)
    ]
    return Album.of(pictures, poses, torch.zeros(count))


def tiny_outlook(*, planned: bool = False) -> CameraOutlook:
    """In a room whose floorplan is known, where that is wanted."""
    detail = DetailNet(DetailConfig(8, 1))
    randomise(detail, 5, 0.02)
    if planned:
        return CameraOutlook(tiny_motion(WALKER), room_album(12), detail, plan(), walker())
    return CameraOutlook(tiny_motion(), tiny_album(12), detail)


DRAWER, PUCK = THINGS["drawer-open-v3"], THINGS["pick-place-v3"]
"""A handle that slides, and what can be carried about."""


def tiny_warp(things: tuple[Thing, ...] = (DRAWER,)) -> WarpNet:
    """Nothing is learned yet."""
    right, down, behind = AXES.T.tolist()
    x, y, z = CAMERA.tolist()
    axes = (tuple(right), tuple(down), tuple(-side for side in behind))
    return WarpNet(WarpConfig(32, 48, (x, y, z), axes, VIEW, LOW, HIGH, (8, 8, 8), things)).eval()


def tiny_hand_outlook(things: tuple[Thing, ...] = (DRAWER,)) -> HandOutlook:
    """Hands that go as springs pull them, and a thing that goes wherever."""
    warp, detail = tiny_warp(things), DetailNet(DetailConfig(8, 1))
    reach = Reach(ReachConfig(LOW, HIGH, things, width=8))
    assert reach.slide
    randomise(reach.slide, 7, 0.1)
    with torch.no_grad():
        for part in reach.slide[-1].parameters():
            part.mul_(0.02)  # where nobody moves, too little to be meant
    randomise(warp, 4, 0.05)  # with 0.1 every frame makes five times as much of a rounding
    randomise(detail, 5, 0.02)
    plates = torch.full((len(things), 32, 48, 3), 90, dtype=torch.uint8)
    return HandOutlook(reach, warp, plates, detail, tiny_reader(len(things)))


def tiny_reader(kinds: int = 1) -> Reader:
    """Hands about the middle of the box."""
    reader = Reader(32, 48, kinds)
    randomise(reader, 6, 0.1)
    reader.mean.copy_(torch.tensor([0.0, 0.7, 0.25, 0.0, 0.7, 0.09]))
    reader.scale.fill_(0.02)
    return reader.eval()
