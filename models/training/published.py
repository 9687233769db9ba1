"""What others published, to stand beside our figures: only with a source that can be named. Knows no measure of ours.

Pictures, data and sizes differ from ours in every row, so a row says what to read, not who is better.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One figure of somebody else."""

    system: str
    measure: str
    figure: str
    how: str  # under which conditions
    source: str
    ours: str = ""  # key of our nearest measure, dots between levels; "" where we have none


PUBLISHED = (
    Published(
        "GameNGen",
        "next-frame PSNR, teacher-forced",
        "29.43 dB",
        "DOOM 320x240, mean over 2,048 random trajectories, 64 frames of context; 900 M training frames",
        "arXiv 2408.14837",
        "next_frame_psnr",
    ),
    Published(
        "GameNGen",
        "next-frame LPIPS, teacher-forced",
        "0.249",
        "as above; we print SSIM, for LPIPS needs a network trained on other people's pictures",
        "arXiv 2408.14837",
    ),
    Published(
        "DIAMOND",
        "mean human-normalised score, Atari 100k",
        "1.46",
        "agents trained in the dream; we found no PSNR and no action following of the dream itself",
        "arXiv 2405.12399",
    ),
    Published(
        "DIAMOND (CS:GO)",
        "frames a second",
        "10",
        "381 M parameters, 150x280, one RTX 3090",
        "README of eloialonso/diamond, branch csgo",
    ),
    Published(
        "ForgeWM-1",
        "frames a second; time of a chunk",
        "72.1; 168.2 ms",
        "352x640, 12 frames a chunk, one H20, decoding left out; the repository defines its measures of control"
        " (462 clips of a constant action, 1,000 of recorded ones) and prints no results of them",
        "README of asdfo123/ForgeWM; arXiv 2608.14022",
    ),
    Published(
        "tinywmcraft",
        "action following by inverse dynamics",
        "0.92 to 0.93",
        "Craftax-Classic 63x63, discrete actions, 14 M parameters",
        "README of tinywmcraft",
        "key_macro_f1",
    ),
    Published(
        "MineWorld",
        "keyboard and mouse accuracy, GameWorld Score",
        "0.86; 0.64",
        "Minecraft, 32 pictures x 76 actions, read by the inverse dynamics of VPT",
        "SkyworkAI/Matrix-Game, GameWorldScore",
        "key_macro_f1",
    ),
)
