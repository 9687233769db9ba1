"""Tells Agones how the server beside it is: /ready, /allocate and /health of the SDK's REST interface.

Ready once the server is, allocated while any session is open there, ready again when none is; a health ping as long as
it answers. Agones ends who is silent. Runs beside the server in its pod, with the standard library alone. Knows two
HTTP servers on this machine; no world.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

EVERY_S = 2.0  # between two looks
ANSWER_S = 2.0  # that either side may take


@dataclass
class Lifecycle:
    """What Agones was told last, and what it is to be told."""

    server: str  # address, like http://127.0.0.1:8000
    sdk: str  # the same of Agones' sidecar
    told: str = ""  # "ready" or "allocate"; empty: neither yet

    def look(self) -> None:
        """Once: ask the server, tell Agones."""
        if self._get("/livez") is None:
            return  # no ping: Agones counts
        self._tell("health")
        ready, capacity = self._get("/readyz"), self._get("/v1/capacity")
        if ready is None and not self.told:
            return  # never ready so far
        open_now = sum(world["sessions"] for world in (capacity or {}).get("worlds", {}).values())
        state = "allocate" if open_now else "ready"
        if state == "ready" and (ready is None or capacity is None):
            return  # nobody is to be sent here now
        if state != self.told and self._tell(state):
            self.told = state

    def _get(self, path: str) -> dict[str, dict[str, dict[str, int]]] | None:
        """What the server answers; None where that is no success."""
        try:
            with urllib.request.urlopen(self.server + path, timeout=ANSWER_S) as answer:
                told: dict[str, dict[str, dict[str, int]]] = json.loads(answer.read())
                return told
        except (OSError, ValueError):
            return None

    def _tell(self, what: str) -> bool:
        """Whether Agones has heard; its sidecar may start later than we do."""
        request = urllib.request.Request(
            f"{self.sdk}/{what}", b"{}", {"content-type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S):
                return True
        except (OSError, urllib.error.URLError):
            return False


def main() -> None:
    """Until the pod ends."""
    port = os.environ.get("AGONES_SDK_HTTP_PORT", "9358")
    lifecycle = Lifecycle(os.environ.get("WORLDLOOM_URL", "http://127.0.0.1:8000"), f"http://127.0.0.1:{port}")
    while True:
        lifecycle.look()
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
