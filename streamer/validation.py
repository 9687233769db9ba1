"""What a session of a world and a mode can never obey is refused at once, by whoever posts it.

Reads only what never changes, so it is for any thread. Knows the world's description and its columns; no session.
"""

from __future__ import annotations

from worldloom.models.spec import WorldSpec

from .client_messages import Pause, Prompt, Reset, Resume, Step
from .controls import ControlState
from .errors import UnknownImage, Unsupported
from .fields import Mode
from .origin import Restart
from .protocol import Control


def check_control(event: Control | Restart, spec: WorldSpec, mode: Mode, controls: ControlState) -> None:
    """Refuse what a session of this world and mode can never obey; reads only what never changes, from any thread.

    Raises:
        ControlError: it cannot obey this.
    """
    match event:
        case Step():
            if mode != "lockstep":
                raise Unsupported("expected no step: this session is paced by the clock", seq=event.seq)
            if event.actions is not None:
                controls.check_chunk(event.actions, event.seq)
        case Prompt() if not spec.prompts:
            raise Unsupported("expected no prompt: this world takes none", seq=event.seq)
        case Reset(image=str()):
            raise UnknownImage("expected a picture that is here, got an id; a server looks it up", seq=event.seq)
        case Restart() if event.image is not None and not spec.images:
            raise Unsupported("expected no image: this world takes none", seq=event.seq)
        case Prompt() | Reset() | Restart() | Pause() | Resume():
            pass
        case _:
            controls.check(event)
