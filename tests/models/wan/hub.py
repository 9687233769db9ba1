"""A hub of weights on this machine: what huggingface_hub asks of the real one to tell and to send files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0de"


@dataclass
class Hub:
    """What it has, what it does wrong, and what it was asked."""

    repo: str
    files: dict[str, bytes]
    gated: bool = False
    absent: bool = False
    lies: bool = False  # its hashes are of something else
    break_at: int = 0  # bytes of an answer after which the line breaks, once
    whole_only: bool = False  # ranges are not understood
    url: str = ""
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        files = [
            {"rfilename": name, "size": len(data), "blobId": "b" * 40, "lfs": self.lfs(name)}
            for name, data in self.files.items()
        ]
        return {"id": self.repo, "modelId": self.repo, "sha": COMMIT, "siblings": files, "tags": [], "private": False}

    def lfs(self, name: str) -> dict[str, Any] | None:
        if name.endswith(".json"):
            return None
        return {"sha256": self.sha256(name), "size": len(self.files[name]), "pointerSize": 134}

    def sha256(self, name: str) -> str:
        return hashlib.sha256(self.files[name] + (b"!" if self.lies else b"")).hexdigest()


@contextmanager
def hub(**kept: Any) -> Iterator[Hub]:
    """One that listens."""
    it = Hub(**kept)

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            it.asked.append(f"{self.command} {path}")
            if it.gated or it.absent:
                code, kind = (403, "GatedRepo") if it.gated else (404, "RepoNotFound")
                self._send(code, {"X-Error-Code": kind, "X-Error-Message": "no"}, b"", body)
            elif path.startswith(f"/api/models/{it.repo}"):
                known = path.endswith(("/revision/main", it.repo))
                code, extra = (200, {}) if known else (404, {"X-Error-Code": "RevisionNotFound"})
                self._send(code, {"Content-Type": "application/json", **extra}, json.dumps(it.about()).encode(), body)
            elif path.startswith(f"/{it.repo}/resolve/{COMMIT}/"):
                self._resolve(path.removeprefix(f"/{it.repo}/resolve/{COMMIT}/"), body)
            elif path.startswith("/store/"):
                self._store(it.files[path.removeprefix("/store/")], body)
            else:
                self._send(404, {"X-Error-Code": "EntryNotFound"}, b"", body)

        def _resolve(self, name: str, body: bool) -> None:
            """Large files lie elsewhere, as at the real one."""
            data = it.files[name]
            told = {"X-Repo-Commit": COMMIT, "ETag": f'"{it.sha256(name)}"', "X-Linked-Size": str(len(data))}
            told["X-Linked-Etag"] = told["ETag"]
            where = it.url.replace("127.0.0.1", "localhost") + "/store/" + name
            self._send(302, told | {"Location": where}, b"", body)

        def _store(self, data: bytes, body: bool) -> None:
            it.tokens.append(self.headers.get("Authorization", ""))
            wanted = self.headers.get("Range", "")
            it.ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and not it.whole_only else 0
            told = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {}
            self._send(206 if first else 200, told, data[first:], body)

        def _send(self, code: int, told: dict[str, str], data: bytes, body: bool) -> None:
            self.send_response(code)
            for name, value in told.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if not body:
                return
            if it.break_at and len(data) > it.break_at:
                self.wfile.write(data[: it.break_at])
                it.break_at = 0
                self.close_connection = True
                return
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    it.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
