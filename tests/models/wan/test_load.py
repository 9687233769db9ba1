"""Every public layout gives the same network; what is wrong with a file is said in one error."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from worldloom.models.memory import FullMemory
from worldloom.models.rope import rotary
from worldloom.models.wan.config import T2V_1_3B, T2V_14B, TI2V_5B
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.load import load_dit, public_shapes, shape_of

from .published import lora, original, prefixed, self_forcing, under_fsdp
from .tiny import COLUMNS, PLAYED, ROWS, SHAPE, latents, prompt


def said(dit: WanDiT) -> Tensor:
    """What a network makes of a small clip."""
    frames = torch.arange(2).double()
    memory = FullMemory(rotary(rope_of(SHAPE, ROWS, COLUMNS), frames, torch.zeros_like(frames)), None)
    with torch.inference_mode():
        return dit(latents(2), torch.full((1, 2), 500.0), [dit.text_keys(prompt())], memory)


def same(path: Path, tensors: Mapping[str, Tensor], **options: object) -> None:
    """A file holds these weights."""
    got = load_dit(path, SHAPE, **options)  # type: ignore[arg-type]
    torch.testing.assert_close(said(got), said(as_loaded(tensors, path)), rtol=0, atol=1e-5)


def as_loaded(tensors: Mapping[str, Tensor], path: Path) -> WanDiT:
    plain = path.parent / "plain.pth"
    torch.save(dict(tensors), plain)
    return load_dit(plain, SHAPE)


def test_safetensors(tmp_path: Path) -> None:
    tensors = original()
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    same(tmp_path / "diffusion_pytorch_model.safetensors", tensors)
    same(tmp_path, tensors)


def test_a_file_of_before_torch_1_6(tmp_path: Path) -> None:
    tensors = original()
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    same(tmp_path / "old.pth", tensors)


def test_shards(tmp_path: Path) -> None:
    tensors = original()
    names = sorted(tensors)
    shards = {"a.safetensors": names[:30], "b.safetensors": names[30:]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, tmp_path / file)
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, held in shards.items() for name in held}}))
    same(tmp_path, tensors)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"b\.safetensors is missing"):
        load_dit(tmp_path, SHAPE)
    index.write_text(json.dumps({"weight_map": dict.fromkeys(names, "../elsewhere.safetensors")}))
    with pytest.raises(ValueError, match="files beside it"):
        load_dit(tmp_path, SHAPE)


def test_averages_are_a_choice(tmp_path: Path) -> None:
    plain, averaged = original(seed=1), original(seed=2)
    file = self_forcing(tmp_path / "self_forcing_dmd.pt", plain, averaged)
    same(file, averaged)
    same(file, averaged, ema=True)
    same(file, plain, ema=False)
    torch.save({"generator": prefixed(plain, "model.")}, tmp_path / "model.pt")
    same(tmp_path / "model.pt", plain)
    with pytest.raises(ValueError, match=r"averaged weights, got the sets \['generator'\]"):
        load_dit(tmp_path / "model.pt", SHAPE, ema=True)


def test_wrappers(tmp_path: Path) -> None:
    tensors = original()
    torch.save({"generator": under_fsdp(tensors)}, tmp_path / "model.pt")
    same(tmp_path / "model.pt", tensors)


@pytest.mark.parametrize(
    "prefix",
    ["base_model.model.model.", *(pytest.param(p, marks=pytest.mark.slow) for p in ("base_model.model.", ""))],
)
def test_low_rank_changes_are_added(tmp_path: Path, prefix: str) -> None:
    tensors = original()
    changes = lora(tensors, 4, prefix)
    torch.save({"generator": prefixed(tensors, "model.")}, tmp_path / "base.pt")
    torch.save({"generator_lora": changes}, tmp_path / "lora.pt")
    for alpha, scale in ((None, 1.0), (8.0, 2.0)):
        want = dict(tensors)
        for name in tensors:
            stem = prefix + name.removesuffix(".weight")
            if f"{stem}.lora_A.weight" in changes:
                want[name] = want[name] + scale * changes[f"{stem}.lora_B.weight"] @ changes[f"{stem}.lora_A.weight"]
        same(tmp_path / "base.pt", want, lora=tmp_path / "lora.pt", alpha=alpha)
    assert (said(as_loaded(want, tmp_path / "x")) - said(as_loaded(tensors, tmp_path / "x"))).abs().max() > 1e-2


def test_low_rank_changes_that_do_not_fit(tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "base.pt")
    changes = lora(original(), 4, "")
    name = "blocks.1.self_attn.q"
    faults = {
        "only lora_A": {f"{name}.lora_A.weight": changes[f"{name}.lora_A.weight"]},
        "a change of": {k: v[:, :2] for k, v in changes.items() if name in k},
        "known weights": {k.replace("blocks", "chunks"): v for k, v in changes.items() if name in k},
        "names that end": original(),
    }
    for said_so, wrong in faults.items():
        torch.save(wrong, tmp_path / "lora.pt")
        with pytest.raises(ValueError, match=said_so):
            load_dit(tmp_path / "base.pt", SHAPE, lora=tmp_path / "lora.pt")


def test_what_differs_is_told_in_a_few_lines(tmp_path: Path) -> None:
    tensors = original(replace(SHAPE, layers=2, ffn=44))
    del tensors["head.head.bias"]
    tensors["blocks.0.action_model.t_qkv.weight"] = torch.zeros(3, 3)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not the weights") as fault:
        load_dit(tmp_path / "other.pth", SHAPE)
    lines = [line.strip() for line in str(fault.value).splitlines()[1:]]
    assert "missing head.head.bias (16,)" in lines
    assert "unexpected blocks.0.action_model.t_qkv.weight (3, 3)" in lines
    assert "blocks.0-1.ffn.0.weight: expected (40, 48), got (44, 48)" in lines
    assert "missing blocks.2" in lines
    assert len(lines) == 6
    torch.save({f"{k}.{name}": tensor for k in range(9) for name, tensor in tensors.items()}, tmp_path / "many.pth")
    with pytest.raises(ValueError, match="and [0-9]+ more such lines"):
        load_dit(tmp_path / "many.pth", SHAPE)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("/tmp/worldloom-was-here"),))


def test_damaged_and_hostile_files(tmp_path: Path) -> None:
    torch.save(original(), tmp_path / "whole.pth")
    save_file(original(), tmp_path / "whole.safetensors")
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    files = {
        "cut.pth": whole["whole.pth"][:-4000],
        "cut.safetensors": whole["whole.safetensors"][:-40],
        "noise.pt": b"\x80\x02 nothing that anybody wrote",
        "empty.safetensors": b"",
        "page.safetensors": b"<html>Access denied</html>",
        "hostile.pt": pickle.dumps({"generator": Hostile()}),
        "text.pt": pickle.dumps({"generator": "weights"}),
        "readme.md": b"# Weights",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            load_dit(tmp_path / name, SHAPE)
    assert not Path("/tmp/worldloom-was-here").exists()
    with pytest.raises(ValueError, match="nothing is there"):
        load_dit(tmp_path / "none.pt", SHAPE)


def test_the_shape_is_read_off_the_weights(tmp_path: Path) -> None:
    tensors = original()
    table = {"dim": 48, "num_heads": 2, "text_len": 6, "eps": 1e-6, "model_type": "t2v", "window_size": [-1, -1]}
    assert shape_of(tensors, table) == SHAPE
    for shape in (T2V_1_3B, T2V_14B, TI2V_5B):
        with torch.device("meta"):
            big = {name: torch.empty(size) for name, size in public_shapes(shape).items()}
        assert shape_of(big, {}) == shape
    with pytest.raises(ValueError, match=r"patch_embedding\.weight"):
        shape_of({"conv1.weight": torch.zeros(3)}, {})
    assert public_shapes(SHAPE) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    one_three = public_shapes(T2V_1_3B)
    assert len(one_three) == 825
    assert sum(torch.Size(size).numel() for size in one_three.values()) == 1_418_996_800


@pytest.mark.slow  # importing diffusers takes seconds
def test_what_diffusers_writes_and_how_it_reads_the_original(tmp_path: Path) -> None:
    from diffusers import WanTransformer3DModel
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    from .tiny import diffusers_config

    tensors = original()
    theirs = WanTransformer3DModel(**diffusers_config(SHAPE)).eval().requires_grad_(False)
    theirs.load_state_dict(convert_wan_transformer_to_diffusers(dict(tensors)))
    with torch.inference_mode():
        want = theirs(latents(2).transpose(1, 2), torch.tensor([500.0]), prompt()[None]).sample.transpose(1, 2)
    for folder, size in (("one", "10GB"), ("shards", "60KB"), ("pipeline/transformer", "10GB")):
        theirs.save_pretrained(tmp_path / folder, max_shard_size=size)
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    torch.save(tensors, tmp_path / "original.pth")
    for name in ("one", "shards", "pipeline", "original.pth"):
        shape = SHAPE if name == "original.pth" else None  # a folder has a config.json
        dit = load_dit(tmp_path / name, shape)
        assert replace(dit.config, text_tokens=SHAPE.text_tokens) == SHAPE
        torch.testing.assert_close(said(dit), want, rtol=0, atol=1e-5 * float(want.abs().max()))


def test_gains_that_are_not_used_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tensors = original(PLAYED)
    torch.save(tensors, tmp_path / "trained.pth")
    load_dit(tmp_path / "trained.pth", PLAYED)
    assert "gains in its action modules are not one" in caplog.text
    caplog.clear()
    ones = {name: torch.ones_like(t) if "_norm." in name and "action" in name else t for name, t in tensors.items()}
    torch.save(ones, tmp_path / "plain.pth")
    load_dit(tmp_path / "plain.pth", PLAYED)
    assert not caplog.text


@pytest.mark.slow  # importing diffusers takes seconds
def test_the_picture_embedding_of_diffusers() -> None:
    from diffusers.models.transformers.transformer_wan import WanImageEmbedding

    from worldloom.models.wan.keys import original_names

    theirs = WanImageEmbedding(10, 48).state_dict()
    names = original_names(f"condition_embedder.image_embedder.{name}" for name in theirs)
    ours = {name: tuple(t.shape) for name, t in original(PLAYED).items() if name.startswith("img_emb.")}
    assert {names[f"condition_embedder.image_embedder.{n}"]: tuple(t.shape) for n, t in theirs.items()} == ours
