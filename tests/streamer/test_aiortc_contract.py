"""Each name private to aiortc and aioice that we lean on still exists and still works that way."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import inspect
import re
from contextlib import suppress

import aioice.ice
import pytest
from aiortc import (
    RTCCertificate,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    codecs,
    rtcdtlstransport,
    rtcrtpsender,
    rtp,
)
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from worldloom.streamer.transports import aiortc_patches


def test_version_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("aiortc") == "1.16.0", "read the sender again before moving the pin"


async def test_sender_keeps_the_names() -> None:
    peer = RTCPeerConnection()
    transceiver = peer.addTransceiver("video")
    names = (
        aiortc_patches.ENCODER,
        aiortc_patches.HEADER_EXTENSIONS_MAP,
        aiortc_patches.HISTORY,
        aiortc_patches.RTP_TIMESTAMP,
    )
    for name in names:
        assert hasattr(transceiver.sender, name), name
    assert getattr(peer, aiortc_patches.DTLS_TRANSPORTS)
    assert getattr(peer, aiortc_patches.ICE_TRANSPORTS)
    assert callable(transceiver.sender._send_keyframe)
    assert transceiver._codecs == []
    assert transceiver._offerDirection is None
    await peer.close()


def test_sender_still_works_as_read() -> None:
    next_frame = inspect.getsource(RTCRtpSender._next_encoded_frame)
    assert "if self.__encoder is None" in next_frame, "an encoder put there before the start is used"
    assert "self.__encoder.pack(" in next_frame, "a track may return packets"
    feedback = inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert "self._send_keyframe()" in feedback
    assert 'hasattr(self.__encoder, "target_bitrate")' in feedback, "an encoder may go without"
    assert "self.__encoder.target_bitrate = bitrate" in feedback, "the estimate is set as an attribute"
    assert "self.__rtp_history.get(sequence_number % RTP_HISTORY_SIZE)" in inspect.getsource(RTCRtpSender._retransmit)
    assert list(inspect.signature(RTCRtpSender._retransmit).parameters) == ["self", "sequence_number"]
    assert "if self.__rtx_payload_type is not None" in inspect.getsource(RTCRtpSender._retransmit)
    assert "recipient._handle_rtcp_packet(packet)" in inspect.getsource(rtcdtlstransport.RTCDtlsTransport)
    keeps = re.sub(r"\s+", "", inspect.getsource(RTCRtpSender._run_rtp))
    kept, left = "self.__rtp_history[packet.sequence_number%RTP_HISTORY_SIZE]=(packet)", "self.transport._send_rtp("
    assert 0 < keeps.index(kept) < keeps.index(left), "a packet is kept before it leaves"
    assert "self.__rtp_header_extensions_map.configure(" in inspect.getsource(RTCRtpSender.send)


def test_as_many_packets_are_kept_as_we_believe() -> None:
    assert rtcrtpsender.__dict__["RTP_HISTORY_SIZE"] == aiortc_patches.HISTORY_SIZE


def test_packetizers_take_packets() -> None:
    for encoder in (H264Encoder, Vp8Encoder):
        assert list(inspect.signature(encoder.pack).parameters) == ["self", "packet"]


def test_install_offers_the_extension_once() -> None:
    aiortc_patches.install()
    aiortc_patches.install()
    uris = [extension.uri for extension in codecs.HEADER_EXTENSIONS["video"]]
    numbers = [extension.id for kind in codecs.HEADER_EXTENSIONS.values() for extension in kind]
    assert uris.count(aiortc_patches.PLAYOUT_DELAY) == 1
    assert numbers.count(aiortc_patches.PLAYOUT_DELAY_ID) == 1


@pytest.mark.parametrize("number", [6, 14, 200])
def test_playout_delay_survives_a_round_trip(number: int) -> None:
    mapping = aiortc_patches.PlayoutDelayMap()
    mid = RTCRtpHeaderExtensionParameters(id=1 if number < 15 else 201, uri="urn:ietf:params:rtp-hdrext:sdes:mid")
    delay = RTCRtpHeaderExtensionParameters(id=number, uri=aiortc_patches.PLAYOUT_DELAY)
    mapping.configure(RTCRtpParameters(headerExtensions=[mid, delay]))
    profile, value = mapping.set(rtp.HeaderExtensions(mid="0"))
    assert len(value) % 4 == 0
    assert (number, bytes(3)) in rtp.unpack_header_extensions(profile, value)
    assert mapping.get(profile, value).mid == "0"


@pytest.mark.parametrize(
    ("least_ms", "most_ms", "bits"),
    [(0, 0, 0), (70, 140, 7 << 12 | 14), (71, 75, 8 << 12 | 8), (10**6, 10**6, 0xFFFFFF)],
)
async def test_playout_delay_is_told_in_steps_of_ten_milliseconds(least_ms: int, most_ms: int, bits: int) -> None:
    peer = RTCPeerConnection()
    sender = peer.addTransceiver("video").sender
    mapping = aiortc_patches.PlayoutDelayMap()
    setattr(sender, aiortc_patches.HEADER_EXTENSIONS_MAP, mapping)
    delay = RTCRtpHeaderExtensionParameters(id=6, uri=aiortc_patches.PLAYOUT_DELAY)
    mapping.configure(RTCRtpParameters(headerExtensions=[delay]))
    aiortc_patches.set_playout_delay(sender, least_ms, most_ms)
    packed = rtp.unpack_header_extensions(*mapping.set(rtp.HeaderExtensions()))
    assert packed == [(6, bits.to_bytes(3, "big"))]
    await peer.close()


@pytest.mark.parametrize("apart", [True, False])
async def test_whether_copies_count_is_read_off_the_negotiated_codecs(apart: bool) -> None:
    server, viewer = RTCPeerConnection(), RTCPeerConnection()
    asked = viewer.addTransceiver("video", direction="recvonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    asked.setCodecPreferences([codec for codec in known if apart or not codecs.is_rtx(codec)])
    await viewer.setLocalDescription(await viewer.createOffer())
    transceiver = server.addTransceiver("video", direction="sendonly")
    await server.setRemoteDescription(viewer.localDescription)
    assert aiortc_patches.counts_copies(transceiver) is apart
    await server.close()
    await viewer.close()


def test_every_packet_asks_the_map_again() -> None:
    assert "packet.serialize(self.__rtp_header_extensions_map)" in inspect.getsource(RTCRtpSender._run_rtp)


def test_without_the_extension_nothing_is_added() -> None:
    assert aiortc_patches.PlayoutDelayMap().set(rtp.HeaderExtensions()) == rtp.HeaderExtensionsMap().set(
        rtp.HeaderExtensions()
    )


async def test_closed_while_lines_connect_one_after_the_other_nobody_hears_of_it() -> None:
    aiortc_patches.install()
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context["exception"]))
    viewer, server = RTCPeerConnection(), RTCPeerConnection()
    for kind in ("video", "audio"):
        viewer.addTransceiver(kind, direction="recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    apart = re.sub(r"a=group:BUNDLE[^\n]*\n", "", viewer.localDescription.sdp)
    await server.setRemoteDescription(RTCSessionDescription(apart, "offer"))
    first, second = (line.receiver.transport.transport for line in server.getTransceivers())
    begun, closing = asyncio.Event(), asyncio.Event()

    async def connects_until_the_other_closes(_: object) -> None:
        begun.set()
        await closing.wait()

    first.start = connects_until_the_other_closes  # type: ignore[assignment, method-assign]
    second.on("statechange", closing.set)
    await server.setLocalDescription(await server.createAnswer())
    await begun.wait()
    await server.close()
    assert second.state == "closed"
    await viewer.close()
    for _ in range(3):
        await asyncio.sleep(0.01)
        gc.collect()  # a task that nobody waited for is found out when it goes
    assert unhandled == []


def test_ciphers_are_those_of_aiortc_and_some_for_rsa() -> None:
    aiortc_patches.install()
    aiortc_patches.install()
    source = inspect.getsource(aiortc_patches._aiortc_ssl_context)
    (theirs,) = re.findall(r'set_cipher_list\(\s*b"([^"]*)"', source)
    ours = aiortc_patches.CIPHERS.decode().split(":")
    assert ours[: theirs.count(":") + 1] == theirs.split(":")
    start = inspect.getsource(rtcdtlstransport.RTCDtlsTransport.start)
    assert "self.__local_certificate._create_ssl_context(" in start


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_viewer_may_sign_with_either(kind: str) -> None:
    aiortc_patches.install()
    profiles = rtcdtlstransport.SRTP_PROFILES
    ours = SSL.Connection(RTCCertificate.generateCertificate()._create_ssl_context(srtp_profiles=profiles))
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_privatekey(key)
    context.use_certificate(rtcdtlstransport.generate_certificate(key))  # type: ignore[arg-type]
    viewer = SSL.Connection(context)
    ours.set_connect_state()  # as whoever answers an offer does
    viewer.set_accept_state()
    shake_hands(ours, viewer)
    assert (ours.get_cipher_name() or "").startswith(f"ECDHE-{kind.upper()}-")


def shake_hands(*ends: SSL.Connection) -> None:
    """DTLS between two ends without a network."""
    for _ in range(10):
        for end, other in zip(ends, reversed(ends), strict=True):
            with suppress(SSL.WantReadError):
                end.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(end.bio_read(65536))


def test_loop_back_is_offered_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    aiortc_patches.install()
    monkeypatch.setattr(aiortc_patches, "_aioice_host_addresses", lambda **_: [])
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["127.0.0.1"]
    monkeypatch.setattr(aiortc_patches, "_aioice_host_addresses", lambda **_: ["10.0.0.1"])
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["10.0.0.1"]
