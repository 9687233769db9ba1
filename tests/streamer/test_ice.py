"""STUN and TURN: what a viewer is told, and credentials that the TURN server will accept."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from pydantic import ValidationError

from worldloom.streamer.transports.ice import IceSettings, for_server, for_viewer

TURN = IceSettings.model_validate(
    {"stun": ("stun:a:3478",), "turn": ("turn:b:3478?transport=udp", "turns:b:5349"), "turn_secret": "north"}
)


def test_nothing_is_told_where_nothing_is_set() -> None:
    assert for_viewer(IceSettings(), "x", 0.0) == ()
    assert for_server(IceSettings(for_server=True), 0.0) == []


def test_credentials_are_those_of_the_rest_convention() -> None:
    stun, turn = for_viewer(TURN, "session", 1_000_000.5)
    assert (stun.urls, stun.username) == (("stun:a:3478",), None)
    assert turn.urls == TURN.turn
    assert turn.username == "1003600:session"
    digest = hmac.new(b"north", b"1003600:session", hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()


def test_the_server_uses_them_only_if_told_to() -> None:
    assert for_server(TURN, 0.0) == []
    servers = for_server(TURN.model_copy(update={"for_server": True}), 0.0)
    assert [server.username for server in servers] == [None, "3600:server"]


@pytest.mark.parametrize("wrong", [{"turn": ("turn:b",)}, {"relay_only": True}, {"turn_ttl": 5}, {"unknown": 1}])
def test_half_a_configuration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        IceSettings.model_validate(wrong)


def test_the_secret_is_not_printed() -> None:
    assert "north" not in repr(TURN)
