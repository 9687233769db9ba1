"""Everything private to aiortc and aioice that Worldloom touches, in one place.

What is missing in aiortc 1.16 for a low-latency sender of pictures that we encode ourselves: the playout-delay header
extension (39 -> 5 ms from stamp to screen in Chromium where it is zero), the RTP timestamp that a frame left with,
key-frame requests reaching an encoder that is not aiortc's, the viewer's reports, ciphers for viewers that sign with
RSA, host candidates on a machine that has only a loopback address, and connecting that ends quietly when it is closed.
`tests/streamer/test_aiortc_contract.py` asserts that each name used here still exists; the version is pinned. Knows
nothing about frames, sessions or codecs' settings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aioice.ice
import av
from aiortc import RTCCertificate, RTCPeerConnection, RTCRtpSender, codecs, rtp
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.exceptions import InvalidStateError
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from OpenSSL import SSL

PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
REPAIRED_FOR = 0.3  # seconds in which a lost packet is sent again; after that, a key frame makes up for it
VIDEO_HZ = 90_000
HISTORY_SIZE = 128  # packets that aiortc keeps to send again
# The first line is aiortc's. Viewers whose certificate is RSA, such as GStreamer 1.22, share none of these: "no shared
# cipher". The second is for them, authenticated encryption only.
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384"
)
MOST_PLAYOUT_DELAY = 0xFFF  # in units of 10 ms: 12 bits
PLAYOUT_DELAY_ID = 6  # free in aiortc's table of header extensions; the peer's number wins when we answer

# Names that Python's mangling gives to private attributes of RTCRtpSender.
ENCODER = "_RTCRtpSender__encoder"
HISTORY = "_RTCRtpSender__rtp_history"
HEADER_EXTENSIONS_MAP = "_RTCRtpSender__rtp_header_extensions_map"
RTP_TIMESTAMP = "_RTCRtpSender__rtp_timestamp"
# And of RTCPeerConnection.
CONNECT = "_RTCPeerConnection__connect"
DTLS_TRANSPORTS = "_RTCPeerConnection__dtlsTransports"
ICE_TRANSPORTS = "_RTCPeerConnection__iceTransports"


class PlayoutDelayMap(rtp.HeaderExtensionsMap):
    """The sender's header extensions, plus a playout delay on every packet."""

    def __init__(self) -> None:
        super().__init__()
        self.playout_delay = (0, 0)  # least and most that the viewer may hold a picture back, in units of 10 ms
        self._playout_delay_id = 0  # what the peer calls the extension; 0: it does not know it

    def configure(self, parameters: RTCRtpParameters) -> None:
        """Learn the numbers that were negotiated."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY:
                self._playout_delay_id = extension.id

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        """Profile and bytes of the header extensions of one packet."""
        profile, value = super().set(values)
        if not self._playout_delay_id:
            return profile, value
        least, most = self.playout_delay
        delay = (least << 12 | most).to_bytes(3, "big")
        if profile == 0x1000:  # two-byte element headers
            value += bytes([self._playout_delay_id, len(delay)]) + delay
        elif self._playout_delay_id <= 14:
            profile = 0xBEDE  # one-byte element headers
            value += bytes([self._playout_delay_id << 4 | len(delay) - 1]) + delay
        return profile, value + bytes(-len(value) % 4)


class Packetizer:
    """Stands where the sender keeps its encoder: cuts our packets to RTP size.

    `target_bitrate` is where aiortc puts the receiver's bandwidth estimate, in bits a second.
    """

    def __init__(self, mime: str, on_estimate: Callable[[int], None]) -> None:
        self._inner = H264Encoder() if mime.lower() == "video/h264" else Vp8Encoder()
        self._on_estimate = on_estimate

    @property
    def target_bitrate(self) -> int:
        """Never read; aiortc looks whether it is there."""
        return 0

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._on_estimate(bitrate)

    def pack(self, packet: av.Packet[av.VideoStream]) -> tuple[list[bytes], int]:
        """RTP payloads and the timestamp of one encoded picture."""
        return self._inner.pack(packet)


class SentPackets(dict[int, rtp.RtpPacket]):
    """Stands where the sender keeps packets to send again: it puts each one here just before it leaves."""

    def __init__(self, on_sent: Callable[[int, int], None]) -> None:
        super().__init__()
        self._on_sent = on_sent

    def __setitem__(self, place: int, packet: rtp.RtpPacket) -> None:
        super().__setitem__(place, packet)
        self._on_sent(packet.sequence_number, len(packet.payload))


def install() -> None:
    """Patch what is global to the libraries: header extensions, ciphers, host addresses, connecting. Idempotent."""
    extensions = codecs.HEADER_EXTENSIONS["video"]
    if not any(extension.uri == PLAYOUT_DELAY for extension in extensions):
        extensions.append(RTCRtpHeaderExtensionParameters(id=PLAYOUT_DELAY_ID, uri=PLAYOUT_DELAY))
    if aioice.ice.get_host_addresses is not _host_addresses:
        aioice.ice.get_host_addresses = _host_addresses
    RTCCertificate._create_ssl_context = _ssl_context  # type: ignore[assignment, method-assign]
    setattr(RTCPeerConnection, CONNECT, _connect)


def bind(
    transceiver: RTCRtpTransceiver,
    *,
    on_key_frame: Callable[[], None],
    on_estimate: Callable[[int], None],
    on_sent: Callable[[int, int], None],
    on_report: Callable[[int, float], None],
    may_retransmit: Callable[[int], bool],
) -> str:
    """Make a negotiated, not yet started video sender send our packets; return its codec, like "video/H264".

    Args:
        transceiver: after `setRemoteDescription`, before `setLocalDescription`.
        on_key_frame: called when the receiver needs a whole picture: it asks for one (PLI or FIR), or misses packets
            that are too old to be of use. After a silent line, old pictures would come back as a burst.
        on_estimate: called with what the receiver believes that its line takes (REMB), in bits a second.
        on_sent: called with the number of each packet and its size in bytes, just before it leaves for the first time.
        on_report: called with the highest number that has arrived and the fraction lost, as each report comes.
        may_retransmit: asked, with the size of a packet in bytes, when the receiver misses one (NACK).
    """
    sender = transceiver.sender
    mime: str = transceiver._codecs[0].mimeType
    setattr(sender, HEADER_EXTENSIONS_MAP, PlayoutDelayMap())
    setattr(sender, ENCODER, Packetizer(mime, on_estimate))
    setattr(sender, HISTORY, SentPackets(on_sent))
    sender._send_keyframe = on_key_frame  # type: ignore[method-assign]
    retransmit, handle = sender._retransmit, sender._handle_rtcp_packet

    async def retransmit_if_allowed(sequence_number: int) -> None:
        packet = getattr(sender, HISTORY).get(sequence_number % HISTORY_SIZE)
        if packet is None or packet.sequence_number != sequence_number:
            return
        age = (getattr(sender, RTP_TIMESTAMP) - packet.timestamp) % 2**32
        if age > REPAIRED_FOR * VIDEO_HZ:
            on_key_frame()
        elif may_retransmit(rtp.RTP_HEADER_LENGTH + len(packet.payload)):
            await retransmit(sequence_number)

    async def hear_and_handle(packet: rtp.AnyRtcpPacket) -> None:
        if isinstance(packet, (rtp.RtcpRrPacket, rtp.RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    on_report(report.highest_sequence % 2**16, report.fraction_lost / 256)
        await handle(packet)

    sender._retransmit = retransmit_if_allowed  # type: ignore[method-assign]
    sender._handle_rtcp_packet = hear_and_handle  # type: ignore[method-assign]
    return mime


def wants_media(transceiver: RTCRtpTransceiver) -> bool:
    """Whether the remote offer has a line for this transceiver, and receives on it."""
    return transceiver.mid is not None and transceiver._offerDirection in ("sendonly", "sendrecv")


def set_playout_delay(sender: RTCRtpSender, least_ms: int, most_ms: int) -> None:
    """How long the viewer may hold pictures back, from the next packet on; of a sender that `bind` has prepared.

    The header counts in steps of 10 ms, 4,095 at most; the least is rounded up.
    """
    least = min(-(-least_ms // 10), MOST_PLAYOUT_DELAY)
    most = min(most_ms // 10, MOST_PLAYOUT_DELAY)
    getattr(sender, HEADER_EXTENSIONS_MAP).playout_delay = (least, max(least, most))


def counts_copies(transceiver: RTCRtpTransceiver) -> bool:
    """Whether packets that are sent again have numbers of their own (RTX), of a transceiver as `bind` takes it.

    Where they do not, they hide from reports what is lost.
    """
    chosen, *others = transceiver._codecs
    return any(codecs.is_rtx(codec) and codec.parameters.get("apt") == chosen.payloadType for codec in others)


async def send_copy(sender: RTCRtpSender, number: int) -> None:
    """Send a packet a second time, if it is still kept; neither budget nor age is asked.

    Raises:
        ConnectionError: the connection has ended.
    """
    await RTCRtpSender._retransmit(sender, number)


def rtp_timestamp(sender: RTCRtpSender) -> int:
    """Timestamp in the RTP header of the packet that left last; aiortc adds a random origin to our pts."""
    stamp: int = getattr(sender, RTP_TIMESTAMP)
    return stamp


async def shut(peer: RTCPeerConnection) -> None:
    """Close a connection, also one that an offer left half made, at which aiortc's own `close` raises on the way."""
    try:
        await peer.close()
    except Exception:  # a transceiver without a transport: whatever else there is holds sockets
        for transport in (*getattr(peer, DTLS_TRANSPORTS), *getattr(peer, ICE_TRANSPORTS)):
            with suppress(Exception):
                await transport.stop()
        peer.remove_all_listeners()


_aiortc_connect: Callable[[RTCPeerConnection], Awaitable[None]] = getattr(RTCPeerConnection, CONNECT)


async def _connect(peer: RTCPeerConnection) -> None:
    """A task that nobody waits for: lines of an offer that share no transport connect one after the other.

    aiortc's raises where the peer is closed while an earlier one connects.
    """
    try:
        await _aiortc_connect(peer)
    except InvalidStateError:
        if peer.signalingState != "closed":
            raise


_aiortc_ssl_context = RTCCertificate._create_ssl_context


def _ssl_context(certificate: RTCCertificate, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
    context = _aiortc_ssl_context(certificate, srtp_profiles)
    context.set_cipher_list(CIPHERS)
    return context


_aioice_host_addresses: Callable[..., list[str]] = aioice.ice.get_host_addresses


def _host_addresses(*args: Any, **options: Any) -> list[str]:
    """aioice never offers 127.0.0.1, so without a network there would be no candidate at all."""
    return _aioice_host_addresses(*args, **options) or ["127.0.0.1"]
