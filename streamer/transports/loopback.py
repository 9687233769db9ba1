"""A viewer of our own: proves, before any visitor comes, that pictures really arrive over WebRTC.

Knows an aiortc peer and whoever answers its offer; no sessions, no worlds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame


class Answers(Protocol):
    """The sender under test, here or behind a connection."""

    async def answer(self, offer: str) -> str:
        """The answer to a session description."""


async def first_picture(video: Answers, servers: Sequence[RTCIceServer] = ()) -> VideoFrame:
    """Negotiate with `video` and return the first picture that arrives, decoded; waits for ever if none does.

    Raises:
        BadOffer: the two share no codec.
    """
    peer = RTCPeerConnection(RTCConfiguration(iceServers=list(servers)))
    try:
        receiver = peer.addTransceiver("video", direction="recvonly").receiver
        await peer.setLocalDescription(await peer.createOffer())
        answer = await video.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        picture = await receiver.track.recv()
        assert isinstance(picture, VideoFrame)
        return picture
    finally:
        await peer.close()
