"""Messages survive the wire, and everything else is refused with a code."""

from __future__ import annotations

import json
import random
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors, protocol
from worldloom.streamer.client_messages import (
    Action,
    Axes,
    Bye,
    Candidate,
    Fork,
    Hello,
    Key,
    Look,
    Offer,
    Pause,
    Photon,
    Ping,
    Prompt,
    Record,
    Report,
    Reset,
    Restore,
    Resume,
    Rewind,
    Say,
    Shift,
    Step,
    TakeSnapshot,
    View,
)
from worldloom.streamer.engine import Engine
from worldloom.streamer.home import LiveSession
from worldloom.streamer.origin import Origin
from worldloom.streamer.protocol import decode_client, decode_server, encode
from worldloom.streamer.server_messages import (
    Answer,
    Error,
    FrameInfo,
    Limits,
    Notice,
    Percentiles,
    Pong,
    Receipt,
    Stats,
    Waiting,
    Welcome,
)
from worldloom.streamer.transports.inprocess import Collector
from worldloom.streamer.wire import close_code
from worldloom.streamer.world_info import WorldInfo

from .noise import noise

WORLD = WorldInfo.of(ToyWorld().spec)
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"

CLIENT: list[protocol.ClientMessage] = [
    Hello(protocol=1),
    Hello(protocol=2, world="arm", seed=3, prompt="x", video="websocket", mode="lockstep", format="raw"),
    View(video="websocket", format="h264"),
    Report(photons=(Photon(total=90.0, wait=30.0), Photon(total=80.5))),
    View(video="websocket", format="h264"),
    Report(photons=(Photon(total=90.0, wait=30.0), Photon(total=80.5))),
    Offer(sdp=SDP),
    Candidate(candidate="candidate:1 1 udp 1 127.0.0.1 9 typ host", sdp_mid="0", sdp_mline_index=0),
    Key(seq=1, code="KeyW", down=True),
    Look(seq=2, yaw=1.5, pitch=-0.5),
    Axes(seq=3, values={"lever": 0.5}),
    Action(seq=4, values=(1.0, 0.0, 0.0, 0.0, -2.0, 0.25)),
    Prompt(seq=5, text="a maze"),
    Say(seq=5, text="a castle"),
    Say(seq=5, text="a castle", how="blend", chunks=256),
    Reset(seq=6, seed=1),
    Reset(seq=6, image="abc"),
    Reset(seq=6),
    Pause(seq=7),
    Record(seq=7, on=True),
    Resume(seq=8),
    Step(seq=9),
    Step(seq=9, actions=((0.0,) * 6,)),
    Rewind(seq=10, seconds=2.5),
    Rewind(seq=10, frame=100),
    TakeSnapshot(seq=11),
    Restore(seq=12, snapshot="s1"),
    Shift(seq=15, ms=-4.0),
    Fork(seq=13),
    Fork(seq=13, snapshot="s1"),
    Ping(t=12.5),
    Bye(reason="done"),
]
SERVER: list[protocol.ServerMessage] = [
    Waiting(position=1, estimate_s=3.5),
    Notice(code="time_limit", message="soon", seconds=60),
    Welcome(
        protocol=1,
        session="s",
        world=WORLD,
        worlds=("toy",),
        limits=Limits(message_bytes=1000, inbox=10),
        seed=4,
        video="webrtc",
        mode="realtime",
        format="jpeg",
    ),
    Answer(sdp=SDP),
    Candidate(candidate=""),
    Receipt(seq=1, status="applied", frame=0),
    Receipt(seq=1, status="expired"),
    Receipt(seq=2, status="applied", frame=90, to=40),
    Receipt(seq=3, status="applied", frame=90, snapshot="s1"),
    Receipt(seq=4, status="applied", frame=90, fork="x" * 32),
    Receipt(seq=5, status="rejected", code="out_of_reach"),
    FrameInfo(index=1, pts=2, applied_seq=3, rtp_timestamp=2**32 - 1, compute_ms=1.0, encode_ms=2.0, age_ms=3.0),
    Stats(fps=20.0, step_ms=Percentiles(p50=1.0, p95=2.0), bitrate=10, dropped=1, sessions=1),
    Pong(t=12.5),
    Error(code="busy", message="later", retryable=True),
    Bye(),
]


# There and back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", CLIENT, ids=lambda message: message.type)
def test_client_messages_survive_the_wire(message: protocol.ClientMessage) -> None:
    assert decode_client(encode(message)) == message
    assert decode_client(encode(message).encode()) == message


@pytest.mark.parametrize("message", SERVER, ids=lambda message: message.type)
def test_server_messages_survive_the_wire(message: protocol.ServerMessage) -> None:
    assert decode_server(encode(message)) == message


@pytest.mark.parametrize(("union", "samples"), [(protocol.ClientMessage, CLIENT), (protocol.ServerMessage, SERVER)])
def test_the_samples_above_leave_no_message_out(union: Any, samples: list[Any]) -> None:
    assert set(get_args(union)) == {type(sample) for sample in samples}


def test_messages_are_frozen() -> None:
    with pytest.raises(ValidationError):
        setattr(CLIENT[0], "type", "bye")  # noqa: B010


def test_the_world_is_told_as_it_is() -> None:
    spec = ToyWorld().spec
    assert WORLD.actions.columns == spec.actions.columns
    assert WORLD.fps == (20, 1)
    assert WORLD.actions.keys["ArrowLeft"].value == -5.0
    assert WORLD.actions.look == ("turn", None)
    assert json.loads(encode(WORLD))["actions"]["look"] == ["turn", None]


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seq"),
    [
        ("", None),
        ("not json", None),
        ("[]", None),
        ('"key"', None),
        ("{}", None),
        ('{"type":"nonsense","seq":7}', 7),
        ('{"type":"receipt","seq":7,"status":"applied"}', 7),
        ('{"type":"key","seq":7,"code":"KeyW"}', 7),
        ('{"type":"key","seq":7,"code":"KeyW","down":1}', 7),
        ('{"type":"key","seq":7,"code":"KeyW","down":true,"extra":0}', 7),
        ('{"type":"key","seq":0,"code":"KeyW","down":true}', None),
        ('{"type":"key","seq":"7","code":"KeyW","down":true}', None),
        ('{"type":"key","seq":true,"code":"KeyW","down":true}', None),
        ('{"type":"key","seq":7,"code":"%s","down":true}' % ("K" * 33), 7),
        ('{"type":"look","seq":7,"yaw":NaN}', 7),
        ('{"type":"look","seq":7,"yaw":Infinity}', 7),
        ('{"type":"look","seq":7,"yaw":1e300}', 7),
        ('{"type":"axes","seq":7,"values":{}}', 7),
        ('{"type":"action","seq":7,"values":[]}', 7),
        ('{"type":"action","seq":7,"values":[1,null]}', 7),
        (json.dumps({"type": "action", "seq": 7, "values": [0] * 257}), 7),
        ('{"type":"reset","seq":7,"seed":-1}', 7),
        ('{"type":"reset","seq":7,"seed":1.5}', 7),
        ('{"type":"ping","t":"now"}', None),
        ('{"type":"look","seq":%s}' % ("9" * 5000), None),
        ("[" * 100_000, None),
        ('{"type":"key","seq":7,"code":"\\ud800","down":true}', None),
        ("\ud800", None),
    ],
)
def test_what_is_wrong_is_refused_and_seq_is_told_where_it_can_be_read(text: str, seq: int | None) -> None:
    with pytest.raises(errors.BadMessage) as caught:
        decode_client(text)
    assert caught.value.seq == seq
    assert 0 < len(str(caught.value)) <= 256


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(errors.BadMessage):
        decode_client(b"\xff\xfe\x00")


def test_a_message_above_the_limit_is_refused_before_it_is_read() -> None:
    long = '{"type":"bye","reason":"%s"}' % ("x" * protocol.MAX_MESSAGE_BYTES)
    with pytest.raises(errors.MessageTooLarge):
        decode_client(long)
    with pytest.raises(errors.MessageTooLarge):
        decode_client("ä" * (protocol.MAX_MESSAGE_BYTES // 2 + 1))  # counted in bytes
    with pytest.raises(errors.MessageTooLarge):
        decode_client(b" " * 10_000_000)


def test_a_refusal_is_an_error_and_for_a_control_also_a_receipt() -> None:
    (told,) = protocol.refusal(errors.Busy("later"))
    assert told == Error(code="busy", message="later", retryable=True, retry_after=5.0)
    told, receipt = protocol.refusal(errors.UnknownKey("no such key", seq=4))
    assert told == Error(code="unknown_key", message="no such key", seq=4)
    assert receipt == Receipt(seq=4, status="rejected")
    (told,) = protocol.refusal(errors.WorldloomError("x" * 10_000))
    assert len(encode(told)) < 4096


def test_close_codes() -> None:
    assert close_code("message_too_large") == 1009
    assert close_code("hello_expected") == 1008
    assert close_code("busy") == 1013


# Thousands of random messages -----------------------------------------------------------------------------------------


CODES = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
CODES -= {"internal_error"}


def offer(session: LiveSession, raw: str | bytes) -> tuple[str, errors.WorldloomError | None]:
    """What a connection does with a message, and who refused it."""
    try:
        message = decode_client(raw)
        if not isinstance(message, get_args(protocol.Control)):
            return "other", None
        session.post(message)
    except errors.WorldloomError as error:
        return "decoder" if isinstance(error, errors.ProtocolError) else "session", error
    return "posted", None


@pytest.mark.parametrize("rounds", [4_000, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_random_messages_leave_the_session_alive(rounds: int) -> None:
    dice = random.Random(20261121 + rounds)
    now, sink = [0], Collector(receipts=rounds)
    engine = Engine(ToyWorld(height=4, width=4), clock_ns=lambda: now[0])
    answer = engine.submit(sink, Origin(1))
    engine.turn()
    session = answer.result(0)
    counts = dict.fromkeys(("decoder", "session", "posted", "other"), 0)
    for number in range(rounds):
        fate, error = offer(session, noise(dice, CLIENT))
        counts[fate] += 1
        if error is not None:
            assert error.code in CODES
            for told in protocol.refusal(error):
                assert decode_server(encode(told)) == told
        if number % 7 == 0:
            now[0] += 50_000_000
            engine.turn()
    assert min(counts.values()) > 100, counts  # each way is really taken
    assert sink.error is None
    engine.close(session)
    engine.turn()
    assert len(sink.take_receipts()) == counts["posted"]
    stats = engine.stats()
    assert (stats.sessions, stats.states, stats.faults) == (0, 0, 0)
    assert stats.frames > 200
