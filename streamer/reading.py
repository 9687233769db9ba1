"""Texts are read beside the engine's thread, so that no stream waits while another's text is encoded.

A world that takes long to read a text has `read` (models/spec.py); others are asked for nothing. Knows texts and who
waits for them; what a text is for, and what comes of it, is known to those who ask.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from worldloom.models.spec import WorldModel

log = logging.getLogger(__name__)

Texts = tuple[str, ...]


class Reading:
    """One reader, on a thread of its own. Belongs to the engine's thread, which is woken when something was read.

    Nobody waits for more than the latest that they asked for, so what waits is bounded by those who may ask.
    """

    def __init__(self, model: WorldModel[Any], wake: Callable[[], None]) -> None:
        self._read: Callable[[str], None] | None = getattr(model, "read", None)
        self._wake = wake
        self._pool: ThreadPoolExecutor | None = None
        self._asked: dict[Hashable, tuple[Texts, Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def waits(self, who: Hashable, texts: Texts) -> bool:
        """Whether these texts are still to be read, for somebody who is told so until they are."""
        if who in self._asked and self._asked[who][0] != texts:
            self.forget(who)
        if self._read is None or not texts:
            return False
        if who not in self._asked:
            self._pool = self._pool or ThreadPoolExecutor(1, "worldloom-reader")
            future = self._pool.submit(self._read_all, texts)
            self._asked[who] = texts, future
            future.add_done_callback(lambda _: self._wake())
        if not self._asked[who][1].done():
            return True
        del self._asked[who]
        return False

    def forget(self, who: Hashable) -> None:
        """They do not wait any more."""
        if who in self._asked:
            self._asked.pop(who)[1].cancel()

    def close(self) -> None:
        """Nothing more is read; what is being read ends by itself."""
        self._asked.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _read_all(self, texts: Texts) -> None:
        assert self._read is not None
        try:
            for text in texts:
                self._read(text)
        except Exception as error:  # the world says it again to whoever uses the text, who has somebody to answer
            log.info("a text could not be read: %s", error)
