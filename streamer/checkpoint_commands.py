"""`worldloom pull NAME`, `inspect FILE` and `convert SRC DST`: published weights. Knows how to ask and to print."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .printing import refuse, show

if TYPE_CHECKING:
    from worldloom.models.wan.published import Published


class Format(StrEnum):
    """How numbers are written."""

    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


Averaged = Annotated[
    bool | None, typer.Option("--ema/--no-ema", help="averaged weights, or not; averaged where there are any")
]


def pull(
    name: Annotated[str, typer.Argument(help="docs/checkpoints.md lists them")],
    to: Annotated[Path | None, typer.Option(help="a folder; checkpoints/NAME by default")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="ask nobody: say whether it is all here")] = False,
) -> None:
    """Take published weights from the Hugging Face hub. Says licence and size first; run again, it goes on."""
    import os

    from worldloom.models.wan.published import published
    from worldloom.models.wan.pull import asked, here, is_offline
    from worldloom.models.wan.pull import pull as take

    console, endpoint = Console(soft_wrap=True), os.environ.get("HF_ENDPOINT")
    try:
        source = published(name)
        folder = to or Path("checkpoints") / name
        console.print(f"{source.title}, {source.page}\nLicence of the weights: {source.licence}", markup=False)
        if offline or is_offline():
            plan = here(source, folder)
        else:
            plan = asked(source, endpoint=endpoint)
            missing = plan.missing(folder) / 1e9
            console.print(f"{plan.octets / 1e9:.2f} GB, of which {missing:.2f} to take, into {folder}", markup=False)
            if not yes and not typer.confirm("Take it under this licence?"):
                raise typer.Exit(1)
            take(source, plan, folder, endpoint=endpoint, tell=lambda line: console.print(line, markup=False))
    except ValueError as error:
        raise refuse(str(error)) from error
    console.print(f"Commit {plan.commit}.\n{next_steps(source, folder)}", markup=False)


def inspect(
    file: Annotated[Path, typer.Argument(help=".pt, .pth, .safetensors, or a folder of them")],
    ema: Averaged = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """Say what a file of weights is, and whether a network of the Wan family can be made of it."""
    from worldloom.models.wan.inspect import described

    try:
        show(described(file, ema=ema), as_json)
    except ValueError as error:
        raise refuse(str(error)) from error


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the network, as it was published")],
    folder: Annotated[Path, typer.Argument(metavar="DST", help="a new folder, for `worldloom serve --world DST`")],
    family: Annotated[str, typer.Option(help="which checkpoint it is: docs/checkpoints.md")],
    vae: Annotated[Path, typer.Option(help="the autoencoder, as it was published")],
    encoder: Annotated[
        Path | None, typer.Option(help="a folder with umT5 as transformers writes it, and its tokenizer")
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="to begin with; give it again for more")] = None,
    clip: Annotated[Path | None, typer.Option(help="CLIP, for networks that look at a first picture")] = None,
    picture: Annotated[list[Path] | None, typer.Option(help="to begin with; give it again for more")] = None,
    small: Annotated[Path | None, typer.Option(help="TAEHV's decoder for these latents, as taew2_1.pth")] = None,
    store: Annotated[bool, typer.Option(help="encode prompts or pictures now, and need no encoder later")] = False,
    lora: Annotated[Path | None, typer.Option(help="low-rank changes to merge")] = None,
    alpha: Annotated[float | None, typer.Option(help="their strength; their rank by default")] = None,
    ema: Averaged = None,
    dtype: Annotated[Format, typer.Option(help="of the network on disk")] = Format.BFLOAT16,
    height: Annotated[int | None, typer.Option(help="pixels; as it was trained by default")] = None,
    width: Annotated[int | None, typer.Option(help="pixels; as it was trained by default")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """Make a world of published weights: one folder, in Wan's own layout, nothing pickled. Says their licence."""
    import torch

    from worldloom.models.wan.convert import Parts, convert
    from worldloom.models.wan.need import Plan, need

    parts = Parts(source, vae, encoder, small, lora, alpha, ema, clip, tuple(picture or ()))
    number = getattr(torch, dtype.value)
    try:
        about = convert(parts, folder, family, prompt or (), store=store, dtype=number, height=height, width=width)
    except (ValueError, OSError) as error:
        raise refuse(str(error)) from error
    wanted = need(Plan(about.shape, about.rollout, about.vae, about.height, about.width))
    table = {"folder": str(folder), "title": about.title, "published": about.source, "licence": about.licence}
    show(table | {"memory in bfloat16": str(wanted)}, as_json)
    if not as_json:
        Console().print(f"Next: worldloom serve --world {folder}", markup=False)


def next_steps(source: Published, folder: Path) -> str:
    """What to run when it is all here: what such a network needs besides, and nothing else."""
    from worldloom.models.wan.config import FAMILIES
    from worldloom.models.wan.published import PARTS
    from worldloom.models.wan.pull import first_file

    if not source.family:
        return f"`worldloom convert` takes {first_file(source, folder)}."
    shape = FAMILIES[source.family].shape
    reads = shape.context == "text"
    options = {"--vae": "wan-vae", "--small": "taew2_1"} | ({"--encoder": "umt5"} if reads else {"--clip": "clip"})
    beside = {name: first_file(PARTS[name], folder.parent / name) for name in options.values()}
    words = [str(first_file(source, folder)), f"{source.family}-world", "--family", source.family]
    words += ["--lora", str(folder / source.lora)] if source.lora else []
    for option, name in options.items():
        words += [option, str(beside[name])]
    words += ["--prompt", '"A walk along a harbour at dawn"'] if reads else []
    words += ["--picture", "PICTURE"] if shape.shown else []
    steps = [f"First: worldloom pull {name}" for name, path in beside.items() if not path.exists()]
    if shape.shown:
        steps.append("First: a picture to begin with, as PICTURE")
    return "\n".join([*steps, f"Next: worldloom convert {' '.join(words)}"])
