"""Files of the Hugging Face hub into a folder: whole, of the hash that the hub names, resumed where they broke off.

Sizes, hashes, tokens and redirects are huggingface_hub's; it forgets what an ended process had of a file, so halves lie
in the folder here, as `NAME.part`. `pulled.json` says what came from which commit, so that nobody has to ask again.
Knows the hub and files; nothing about weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .published import Published

RECORD = "pulled.json"
BLOCK = 2**22  # bytes read at once
SPARE = 2**28  # bytes that are left free on the disk


class PullFailed(ValueError):
    """What was asked for is not here, and why."""


@dataclass(frozen=True)
class Part:
    """One file, as the hub tells it."""

    path: str  # in the repository, and under the folder
    octets: int
    sha256: str | None  # of files in its large storage


@dataclass(frozen=True)
class Plan:
    """What to take."""

    repo: str
    commit: str
    parts: tuple[Part, ...]

    @property
    def octets(self) -> int:
        """Bytes of all."""
        return sum(part.octets for part in self.parts)

    def missing(self, folder: Path) -> int:
        """Bytes that are not in the folder yet."""
        return sum(part.octets - _have(folder / part.path) for part in self.parts)


def is_offline() -> bool:
    """Whether the environment says so, in huggingface_hub's words."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def asked(source: Published, *, endpoint: str | None = None) -> Plan:
    """What the hub has of it.

    Raises:
        PullFailed: there is no such repository or file, it is gated, or the hub cannot be reached.
    """
    hub = _hub()
    with _told(source):
        info = hub.HfApi(endpoint=endpoint).model_info(source.repo, revision=source.revision, files_metadata=True)
    parts = []
    for pattern in source.files:
        found = [one for one in info.siblings or () if fnmatchcase(one.rfilename, pattern)]
        if not found:
            raise PullFailed(f"{source.repo}: expected {pattern!r} at revision {source.revision}, it is not there")
        for one in found:
            parts.append(Part(_inside(one.rfilename), one.size or 0, one.lfs.sha256 if one.lfs else None))
    return Plan(source.repo, str(info.sha), tuple(parts))


def pull(
    source: Published,
    plan: Plan,
    folder: Path,
    *,
    endpoint: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Bring all of it into the folder.

    Args:
        source: what it is.
        plan: what `asked` answered.
        folder: made where it is not there; what is whole in it is not taken again.
        endpoint: of another hub.
        tell: hears what is done.

    Raises:
        PullFailed: no room, the line broke, or a file is not what the hub says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free, wanted = shutil.disk_usage(folder).free, plan.missing(folder)
    if wanted + SPARE > free:
        room = f"expected {_size(wanted + SPARE)} of room, there are {_size(free)}"
        raise PullFailed(f"{folder}: {room}; --to names another folder")
    for part in plan.parts:
        path = folder / part.path
        if _whole(path, part):
            tell(f"{part.path}: already here")
            continue
        tell(f"{part.path}: {_size(part.octets)}" + (f", {_size(_have(path))} of it here" if _have(path) else ""))
        with _told(source):
            _fetch(plan, part, path, endpoint)
        _settle(part, path)
    record = {"repo": plan.repo, "commit": plan.commit, "parts": [asdict(part) for part in plan.parts]}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def here(source: Published, folder: Path) -> Plan:
    """What was pulled into the folder, without asking anybody.

    Raises:
        PullFailed: nothing, something else, or not all of it.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        plan = Plan(record["repo"], record["commit"], tuple(Part(**part) for part in record["parts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PullFailed(f"{folder}: expected what was pulled before, for this is offline: {error}") from error
    lost = [part.path for part in plan.parts if not _whole(folder / part.path, part)]
    if lost or plan.repo != source.repo:
        wrong = ", ".join(lost) or plan.repo
        raise PullFailed(f"{folder}: expected all of {source.repo}, for this is offline, got it without {wrong}")
    return plan


def first_file(source: Published, folder: Path) -> Path:
    """What `worldloom convert` is given: a file, or the folder of several."""
    pattern = source.files[0]
    return folder / (pattern.partition("/*")[0] if "*" in pattern else pattern)


def _fetch(plan: Plan, part: Part, path: Path, endpoint: str | None) -> None:
    """The rest of a file into its half."""
    hub = _hub()
    from huggingface_hub.file_download import http_get

    half = _half(path)
    half.parent.mkdir(parents=True, exist_ok=True)
    if _have(path) > part.octets:
        half.unlink()
    url = hub.hf_hub_url(plan.repo, part.path, revision=plan.commit, endpoint=endpoint)
    where = hub.get_hf_file_metadata(url, endpoint=endpoint).location
    headers = hub.utils.build_hf_headers()
    if urlsplit(where).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # a token is for the hub alone
    with half.open("ab") as file:
        http_get(where, file, resume_size=file.tell(), headers=headers, expected_size=part.octets)


def _settle(part: Part, path: Path) -> None:
    """The half is a whole, if it is what the hub said."""
    half = _half(path)
    if part.sha256 is not None:
        digest = hashlib.sha256()
        with half.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        if digest.hexdigest() != part.sha256:
            half.unlink()
            raise PullFailed(
                f"{part.path}: expected sha256 {part.sha256}, got {digest.hexdigest()}; it is deleted, pull it again"
            )
    half.replace(path)


def _whole(path: Path, part: Part) -> bool:
    return path.is_file() and path.stat().st_size == part.octets


def _have(path: Path) -> int:
    """Bytes of a file or its half."""
    return next((one.stat().st_size for one in (path, _half(path)) if one.is_file()), 0)


def _half(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _inside(path: str) -> str:
    """A path of a repository, if it stays under its folder."""
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or ".." in parts or "" in parts:
        raise PullFailed(f"expected names of files inside the repository, got {path!r}")
    return path


def _size(octets: int) -> str:
    return f"{octets / 1e9:.2f} GB" if octets >= 1e8 else f"{octets / 1e6:.2f} MB"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise PullFailed("pulling needs huggingface_hub: pip install 'worldloom[wan]'") from error
    return huggingface_hub


@contextmanager
def _told(source: Published) -> Iterator[None]:
    """What the hub refuses, in words that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise PullFailed(
            f"{source.repo} is gated: accept its terms at {source.page}, then `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise PullFailed(f"{source.repo}: expected revision {source.revision}, the hub has no such one") from error
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
        raise PullFailed(f"{source.repo}: the hub has it no more, or shows it to nobody without a token") from error
    except PullFailed:
        raise
    except OSError as error:
        raise PullFailed(f"{source.repo}: {error}; pull it again to go on") from error
    except Exception as error:  # of the HTTP library below the hub's
        raise PullFailed(f"{source.repo}: the hub does not answer: {error}; pull again to go on") from error
