"""Triton's kernels: chosen on CUDA alone, the same as torch's passes in the interpreter, and fit for a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.wan import fused
from worldloom.models.wan.open import open_wan

from .folders import HEIGHT, WIDTH, folder

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs triton: wheels are for Linux on x86_64")


def test_kernels_are_for_cuda_unless_somebody_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "HAVE_TRITON", True)
    assert fused.fuses(torch.device("cuda"))
    assert not fused.fuses(torch.device("cuda"), "eager")
    assert not fused.fuses(torch.device("cpu"))
    monkeypatch.setattr(fused, "HAVE_TRITON", False)
    assert not fused.fuses(torch.device("cuda"))


def test_a_cpu_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("triton", "worldloom.models.wan.kernels"):
        monkeypatch.setitem(sys.modules, name, None)  # cannot be imported
    world = open_wan(folder(tmp_path / "tiny"), dtype=torch.float32)
    world.step([world.start(seed=0)], world.spec.actions.neutral(8)[None])
    assert not world.dit.fused
    world.dit.fuse(True)
    with pytest.raises(ImportError, match="kernels"):
        world.start(seed=1, image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))


@needs_triton
@pytest.mark.slow
def test_the_same_as_torchs_passes() -> None:
    """`interpreted.py`, in a process whose Triton interprets."""
    file = Path(__file__).with_name("interpreted.py")
    told = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(run, env=told, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=110)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


MODULATE = dict.fromkeys(("x", "out"), "*bf16") | dict.fromkeys(("scale", "shift"), "*fp32")
TURN = dict.fromkeys(("qkv", "q_gain", "k_gain", "q", "k", "v", "raw"), "*bf16")
TURN |= dict.fromkeys(("cos", "sin"), "*fp32")


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("width", [1536, 5120])
def test_a_compiler_takes_them(capability: int, width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Machine code for devices that are not here, at the widths of the 1.3B and the 14B network: compiled, not run."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Triton's own
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource, compile

        from worldloom.models.wan import kernels

        block = 2 ** (width - 1).bit_length()
        fixed = {"WIDTH": width, "BLOCK": block}
        for kernel, pointers, more in (
            (kernels._modulate, MODULATE, {}),
            (kernels._turn, TURN, {"HEAD": 128, "WANTS_RAW": True}),
        ):
            constants = fixed | more
            kinds = pointers | {"eps": "fp32"} | dict.fromkeys(constants, "constexpr")
            signature = {name: kinds.get(name, "i32") for name in kernel.arg_names}
            source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
            made = compile(
                source, target=GPUTarget("cuda", capability, 32), options={"num_warps": kernels.warps(block)}
            )
            assert len(made.asm["cubin"]) > 1000
