"""`worldloom inspect` and `worldloom convert` on published layouts, and what the server makes of the result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.serving import ServerMaker
from worldloom.models.catalog import open_world
from worldloom.models.wan.convert import Parts, convert
from worldloom.models.wan.inspect import described
from worldloom.models.wan.open import WanFolder
from worldloom.models.wan.world import WanWorld
from worldloom.streamer.__main__ import app

from .folders import PROMPTS, folder
from .published import lora, original, prefixed, self_forcing
from .test_text import umt5
from .test_vae import TINY, diffusers_vae, tiny_vae
from .tiny import SHAPE


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout if result.exit_code == 0 else result.output


def test_inspect(tmp_path: Path) -> None:
    file = self_forcing(tmp_path / "sf.pt", original(seed=1), original(seed=2))
    code, output = run("inspect", str(file), "--json")
    told = json.loads(output)
    assert code == 0
    assert (told["kind"], told["set"], told["layout"]) == ("network", "generator_ema", "original")
    assert told["other sets"] == ["generator"]
    assert told["tensors"] == len(original())
    assert "blocks of width 48" in told["like"]
    assert described(file, ema=False)["set"] == "generator"
    assert "generator_ema" in run("inspect", str(file))[1]
    torch.save(tiny_vae().state_dict(), tmp_path / "vae.pth")
    torch.save(lora(original(), 2, "base_model.model."), tmp_path / "lora.pt")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    kinds = [described(tmp_path / name)["kind"] for name in ("vae.pth", "lora.pt", "other.pth")]
    assert kinds == ["autoencoder", "low-rank changes", "not known: weight"]


def test_inspect_says_what_does_not_fit(tmp_path: Path) -> None:
    tensors = original()
    tensors |= {f"blocks.{n}.action_model.t_qkv.weight": torch.zeros(3, 3) for n in range(3)}
    save_file(prefixed(tensors, "model."), tmp_path / "matrix_game.safetensors")
    assert "unexpected blocks.0-2.action_model.t_qkv.weight" in described(tmp_path / "matrix_game.safetensors")["fits"]
    code, output = run("inspect", str(tmp_path / "none.pt"))
    assert code == 2
    assert "nothing is there" in " ".join(output.split())


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"family": "mars"}, "expected a family, one of self-forcing"),
        ({"prompts": []}, "at least one prompt"),
        ({"folder": "."}, "exists"),
        ({"vae": "network.safetensors"}, "not the weights of such an autoencoder"),
    ],
)
def test_mistakes_leave_nothing_behind(tmp_path: Path, fault: dict[str, Any], told: str) -> None:
    path = folder(tmp_path / "tiny")
    options = {"family": "self-forcing", "prompts": ["a"], "folder": "new", "vae": "Wan_tiny_VAE.pth"} | fault
    (path / "config.json").write_text(json.dumps({"num_heads": 2, "text_len": 6}))
    parts = Parts(path / "network.safetensors", path / options["vae"], path)
    with pytest.raises(ValueError, match=told):
        convert(parts, tmp_path / options["folder"], options["family"], options["prompts"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny"]


@pytest.mark.slow  # importing diffusers and transformers takes seconds
def test_convert_what_others_wrote(tmp_path: Path) -> None:
    """A network by torch, an autoencoder by diffusers, an encoder by transformers: one world."""
    network = tmp_path / "published"
    network.mkdir()
    save_file(original(), network / "diffusion_pytorch_model.safetensors")
    (network / "config.json").write_text(json.dumps({"num_heads": 2, "text_len": 6, "dim": 48}))
    torch.save({"generator_lora": lora(original(), 2, "base_model.model.")}, tmp_path / "lora.pt")
    diffusers_vae().save_pretrained(tmp_path / "pipeline" / "vae")
    encoder = umt5(tmp_path / "pipeline")
    common = ["--vae", str(tmp_path / "pipeline"), "--encoder", str(encoder), "--prompt", "a  meadow"]
    common += ["--height", "32", "--width", "48", "--dtype", "float32", "--json", "--lora", str(tmp_path / "lora.pt")]
    for name, more in (("any", []), ("stored", ["--store"])):
        code, output = run("convert", str(network), str(tmp_path / name), "--family", "longlive", *common, *more)
        assert code == 0, output
        assert "CC-BY-NC-SA" in json.loads(output)["licence"]
    changed = load_file(tmp_path / "any" / "network.safetensors")["blocks.0.self_attn.q.weight"]
    assert not torch.equal(changed, original()["blocks.0.self_attn.q.weight"])
    worlds = [open_world(str(tmp_path / name), dtype=torch.float32) for name in ("any", "stored")]
    shown = []
    for world in worlds:
        assert isinstance(world, WanWorld)
        assert world.roll.sink == 3
        assert world.dit.config == SHAPE
        assert world.prompts is not None
        assert world.prompts.known == ("a meadow",)
        shown.append(world.step([world.start(seed=1, prompt="a meadow")], world.spec.actions.neutral(12)[None]))
    assert np.array_equal(*shown)  # type: ignore[arg-type]
    assert worlds[0].start(seed=1, prompt="a harbour at night") is not None
    assert replace(TINY) == WanFolder.read(tmp_path / "any").vae


@pytest.mark.slow  # a server in a process of its own
async def test_a_tiny_world_through_the_whole_service(tmp_path: Path, start_server: ServerMaker) -> None:
    """Through the engine's process and a WebSocket: chunks of pictures, a prompt said, other pictures."""
    from worldloom.client.connection import connect

    server = start_server("--world", str(folder(tmp_path / "tiny")))
    server.wait_until_ready()
    async with connect(server.url, mode="lockstep", seed=1, prompt=PROMPTS[0]) as world:
        assert world.info.prompts
        before = [picture.pixels for picture in await world.step()]
        assert len(before) == 8
        receipt = await world.prompt(PROMPTS[1]).answer
        assert receipt.status == "applied"
        after = [picture.pixels for picture in await world.step()]
    assert not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
