#!/usr/bin/python3
"""A WHEP player on GStreamer's `webrtcbin`, none of whose code is ours: libnice, OpenSSL, libsrtp, FFmpeg or libvpx.

    gstreamer_player.py URL TOKEN h264|vp8 SECONDS    plays for so long after the first frame; prints JSON
    gstreamer_player.py                               prints what is missing here, as a JSON list

Runs under the system's Python, where GStreamer's bindings are. Knows WHEP; nothing of Worldloom.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

FIRST_FRAME_S = 10.0  # that a first frame may take
DECODERS = {
    "h264": "rtph264depay ! h264parse ! avdec_h264 max-threads=1",
    "vp8": "rtpvp8depay ! vp8dec",
}
CAPS = {
    "h264": "encoding-name=H264,packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "vp8": "encoding-name=VP8",
}
ELEMENTS = (
    *("webrtcbin", "nicesrc", "dtlssrtpdec", "appsink", "videoconvert"),
    *("rtph264depay", "h264parse", "avdec_h264", "rtpvp8depay", "vp8dec"),
)


class Player:
    """One viewing, from the offer to the goodbye."""

    def __init__(self, url: str, token: str, codec: str, seconds: float) -> None:
        self._url = url
        self._token = token
        self._codec = codec
        self._seconds = seconds
        self._began = time.monotonic()
        self._loop = GLib.MainLoop()
        self._viewing: str | None = None  # where it lives
        self._kept: list[Any] = []  # the bindings would free descriptions that are still in use
        self.frames: list[float] = []  # seconds since the beginning
        self.pictures: set[int] = set()  # different ones
        self.size = (0, 0)
        self.failure: str | None = None
        self._pipeline = Gst.Pipeline()
        self._peer = Gst.ElementFactory.make("webrtcbin")
        self._peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._pipeline.add(self._peer)
        self._peer.connect("pad-added", self._show)
        self._peer.connect("on-negotiation-needed", self._offer)
        self._peer.connect("notify::ice-gathering-state", self._on_gathering)
        caps = Gst.Caps.from_string(f"application/x-rtp,media=video,{CAPS[codec]},clock-rate=90000,payload=96")
        self._peer.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, caps)

    def play(self) -> dict[str, Any]:
        """Watch, leave, and tell."""
        bus = self._pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: self._fail(message.parse_error()[0].message))
        GLib.timeout_add(int(1000 * FIRST_FRAME_S), lambda: None if self.frames else self._fail("no frame in time"))
        self._pipeline.set_state(Gst.State.PLAYING)
        self._loop.run()
        state = self._peer.get_property("connection-state").value_nick
        deleted = None if self._viewing is None else self._leave(self._viewing)
        self._pipeline.set_state(Gst.State.NULL)
        return {
            "version": Gst.version_string(),
            "state": state,
            "failure": self.failure,
            "frames": self.frames,
            "pictures": len(self.pictures),
            "size": self.size,
            "deleted": deleted,
        }

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self._loop.quit()

    def _leave(self, viewing: str) -> int:
        try:
            with self._ask("DELETE", viewing) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as error:
            return error.code
        return status

    def _ask(self, method: str, url: str, body: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {self._token}"}
        if body is not None:
            headers["content-type"] = "application/sdp"
        data = None if body is None else body.encode()
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10)

    def _offer(self, peer: Any) -> None:
        def made(promise: Any) -> None:
            reply = promise.get_reply()
            offer = described("OFFER", reply.get_value("offer").sdp.as_text())
            self._kept += [reply, offer]
            peer.emit("set-local-description", offer, Gst.Promise.new())

        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def _on_gathering(self, peer: Any, _: Any) -> None:
        """The offer leaves with all its candidates: a player without PATCH."""
        complete = peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if not complete or self._viewing is not None:
            return
        try:
            with self._ask("POST", self._url, peer.get_property("local-description").sdp.as_text()) as answer:
                self._viewing = urllib.parse.urljoin(self._url, answer.headers["location"])
                description = described("ANSWER", answer.read().decode())
        except OSError as error:
            return self._fail(str(error))
        self._kept.append(description)
        peer.emit("set-remote-description", description, Gst.Promise.new())

    def _show(self, peer: Any, pad: Any) -> None:
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        shown = Gst.parse_bin_from_description(
            f"queue ! {DECODERS[self._codec]} ! videoconvert ! video/x-raw,format=I420 "
            "! appsink name=screen emit-signals=true sync=false",
            True,
        )
        self._pipeline.add(shown)
        shown.get_by_name("screen").connect("new-sample", self._see)
        shown.sync_state_with_parent()
        pad.link(shown.get_static_pad("sink"))

    def _see(self, screen: Any) -> Any:
        sample = screen.emit("pull-sample")
        caps, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
        if not self.frames:
            GLib.timeout_add(int(1000 * self._seconds), self._loop.quit)
        self.frames.append(time.monotonic() - self._began)
        self.size = (caps.get_value("width"), caps.get_value("height"))
        self.pictures.add(zlib.crc32(buffer.extract_dup(0, buffer.get_size())))
        return Gst.FlowReturn.OK


def described(kind: str, text: str) -> Any:
    """A session description from its text."""
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind), message)


if __name__ == "__main__":
    Gst.init(None)
    if len(sys.argv) == 1:
        print(json.dumps([name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]))
    else:
        url, token, codec, seconds = sys.argv[1:]
        print(json.dumps(Player(url, token, codec, float(seconds)).play()))
