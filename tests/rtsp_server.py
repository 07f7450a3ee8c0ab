"""An RTSP server for tests, by GStreamer: run by the system's Python, which has its bindings.

Debian: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav

    /usr/bin/python3 tests/rtsp_server.py --port 8554 \\
        /shelf=clip:shelf.avi:h264:5 /bars=test:h265:640x480@25

A mount is PATH=clip:FILE:CODEC[:FPS[:GOP]] (any video; encoded once at the start, then sent again and
again at its own or the given rate, which costs next to nothing), or
PATH=test:CODEC:WIDTHxHEIGHT@FPS[:PATTERN] (a videotestsrc, encoded live). CODEC is h264, h265 or
mjpeg; ``test:steps`` is H.264 that changes its resolution every two seconds.

It prints "ready PORT" when it listens, "missing: ..." with status 77 where a package is not there.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: F401
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
    """A video, encoded once and sent again and again."""

    def __init__(self, path: str, codec: str, fps: float | None, gop: int, kbit: int) -> None:
        encoder = ENCODERS[codec].format(gop=gop, kbit=kbit)
        pipeline = Gst.parse_launch(
            f"filesrc location={path} ! decodebin ! videoconvert ! video/x-raw,format=I420"
            f" ! {encoder} ! {PARSERS[codec]} ! appsink name=sink sync=false"
        )
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        self.units: list[Any] = []
        rate = 25.0
        while (sample := sink.emit("pull-sample")) is not None:
            self.caps = sample.get_caps()
            buffer = sample.get_buffer()
            self.units.append(buffer.extract_dup(0, buffer.get_size()))
            known, above, below = self.caps.get_structure(0).get_fraction("framerate")
            rate = above / below if known and above else rate
        pipeline.set_state(Gst.State.NULL)
        if not self.units:
            print(f"missing: {path} cannot be encoded as {codec}", flush=True)
            sys.exit(77)
        self.period_s = 1.0 / (fps or rate)
        self.line = (
            f"( appsrc name=units is-live=true do-timestamp=true format=time ! {PARSERS[codec]}"
        )
        self.line += f" ! {PAYLOADERS[codec]} )"

    def send(self, _factory: Any, media: Any) -> None:
        """Feed a media that was just made, until it goes away."""
        source = media.get_element().get_by_name("units")
        source.set_property("caps", self.caps)
        threading.Thread(target=self._feed, args=(source,), daemon=True).start()

    def _feed(self, source: Any) -> None:
        due = time.monotonic()
        while True:
            for unit in self.units:
                if source.emit("push-buffer", Gst.Buffer.new_wrapped(unit)) != Gst.FlowReturn.OK:
                    return
                due += self.period_s
                time.sleep(max(0.0, due - time.monotonic()))


def change_size(_factory: Any, media: Any) -> None:
    """Let a test source change its size every two seconds."""
    filter_ = media.get_element().get_by_name("size")
    sizes = [(640, 480), (320, 240)]

    def step() -> bool:
        sizes.reverse()
        caps = filter_.get_property("caps").copy()
        caps.set_value("width", sizes[0][0])
        caps.set_value("height", sizes[0][1])
        filter_.set_property("caps", caps)
        return True

    GLib.timeout_add(2000, step)


def test_line(codec: str, size: str, pattern: str) -> str:
    """The pipeline of a live test source."""
    width, _, tail = size.partition("x")
    height, _, fps = tail.partition("@")
    codec = "h264" if codec == "steps" else codec
    encoder = ENCODERS[codec].format(gop=int(fps), kbit=2000)
    return (
        f"( videotestsrc is-live=true pattern={pattern} ! videoscale ! capsfilter name=size"
        f" caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
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
            clip = Clip(path, codec, fps, gop, options.kbit)
            factory.set_launch(clip.line)
            factory.connect("media-configure", clip.send)
        else:
            factory.set_launch(test_line(parts[0], parts[1], (parts[2:] or ["smpte"])[0]))
            if parts[0] == "steps":
                factory.connect("media-configure", change_size)
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
