"""Weights from a hub that stands in for the real one: taken whole, resumed, refused where they are wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from worldloom.models.wan.config import FAMILIES
from worldloom.models.wan.published import PARTS, PUBLISHED, Published, published
from worldloom.models.wan.pull import Part, Plan, PullFailed, asked, here, pull
from worldloom.streamer.__main__ import app
from worldloom.streamer.checkpoint_commands import next_steps

from .hub import COMMIT, Hub, hub

pytest.importorskip("huggingface_hub", reason="needs worldloom[wan]")

REPO = "gdhe17/Self-Forcing"
NETWORK = "checkpoints/self_forcing_dmd.pt"
FILES = {NETWORK: bytes(range(256)) * 4096, "checkpoints/other.pt": b"other", "config.json": b"{}"}
SOURCE = PUBLISHED["self-forcing"]


@pytest.fixture(autouse=True)
def quiet_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    disable_progress_bars()
    yield
    enable_progress_bars()


@pytest.fixture
def shelf() -> Iterator[Hub]:
    with hub(repo=REPO, files=dict(FILES)) as it:
        yield it


def taken(it: Hub, folder: Path, source: Published = SOURCE) -> Plan:
    plan = asked(source, endpoint=it.url)
    pull(source, plan, folder, endpoint=it.url)
    return plan


def test_what_is_wanted_comes_whole_and_nothing_else(shelf: Hub, tmp_path: Path) -> None:
    plan = taken(shelf, tmp_path)
    assert (plan.commit, [part.path for part in plan.parts]) == (COMMIT, [NETWORK])
    assert plan.octets == 2**20
    assert (tmp_path / NETWORK).read_bytes() == FILES[NETWORK]
    assert sorted(one.name for one in tmp_path.rglob("*") if one.is_file()) == ["pulled.json", "self_forcing_dmd.pt"]
    assert plan.missing(tmp_path) == 0
    asked_before = len(shelf.ranges)
    taken(shelf, tmp_path)
    assert len(shelf.ranges) == asked_before, "what is here is not taken again"
    assert here(SOURCE, tmp_path) == plan


def test_what_broke_off_in_another_process_goes_on(shelf: Hub, tmp_path: Path) -> None:
    half = tmp_path / (NETWORK + ".part")
    half.parent.mkdir(parents=True)
    half.write_bytes(FILES[NETWORK][:1000])
    plan = asked(SOURCE, endpoint=shelf.url)
    assert plan.missing(tmp_path) == 2**20 - 1000
    told: list[str] = []
    pull(SOURCE, plan, tmp_path, endpoint=shelf.url, tell=told.append)
    assert shelf.ranges == ["bytes=1000-"]
    assert "of it here" in told[0]
    assert (tmp_path / NETWORK).read_bytes() == FILES[NETWORK]
    assert not half.exists()


def test_a_line_that_breaks_is_taken_up_again(shelf: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # it is kept piece by piece
    shelf.break_at = 5000
    taken(shelf, tmp_path)
    assert shelf.ranges == ["", "bytes=5000-"]
    assert (tmp_path / NETWORK).read_bytes() == FILES[NETWORK]


def test_a_hub_without_ranges_begins_anew(shelf: Hub, tmp_path: Path) -> None:
    half = tmp_path / (NETWORK + ".part")
    half.parent.mkdir(parents=True)
    half.write_bytes(b"something that ended long ago")
    shelf.whole_only = True
    taken(shelf, tmp_path)
    assert (tmp_path / NETWORK).read_bytes() == FILES[NETWORK]


@pytest.mark.parametrize("before", [b"", b"not what it was", bytes(2**20), bytes(2**20 + 1)])
def test_what_has_another_hash_is_refused_and_not_kept(shelf: Hub, tmp_path: Path, before: bytes) -> None:
    half = tmp_path / (NETWORK + ".part")
    half.parent.mkdir(parents=True)
    half.write_bytes(before)
    shelf.lies = True
    with pytest.raises(PullFailed, match="expected sha256"):
        taken(shelf, tmp_path)
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]
    shelf.lies = False
    taken(shelf, tmp_path)
    assert (tmp_path / NETWORK).read_bytes() == FILES[NETWORK]


def test_a_token_is_shown_to_the_hub_alone(shelf: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    taken(shelf, tmp_path)
    assert shelf.tokens == [""], "files lie at another host"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"gated": True}, "gated: accept its terms at https://.*/gdhe17"),
        ({"absent": True}, "has it no more"),
    ],
)
def test_refusals_say_what_to_do(shelf: Hub, wrong: dict[str, bool], says: str) -> None:
    for name, value in wrong.items():
        setattr(shelf, name, value)
    with pytest.raises(PullFailed, match=says):
        asked(SOURCE, endpoint=shelf.url)


def test_other_refusals(shelf: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected one of self-forcing"):
        published("atlantis")
    del shelf.files[NETWORK]
    with pytest.raises(PullFailed, match="it is not there"):
        asked(SOURCE, endpoint=shelf.url)
    with pytest.raises(PullFailed, match="revision"):
        asked(Published("", REPO, ("*",), "", revision="v9"), endpoint=shelf.url)
    with pytest.raises(PullFailed, match="does not answer"):
        asked(SOURCE, endpoint="http://127.0.0.1:9")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(PullFailed, match=r"11\.67 GB of room, there are 1\.00 GB"):
        pull(SOURCE, Plan(REPO, COMMIT, (Part(NETWORK, int(11.4e9), None),)), tmp_path, endpoint=shelf.url)
    for path in ("../../etc/passwd", "/etc/passwd", "a//b", "a\\b"):
        shelf.files = {path: b"x"}
        with pytest.raises(PullFailed, match="inside the repository"):
            asked(Published("", REPO, ("*",), ""), endpoint=shelf.url)


def test_offline_says_what_is_here(shelf: Hub, tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="offline"):
        here(SOURCE, tmp_path)
    taken(shelf, tmp_path)
    with pytest.raises(PullFailed, match="expected all of madebyollin"):
        here(PARTS["taew2_1"], tmp_path)
    (tmp_path / NETWORK).write_bytes(b"cut")
    with pytest.raises(PullFailed, match="without checkpoints/self_forcing_dmd.pt"):
        here(SOURCE, tmp_path)


def test_every_family_can_be_pulled_but_those_of_which_no_file_is_known() -> None:
    assert set(PUBLISHED) == (set(FAMILIES) | set(PARTS)) - {"lingbot-fast", "lingbot-2"}
    merged = PUBLISHED["longlive"]
    assert (merged.files, merged.lora) == (("models/longlive_base.pt", "models/lora.pt"), "models/lora.pt")
    assert (SOURCE.repo, SOURCE.files, SOURCE.lora) == (REPO, (NETWORK,), "")


def test_a_source_is_said_as_its_repository_and_its_files() -> None:
    said = {name: str(family.source) for name, family in FAMILIES.items()}
    assert said["self-forcing"] == f"{REPO}: {NETWORK}"
    assert said["longlive"].endswith("/LongLive-1.3B: models/longlive_base.pt with models/lora.pt")
    assert said["lingbot-2"] == "robbyant/lingbot-world-v2-14b-causal-fast"
    assert said["lingbot-fast"] == "LingBot-World-Fast, 14B; where it is published was not checked"


# The command ----------------------------------------------------------------------------------------------------------


def command(it: Hub, monkeypatch: pytest.MonkeyPatch, *words: str, said: str = "", **environment: str) -> Result:
    monkeypatch.setenv("HF_ENDPOINT", it.url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["pull", *words], input=said)


def test_the_command_asks_first_and_says_what_is_next(
    shelf: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = command(shelf, monkeypatch, "self-forcing", said="n\n")
    assert said.exit_code == 1
    assert "Licence of the weights: Apache-2.0" in said.output
    assert "0.00 GB" in said.output
    assert not shelf.ranges, "nothing was taken"
    said = command(shelf, monkeypatch, "self-forcing", said="y\n")
    assert said.exit_code == 0, said.output
    assert COMMIT in said.output
    assert "First: worldloom pull umt5" in said.output
    assert f"worldloom convert checkpoints/self-forcing/{NETWORK} self-forcing-world --family" in said.output
    offline = command(shelf, monkeypatch, "self-forcing", HF_HUB_OFFLINE="1")
    assert offline.exit_code == 0, offline.output
    shelf.files |= {NETWORK: b"new"}
    assert command(shelf, monkeypatch, "self-forcing", "--offline").exit_code == 0


PULLED = "First: worldloom pull "


def test_a_network_that_reads_is_told_of_an_encoder_and_a_prompt(tmp_path: Path) -> None:
    *first, then = next_steps(PUBLISHED["longlive"], tmp_path / "longlive").splitlines()
    assert first == [PULLED + name for name in ("wan-vae", "taew2_1", "umt5")]
    for words in (
        "models/longlive_base.pt longlive-world",
        "--lora",
        f"--encoder {tmp_path}/umt5/",
        '--prompt "A walk',
    ):
        assert words in then
    assert "--clip" not in then
    assert "--picture" not in then


@pytest.mark.parametrize("name", ["matrix-game", "matrix-game-temple", "forgewm-1"])
def test_a_network_that_is_played_is_told_of_clip_and_a_picture(name: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip" / PARTS["clip"].files[0]
    *first, then = next_steps(PUBLISHED[name], tmp_path / name).splitlines()
    assert first[:-1] == [PULLED + part for part in ("wan-vae", "taew2_1", "clip")]
    assert "picture" in first[-1]
    assert f"--clip {clip}" in then
    assert "--picture" in then
    assert "--encoder" not in then
    assert "--prompt" not in then
    clip.parent.mkdir()
    clip.touch()
    assert PULLED + "clip" not in next_steps(PUBLISHED[name], tmp_path / name)


def test_the_command_refuses_in_one_line(shelf: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("atlantis",), ("self-forcing", "--offline", "--to", str(tmp_path))):
        said = command(shelf, monkeypatch, *words)
        assert said.exit_code == 2
        assert "Traceback" not in said.output
    shelf.files = {"taew2_1.pth": b"small"}
    shelf.repo = "madebyollin/taehv"
    said = command(shelf, monkeypatch, "taew2_1", "--yes", "--to", str(tmp_path))
    assert said.exit_code == 0, said.output
    assert "`worldloom convert` takes" in said.output
    record: dict[str, Any] = json.loads((tmp_path / "pulled.json").read_text())
    assert record["commit"] == COMMIT
