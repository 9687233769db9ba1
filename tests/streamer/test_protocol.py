"""Messages survive the wire, everything else is refused with a code, and the page about it is up to date."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worldloom.models.toy import ToyWorld
from worldloom.streamer import docs, errors, protocol
from worldloom.streamer.client_messages import (
    Action,
    Axes,
    Bye,
    Candidate,
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
    Resume,
    Step,
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
from worldloom.streamer.wire import HEADER_BYTES, FrameHeader, close_code, pack_frame, unpack_frame
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
    Reset(seq=6, seed=1),
    Reset(seq=6, image="abc"),
    Reset(seq=6),
    Pause(seq=7),
    Record(seq=7, on=True),
    Resume(seq=8),
    Step(seq=9),
    Step(seq=9, actions=((0.0,) * 6,)),
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


# Binary frames --------------------------------------------------------------------------------------------------------

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
HEADERS = st.builds(
    FrameHeader,
    index=U64,
    pts=st.integers(-(2**63), 2**63 - 1),
    applied_seq=U64,
    width=st.integers(0, 65535),
    height=st.integers(0, 65535),
    format=st.just("jpeg"),
    compute_us=U32,
    age_us=U32,
)


@given(HEADERS, st.binary(max_size=100))
def test_frames_survive_the_wire(header: FrameHeader, payload: bytes) -> None:
    message = pack_frame(header, payload)
    assert len(message) == HEADER_BYTES + len(payload)
    got, view = unpack_frame(message)
    assert got == header
    assert bytes(view) == payload


def test_the_header_has_the_layout_that_the_page_tells() -> None:
    header = FrameHeader(0x0102, 3, 4, 2, 1, "raw", 5, 6)
    message = pack_frame(header, b"rgbrgb")
    assert message.hex() == (
        "574c4631" "01" "00" "0100" "0200" "0100" "06000000"
        "0201000000000000" "0300000000000000" "0400000000000000" "05000000" "06000000" "726762726762"
    )  # fmt: skip


def test_times_beyond_the_header_are_capped_and_sizes_refused() -> None:
    capped, _ = unpack_frame(pack_frame(FrameHeader(0, 0, 0, 1, 1, "jpeg", 2**40, 2**40), b""))
    assert (capped.compute_us, capped.age_us) == (2**32 - 1, 2**32 - 1)
    with pytest.raises(ValueError, match="fits"):
        pack_frame(FrameHeader(0, 0, 0, 70_000, 1, "jpeg"), b"")


@given(st.binary(max_size=80))
def test_random_bytes_are_no_frame(noise: bytes) -> None:
    with pytest.raises(errors.BadMessage):
        unpack_frame(noise)


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:-1],
        lambda good: good + b"x",
        lambda good: b"WLF2" + good[4:],
        lambda good: good[:4] + b"\x02" + good[5:],
        lambda good: good[:5] + b"\x07" + good[6:],
        lambda good: good[:8] + b"\x09" + good[9:],
    ],
)
def test_a_damaged_frame_is_refused(damage: Any) -> None:
    good = pack_frame(FrameHeader(0, 0, 0, 1, 1, "raw"), b"rgb")
    unpack_frame(good)
    with pytest.raises(errors.BadMessage):
        unpack_frame(damage(good))


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


@pytest.mark.parametrize("rounds", [10_000, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_random_messages_leave_the_session_alive(rounds: int) -> None:
    dice = random.Random(20261121 + rounds - 10_000)
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
    assert min(counts.values()) > 250, counts  # each way is really taken
    assert sink.error is None
    engine.close(session)
    engine.turn()
    assert len(sink.take_receipts()) == counts["posted"]
    stats = engine.stats()
    assert (stats.sessions, stats.states, stats.faults) == (0, 0, 0)
    assert stats.frames > 200


# The page -------------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert docs.updated(text) == text, "run: python -m worldloom.streamer.docs docs/protocol.md"


def test_the_page_names_every_error_code_and_the_size_limit() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.WorldloomError):
            assert f"`{value.code}`" in docs.tables()
    assert str(protocol.MAX_MESSAGE_BYTES) in text


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="expected one"):
        docs.main(str(page))
    page.write_text(f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n", encoding="utf-8")
    docs.main(str(page))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old\n" not in text
