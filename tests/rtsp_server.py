"""An RTSP server for tests, by GStreamer: run by the system's Python, which has its bindings.

Debian: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav

    /usr/bin/python3 tests/rtsp_server.py --port 8554 \\
        /shelf=clip:shelf.avi:h264:5 /bars=test:h265:640x480@25

A mount is PATH=clip:FILE[+FILE...]:CODEC[:FPS[:GOP]] (any videos; encoded once at the start, then sent
in turn again and again, at their own or the given rate, which costs next to nothing; they may differ
in size, as when a camera's resolution is changed), or PATH=test:CODEC:WIDTHxHEIGHT@FPS[:PATTERN] (a
videotestsrc, encoded live). CODEC is h264, h265 or mjpeg.

It prints "ready PORT" when it listens, "missing: ..." with status 77 where a package is not there.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any

try:
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import (  # type: ignore[import-not-found]
        GLib,
        Gst,
        GstApp,  # noqa: F401, its methods are used by name
        GstRtsp,
        GstRtspServer,
    )
except (ImportError, ValueError) as error:
    print(f"missing: {error}", flush=True)
    sys.exit(77)

ENCODERS = {
    "h264": "x264enc threads=1 tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbit}",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbit}",
    "mjpeg": "jpegenc",
}
PARSERS = {
    "h264": "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
    "h265": "h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au",
    "mjpeg": "jpegparse",
}
PAYLOADERS = {
    "h264": "rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "rtpjpegpay name=pay0 pt=26",
}


class Clip:
    """Videos, encoded once and sent again and again."""

    def __init__(
        self, paths: list[str], codec: str, fps: float | None, gop: int, kbit: int
    ) -> None:
        self.units: list[Any] = []
        self.keys: list[int] = []
        self.began_s = time.monotonic()
        self.period_s = 1.0 / (fps or 25.0)
        for path in paths:
            rate = self._encode(path, codec, ENCODERS[codec].format(gop=gop, kbit=kbit))
            self.period_s = 1.0 / (fps or rate or 25.0)
        self.line = (
            f"( appsrc name=units is-live=true do-timestamp=true format=time ! {PARSERS[codec]}"
        )
        self.line += f" ! {PAYLOADERS[codec]} )"

    def _encode(self, path: str, codec: str, encoder: str) -> float:
        """Add a file's frames; returns its frames a second, 0 where unknown."""
        pipeline = Gst.parse_launch(
            f"filesrc location={path} ! decodebin ! videoconvert ! video/x-raw,format=I420"
            f" ! {encoder} ! {PARSERS[codec]} ! appsink name=sink sync=false"
        )
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        before, rate = len(self.units), 0.0
        while (sample := sink.emit("pull-sample")) is not None:
            caps = sample.get_caps()
            known, above, below = caps.get_structure(0).get_fraction("framerate")
            rate = above / below if known and below else rate
            buffer = sample.get_buffer()
            if not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT):
                self.keys.append(len(self.units))
            self.units.append(buffer.extract_dup(0, buffer.get_size()))
        pipeline.set_state(Gst.State.NULL)
        if len(self.units) == before:
            print(f"missing: {path} cannot be encoded as {codec}", flush=True)
            sys.exit(77)
        # the parser behind the source finds the size of each in the data itself
        kind = caps.get_structure(0).get_name()
        form = ",stream-format=byte-stream,alignment=au" if codec != "mjpeg" else ""
        self.caps = Gst.Caps.from_string(kind + form)
        return rate

    def send(self, _factory: Any, media: Any) -> None:
        """Feed a media that was just made, until it goes away."""
        source = media.get_element().get_by_name("units")
        source.set_property("caps", self.caps)
        threading.Thread(target=self._feed, args=(source,), daemon=True).start()

    def _feed(self, source: Any) -> None:
        """Begin near where a camera that never rests would be by now, with a key frame."""
        number = int((time.monotonic() - self.began_s) / self.period_s) % len(self.units)
        number = max(key for key in self.keys if key <= number)
        due_s = time.monotonic()
        while True:
            unit = Gst.Buffer.new_wrapped(self.units[number])
            if source.emit("push-buffer", unit) != Gst.FlowReturn.OK:
                return
            number = (number + 1) % len(self.units)
            due_s += self.period_s
            time.sleep(max(0.0, due_s - time.monotonic()))


def test_line(codec: str, size: str, pattern: str) -> str:
    """The pipeline of a live test source."""
    width, _, tail = size.partition("x")
    height, _, fps = tail.partition("@")
    encoder = ENCODERS[codec].format(gop=int(fps), kbit=2000)
    return (
        f"( videotestsrc is-live=true pattern={pattern} ! videoscale"
        f" ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
        f" ! {encoder} ! {PARSERS[codec]} ! {PAYLOADERS[codec]} )"
    )


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--login", help="user:password, asked for by digest")
    parser.add_argument("--kbit", type=int, default=2000, help="bit rate of clips, kbit/s")
    parser.add_argument("mounts", nargs="+")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    permissions = GstRtspServer.RTSPPermissions()
    if options.login:
        user, _, password = options.login.partition(":")
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_digest(user, password, token)
        server.set_auth(auth)
        permissions.add_role("user")
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
    for mount in options.mounts:
        where, _, what = mount.partition("=")
        kind, *parts = what.split(":")
        factory = GstRtspServer.RTSPMediaFactory()
        if kind == "clip":
            path, codec, *rest = parts
            fps = float(rest[0]) if rest and rest[0] else None
            gop = int(rest[1]) if len(rest) > 1 else round(2 * (fps or 25))
            clip = Clip(path.split("+"), codec, fps, gop, options.kbit)
            factory.set_launch(clip.line)
            factory.connect("media-configure", clip.send)
        else:
            factory.set_launch(test_line(parts[0], parts[1], (parts[2:] or ["smpte"])[0]))
        factory.set_shared(True)
        if options.login:
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(where, factory)
    if not server.attach(None):
        print("cannot listen", flush=True)
        sys.exit(1)
    print(f"ready {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
