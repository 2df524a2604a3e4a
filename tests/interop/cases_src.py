# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream protocol, with helixsrc."""

import json
import pathlib
import signal

import marker
import stream_server
from helixlink import LIMIT, listen
from rig import ENCODER, check, open_tty

SRC = "helixsrc"
SIZE, RATE = (640, 96), 25
LOST = 13  # the unit that is left out; the next key is 20


def record(rig, count=50):
    """A recording of numbered pictures: [(unit, whether it is a key)]."""
    _, path = rig.sim("--size", "640x96", "--rate", "100")
    folder = pathlib.Path(rig.path("units"))
    folder.mkdir()
    rig.gst("record", f"helixqemusrc socket-path={path} num-buffers={count} "
            f"! video/x-raw,format=I420 ! {ENCODER} key-int-max=10 "
            f"! video/x-h264,profile=constrained-baseline,"
            f"stream-format=byte-stream "
            f"! multifilesink location={folder}/%05d").wait(LIMIT)
    units = stream_server.read_units(folder)
    check(len(units) == count and units[0][1], "the recording is not whole")
    return units


def receive(rig, server, *properties):
    """helixsrc in a pipeline that decodes into a file. However slow the
    machine is, no unit is left out."""
    program = rig.gst("src", f"helixsrc max-age=60000 "
                      f"{' '.join(properties)} ! h264parse "
                      f"! avdec_h264 ! videoconvert ! "
                      f"video/x-raw,format=I420 "
                      f"! filesink location={rig.path('out.raw')}", "-e")
    server.wait_for("HELLO")
    return program


def check_pictures(rig, least, most):
    """Pictures of the recording arrived, whole and in order."""
    data = pathlib.Path(rig.path("out.raw")).read_bytes()
    size = SIZE[0] * SIZE[1] * 3 // 2
    numbers = [marker.read(data[at:at + 640 * 16], 640, 1)
               for at in range(0, len(data), size)]
    check(None not in numbers and numbers == sorted(numbers),
         f"pictures {numbers}")
    check(least <= len(numbers) <= most, f"{len(numbers)} pictures of {most}")
    return f"{len(numbers)} pictures"


def src_session(rig, address, listener, lost=None):
    units = record(rig)
    server = stream_server.StreamServer(SRC, units, SIZE, RATE, lost=lost)
    server.listen_at(listener)
    program = receive(rig, server, f"address={address}", "bitrate=500000",
                      "scanout=0", "auto-reconnect=false")
    server.wait_for("CONFIG", lambda m: m.bitrate == 500000)
    server.wait_for("STATS")
    server.wait_for_unsupported()
    if lost:
        asked = server.wait_for("KEYFRAME", lambda m: m.reason == 2)
        check(asked.last_sequence == lost - 1, asked)
    program.wait(LIMIT)
    return check_pictures(rig, lost or len(units), len(units))


def src_tcp(rig):
    """helixsrc over TCP, up to the end of the stream."""
    listener, port = listen()
    return src_session(rig, f"tcp:127.0.0.1:{port}", listener)


def src_unix(rig):
    """helixsrc over a UNIX socket; a unit is lost, so it asks for a key."""
    path = rig.path("video.sock")
    listener, _ = listen(path)
    return src_session(rig, f"unix:{path}", listener, lost=LOST)


def helix_stream(rig):
    """The helix command asks a server of the stream; helixsrc says BYE."""
    path = rig.path("video.sock")
    listener, _ = listen(path)
    server = stream_server.StreamServer(SRC, record(rig), SIZE, RATE)
    server.listen_at(listener)
    program = receive(rig, server, f"address=unix:{path}")
    server.wait_for("STATS")
    server.peer = "helix"
    said = json.loads(rig.helix("top", "--once", "--json", "--address",
                                f"unix:{path}"))
    check("interop stream server" in json.dumps(said), said)
    rig.end(program)
    server.wait_for("BYE")


def src_serial(rig):
    """Two helixsrc one after the other on one serial line; the first one is
    killed."""
    units = record(rig)
    end, path = open_tty()
    server = stream_server.StreamServer(SRC, units, SIZE, RATE,
                                        outliving=True)
    server.serve_one(end)
    program = receive(rig, server, f"address=serial:{path}")
    server.wait_for("STATS")
    rig.end(program, signal.SIGKILL)
    server.heard.clear()
    receive(rig, server, f"address=serial:{path}",
            "auto-reconnect=false").wait(LIMIT)
    return check_pictures(rig, len(units), len(units))


CASES = [src_tcp, src_unix, src_serial, helix_stream]
