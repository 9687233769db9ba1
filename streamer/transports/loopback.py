"""A viewer inside the server: proves, before any visitor comes, that pictures really arrive over WebRTC.

Knows an aiortc peer and the sender under test; no sessions, no worlds.
"""

from __future__ import annotations

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame

from .webrtc import WebRtcVideo


async def first_picture(video: WebRtcVideo) -> VideoFrame:
    """Negotiate with `video` and return the first picture that arrives, decoded; waits for ever if none does.

    Raises:
        BadOffer: the two share no codec.
    """
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
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
