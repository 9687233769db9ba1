"""Manifests of movies: what they say, and that nobody can change the movie under them."""

from __future__ import annotations

import stat
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from worldloom.streamer import manifest
from worldloom.streamer.manifest import MOVIE, Made, examine, sign
from worldloom.streamer.provenance import version
from worldloom.streamer.signing import ManifestSettings, Unsigned, known, signatory
from worldloom.streamer.transports.encoder import EncoderSettings, VideoEncoder
from worldloom.streamer.transports.movie import Movie

MADE = Made("toy", {"file": "toy.safetensors", "sha256": "ab"}, "recorded")


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """Grey pictures in fragments, as recordings are."""
    encoder = VideoEncoder("h264", height=64, width=96, fps=Fraction(20), settings=EncoderSettings())
    made = Movie(height=encoder.size[0], width=encoder.size[1], period=4500)
    path = tmp_path / "movie.mp4"
    pictures = [np.full((64, 96, 3), 5 * index, np.uint8) for index in range(40)]
    encoded = [encoder.encode(picture, 4500 * index) for index, picture in enumerate(pictures)]
    pieces = [made.add(one.data, 4500 * index, key=one.key) for index, one in enumerate(encoded)]
    path.write_bytes(b"".join(pieces) + made.end())
    return path


@pytest.fixture
def settings(tmp_path: Path) -> ManifestSettings:
    return ManifestSettings(folder=tmp_path / "state")


def test_a_signed_movie_says_that_it_is_generated(movie: Path, settings: ManifestSettings) -> None:
    assert examine(movie, MOVIE, settings) is None
    mode = movie.stat().st_mode
    sign(movie, MADE, settings)
    told = examine(movie, MOVIE, settings)
    assert told is not None
    assert told.valid
    assert told.ours
    assert told.generated
    assert told.trouble == ()
    assert told.generator == f"Worldloom {version('worldloom')}"
    assert told.about is not None
    assert {name: told.about[name] for name in ("world", "weights", "made")} == {
        "world": "toy",
        "weights": {"file": "toy.safetensors", "sha256": "ab"},
        "made": "recorded",
    }
    assert movie.stat().st_mode == mode
    assert sorted(one.name for one in movie.parent.iterdir()) == ["movie.mp4", "state"]


def test_a_stranger_sees_a_valid_signature_of_somebody_unknown(
    movie: Path, settings: ManifestSettings, tmp_path: Path
) -> None:
    sign(movie, MADE, settings)
    told = examine(movie, MOVIE, ManifestSettings(folder=tmp_path / "elsewhere"))
    assert told is not None
    assert (told.valid, told.ours, told.trouble) == (True, False, ())
    assert known(ManifestSettings(folder=tmp_path / "elsewhere")) is None, "to look makes no certificate"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_changed_movie_does_not_validate(movie: Path, settings: ManifestSettings, share: float) -> None:
    plain = movie.stat().st_size
    sign(movie, MADE, settings)
    data = bytearray(movie.read_bytes())
    data[-int(plain * share)] ^= 1  # behind the manifest, which comes first
    movie.write_bytes(data)
    told = examine(movie, MOVIE, settings)
    assert told is not None
    assert not told.valid
    assert not told.ours
    assert told.trouble


def test_a_manifest_under_another_movie_does_not_validate(movie: Path, settings: ManifestSettings) -> None:
    sign(movie, MADE, settings)
    data = movie.read_bytes()
    movie.write_bytes(data[: len(data) * 3 // 4])
    told = examine(movie, MOVIE, settings)
    assert told is not None
    assert "hash" in " ".join(told.trouble)


def test_the_own_certificate_is_made_once_and_its_key_is_for_nobody_else(settings: ManifestSettings) -> None:
    first = signatory(settings)
    assert signatory(settings) == first
    assert first.algorithm == "es256"
    assert first.chain.count(b"BEGIN CERTIFICATE") == 2
    assert known(settings) == first.chain
    assert settings.folder is not None
    assert stat.S_IMODE((settings.folder / "signing" / "key.pem").stat().st_mode) == 0o600
    assert [one.name for one in settings.folder.iterdir()] == ["signing"]


def test_an_operators_certificate_is_taken(movie: Path, settings: ManifestSettings, tmp_path: Path) -> None:
    own = signatory(settings)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(own.chain)
    key.write_bytes(own.key)
    theirs = ManifestSettings(folder=tmp_path / "unused", certificate=chain, key=key)
    sign(movie, MADE, theirs)
    told = examine(movie, MOVIE, theirs)
    assert told is not None
    assert told.ours
    assert not (tmp_path / "unused").exists()
    with pytest.raises(ValidationError, match="certificate and key"):
        ManifestSettings(certificate=chain)


def test_keys_name_their_algorithm_or_are_refused(settings: ManifestSettings, tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(signatory(settings).chain)
    theirs = ManifestSettings(certificate=chain, key=key)
    form = Encoding.PEM, PrivateFormat.PKCS8
    key.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(*form, NoEncryption()))
    assert signatory(theirs).algorithm == "ed25519"
    key.write_bytes(ec.generate_private_key(ec.SECP384R1()).private_bytes(*form, NoEncryption()))
    assert signatory(theirs).algorithm == "es384"
    for bad in (
        ed448.Ed448PrivateKey.generate().private_bytes(*form, NoEncryption()),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(*form, BestAvailableEncryption(b"secret")),
        b"no key",
    ):
        key.write_bytes(bad)
        with pytest.raises(Unsigned, match="PEM"):
            signatory(theirs)
    key.unlink()
    with pytest.raises(Unsigned, match="cannot be read"):
        signatory(theirs)


def test_what_cannot_be_signed_stays_as_it_was(movie: Path, settings: ManifestSettings, tmp_path: Path) -> None:
    before = movie.read_bytes()
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(b"no certificate")
    with pytest.raises(Unsigned):
        sign(movie, MADE, ManifestSettings(certificate=wrong, key=wrong))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unsigned, match="written"):
        sign(movie, MADE, ManifestSettings(folder=tmp_path / "file"))
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no movie at all" * 10)
    with pytest.raises(Unsigned, match="refuses"):
        sign(junk, MADE, settings)
    assert movie.read_bytes() == before
    assert not list(tmp_path.glob("*.signing"))


def test_without_the_library_it_says_what_to_install(
    movie: Path, settings: ManifestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "find_spec", lambda _: None)
    with pytest.raises(Unsigned, match=r"worldloom\[provenance\]"):
        sign(movie, MADE, settings)
    with pytest.raises(Unsigned, match=r"worldloom\[provenance\]"):
        examine(movie, MOVIE, settings)
