"""Pictures to one viewer over WebRTC: an offer in, an answer out, then packets of a broadcast until `close`.

Knows packets and SDP; never sessions, engines or models. Signalling travels elsewhere: whoever owns this object hands
the texts over. aiortc sends the packets of one picture at a time, and the subscription drops what it is too slow for;
so a slow viewer sees fewer frames, never older ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp
from pydantic import BaseModel, ConfigDict, Field

from ..errors import BadOffer, SessionClosed
from . import aiortc_patches
from .broadcast import Broadcast, Packet, Subscription
from .coders import TIME_BASE, Codec
from .copies import AFTER_S
from .encoder import EncoderSettings
from .ice import IceSettings, for_server
from .line import Line
from .tally import Departure, LineReport, Tally

COPIES = aiortc_patches.HISTORY_SIZE  # that wait to be sent; what is older cannot be sent again
MAX_MEDIA_LINES = 4  # each line of an offer may cost sockets; a viewer needs one


class WebRtcSettings(BaseModel):
    """How pictures travel over WebRTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    codecs: tuple[Codec, ...] = Field(
        default=("h264", "vp8"), min_length=1
    )  # in order of preference; the viewer has the say
    ice: IceSettings = IceSettings()
    encoder: EncoderSettings = EncoderSettings()
    copies: bool = True  # on a line that loses packets and has room, each leaves twice: bits for time


class WebRtcVideo:
    """One viewer's peer connection.

    A second offer replaces the first: the old connection is closed, and the same broadcast feeds the new one.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        *,
        settings: WebRtcSettings,
        departed: Callable[[Departure], None],
        heard: Callable[[LineReport], None] = lambda _: None,
        leads: bool = True,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """What a viewer is sent, and who is told.

        Args:
            broadcast: the pictures.
            settings: of all viewers.
            departed: called for each picture that left.
            heard: called with each report of the viewer.
            leads: this viewer's line decides the bit rate of the broadcast.
            ended: called when the viewer's end of the connection is gone.
        """
        aiortc_patches.install()
        self.tally = Tally()
        self.codec: Codec | None = None  # negotiated; None before an offer was answered
        self._broadcast = broadcast
        self._settings = settings
        self._departed = departed
        self._heard = heard
        self._leads = leads
        self._ended = ended
        self._peer: RTCPeerConnection | None = None
        self._subscription: Subscription | None = None
        self._dropped = 0  # by earlier subscriptions

    @property
    def dropped(self) -> int:
        """Pictures that this viewer's line was too slow for."""
        return self._dropped + (self._subscription.dropped if self._subscription else 0)

    @property
    def state(self) -> str:
        """`connectionState` of the peer connection, "new" before an offer."""
        return self._peer.connectionState if self._peer else "new"

    async def answer(self, offer: str) -> str:
        """The answer to a session description.

        Raises:
            BadOffer: the offer is not SDP, or has no video line that wants what we can send.
        """
        lines = offer.count("\nm=")
        if not 1 <= lines <= MAX_MEDIA_LINES:
            raise BadOffer(f"expected a session description with 1 to {MAX_MEDIA_LINES} media lines, got {lines}")
        await self.close()
        servers = for_server(self._settings.ice, time.time())
        peer = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        try:
            answer = await self._negotiate(peer, reachable(offer))
        except BadOffer:
            await aiortc_patches.shut(peer)
            raise
        except Exception as error:  # the parser meets a stranger's text with whatever error comes first
            await aiortc_patches.shut(peer)
            raise BadOffer(f"expected a session description that can be answered: {error}"[:256]) from error
        self._peer = peer
        peer.on("connectionstatechange", lambda: self._watch(peer))
        return answer

    async def add_candidate(self, candidate: str, mid: str | None, line: int | None) -> None:
        """One more address of the viewer. An empty one ends the list, which we ignore: more may come as packets do.

        Raises:
            BadOffer: not a candidate, or there is no connection that it could belong to.
        """
        if not candidate or ".local" in candidate:
            return
        if self._peer is None or (mid is None and line is None):
            raise BadOffer("expected a candidate after an offer, with sdp_mid or sdp_mline_index")
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = mid, line
            await self._peer.addIceCandidate(parsed)
        except Exception as error:  # as above: a stranger's text
            raise BadOffer(f"expected an ICE candidate, got one that cannot be read: {error}"[:256]) from error

    async def close(self) -> None:
        """Stop sending and free the sockets. Closing twice is allowed."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._dropped += subscription.dropped
            self._broadcast.unsubscribe(subscription)
        peer, self._peer = self._peer, None
        if peer is not None:
            await aiortc_patches.shut(peer)

    def _watch(self, peer: RTCPeerConnection) -> None:
        if peer is self._peer and peer.connectionState in ("failed", "closed"):
            self._ended()

    async def _negotiate(self, peer: RTCPeerConnection, offer: str) -> str:
        track = _PictureTrack(self)
        transceiver = peer.addTransceiver(track, direction="sendonly")
        transceiver.setCodecPreferences(_preferences(self._settings.codecs))
        await peer.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        if not aiortc_patches.wants_media(transceiver):
            raise BadOffer("expected an offer with a video line that receives (recvonly), got none")
        mime = aiortc_patches.bind(
            transceiver,
            on_key_frame=track.want_key_frame,
            on_estimate=track.hear_estimate,
            on_sent=track.note_sent,
            on_report=track.hear_report,
            may_retransmit=track.may_retransmit,
        )
        self.codec = "h264" if mime.lower() == "video/h264" else "vp8"
        self._subscription = self._broadcast.subscribe(self.codec, leads=self._leads)
        line = Line(
            self._settings.encoder.bitrate_min,
            self._broadcast.encoder(self.codec).ceiling,
            time.monotonic(),
            copies=self._settings.copies and aiortc_patches.counts_copies(transceiver),
        )
        track.begin(transceiver.sender, self._subscription, line)
        await peer.setLocalDescription(await peer.createAnswer())
        return peer.localDescription.sdp


class _PictureTrack(MediaStreamTrack):
    """What aiortc pulls from: each `recv` first reports the frame before, whose packets have left by then."""

    kind = "video"

    def __init__(self, video: WebRtcVideo) -> None:
        super().__init__()
        self._video = video
        self._sender: RTCRtpSender | None = None
        self._subscription: Subscription | None = None
        self._line: Line | None = None
        self._leaving: Packet | None = None  # handed to aiortc
        self._copies: deque[tuple[float, int]] = deque(maxlen=COPIES)  # seconds when one is due, its number
        self._copying: asyncio.Task[None] | None = None  # sends them, while there are any

    def begin(self, sender: RTCRtpSender, subscription: Subscription, line: Line) -> None:
        """The negotiation is done: this is who sends, what, and over which line."""
        self._sender, self._subscription, self._line = sender, subscription, line

    def want_key_frame(self) -> None:
        if self._subscription is not None:
            self._subscription.want_key()

    def may_retransmit(self, size: int) -> bool:
        return self._line is not None and self._line.may_repair(size, time.monotonic())

    def note_sent(self, number: int, size: int) -> None:
        """A packet leaves."""
        if self._line is not None and self._subscription is not None:
            self._line.sent(number, size, time.monotonic())
            self._subscription.silent_until = self._line.silent_until
            if self._line.twice:
                self._copy(number)

    def hear_estimate(self, bitrate: int) -> None:
        """What the viewer believes that its line takes."""
        if self._line is not None:
            self._line.estimate(bitrate, time.monotonic())

    def hear_report(self, highest: int, lost: float) -> None:
        """Follow what the viewer reports."""
        if self._line is None or self._subscription is None or self._sender is None:
            return
        self._line.hear(highest, lost, time.monotonic())
        self._subscription.bitrate = self._line.bitrate
        self._subscription.silent_until = self._line.silent_until
        held = self._line.playout
        aiortc_patches.set_playout_delay(self._sender, held.least, held.most)
        self._video._heard(LineReport(lost, held.least))

    async def recv(self) -> av.Packet[Any]:
        """The next picture, encoded."""
        if self._subscription is None or self.readyState != "live":
            raise MediaStreamError("the video has ended")
        self._report()
        try:
            made = await self._subscription.get()
        except SessionClosed:
            self.stop()
            raise MediaStreamError("the session has ended") from None
        self._video.tally.add(len(made.data), made.encode_ns, key=made.key)
        packet = av.Packet(made.data)
        packet.pts, packet.time_base = made.frame.pts, TIME_BASE
        self._leaving = made
        return packet

    def stop(self) -> None:
        """No more packets; aiortc calls this too, when the connection ends."""
        super().stop()
        if self._copying is not None:
            self._copying.cancel()

    def _copy(self, number: int) -> None:
        """The packet that leaves now leaves again soon."""
        self._copies.append((time.monotonic() + AFTER_S, number))
        if self._sender is not None and (self._copying is None or self._copying.done()):
            self._copying = asyncio.create_task(self._send_copies(self._sender))

    async def _send_copies(self, sender: RTCRtpSender) -> None:
        with suppress(ConnectionError):
            while self._copies:
                due, number = self._copies.popleft()
                await asyncio.sleep(due - time.monotonic())
                await aiortc_patches.send_copy(sender, number)

    def _report(self) -> None:
        if self._leaving is None or self._sender is None:
            return
        left, self._leaving = self._leaving, None
        stamp = aiortc_patches.rtp_timestamp(self._sender)
        self._video._departed(Departure(left.frame, left.encode_ns, left.coder, time.monotonic_ns(), stamp))


def reachable(offer: str) -> str:
    """The offer without candidates that only mDNS could resolve.

    Resolving one takes aiortc a second or for ever; the viewer's first packet tells its address anyway. The mark that
    the list is complete goes too, or ICE would give up before that packet.
    """
    lines = [line for line in offer.splitlines() if line.strip()]
    hidden = [line for line in lines if line.startswith("a=candidate:") and ".local" in line]
    kept = [line for line in lines if line not in hidden and not line.startswith("a=end-of-candidates")]
    return "\r\n".join(kept) + "\r\n"


def _preferences(order: tuple[Codec, ...]) -> list[RTCRtpCodecCapability]:
    mimes = {"h264": "video/h264", "vp8": "video/vp8"}
    known = RTCRtpSender.getCapabilities("video").codecs
    chosen = [codec for name in order for codec in known if codec.mimeType.lower() == mimes[name]]
    return [*chosen, *(codec for codec in known if codec.mimeType.lower() == "video/rtx")]
