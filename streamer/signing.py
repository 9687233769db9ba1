"""What manifests are signed with: a certificate and key of the operator's, or own ones that are made at the first use.

Own ones say who signed only to whoever knows them, which is this installation: to everybody else the signature is valid
and the signer unknown. The key of the authority that signed them is thrown away at once. Knows files and certificates
(the profile of C2PA 2.2, section 14.5); no manifest. `cryptography` is imported where it is used: it is an extra.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

VALID = timedelta(days=3650)  # an own certificate; manifests bear no time stamp that would outlast it
OF_CURVES = {256: "es256", 384: "es384", 521: "es512"}  # C2PA's names
CERTIFICATE, KEY = "certificate.pem", "key.pem"


class ManifestSettings(BaseModel):
    """Whether files say where they come from, and in whose name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sign: bool = True  # give recordings and rendered movies a C2PA manifest, where c2pa-python is installed
    folder: Path | None = None  # of the own certificate and key; absent: ~/.local/state/worldloom
    certificate: Path | None = None  # PEM, the signer's first and its authorities after it; absent: an own one
    key: Path | None = None  # PEM, of that certificate, not encrypted

    @model_validator(mode="after")
    def _both_or_none(self) -> ManifestSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected certificate and key, or neither of them")
        return self


@dataclass(frozen=True)
class Signatory:
    """In whose name is signed."""

    chain: bytes  # PEM
    key: bytes  # PEM
    algorithm: str  # C2PA's name


class Unsigned(Exception):
    """A file cannot be signed, or what is signed cannot be read; the message says what to do."""


def signatory(settings: ManifestSettings) -> Signatory:
    """Who signs here; an own certificate is made if there is none yet.

    Raises:
        Unsigned: it cannot be read or made.
    """
    try:
        if settings.certificate is None or settings.key is None:
            folder = _own(settings)
            if not folder.is_dir():
                _make(folder)
            certificate, key = folder / CERTIFICATE, folder / KEY
        else:
            certificate, key = settings.certificate, settings.key
        secret = key.read_bytes()
        return Signatory(certificate.read_bytes(), secret, _algorithm(secret))
    except OSError as error:
        raise Unsigned(f"certificate and key cannot be read or written: {error}") from error
    except ValueError as error:
        raise Unsigned(f"expected a private key as PEM, not encrypted: {error}"[:256]) from error


def known(settings: ManifestSettings) -> bytes | None:
    """Certificates (PEM) by which this installation knows its own signature; None where it never signed."""
    path = settings.certificate or _own(settings) / CERTIFICATE
    try:
        return path.read_bytes()
    except OSError:
        return None


def _own(settings: ManifestSettings) -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return (settings.folder or state / "worldloom") / "signing"


def _algorithm(secret: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(secret, None)
    except TypeError as error:  # it is encrypted
        raise ValueError(str(error)) from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in OF_CURVES:
        return OF_CURVES[key.key_size]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise ValueError(f"C2PA signs with P-256, P-384, P-521, Ed25519 or RSA, not with {type(key).__name__}")


def _make(folder: Path) -> None:
    """All of it at once: two processes may come here at the same time, and the first one stays."""
    chain, key = _certified()
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".signing-", dir=folder.parent))  # for nobody else to read
    try:
        (half / CERTIFICATE).write_bytes(chain)
        (half / KEY).write_bytes(key)
        (half / KEY).chmod(0o600)
        half.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _certified() -> tuple[bytes, bytes]:
    """A chain of two certificates and the key of the first, as PEM."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = form.Encoding.PEM
    chain = _certificate(key, authority, ends=True).public_bytes(pem)
    chain += _certificate(authority, authority, ends=False).public_bytes(pem)
    return chain, key.private_bytes(pem, form.PrivateFormat.PKCS8, form.NoEncryption())


def _certificate(key: Any, authority: Any, *, ends: bool) -> Any:
    """`ends`: it signs manifests; otherwise it is the authority itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        parts = (NameOID.COMMON_NAME, common), (NameOID.ORGANIZATION_NAME, "a Worldloom installation")
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])

    now = datetime.now(UTC)
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= dict.fromkeys(("encipher_only", "decipher_only"), False)
    usage |= {"digital_signature": ends, "key_cert_sign": not ends, "crl_sign": not ends}
    built = (
        x509.CertificateBuilder()
        .subject_name(name("Worldloom generated video" if ends else "Worldloom own authority"))
        .issuer_name(name("Worldloom own authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=not ends, path_length=None if ends else 0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    if ends:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return built.sign(authority, hashes.SHA256())
