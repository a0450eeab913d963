"""Publishes a moving ball and a tone by WHIP (RFC 9725) with GStreamer's webrtcbin, until another line is read.

    /usr/bin/python3 gstreamer_client.py WHIP_URL VP8|H264      first line of standard input: the room token

Runs with the system's Python, which has GStreamer's bindings, and with nothing else of this repository. Prints one JSON
line when connected and one with what was sent.
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PICTURE = {
    "VP8": "vp8enc name=picture deadline=1 keyframe-max-dist=300 ! rtpvp8pay picture-id-mode=15-bit",
    "H264": "openh264enc name=picture gop-size=300 ! h264parse ! rtph264pay aggregate-mode=zero-latency",
}
"""A key frame every ten seconds: who needs one earlier has to ask for it."""
PIPELINE = """
    webrtcbin name=peer bundle-policy=max-bundle
    videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! queue ! {picture} pt=96
        ! application/x-rtp,media=video,encoding-name={codec},payload=96 ! peer.
    audiotestsrc is-live=true volume=0.2 ! audio/x-raw,rate=48000,channels=2 ! queue ! opusenc name=sound
        ! rtpopuspay pt=97 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer.
"""


class Publisher:
    """Everything happens in GLib's loop, but for what reads standard input."""

    def __init__(self, url: str, token: str, codec: str) -> None:
        self._url, self._headers = url, {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
        self._resource = ""
        self._sent = {"picture": 0, "sound": 0}
        self.loop = GLib.MainLoop()
        self._pipeline = Gst.parse_launch(PIPELINE.format(picture=PICTURE[codec], codec=codec))
        self._peer = self._pipeline.get_by_name("peer")
        for name in self._sent:
            source = self._pipeline.get_by_name(name).get_static_pad("src")
            source.add_probe(Gst.PadProbeType.BUFFER, self._count, name)
        for number in (0, 1):
            transceiver = self._peer.emit("get-transceiver", number)
            transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
            transceiver.set_property("do-nack", True)
        self._peer.connect("on-negotiation-needed", self._offer)
        self._peer.connect("notify::ice-gathering-state", self._gathered)
        self._peer.connect("notify::connection-state", self._changed)

    def run(self) -> None:
        self._pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self._pipeline.set_state(Gst.State.NULL)
        if self._resource:
            ended = urllib.request.Request(self._resource, method="DELETE", headers=self._headers)
            urllib.request.urlopen(ended, timeout=10).read()
        print(json.dumps(self._sent), flush=True)

    def _count(self, pad: Any, info: Any, name: str) -> Any:
        self._sent[name] += 1
        return Gst.PadProbeReturn.OK

    def _offer(self, peer: Any) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))

    def _offered(self, promise: Any) -> None:
        reply = promise.get_reply()  # owns the offer
        self._peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def _gathered(self, peer: Any, _: Any) -> None:
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self) -> bool:
        offer = self._peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self._url, data=offer.encode(), headers=self._headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text, place = answer.read().decode(), answer.headers["location"]
        self._resource = urllib.parse.urljoin(self._url, place)
        _, message = GstSdp.SDPMessage.new_from_text(text)
        said = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self._peer.emit("set-remote-description", said, Gst.Promise.new())
        return False

    def _changed(self, peer: Any, _: Any) -> None:
        state = peer.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            print(json.dumps({"gstreamer": Gst.version_string()}), flush=True)
        elif state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            self.loop.quit()


def main(url: str, codec: str) -> None:
    token = sys.stdin.readline().strip()
    Gst.init(None)
    publisher = Publisher(url, token, codec)

    def until_told() -> None:
        sys.stdin.readline()
        GLib.idle_add(publisher.loop.quit)

    threading.Thread(target=until_told, daemon=True).start()
    publisher.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
