"""Cameras: a session's keys and looks as poses, these as rays, rays in the network: each against its own equations."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldloom.models.check import check_world
from worldloom.models.memory import FullMemory
from worldloom.models.rope import rotary
from worldloom.models.wan.camera_steering import CameraSteering
from worldloom.models.wan.config import LINGBOT_14B, CameraShape, Rollout
from worldloom.models.wan.controls import STILL, Controls
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.keys import fused
from worldloom.models.wan.load import public_shapes, shape_of
from worldloom.models.wan.open import open_wan
from worldloom.models.wan.rays import rays_of

from .folders import filmed
from .published import original
from .tiny import COLUMNS, FILMED, ROLL, ROWS, SHAPE, latents, prompt, tiny_dit, with_sinks

HEIGHT, WIDTH = 8 * ROWS, 8 * COLUMNS
SHAPE_OF_CAMERA = CameraShape(fov=70.0, most=9.0)
STEER = CameraSteering(SHAPE_OF_CAMERA, HEIGHT, WIDTH, 2)


def rows_of(frames: int, seed: int = 0) -> Tensor:
    """(4 * frames, 6): right, up, forward, and yaw, pitch and roll in degrees."""
    generator = torch.Generator().manual_seed(seed)
    moves = torch.randint(-1, 2, (4 * frames, 3), generator=generator).float()
    return torch.cat([moves, torch.randn(4 * frames, 3, generator=generator) * 4.0], 1)


def way(rows: Tensor) -> list[NDArray[np.float64]]:
    """Cameras in the world, (4, 4), after every picture: turned, then moved, one after the other."""
    yaw = pitch = lean = 0.0
    place, poses = np.zeros(3), []
    for right, up, forward, turn, tilt, roll in rows.tolist():
        yaw, pitch, lean = yaw + math.radians(turn), pitch + math.radians(tilt), lean + math.radians(roll)
        ahead, side = np.array([math.sin(yaw), 0, math.cos(yaw)]), np.array([math.cos(yaw), 0, -math.sin(yaw)])
        step = forward * ahead + right * side - up * np.array([0.0, 1.0, 0.0])
        place = place + step / max(1.0, float(np.linalg.norm(step))) / 4.0
        look = np.array([math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
        pose = np.eye(4)
        below = np.cross(look, side)
        across, below = (math.cos(lean) * side + math.sin(lean) * below, math.cos(lean) * below - math.sin(lean) * side)
        pose[:3, :4] = np.stack([across, below, look, place], 1)
        poses.append(pose)
    return poses


def test_keys_and_looks_become_the_way_of_a_camera() -> None:
    """Told from one latent frame to the next; the first four rows lead to the picture that all begins with."""
    rows = rows_of(7)
    told, carried = [], STEER.rest()
    for at in (0, 2, 4):  # chunks of two, and one of three
        chunk, carried = STEER.hear(carried, rows[4 * at : 4 * (at + 2 + (at == 4))], at == 0)
        told.append(chunk)
    cameras = [np.eye(4), *way(rows[4:])[3::4]]
    want = [np.eye(4), *(np.linalg.inv(a) @ b for a, b in zip(cameras, cameras[1:], strict=False))]
    torch.testing.assert_close(torch.cat(told), torch.tensor(np.stack(want))[:, :3].float(), rtol=0, atol=1e-5)
    one, _ = STEER.hear(STEER.rest(), torch.tensor([[0, 0, 1.0, 0, 0, 0]]).repeat(4, 1), False)
    assert one[0, :, 3].tolist() == pytest.approx([0, 0, 1])  # straight on for a latent frame is the unit
    leant = torch.tensor([84.0, 3.0]).double()
    _, carried = STEER.hear(leant, torch.tensor([[0, 0, 0, 0, 9.0, 1.0]]).repeat(4, 1), False)
    assert carried.tolist() == [85.0, 7.0]


def test_columns_of_a_session() -> None:
    assert STEER.actions.columns == ("right", "up", "forward", "yaw", "pitch", "roll")
    assert STEER.actions.look == ("yaw", "pitch")
    assert STEER.actions.high.tolist() == [1, 1, 1, 9, 9, 9]
    assert [STEER.actions.keys[code].value for code in ("KeyW", "KeyS", "KeyD", "KeyA")] == [1, -1, 1, -1]
    assert STEER.actions.keys["ArrowUp"].column == "pitch"


def test_rays_are_those_of_every_pixel() -> None:
    poses, _ = STEER.hear(STEER.rest(), rows_of(2), False)
    rays = rays_of(poses, HEIGHT, WIDTH, 70.0)
    assert rays.shape == (2, ROWS * COLUMNS // 4, 6 * 64 * 4)
    focal = WIDTH / 2 / math.tan(math.radians(35.0))
    inner = torch.tensor([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]).double().inverse()
    parts = rays.unflatten(2, (6, 8, 8, 2, 2)).unflatten(1, (ROWS // 2, COLUMNS // 2))  # type: ignore[no-untyped-call]
    for frame, x, y in ((0, 0, 0), (1, 21, 9), (0, 40, 31), (1, 47, 16)):
        look = poses[frame, :, :3].double() @ inner @ torch.tensor([x + 0.5, y + 0.5, 1.0]).double()
        want = torch.cat([poses[frame, :, 3].double(), look / look.norm()]).float()
        got = parts[frame, y // 16, x // 16, :, y % 8, x % 8, y // 8 % 2, x // 8 % 2]
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


def made(seed: int = 0) -> tuple[WanDiT, dict[str, Tensor]]:
    tensors = original(FILMED, seed)
    dit = WanDiT(FILMED).eval().requires_grad_(False)
    dit.load_state_dict(fused(tensors, FILMED, torch.float32))
    return dit, tensors


def velocity(dit: WanDiT, controls: Controls) -> Tensor:
    film = latents(3, shape=dit.config)
    frames = torch.arange(3).double()
    memory = FullMemory(rotary(rope_of(SHAPE, ROWS, COLUMNS), frames, frames * 0.0), None)
    return dit(film, torch.full((1, 3), 500.0), [dit.text_keys(prompt())], memory, controls)


def heard(frames: int = 3, seed: int = 0) -> Controls:
    poses, _ = STEER.hear(STEER.rest(), rows_of(frames, seed), False)
    return STEER.controls(poses[None], [()])


@torch.inference_mode()
def test_an_adapter_of_zeros_is_no_adapter() -> None:
    dit, tensors = made()
    for layer in dit.blocks:
        for part in (layer.cam_scale_layer, layer.cam_shift_layer):
            for parameter in part.parameters():  # type: ignore[union-attr]
                parameter.zero_()
    plain = WanDiT(replace(FILMED, cameras=False)).eval()
    known = {name: t for name, t in tensors.items() if not any(w in name for w in ("cam_", "wancam", "c2ws"))}
    plain.load_state_dict(fused(known, FILMED, torch.float32))
    assert torch.equal(velocity(dit, heard()), velocity(plain, STILL))


@torch.inference_mode()
def test_the_injection_is_what_its_equations_say() -> None:
    """Each token: e += W2 silu(W1 e), once and again in each block; then x (1 + Ws e) + Wb e behind self-attention."""
    dit, tensors = made()
    rays, x = heard().rays, torch.randn(1, 3, ROWS * COLUMNS // 4, 48, generator=torch.Generator().manual_seed(1))
    assert rays is not None

    def linear(name: str, x: Tensor) -> Tensor:
        return torch.einsum("...i,oi->...o", x, tensors[f"{name}.weight"]) + tensors[f"{name}.bias"]

    def twice(stem: str, e: Tensor) -> Tensor:
        inner = linear(f"{stem}1", e)
        return e + linear(f"{stem}2", inner * torch.sigmoid(inner))

    e = twice("c2ws_hidden_states_layer", linear("patch_embedding_wancamctrl", rays))
    got = dit._heard(Controls(rays=rays)).rays
    assert got is not None
    torch.testing.assert_close(got, e, rtol=0, atol=1e-5 * float(e.abs().max()))
    for n, block in enumerate(dit._blocks()):
        b = f"blocks.{n}."
        h = twice(f"{b}cam_injector_layer", e)
        want = x * (1.0 + linear(f"{b}cam_scale_layer", h)) + linear(f"{b}cam_shift_layer", h)
        torch.testing.assert_close(block._looked(x, got), want, rtol=0, atol=1e-5 * float(want.abs().max()))
    moved = velocity(dit, heard(seed=1))
    assert (moved - velocity(dit, heard())).abs().max() > 1e-2
    assert (moved[:, 0] - velocity(dit, STILL)[:, 0]).abs().max() > 1e-2


def test_layouts() -> None:
    tensors = original(FILMED)
    assert public_shapes(FILMED) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shape_of(tensors, {"num_heads": 2, "text_len": 6}) == FILMED
    with torch.device("meta"):
        big = {name: torch.empty(size) for name, size in public_shapes(LINGBOT_14B).items()}
    assert shape_of(big, {}) == LINGBOT_14B
    assert tiny_dit(shape=FILMED).config.shown


@pytest.mark.slow
@pytest.mark.parametrize("roll", [ROLL, with_sinks(ROLL, 2)], ids=["plain", "sinks"])
def test_a_filmed_world_keeps_the_promises_of_worlds(tmp_path: Path, roll: Rollout) -> None:
    world = open_wan(filmed(tmp_path / "tiny", roll), dtype=torch.float32)
    check_world(world, chunks=2, tolerance=1)
    assert (world.spec.prompts, world.spec.images) == (True, True)
    actions = np.zeros((1, 8, 6), np.float32)
    actions[..., 2] = 1.0
    picture = np.full((16, 16, 3), 200, np.uint8)
    one = world.start(seed=1, prompt="a harbour at night", image=picture)
    world.step([one], actions)
    back = world.load(world.park(one))
    shown = [world.step([s], actions).astype(int) for s in (one, back)]
    assert np.abs(shown[0] - shown[1]).max() <= 1
    world.say(back, "a meadow")  # and it is told another prompt under way
    assert np.abs(world.step([back], actions).astype(int) - world.step([one], actions)).max() > 1
