"""C2PA manifests: a movie says in itself that it was generated, by what, and that nobody has changed it since.

    c2pa.actions.v2     created by Worldloom, digital source type trainedAlgorithmicMedia (IPTC's word for it)
    org.worldloom.world the world, the hash of its weights, versions, and whether it was recorded or rendered

The work is c2pa-python's (C2PA 2.2); nothing is fetched from anywhere. Runs on whatever thread calls it, and takes as
long as reading the file twice. Knows files and signatures; no session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .provenance import version, versions
from .signing import ManifestSettings, Unsigned, known, signatory

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ABOUT = "org.worldloom.world"
MOVIE = "video/mp4"
STRANGER = "signingCredential.untrusted"  # valid, by somebody whom this installation does not know
MISSING = "expected the library c2pa-python, which is not installed; run `pip install 'worldloom[provenance]'`"


@dataclass(frozen=True)
class Made:
    """What a movie shows, and how it came about."""

    world: str
    weights: Mapping[str, str] | None  # name and hash, where they are a file
    how: str  # "recorded" or "rendered"


@dataclass(frozen=True)
class Manifest:
    """What a file says of itself, and whether that holds."""

    valid: bool  # the signature holds, and the file is as it was signed
    ours: bool  # valid, and signed by this installation
    generated: bool  # it says that it was generated
    generator: str | None  # what made it
    signer: str | None  # as the certificate names itself
    about: dict[str, Any] | None  # what Worldloom says of it
    trouble: tuple[str, ...] = ()  # why it is not valid


def why_not() -> str:
    """Why nothing can be signed or examined here; empty if it can."""
    return "" if find_spec("c2pa") else MISSING


def sign(path: Path, made: Made, settings: ManifestSettings) -> int:
    """Give an MP4 its manifest. It is there twice meanwhile, and stays as it was if this fails.

    Returns:
        By how many bytes it has grown.

    Raises:
        Unsigned: the library is missing or refuses, or there is no certificate.
        OSError: the disk refuses.
    """
    if trouble := why_not():
        raise Unsigned(trouble)
    import c2pa

    who = signatory(settings)
    half = path.with_name(path.name + ".signing")
    try:
        with _context() as context, open(path, "rb") as source, open(half, "w+b") as out:
            given = c2pa.C2paSignerInfo(who.algorithm.encode(), who.chain, who.key, None)
            with c2pa.Signer.from_info(given) as signer, c2pa.Builder(_said(path.name, made), context=context) as build:
                build.sign(signer, MOVIE, source, out)
            out.flush()
            os.fchmod(out.fileno(), os.fstat(source.fileno()).st_mode)
        grown = half.stat().st_size - path.stat().st_size
        half.replace(path)
        return grown
    except c2pa.C2paError as error:
        raise Unsigned(f"c2pa-python refuses to sign: {error}"[:512]) from error
    finally:
        half.unlink(missing_ok=True)


def examine(path: Path, kind: str, settings: ManifestSettings) -> Manifest | None:
    """What a file of this media type says of itself; None where it bears no manifest.

    Raises:
        Unsigned: the library is missing.
        OSError: the file cannot be read.
    """
    if trouble := why_not():
        raise Unsigned(trouble)
    import c2pa

    try:
        with (
            _context(known(settings)) as context,
            open(path, "rb") as file,
            c2pa.Reader(kind, file, context=context) as reader,
        ):
            state, told = reader.get_validation_state(), json.loads(reader.json())
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        return None
    except c2pa.C2paError as error:
        return Manifest(False, False, False, None, None, None, (f"it cannot be read: {error}"[:256],))
    return _examined(state, told)


def _examined(state: str | None, told: dict[str, Any]) -> Manifest:
    active = told.get("manifests", {}).get(told.get("active_manifest"), {})
    data = {one.get("label", ""): one.get("data") for one in active.get("assertions", [])}
    actions = [
        action
        for label, one in data.items()
        if label.startswith("c2pa.actions") and isinstance(one, dict)
        for action in one.get("actions", [])
    ]
    makers = active.get("claim_generator_info") or [{}]
    signature = active.get("signature_info") or {}
    wrong = [one for one in told.get("validation_status") or [] if one.get("code") != STRANGER]
    about = data.get(ABOUT)
    return Manifest(
        valid=state in ("Valid", "Trusted"),
        ours=state == "Trusted",
        generated=any(action.get("digitalSourceType") == GENERATED for action in actions),
        generator=" ".join(filter(None, (makers[0].get("name"), makers[0].get("version")))) or None,
        signer=", ".join(filter(None, (signature.get("common_name"), signature.get("issuer")))) or None,
        about=about if isinstance(about, dict) else None,
        trouble=tuple(f"{one.get('code')}: {one.get('explanation')}"[:256] for one in wrong),
    )


def _said(title: str, made: Made) -> dict[str, Any]:
    agent = {"name": "Worldloom", "version": version("worldloom") or "0"}
    created = {"action": "c2pa.created", "digitalSourceType": GENERATED, "softwareAgent": agent}
    about = {"world": made.world, "weights": made.weights, "made": made.how, "versions": versions()}
    return {
        "claim_generator_info": [agent],
        "title": title.removesuffix(".part"),
        "format": MOVIE,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": ABOUT, "data": about},
        ],
    }


def _context(anchors: bytes | None = None) -> Any:
    """Of one call: nothing is fetched, and only our own certificates are known."""
    import c2pa

    settings: dict[str, Any] = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors is not None:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii", "replace")}
    return c2pa.Context(c2pa.Settings.from_dict(settings))
