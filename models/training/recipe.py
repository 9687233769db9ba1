"""One TOML file says everything that makes a world: its controls, its data, its networks, its training.

Knows how to read and check a recipe, and nothing about what the stages do with it. Unknown keys are errors.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import WorldSpec
from ..weights import spec_from_table

RECIPES = Path(__file__).parents[2] / "configs" / "train"


@dataclass(frozen=True)
class DataRecipe:
    """How much is recorded, and from which engine."""

    simulator: str  # "arm", "doom" or "toy": which engine makes the frames; "own": recordings that are there already
    frames: int  # training frames
    holdout: int  # frames of held-out episodes, other seeds
    episode: int  # frames after which an episode is cut
    seed: int  # training episodes start here, held-out ones at seed + 1_000_000
    processes: int = 2  # worker processes, one engine each
    directions: dict[str, dict[str, float]] = field(default_factory=dict)  # "x+" -> the columns held in the battery
    maps: tuple[str, ...] = ()  # of "doom": where episodes take place; none: the maze `my_way_home`, as it was shipped
    tasks: tuple[str, ...] = ()  # of "arm": what is on the table, as Meta-World calls it; none: the drawer, as shipped
    camera: str = ""  # of "own" in LeRobot's layout: which video feature, where there are several


@dataclass(frozen=True, kw_only=True)
class FitRecipe:
    """How long a stage trains, and on how much at once."""

    minutes: float  # training time; pauses are not counted
    batch: int  # frames a step; clips a step for the dynamics
    steps: int = 0  # when positive, the length of training in steps instead of minutes


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(FitRecipe):
    """What the two stages that train on single frames share."""

    lr: float  # peak learning rate of AdamW
    noise: float  # standard deviation of noise on latents in training: makes the decoder forgiving


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe(PictureRecipe):
    """The per-frame autoencoder and its training."""

    channels: int  # latent channels
    widths: tuple[int, int, int]  # feature widths at 1/4, 1/8 and 1/16 of the picture
    position: bool  # learned position features in the decoder: for a camera that stands still


@dataclass(frozen=True, kw_only=True)
class DecoderRecipe(PictureRecipe):
    """The second training of the decoder, with the encoder and so the latents left as they are."""

    texture: float  # weight of the difference in local sharpness: costs PSNR, gives back the grain of surfaces
    lean: bool = False  # without the finest features, for worlds with `[detail]`: a third of the work


@dataclass(frozen=True, kw_only=True)
class MotionRecipe(FitRecipe):
    """The network that moves the last picture as the camera moves, for worlds with an `azimuth` (see motion.py)."""

    lr: float  # peak learning rate of AdamW
    widths: tuple[int, int, int]  # feature widths at 1/4, 1/8 and 1/16 of the picture
    unit: float  # of the engine's lengths in one unit of depth: about as far as things are
    album: int  # recorded pictures that the world carries, to recall what comes into sight (see album.py)
    bob: tuple[float, float, float] = (0.0, 0.0, 0.0)  # how far the camera swings, see `rise` in motion.py
    gait: float = 0.0  # frames in which a walking camera swings up and down once, 0 when it does not
    body: float = 0.0  # of the engine's lengths: radius of who carries the camera
    tics: int = 0  # times a frame that the engine moves its body (body.py), where it moves it as told here
    friction: float = 0.0  # share of its speed that it keeps from one to the next
    thrust: dict[str, tuple[float, float]] = field(default_factory=dict)  # by action column: of the engine's lengths
    # that it adds in a tic, right and ahead


@dataclass(frozen=True, kw_only=True)
class HandRecipe(FitRecipe):
    """The networks that count a robot's hand and warp the last picture towards it (see hand_view.py)."""

    lr: float  # peak learning rate of AdamW
    widths: tuple[int, int, int]  # feature widths of the WarpNet at 1/4, 1/8 and 1/16 of the picture
    counting: float  # of the minutes, the share in which the hand's way is learnt; the rest is for pictures
    track: tuple[float, float, float] | None = None  # metres: how near and how far a drawer's handle slides, and its
    # height; where there are tasks, what can be moved in them is known (hands.py)


@dataclass(frozen=True, kw_only=True)
class DetailRecipe(FitRecipe):
    """The network that puts dreamed, moved and recalled pictures together (see detail.py)."""

    lr: float  # peak learning rate of AdamW
    texture: float  # weight of the difference in local sharpness
    width: int = 48  # features of a position
    depth: int = 2  # mixers
    frames: int = 32  # longest dream that it is trained on


@dataclass(frozen=True, kw_only=True)
class DynamicsRecipe(FitRecipe):
    """The diffusion transformer, its cache and its training."""

    width: int
    layers: int
    heads: int
    patch: int = 1  # latent cells that a token spans, each way
    stem: int = 96  # features of a cell on its way to a token and back, with `patch`
    window: int  # frames that the cache remembers
    sink: int  # first frames that it never forgets
    sigmas: tuple[float, ...]  # noise levels of the sampler, from 1 to 0
    context_sigma: float  # noise level at which finished frames enter the cache
    frames: int  # frames in a clip
    lr_muon: float  # peak learning rate of matrices
    lr_adam: float  # peak learning rate of all else
    ema: float  # decay of the averaged weights that ship
    rollout_share: float = 0.0  # share of a batch's clips whose context the network dreamed itself (see rollouts.py)
    rollout_frames: int = 32  # longest such dream towards the true frames
    rollout_beyond: int = 0  # frames that every other one goes on after that, towards recorded frames that are near
    keyframes: int = 0  # recorded frames that the world carries, to be shown the nearest one (see keyframes.py)
    history: int = 1  # action rows that a frame is told: the one that leads to it and those before it
    still_share: float = 0.0  # share of clips in which nothing moves: one frame again and again, `rest` at zero
    slide_share: float = 0.0  # share of clips in which the thing before a hand goes, which is seldom and matters
    fade_share: float = 0.0  # share of the true clips whose context is partly washed out, as dreams are after a while
    rest: tuple[str, ...] = ()  # action columns that are zero when nothing moves; the others stay as they are
    long_from: float = 0.7  # progress from which clips are as long as the window
    azimuth: str = ""  # axis that turns the camera (degrees a frame), or "" for a camera that stands still
    fov: float = 90.0  # horizontal field of view, degrees; used with `azimuth`
    compile: bool = True  # torch.compile the training step


@dataclass(frozen=True, kw_only=True)
class LowNoiseRecipe(FitRecipe):
    """What the transformer is besides after its first denoising step (see low_noise.py)."""

    rank: int  # of the differences of large matrices
    takes: tuple[int, ...]  # numbers of denoising steps, above 1, that are learned
    lr: float  # peak learning rate of AdamW
    ema: float  # decay of the averaged weights that ship


@dataclass(frozen=True)
class Recipe:
    """A whole recipe."""

    spec: WorldSpec
    data: DataRecipe
    autoencoder: AutoencoderRecipe
    decoder: DecoderRecipe
    dynamics: DynamicsRecipe
    motion: MotionRecipe | None  # None where the last picture is shown as it was
    hand: HandRecipe | None  # the same for a hand that moves before a camera that stands still
    detail: DetailRecipe | None  # with `motion` or `hand`, and not without
    low_noise: LowNoiseRecipe | None  # None where one step, or those of `dynamics.sigmas`, are all
    notices: tuple[str, ...]  # whose pictures these are, and under which licence
    digest: str  # SHA-256 of the file

    @property
    def moves(self) -> bool:
        """Whether the last picture is shown moved."""
        return self.motion is not None or self.hand is not None


def normal_actions(recipe: Recipe, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., A) action rows with every column brought to about [-1, 1]."""
    return np.asarray(rows / recipe.spec.actions.scale, np.float32)


def is_recipe(name: str) -> bool:
    """Whether `load_recipe` finds something under that name."""
    return (Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml").exists()


def load_recipe(name: str) -> Recipe:
    """The recipe of that name from configs/train, or at that path.

    Raises:
        ValueError: no such recipe, or an unknown or missing key; the message names it.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise ValueError(f"no recipe {name!r}; known: {known}, or a path to a .toml file")
    text = path.read_bytes()
    table = tomllib.loads(text.decode())
    if ("motion" in table or "hand" in table) != ("detail" in table) or {"motion", "hand"} <= table.keys():
        raise ValueError(f"{path}: expected both [motion] and [detail], or [hand] and [detail], or neither")
    try:
        autoencoder = table["autoencoder"] | {"widths": tuple(table["autoencoder"]["widths"])}
        data, dynamics = _with_tuples(table["data"]), _with_tuples(table["dynamics"])
        return Recipe(
            spec=replace(spec_from_table(table["world"]), horizon=table["data"]["episode"]),
            data=DataRecipe(**data),
            autoencoder=AutoencoderRecipe(**autoencoder),
            decoder=DecoderRecipe(**table["decoder"]),
            dynamics=DynamicsRecipe(**dynamics),
            motion=_motion(table.get("motion")),
            hand=HandRecipe(**_with_tuples(table["hand"])) if "hand" in table else None,
            detail=DetailRecipe(**table["detail"]) if "detail" in table else None,
            low_noise=LowNoiseRecipe(**_with_tuples(table["low_noise"])) if "low_noise" in table else None,
            notices=tuple(table["notices"]),
            digest=hashlib.sha256(text).hexdigest(),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _motion(table: dict[str, Any] | None) -> MotionRecipe | None:
    return MotionRecipe(**_with_tuples(table)) if table else None


def _with_tuples(table: dict[str, Any]) -> dict[str, Any]:
    """The table with tuples for lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
