"""First pictures: CLIP as it is published and as transformers writes it, a file of them, and whole worlds of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from torch import Tensor

from worldloom.models.catalog import open_world
from worldloom.models.spec import Image
from worldloom.models.wan.clip_keys import is_clip, write_eye
from worldloom.models.wan.convert import Parts, convert, picture
from worldloom.models.wan.inspect import described
from worldloom.models.wan.sights import Eye, Sights, write_sights

from .folders import HEIGHT, WIDTH
from .published import original, prefixed
from .test_convert import run
from .test_vae import tiny_vae
from .tiny import FOUR, PLAYED_WALK

WIDE, LAYERS, CELLS, PATCH = 160, 3, 4, 7  # of a small CLIP, whose heads are as wide as the large one's


def clip(seed: int = 0) -> dict[str, Tensor]:
    """Random weights under the names of the public file."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (WIDE, 3, PATCH, PATCH),
        "cls_embedding": (1, 1, WIDE),
        "pos_embedding": (1, CELLS**2 + 1, WIDE),
        "head": (WIDE, 8),
    }
    shapes |= {f"{name}.{what}": (WIDE,) for name in ("pre_norm", "post_norm") for what in ("weight", "bias")}
    for n in range(LAYERS):
        stem = f"transformer.{n}."
        shapes |= {f"{stem}norm{k}.{what}": (WIDE,) for k in (1, 2) for what in ("weight", "bias")}
        for name, out, wide in (("attn.to_qkv", 3 * WIDE, WIDE), ("attn.proj", WIDE, WIDE), ("mlp.0", 4 * WIDE, WIDE)):
            shapes |= {f"{stem}{name}.weight": (out, wide), f"{stem}{name}.bias": (out,)}
        shapes |= {f"{stem}mlp.2.weight": (WIDE, 4 * WIDE), f"{stem}mlp.2.bias": (WIDE,)}
    tensors = {f"visual.{name}": torch.randn(size, generator=generator) * 0.1 for name, size in shapes.items()}
    return tensors | {"log_scale": torch.zeros(()), "textual.token_embedding.weight": torch.zeros(4, 4)}


def by_hand(tensors: dict[str, Tensor], image: Image) -> Tensor:
    """What the last block but one says, from the equations."""
    t = {name.removeprefix("visual."): tensor for name, tensor in tensors.items()}
    norm, ready = torch.nn.functional.layer_norm, torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
    ready = torch.nn.functional.interpolate(ready, (CELLS * PATCH,) * 2, mode="bicubic")
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    ready = (ready - mean[:, None, None]) / std[:, None, None]
    cells = torch.nn.functional.conv2d(ready, t["patch_embedding.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([t["cls_embedding"], cells], 1) + t["pos_embedding"]
    x = norm(x, (WIDE,), t["pre_norm.weight"], t["pre_norm.bias"])
    for n in range(LAYERS - 1):
        b = {name.removeprefix(f"transformer.{n}."): tensor for name, tensor in t.items()}
        y = norm(x, (WIDE,), b["norm1.weight"], b["norm1.bias"]) @ b["attn.to_qkv.weight"].T + b["attn.to_qkv.bias"]
        q, k, v = y.view(1, -1, 3, 2, WIDE // 2).permute(2, 0, 3, 1, 4)
        seen = ((q @ k.transpose(-1, -2)) * (WIDE // 2) ** -0.5).softmax(-1) @ v
        x = x + seen.transpose(1, 2).flatten(2) @ b["attn.proj.weight"].T + b["attn.proj.bias"]
        y = norm(x, (WIDE,), b["norm2.weight"], b["norm2.bias"]) @ b["mlp.0.weight"].T + b["mlp.0.bias"]
        x = x + torch.nn.functional.gelu(y) @ b["mlp.2.weight"].T + b["mlp.2.bias"]
    return x[0]


def image(seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.slow  # importing transformers takes seconds
def test_clip_sees_what_the_equations_say(tmp_path: Path) -> None:
    write_eye(tmp_path / "clip.pth", clip(), tmp_path / "eye", torch.float32)
    got, want = Eye(tmp_path / "eye")(image()), by_hand(clip(), image())
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5 * float(want.abs().max()))
    lacking = {name: tensor for name, tensor in clip().items() if "mlp.0.bias" not in name}
    with pytest.raises(ValueError, match=r"missing .*layers"):
        write_eye(tmp_path / "clip.pth", lacking, tmp_path / "other", torch.float32)
    with pytest.raises(ValueError, match="is not as in it"):
        write_eye(tmp_path / "clip.pth", {}, tmp_path / "other", torch.float32)
    assert is_clip(clip())


def test_pictures_in_a_file(tmp_path: Path) -> None:
    pictures, seen = [image(0), image(1)], [torch.rand(5, 10), torch.rand(5, 10)]
    write_sights(tmp_path / "pictures.safetensors", pictures, seen)
    sights = Sights.read(tmp_path / "pictures.safetensors", None)
    assert all(np.array_equal(a, b) for a, b in zip(sights.known, pictures, strict=True))
    assert torch.equal(sights.see(image(1)), seen[1])
    assert not sights.free
    with pytest.raises(ValueError, match="one of the 2 pictures"):
        sights.see(image(2))
    (tmp_path / "pictures.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match="expected a file of first pictures"):
        Sights.read(tmp_path / "pictures.safetensors", None)


def test_a_picture_from_a_file(tmp_path: Path) -> None:
    """The middle of it, in the world's shape."""
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 10:30] = 200
    Pillow.fromarray(wide).save(tmp_path / "wide.png")
    assert picture(tmp_path / "wide.png", 10, 20).min() == 200
    assert picture(tmp_path / "wide.png", 5, 10).shape == (5, 10, 3)
    (tmp_path / "none.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected a picture"):
        picture(tmp_path / "none.png", 5, 10)


@pytest.mark.slow  # importing transformers takes seconds
def test_convert(tmp_path: Path) -> None:
    """A network in the layout of the distilled files, with CLIP or with what it saw: the same pictures."""
    network = tmp_path / "published"
    network.mkdir()
    save_file(prefixed(original(PLAYED_WALK), "model."), network / "base_distill.safetensors")
    rope = {"action_config": {"rope_dim_list": [4, 2, 2], "rope_theta": 256}}
    (network / "config.json").write_text(json.dumps({"num_heads": 2, "text_len": 512} | rope))
    told = described(network)
    assert told["hears"] == "a picture, as CLIP sees it, a first picture in every frame, 4 keys and a mouse"
    assert told["fits"] == "yes"
    torch.save(clip(), tmp_path / "clip.pth")
    assert described(tmp_path / "clip.pth")["kind"] == "CLIP"
    torch.save(tiny_vae(FOUR).state_dict(), tmp_path / "vae.pth")
    save_config = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 2, 2], "num_res_blocks": 1}
    save_config |= {"temperal_downsample": [True, True], "latents_mean": [0.1] * 4, "latents_std": [1.5] * 4}
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text(json.dumps(save_config))
    save_file(tiny_vae(FOUR).state_dict(), tmp_path / "vae" / "vae.safetensors")
    Pillow.fromarray(image()).save(tmp_path / "first.png")
    common = ["--vae", str(tmp_path / "vae"), "--clip", str(tmp_path / "clip.pth"), "--height", str(HEIGHT)]
    common += ["--picture", str(tmp_path / "first.png"), "--width", str(WIDTH), "--dtype", "float32", "--json"]
    shown = []
    for name, more in (("any", []), ("stored", ["--store"])):
        code, output = run("convert", str(network), str(tmp_path / name), "--family", "matrix-game", *common, *more)
        assert code == 0, output
        world = open_world(str(tmp_path / name), dtype=torch.float32)
        assert world.spec.images == (name == "any")
        assert world.spec.actions.columns == ("forward", "back", "left", "right", "yaw", "pitch")
        rows = np.ones((1, world.spec.chunk, 6), np.float32)
        shown.append(world.step([world.start(seed=1)], rows))
        if name == "any":
            other = world.step([world.start(seed=1, image=image(4))], rows)
            assert not np.array_equal(other, shown[0])
    assert np.array_equal(shown[0], shown[1])
    parts = Parts(network, tmp_path / "vae", eye=tmp_path / "clip.pth", pictures=(tmp_path / "first.png",))
    with pytest.raises(ValueError, match="other than the family Self-Forcing"):
        convert(parts, tmp_path / "new", "self-forcing", ())
    with pytest.raises(ValueError, match="CLIP's encoder of pictures and at least one picture"):
        convert(Parts(network, tmp_path / "vae"), tmp_path / "new", "matrix-game", ())
