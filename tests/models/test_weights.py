"""Worlds on disk: what is saved is what loads, and what does not fit is refused with a readable list."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from worldloom.models.camera_view import CameraOutlook
from worldloom.models.catalog import open_world, shipped_worlds
from worldloom.models.check import check_world, random_actions
from worldloom.models.hand_view import HandOutlook
from worldloom.models.reader import reader_file, save_reader
from worldloom.models.weights import load_world, save_world, spec_from_table, spec_to_table

from .room import plan, walker
from .tiny import TINY_ACTIONS, tiny_reader, tiny_world


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_world(path, tiny_world(azimuth="turn"), {"metrics": {"x": 1}}, torch.float32)
    return path


@pytest.mark.parametrize("keyframes", [0, 5])
def test_round_trip_dreams_the_same(tmp_path: Path, keyframes: int) -> None:
    world, path = tiny_world(azimuth="turn", keyframes=keyframes), tmp_path / "tiny.safetensors"
    save_world(path, world, {}, torch.float32)
    again = load_world(path, device="cpu", dtype=torch.float32)
    assert again.spec == world.spec
    assert again.spec.actions == TINY_ACTIONS
    rows = random_actions(world.spec, 0)
    a, b = (w.step([w.start(seed=4)], rows).astype(np.int16) for w in (world, again))
    assert np.array_equal(a, b)


def test_what_is_known_of_the_ground_is_kept(tmp_path: Path) -> None:
    world, path = tiny_world(azimuth="turn", moves=True, planned=True), tmp_path / "tiny.safetensors"
    save_world(path, world, {}, torch.float32)
    again = load_world(path, device="cpu", dtype=torch.float32)
    rows = random_actions(world.spec, 0)
    a, b = (w.step([w.start(seed=4)], rows).astype(np.int16) for w in (world, again))
    assert np.abs(a - b).max() <= 1
    assert isinstance(again.outlook, CameraOutlook)
    assert isinstance(world.outlook, CameraOutlook)
    assert torch.equal(again.outlook.album.rises, world.outlook.album.rises)
    assert again.outlook.plan
    assert torch.equal(again.outlook.plan.walls, plan().walls)
    assert (again.outlook.plan.below, again.outlook.plan.above) == (plan().below, plan().above)
    assert again.outlook.motion.config.bob == (2.0, 0.125, 162.0)
    assert again.outlook.body
    assert again.outlook.body.config == walker().config


def test_an_older_album_does_not_say_how_high_the_eye_was(tmp_path: Path) -> None:
    world, path = tiny_world(azimuth="turn", moves=True), tmp_path / "tiny.safetensors"
    save_world(path, world, {}, torch.float32)
    tensors = load_file(path)
    del tensors["album.rises"]
    save_file(tensors, path)
    again = load_world(path, device="cpu", dtype=torch.float32)
    assert isinstance(again.outlook, CameraOutlook)
    assert torch.equal(again.outlook.album.rises, torch.zeros(len(again.outlook.album)))


def test_a_world_with_a_hand_brings_its_reader(tmp_path: Path) -> None:
    world, path = tiny_world(hand=True), tmp_path / "tiny.safetensors"
    save_world(path, world, {}, torch.float32)
    again = load_world(path, device="cpu", dtype=torch.float32)
    assert isinstance(world.outlook, HandOutlook)
    assert isinstance(again.outlook, HandOutlook)
    ours, kept = world.outlook.reader.state_dict(), again.outlook.reader.state_dict()
    for name, value in ours.items():
        torch.testing.assert_close(kept[name], value, atol=1e-3, rtol=1e-3)
    (tmp_path / "tiny.reader.safetensors").unlink()
    with pytest.raises(ValueError, match=r"tiny.reader.safetensors: copy it with its world"):
        load_world(path)


def test_a_reader_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_world(path, tiny_world(hand=True), {}, torch.float32)
    save_reader(tiny_reader(3), reader_file(path))
    with pytest.raises(ValueError, match="expected a reader of 1 kind of thing, got one of 3"):
        load_world(path)


def test_spec_survives_json() -> None:
    spec = replace(tiny_world(steps=(1, 2)).spec, scenes=())  # those are told beside it
    assert spec_from_table(json.loads(json.dumps(spec_to_table(spec)))) == spec


def test_a_misfit_is_listed(saved: Path) -> None:
    tensors = load_file(saved)
    tensors["dit.enter.weight"] = tensors["dit.enter.weight"][:, :-1].contiguous()
    tensors["dit.stranger"] = torch.zeros(1)
    del tensors["dit.leave.bias"]
    save_file(tensors, saved)
    with pytest.raises(ValueError, match=r"enter.weight: expected.*missing leave.bias.*unexpected stranger"):
        load_world(saved)


def test_damaged_descriptions_are_refused(saved: Path) -> None:
    table = saved.with_suffix(".json")
    table.write_text(table.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(ValueError, match="expected format 1, got 9"):
        load_world(saved)
    table.write_text("{")
    with pytest.raises(ValueError, match="expected a world description"):
        load_world(saved)


def test_catalog_opens_by_path_and_by_class(saved: Path) -> None:
    assert open_world(str(saved), device="cpu").spec.name == "tiny"
    assert open_world("worldloom.models.toy:ToyWorld", chunk=2).spec.chunk == 2
    with pytest.raises(ValueError, match="no world named 'nowhere'; known: toy"):
        open_world("nowhere")


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_worlds())
def test_shipped_worlds_keep_their_promises(name: str) -> None:
    world = open_world(name, device="cpu", dtype=torch.float32)
    check_world(world, chunks=2, tolerance=2)


@pytest.mark.parametrize("name", shipped_worlds())
def test_shipped_worlds_are_small_and_say_where_they_come_from(name: str) -> None:
    from worldloom.models.catalog import DATA

    assert (DATA / f"{name}.safetensors").stat().st_size <= 40 * 2**20
    about = json.loads((DATA / f"{name}.json").read_text())
    assert about["notices"]
    assert about["recipe"]["sha256"]
    assert about["metrics"]
    assert about["data"]["provenance"]
