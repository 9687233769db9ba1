"""A session's world is told to go on under another text. Knows the world's interface; no scheduler, no message."""

from __future__ import annotations

import logging
from typing import Any, cast

from worldloom.models.spec import TellableWorld, WorldModel

from .errors import UnknownPrompt
from .session import Session

log = logging.getLogger(__name__)


def tell(model: WorldModel[Any], session: Session) -> None:
    """Do what `session.saying` says, or refuse it; the stream goes on either way. Raises what the world raises else."""
    event = session.saying
    assert event is not None
    try:
        cast("TellableWorld[Any]", model).say(session.state, event.text, how=event.how, chunks=event.chunks)
    except ValueError as error:
        log.warning("session %s: the world refused to go on under another text: %s", session.ident, error)
        session.told(code=UnknownPrompt.code)
    else:
        session.told()
