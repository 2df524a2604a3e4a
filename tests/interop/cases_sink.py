# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream protocol, with helixguestsink."""

import pathlib
import socket
import time

import frame_server
from helixlink import LIMIT, connect, listen
from helixtext import TYPES
from helixwire import (CONFIG_BITRATE, CONFIG_RATE, CONFIG_RESOURCE,
                       CONFIG_SCANOUT, NONE64, ROLE_CONTROL, ROLE_FRAMES, pack)
from rig import ENCODER, check, open_tty
from stream_client import StreamClient

SINK = "helixguestsink"


def sink_pipeline(rig, socket_path, address):
    """helixguestsink at an address, fed with a shim's pictures."""
    return rig.gst("sink", f"helixqemusrc socket-path={socket_path} ! "
                   f"{ENCODER} ! helixguestsink name=s control-encoder=true "
                   f"{address}", "-e")


def reserve_port():
    """A TCP port that is bound, so the kernel gives it to no other socket,
    but not listened at."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]


def greet_sink(sink, **where):
    """A connection to a helixguestsink that may still be starting."""
    return StreamClient(connect(alive=lambda: sink.poll() is None, **where),
                        SINK)


def check_h264(rig, client, *rules):
    """Whether a client's units are video with markers."""
    file = rig.path("units.h264")
    pathlib.Path(file).write_bytes(client.data)
    return rig.check_video(file, *rules).decode().strip()


def sink_before_hello(rig):
    """What helixguestsink says before HELLO, and to a wrong one."""
    _, vm = rig.sim("--size", "640x96")
    path = rig.path("video.sock")
    sink = sink_pipeline(rig, vm, f"address=unix:{path}")
    client = greet_sink(sink, path=path)
    client.ping(bare=True)
    trip, offset = client.ping()
    check(0 <= trip and abs(offset) <= trip, "one clock, yet an offset")
    for type_ in (0x60, 0x20):
        client.send_unknown(type_, channel=9)
        error = client.expect_error("unsupported", type_)
        check(error.channel == 9, "ERROR on another channel")
    for code, fields in (("version", dict(version_min=2, version_max=9)),
                         ("role", dict(role=ROLE_FRAMES))):
        values = dict(version_min=1, version_max=1, role=2)
        other = greet_sink(sink, path=path)
        other.send("HELLO", **{**values, **fields})
        other.expect_error(code)
    other = greet_sink(sink, path=path)
    other.send("LIST")
    other.expect_error("protocol")
    client.hello()


def whole_session(rig, client, sink):
    """What a guest can say in one session, with a VM of two scanouts."""
    client.hello()
    client.units(10)
    client.expect("CURSOR")
    check(client.serials != {0}, "no shape of the cursor")
    client.ping()
    client.keyframe()
    client.send("CONFIG", fields=CONFIG_BITRATE, bitrate=900000)
    client.send("CONFIG", fields=CONFIG_RATE, rate_num=30, rate_den=1)
    client.units(10)
    client.send("CONFIG", fields=CONFIG_SCANOUT, scanout=1)
    client.send("CONFIG", fields=CONFIG_SCANOUT, scanout=9)
    client.expect_error("no-scanout", 0x73)
    client.stats()
    client.ping()
    said, units = client.count_units, client.last.sequence
    status, clients = client.list()
    mine, = [c for c in clients if c.flags & 1]
    check(status.frames > units - 1 and mine.received <= said,
         f"{status} {mine}")
    client.send_unknown(0x30)
    client.expect_error("unsupported", 0x30)
    verdict = check_h264(rig, client, "--min-frames", "5")
    client.hello()
    client.units(3)
    rig.end(sink)
    bye = client.expect("BYE")
    check(bye.reason == 1, f"{bye} at the end of the stream")
    client.expect_end()
    return verdict


def sink_without_vm(rig):
    """What a pipeline without a VM answers to wishes that only a VM fulfils."""
    path = rig.path("video.sock")
    sink = rig.gst("sink", f"videotestsrc is-live=true ! {ENCODER} ! "
                   f"helixguestsink address=unix:{path}")
    client = greet_sink(sink, path=path)
    client.hello()
    client.units(5)
    for code, name, fields in (
            ("no-scanout", "CONFIG", dict(fields=CONFIG_SCANOUT, scanout=1)),
            ("no-resource", "CONFIG", dict(fields=CONFIG_RESOURCE,
                                           resource_id=77)),
            ("unsupported", "CONFIG", dict(fields=CONFIG_RATE, rate_num=9,
                                           rate_den=1)),
            ("no-resource", "SHOW", dict(resource_id=78,
                                         capture_ns=NONE64))):
        client.send(name, **fields)
        check(client.expect_error(code, TYPES[name].value).tail, "no text")
    client.units(5)


def two_screens(rig):
    return rig.sim("--size", "640x96", "--scanouts", "2", "--cursor",
                   "--rate", "50")[1]


def sink_tcp(rig):
    """A session over TCP, beside one of role 3."""
    keep, port = reserve_port()
    sink = sink_pipeline(rig, two_screens(rig),
                         f"address=tcp:127.0.0.1:{port}")
    with keep:
        client, control = (greet_sink(sink, port=port) for _ in range(2))
        control.hello(role=ROLE_CONTROL)
        control.send("KEYFRAME", last_sequence=NONE64)
        control.list()
        control.ping()
        check(control.caps is None and control.last is None, "a stream came")
        said = whole_session(rig, client, sink)
    control.expect("BYE")
    return said


def sink_unix(rig):
    """A session over a UNIX socket; the client says BYE."""
    path = rig.path("video.sock")
    sink = sink_pipeline(rig, two_screens(rig), f"address=unix:{path}")
    client = greet_sink(sink, path=path)
    client.hello()
    client.units(5)
    client.send("BYE", tail=b"done")
    client.expect_end()
    return whole_session(rig, greet_sink(sink, path=path), sink)


def serial_session(rig, end, sink):
    """Section 6: two guests one after the other on one stream; the first is
    killed within a message, the second one gets in at its first HELLO."""
    first = StreamClient(end, SINK, outliving=True)
    first.hello()
    first.units(5)
    first.send_bytes(pack("CONFIG", fields=CONFIG_BITRATE, bitrate=1)[:16])
    second = StreamClient(end, SINK, outliving=True)
    second.greet(seconds=LIMIT)
    second.units(5)
    second.keyframe()
    second.ping()
    second.stats()
    second.send("BYE", tail=b"done")
    second.stats()
    error = second.expect("ERROR")
    check(error.code == 12, f"STATS without a session: {error}")
    third = StreamClient(end, SINK, outliving=True)
    third.hello()
    third.units(20)
    verdict = check_h264(rig, third, "--min-frames", "5")
    rig.end(sink)
    check(third.expect("BYE").reason == 1, "no end of stream")
    return verdict


def sink_serial(rig):
    """helixguestsink at a serial line."""
    end, path = open_tty()
    sink = sink_pipeline(rig, two_screens(rig),
                         f"address=serial:{path} mode=connect")
    return serial_session(rig, end, sink)


def sink_chardev(rig):
    """helixguestsink connects to a socket, as to QEMU's of a virtio-serial
    port, and stays connected whatever guests do."""
    path = rig.path("port.sock")
    listener, _ = listen(path)
    sink = sink_pipeline(rig, two_screens(rig),
                         f"address=unix:{path} mode=connect")
    end, _ = listener.accept()
    return serial_session(rig, end, sink)


def through_all(rig):
    """This server of frames, helixqemusrc, x264enc, helixguestsink and this
    client of the stream: what goes through unchanged."""
    shown = frame_server.FrameServer("helixqemusrc", [(640, 96), (800, 160)],
                                     resources={78: (640, 96)})
    listener, _ = listen(rig.path("vm.sock"))
    shown.listen_at(listener)
    path = rig.path("video.sock")
    sink = sink_pipeline(rig, rig.path("vm.sock"), f"address=unix:{path}")
    client = greet_sink(sink, path=path)
    client.hello()
    cursor = client.expect("CURSOR")
    check((cursor.x, cursor.y, cursor.width, cursor.height, cursor.hot_x,
          cursor.hot_y, cursor.tail) == (8, 24, 4, 4, 1, 2, b"\xff" * 64),
         cursor)
    client.units(20)
    shown.wait_for_unsupported()
    verdict = check_h264(rig, client, "--min-frames", "5")
    client.send_error("limit", text="an ERROR is not answered")
    client.send("CONFIG", fields=CONFIG_RESOURCE, resource_id=77)
    shown.wait_for("SUBSCRIBE", lambda m: m.resource_id == 77)
    client.send("CONFIG", fields=CONFIG_RESOURCE, resource_id=0)
    client.send("CONFIG", fields=CONFIG_RATE, rate_num=40, rate_den=1)
    shown.wait_for("SUBSCRIBE", lambda m: m.rate_num == 40 * m.rate_den)
    client.send("CONFIG", fields=CONFIG_SCANOUT, scanout=1)
    shown.wait_for("SUBSCRIBE", lambda m: m.scanout == 1)
    # The new rate may come in CAPS of its own before.
    client.expect("CAPS", lambda m: (m.width, m.height) == (800, 160))
    capture = time.monotonic_ns()
    client.send("SHOW", resource_id=78, capture_ns=capture)
    shown.wait_for("SHOW", lambda m: (m.resource_id, m.capture_ns) ==
                   (78, capture))
    client.expect("UNIT", lambda m: m.capture_ns == capture)
    return verdict


CASES = [sink_before_hello, sink_without_vm, sink_tcp, sink_unix, sink_serial,
         sink_chardev, through_all]
