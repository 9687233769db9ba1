"""What the checkpoints of the causal Wan family are: one network in a few sizes, and how each was trained to be rolled.

Everything that differs from checkpoint to checkpoint is an attribute here, never a global: which noise levels, how much
is remembered, where remembered frames stand. Knows numbers; no tensors, no files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Positions = Literal["absolute", "beside", "relative"]
"""Where attention sees remembered frames: see `memory.py`."""

PICTURES = 4  # of a latent frame, but for a stream's first one


@dataclass(frozen=True)
class ActionShape:
    """Shape of the modules that hear a keyboard and a mouse (Matrix-Game 2.0, arXiv 2508.13009)."""

    keys: int = 4  # columns of the keyboard
    mouse: int = 2  # columns of the mouse: pitch, yaw; 0: there is none
    blocks: int = 15  # how many blocks have such a module, the first ones
    width: int = 1024  # inside the modules
    heads: int = 16
    embedded: int = 128  # numbers that a picture's keys become
    history: int = 3  # latent frames whose actions a latent frame is told, its own the last of them
    time_pairs: int = 4  # rotated pairs of a head; the others stand still
    base: float = 256.0  # longest wavelength over the shortest

    @property
    def head_dim(self) -> int:
        """Numbers in a head."""
        return self.width // self.heads


@dataclass(frozen=True)
class WanConfig:
    """Shape of the network (Wan, arXiv 2503.20314); the defaults are Wan2.1 T2V 1.3B."""

    width: int = 1536  # numbers in a token
    ffn: int = 8960  # width inside the feed-forward
    heads: int = 12
    layers: int = 30
    channels: int = 16  # numbers in a latent cell that comes in
    out_channels: int = 16  # numbers in a latent cell that goes out
    patch: int = 2  # latent cells that a token spans, each way; one in time
    time_waves: int = 256  # cosines and sines that tell the timestep
    text_width: int = 4096  # numbers in a token of the text encoder
    text_tokens: int = 512  # tokens of a prompt, zeros behind its end included
    eps: float = 1e-6  # of every norm
    context: Literal["text", "picture"] = "text"  # what cross-attention looks at: a prompt, or CLIP's view of a picture
    actions: ActionShape | None = None  # of the modules that hear a keyboard and a mouse
    cameras: bool = False  # every block hears where each token's pixels look from, and where to

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"expected an even head width, got {self.width} / {self.heads} heads")

    @property
    def head_dim(self) -> int:
        """Numbers in a head."""
        return self.width // self.heads

    @property
    def pairs(self) -> tuple[int, int, int]:
        """Rotated pairs of a head for time, row and column: 22, 21, 21 of 64."""
        space = self.head_dim // 6
        return self.head_dim // 2 - 2 * space, space, space

    @property
    def shown(self) -> bool:
        """Whether every frame is shown the latents of a first picture: a mask of four numbers, and the latents."""
        return self.channels > self.out_channels


T2V_1_3B = WanConfig()
T2V_14B = WanConfig(width=5120, ffn=13824, heads=40, layers=40)
TI2V_5B = WanConfig(width=3072, ffn=14336, heads=24, channels=48, out_channels=48)


@dataclass(frozen=True)
class Rollout:
    """How a checkpoint makes chunk after chunk, as it was trained to."""

    steps: tuple[float, ...]  # falling timesteps out of 1000, as the checkpoint's own settings list them
    shift: float = 5.0  # of the noise schedule (SD3, arXiv 2403.03206)
    warp: bool = True  # the list counts places of the schedule, which the shift moves; False: it has timesteps
    context: float = 0.0  # timestep at which a finished chunk enters the memory; 0: clean
    chunk: int = 3  # latent frames that are made together
    attention: int = 21  # latent frames that attention reaches: sinks, window and the chunk being made
    sink: int = 0  # first latent frames that are never forgotten
    positions: Positions = "absolute"
    first: tuple[float, ...] | None = None  # `steps` of a stream's first chunk, where they differ

    def __post_init__(self) -> None:
        for steps in (self.steps, self.first or self.steps):
            if not steps or list(steps) != sorted(set(steps), reverse=True) or steps[0] > 1000 or steps[-1] <= 0:
                raise ValueError(f"expected falling timesteps above 0, at most 1000, got {steps}")
        if self.window < self.chunk or self.window % self.chunk or self.sink % self.chunk:
            raise ValueError(
                f"expected sink and window in chunks of {self.chunk}, and a window of at least one,"
                f" got sink {self.sink} and attention {self.attention}: a window of {self.window}"
            )

    @property
    def window(self) -> int:
        """Latent frames remembered just before the chunk being made."""
        return self.attention - self.sink - self.chunk


@dataclass(frozen=True)
class Hands:
    """What a player's keyboard and mouse are to a checkpoint."""

    columns: tuple[str, ...]  # of its keyboard, in its order; "rest" is pressed while no other is, "" never
    keys: tuple[tuple[str, str], ...]  # W3C KeyboardEvent.code, and the column that it presses
    degrees: float = 0.0  # of turning that a mouse's 1 stands for; 0: there is no mouse
    most: float = 0.1  # the largest number of a mouse in one picture that its authors' program gives


@dataclass(frozen=True)
class CameraShape:
    """How a player's way becomes a camera's."""

    fov: float = 79.2  # degrees across the picture: of two of the three films that its authors give as examples
    most: float = 3.0  # degrees that the camera turns in one picture at most; those films turn up to 3 to 7


@dataclass(frozen=True)
class Source:
    """Where a checkpoint's authors publish it, on the Hugging Face hub."""

    repo: str  # "": not known
    network: str = ""  # the file there; "": it is not known which
    lora: str = ""  # another file there, to be merged
    notes: str = ""

    def __str__(self) -> str:
        files = " with ".join(file for file in (self.network, self.lora) if file)
        where = ": ".join(part for part in (self.repo, files) if part)
        return "; ".join(part for part in (where, self.notes) if part)


@dataclass(frozen=True)
class Family:
    """A public checkpoint: what it is, where it comes from, what its owners allow."""

    title: str
    source: Source
    licence: str  # of the weights, as their page or repository says; read it there before you use them
    shape: WanConfig
    rollout: Rollout
    height: int = 480  # pixels it was trained at
    width: int = 832
    fps: int = 16  # pixel frames a second
    stride: int = 8  # pixels of a latent cell, each way
    hands: Hands | None = None  # what steers it, besides a prompt
    camera: CameraShape | None = None  # the same
    notes: str = ""  # what is not as its authors run it


SELF_FORCING = Rollout(steps=(1000, 750, 500, 250))
"""arXiv 2506.08009: timesteps 1000, 937.5, 833.3, 625 after the shift of 5; its demo runs a shift of 8."""

WALK = Hands(
    columns=("forward", "back", "left", "right"),
    keys=(("KeyW", "forward"), ("KeyS", "back"), ("KeyA", "left"), ("KeyD", "right")),
    degrees=57.3,
)
"""Matrix-Game's keyboard. What angle its mouse's numbers are is not published: they are taken for radians."""

RUN = Hands(
    columns=("rest", "jump", "slide", "turn left", "turn right", "left", "right"),
    keys=(("KeyW", "jump"), ("KeyS", "slide"), ("KeyZ", "turn left"), ("KeyC", "turn right"))
    + (("KeyA", "left"), ("KeyD", "right")),
)
"""That of its Temple Run."""

MATRIX_GAME = replace(T2V_1_3B, channels=36, context="picture", text_width=1280, text_tokens=257, actions=ActionShape())
TEMPLE_RUN = replace(MATRIX_GAME, actions=ActionShape(keys=7, mouse=0))
FORGE = replace(MATRIX_GAME, actions=ActionShape(keys=6))


def _forge(steps: tuple[float, ...]) -> Family:
    """ForgeWM in so many steps, whose first chunk always takes four."""
    first = (1000.0, 750.0, 500.0, 250.0)
    roll = Rollout(steps=steps, attention=6, first=first if steps != first else None)
    where = "stage3" if steps == first else f"{len(steps)}step"
    source, notes = Source("ForgeWM/ForgeWM", f"{where}/model.pt"), "its mouse's numbers are taken for radians"
    return Family(
        "ForgeWM", source, "Apache-2.0; of what it was made from, MIT", FORGE, roll, *FORGED, WALK, notes=notes
    )


LINGBOT_14B = replace(T2V_14B, channels=36, cameras=True)
FORGED = (352, 640, 12, 8)  # height, width, pictures a second as its own program writes them, stride

FAMILIES: dict[str, Family] = {
    "self-forcing": Family(
        "Self-Forcing",
        Source("gdhe17/Self-Forcing", "checkpoints/self_forcing_dmd.pt"),
        "Apache-2.0",
        T2V_1_3B,
        SELF_FORCING,
    ),
    "causal-forcing": Family(
        "Causal-Forcing, chunk by chunk",
        Source("zhuhz22/Causal-Forcing", "chunkwise/causal_forcing.pt"),
        "not checked: read the page of the weights",
        T2V_1_3B,
        SELF_FORCING,
    ),
    "causal-forcing-frame": Family(
        "Causal-Forcing, frame by frame",
        Source("zhuhz22/Causal-Forcing", "framewise/causal_forcing.pt"),
        "not checked: read the page of the weights",
        T2V_1_3B,
        Rollout(steps=(1000, 750, 500, 250), chunk=1),
    ),
    "longlive": Family(
        "LongLive",
        Source("Efficient-Large-Model/LongLive-1.3B", "models/longlive_base.pt", "models/lora.pt"),
        "Apache-2.0 in its repository, CC-BY-NC-SA-4.0 on an older page of the weights: read both",
        T2V_1_3B,
        Rollout(steps=(1000, 750, 500, 250), attention=12, sink=3),
    ),
    "rolling-forcing": Family(
        "Rolling-Forcing",
        Source("TencentARC/RollingForcing", "checkpoints/rolling_forcing_dmd.pt"),
        "Tencent's own, for academic use alone",
        T2V_1_3B,
        Rollout(steps=(1000, 800, 600, 400, 200), attention=24, sink=3, positions="beside"),
        notes="its authors denoise five chunks at once, each at another level; here one chunk after the other",
    ),
    "causvid": Family(
        "CausVid",
        Source("tianweiy/CausVid", "autoregressive_checkpoint/model.pt"),
        "CC-BY-NC-SA-4.0: not for commercial use",
        T2V_1_3B,
        Rollout(steps=(1000, 757, 522), shift=8.0, warp=False),
    ),
    "matrix-game": Family(
        "Matrix-Game-2.0",
        Source("Skywork/Matrix-Game-2.0", "base_distilled_model/base_distill.safetensors"),
        "MIT",
        MATRIX_GAME,
        Rollout(steps=(1000, 666, 333), attention=6),
        height=352,
        width=640,
        fps=25,
        hands=WALK,
        notes="its mouse's numbers are taken for radians",
    ),
    "matrix-game-temple": Family(
        "Matrix-Game-2.0, Temple Run",
        Source("Skywork/Matrix-Game-2.0", "templerun_distilled_model/templerun_7dim_onlykey.safetensors"),
        "MIT",
        TEMPLE_RUN,
        Rollout(steps=(1000, 750, 500, 250), attention=6),
        height=352,
        width=640,
        fps=25,
        hands=RUN,
    ),
    "lingbot-fast": Family(
        "LingBot-World-Fast",
        Source("", notes="LingBot-World-Fast, 14B; where it is published was not checked"),
        "Apache-2.0",
        LINGBOT_14B,
        Rollout(steps=(1000, 821, 642, 321), attention=18, sink=9),
        camera=CameraShape(),
        notes="places are in units of the fastest move, which is ours; its own schedule begins at 999 of 1000",
    ),
    "lingbot-2": Family(
        "LingBot-World 2, causal and fast",
        Source("robbyant/lingbot-world-v2-14b-causal-fast"),
        "Apache-2.0",
        LINGBOT_14B,
        Rollout(steps=(1000, 750, 500, 250), shift=10.0, attention=18, sink=6),
        camera=CameraShape(),
        notes="places are in units of the fastest move, which is ours; its own schedule begins at 999 of 1000",
    ),
    "forgewm-4": _forge((1000, 750, 500, 250)),
    "forgewm-2": _forge((1000, 250)),
    "forgewm-1": _forge((1000,)),
}
"""Checkpoints whose layout is known; that it loads says nothing about what its owners allow."""
