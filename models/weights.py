"""Shipped worlds on disk: a `.safetensors` file of weights and start scenes, a `.json` file of everything else.

Strict both ways: a missing, unexpected or misshapen tensor is an error that lists what differs. Nothing is unpickled.
Knows files and shapes; nothing about training or streaming.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .album import Album
from .autoencoder import Autoencoder, AutoencoderConfig
from .body import Body, BodyConfig
from .camera_view import CameraOutlook
from .detail import DetailConfig, DetailNet
from .dit import CausalDiT, DiTConfig
from .floorplan import Floorplan
from .hand_view import HandOutlook
from .keyframes import Keyframes
from .kv_format import KVFormat
from .low_noise import LowNoise, LowNoiseConfig
from .motion import MotionConfig, MotionNet
from .network import STREAMS
from .precision import native_dtype
from .reach import Reach, ReachConfig
from .reader import load_reader, reader_file, save_reader
from .spec import ActionSpec, Axis, Key, WorldSpec
from .state import StartScene
from .thing import Thing
from .view import Outlook
from .warp import WarpConfig, WarpNet
from .world import DiTWorld, DreamConfig

FORMAT = 1
EXACT = ("reach",)  # what is not rounded in files, for it counts
SCENE = ("momenta", "poses", "picture", "velocities")  # what a start scene may have besides latents and actions


def save_world(path: Path, world: DiTWorld, about: Mapping[str, Any], dtype: torch.dtype = torch.bfloat16) -> None:
    """Write `path` (.safetensors), the `.json` beside it, and the reader of a world that has one.

    Args:
        path: where the weights go.
        world: what to save.
        about: plain data to keep beside the shapes: metrics, recipe hash, provenance, notices.
        dtype: of the weights on disk.
    """
    tensors = {f"dit.{k}": v.to(dtype) for k, v in world.dit.state_dict().items()}
    tensors |= {f"autoencoder.{k}": v.to(dtype) for k, v in world.autoencoder.state_dict().items()}
    for k, scene in enumerate(world.scenes):
        tensors[f"scene.{k}.latents"] = scene.latents.half()
        tensors[f"scene.{k}.actions"] = scene.actions.float()
        tensors |= {f"scene.{k}.{n}": t for n in SCENE if (t := getattr(scene, n)) is not None}
    if world.outlook:
        for name, part in world.outlook.parts.items():
            kept = torch.float32 if name in EXACT else dtype
            tensors |= {f"{name}.{k}": v.to(kept) for k, v in part.state_dict().items()}
        if isinstance(world.outlook, CameraOutlook):
            tensors |= {f"album.{k}": v for k, v in world.outlook.album.tensors().items()}
            tensors |= {"walls": world.outlook.plan.walls} if world.outlook.plan else {}
        if isinstance(world.outlook, HandOutlook):
            tensors["plate"] = world.outlook.plates.flatten(0, 1)
    if world.keyframes:
        tensors["keyframes"] = world.keyframes.packed()
    if world.low_noise:
        tensors |= {f"low_noise.{k}": v.to(dtype) for k, v in world.low_noise.state_dict().items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    table = {
        "format": FORMAT,
        "world": spec_to_table(world.spec),
        "dit": asdict(world.dit.config),
        "autoencoder": asdict(world.autoencoder.config),
        "dream": asdict(world.config),
        "scenes": [scene.name for scene in world.scenes],
        **about,
    }
    if world.outlook:
        table |= {name: asdict(part.config) for name, part in world.outlook.parts.items()}  # type: ignore[call-overload]
    if isinstance(world.outlook, CameraOutlook):
        table |= _ground(world.outlook)
    if world.low_noise:
        table["low_noise"] = asdict(world.low_noise.config)
    save_file(tensors, path)
    path.chmod(0o644)  # safetensors writes files that only their owner may read
    if isinstance(world.outlook, HandOutlook):
        save_reader(world.outlook.reader, reader_file(path))
    path.with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")


def load_world(
    path: Path,
    *,
    device: str | torch.device = "",
    dtype: torch.dtype | None = None,
    kv: KVFormat = "native",
    streams: int = 0,
) -> DiTWorld:
    """The world in `path`, on the given device (CUDA where there is one) in the dtype that the hardware does well.

    Its streams keep keys and values as `kv` says, on CUDA in one block with room for so many (network.py; 0: as usual).

    Raises:
        ValueError: the files are damaged, or of another format, or do not fit each other.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    table = read_table(path)
    tensors = load_file(path)
    dit = CausalDiT(DiTConfig(**table["dit"]))
    shape = table["autoencoder"] | {"widths": tuple(table["autoencoder"]["widths"])}
    autoencoder = Autoencoder(AutoencoderConfig(**shape))
    fill(dit, _under(tensors, "dit."), f"{path}: dit")
    fill(autoencoder, _under(tensors, "autoencoder."), f"{path}: autoencoder")
    told: list[str] | int = table["scenes"]  # an older file says only how many there are
    names = [""] * told if isinstance(told, int) else told
    scenes = [_scene(_under(tensors, f"scene.{k}."), name) for k, name in enumerate(names)]
    dream = DreamConfig(**(table["dream"] | {"sigmas": tuple(table["dream"]["sigmas"])}))
    spec = replace(spec_from_table(table["world"]), looks=_looks(table))
    keyframes = Keyframes.unpacked(tensors["keyframes"]) if "keyframes" in tensors else None
    outlook = _outlook(table, tensors, path) if "detail" in table else None
    low_noise = _low_noise(table["low_noise"], dit, path) if "low_noise" in table else None
    if low_noise:
        fill(low_noise, _under(tensors, "low_noise."), f"{path}: low_noise")
    dtype = dtype or native_dtype(place)
    parts, pool = (
        (spec, dit, autoencoder, dream, scenes, keyframes, outlook, low_noise),
        (streams or STREAMS) if place.type == "cuda" else 0,
    )
    return DiTWorld(*parts, device=place, dtype=dtype, kv=kv, pool=pool)


def _scene(parts: Mapping[str, Tensor], name: str) -> StartScene:
    momenta, poses, picture, velocities = (parts.get(part) for part in SCENE)
    return StartScene(parts["latents"].float(), parts["actions"], momenta, poses, picture, velocities, name=name)


def _outlook(table: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> Outlook:
    try:
        detail = DetailNet(DetailConfig(**table["detail"]))
        if "warp" in table:
            reach, warp = (
                Reach(ReachConfig(**_with_things(table["reach"]))),
                WarpNet(WarpConfig(**_with_things(table["warp"]))),
            )
            plates = tensors["plate"].reshape(-1, warp.config.height, warp.config.width, 3)
            return _filled(HandOutlook(reach, warp, plates, detail, load_reader(reader_file(path))), tensors, path)
        motion = MotionNet(MotionConfig(**_frozen(table["motion"])))
        album = Album(**({"rises": torch.zeros(len(tensors["album.ends"]))} | _under(tensors, "album.")))
        plan = Floorplan(tensors["walls"], **table["floorplan"]) if "floorplan" in table else None
        body = Body(BodyConfig(**_frozen(table["body"])), tensors["walls"]) if "body" in table else None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: what moves its pictures is not whole: {error}") from error
    return _filled(CameraOutlook(motion, album, detail, plan, body), tensors, path)


def _low_noise(table: Mapping[str, Any], dit: CausalDiT, path: Path) -> LowNoise:
    try:
        return LowNoise(LowNoiseConfig(**_frozen(table)), dit)
    except TypeError as error:
        raise ValueError(f"{path}: low_noise: expected `rank` and `steps`, got {dict(table)}: {error}") from error


def _ground(outlook: CameraOutlook) -> dict[str, Any]:
    """What is known of where a camera walks and of who carries it, but for the walls."""
    plan, body = outlook.plan, outlook.body
    known = {"floorplan": {"below": plan.below, "above": plan.above}} if plan else {}
    return known | ({"body": asdict(body.config)} if body else {})


def _filled(outlook: Outlook, tensors: Mapping[str, Tensor], path: Path) -> Outlook:
    """The same with its networks' weights."""
    for name, part in outlook.parts.items():
        fill(part, _under(tensors, f"{name}."), f"{path}: {name}")
    return outlook


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with tuples for lists, and lists of lists."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return {name: frozen(value) for name, value in table.items()}


def _with_things(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what knows things that a hand can move."""
    return _frozen(table) | {"things": tuple(Thing(**_frozen(thing)) for thing in table["things"])}


def read_table(path: Path) -> dict[str, Any]:
    """The `.json` beside a world's weights.

    Raises:
        ValueError: it is missing, not JSON, or of another format.
    """
    try:
        table: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"expected a world description at {path.with_suffix('.json')}: {error}") from error
    if table.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {table.get('format')!r}; update Worldloom")
    return table


def fill(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy tensors into a module; every name and shape must fit.

    Raises:
        ValueError: lists what is missing, unexpected or of another shape.
    """
    want = module.state_dict()
    faults = [f"missing {k} {tuple(want[k].shape)}" for k in want.keys() - tensors.keys()]
    faults += [f"unexpected {k} {tuple(tensors[k].shape)}" for k in tensors.keys() - want.keys()]
    faults += [
        f"{k}: expected {tuple(want[k].shape)}, got {tuple(tensors[k].shape)}"
        for k in want.keys() & tensors.keys()
        if want[k].shape != tensors[k].shape
    ]
    if faults:
        raise ValueError(f"{name}: " + "; ".join(sorted(faults)))
    module.load_state_dict(dict(tensors))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def spec_from_table(table: dict[str, Any]) -> WorldSpec:
    """A WorldSpec from plain data, as a recipe or a shipped `.json` holds it.

    Raises:
        KeyError, TypeError, ValueError: something is missing, unknown or inconsistent.
    """
    actions = table["actions"]
    return WorldSpec(
        name=table["name"],
        height=table["height"],
        width=table["width"],
        fps=Fraction(str(table["fps"])),
        chunk=table["chunk"],
        actions=ActionSpec(
            buttons=tuple(actions["buttons"]),
            axes=tuple(Axis(**axis) for axis in actions["axes"]),
            keys={code: Key(**key) for code, key in actions["keys"].items()},
            look=_pair(actions["look"]),
        ),
        title=table.get("title", ""),
        help=table.get("help", ""),
        images=table.get("images", False),
        steps=_range(table.get("steps", (0, 0))),
        horizon=table.get("horizon", 0),
    )


def spec_to_table(spec: WorldSpec) -> dict[str, Any]:
    """The inverse of `spec_from_table`."""
    actions = spec.actions
    return {
        "name": spec.name,
        "height": spec.height,
        "width": spec.width,
        "fps": str(spec.fps),
        "chunk": spec.chunk,
        "title": spec.title,
        "help": spec.help,
        "images": spec.images,
        "steps": list(spec.steps),
        "horizon": spec.horizon,
        "actions": {
            "buttons": list(actions.buttons),
            "axes": [vars(axis) for axis in actions.axes],
            "keys": {code: vars(key) for code, key in actions.keys.items()},
            "look": [name or "" for name in actions.look],
        },
    }


def _looks(table: Mapping[str, Any]) -> tuple[float, ...]:
    """What the evaluation measured of recorded pictures as the autoencoder gives them back."""
    measured = table.get("metrics", {}).get("drift_statistics", {}).get("autoencoder", {})
    return tuple(float(statistic["mean"]) for statistic in measured.values())


def _range(numbers: Sequence[int]) -> tuple[int, int]:
    fewest, most = numbers
    return fewest, most


def _pair(names: Sequence[str]) -> tuple[str | None, str | None]:
    yaw, pitch = names
    return yaw or None, pitch or None
