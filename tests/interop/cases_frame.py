# SPDX-License-Identifier: LGPL-2.1-or-later
"""The frame protocol, with helix-shim-sim, helixqemusrc and helix."""

import json
import os

import frame_server
import marker
from frame_client import FrameClient, differs_outside
from helixlink import LIMIT, connect, listen
from helixwire import (CURSOR_SHAPE, FEATURE_SHM, NONE64, POOL_SEALED,
                       ROLE_STREAM, SCANOUT_ENABLED,
                       SUBSCRIBE_CURSOR, SUBSCRIBE_INLINE)
from rig import check

SIM = "helix-shim-sim"


def greet(path, features=FEATURE_SHM):
    client = FrameClient(connect(path), SIM)
    return client, client.hello(features)


def number_of(frame):
    return marker.read(frame.pixels, frame.stride, 4)


def check_frames(client, channel, count):
    """Numbers grow, and what no rectangle names stays as it was."""
    last = -1
    for _ in range(count):
        frame = client.frame(channel)
        number = number_of(frame)
        check(number is not None and number > last,
             f"marker {number} after {last}")
        check(not differs_outside(frame), "pixels differ outside of rectangles")
        last = number


def sim_before_hello(rig):
    """What a server of frames says before HELLO, and to a wrong one."""
    _, path = rig.sim("--size", "640x96")
    client = FrameClient(connect(path), SIM)
    client.ping(bare=True, channel=7)
    trip, offset = client.ping()
    check(0 <= trip and abs(offset) <= trip, "one clock, yet an offset")
    client.send_unknown(0x60, channel=9)
    error = client.expect_error("unsupported", 0x60)
    check(error.channel == 9, "ERROR on another channel")
    client.send_unknown(0x20)
    client.expect_error("unsupported", 0x20)
    client.hello()
    for code, fields in (("version", dict(version_min=2, version_max=9)),
                         ("role", dict(role=ROLE_STREAM))):
        values = dict(version_min=1, version_max=1, role=1)
        other = FrameClient(connect(path), SIM)
        other.send("HELLO", **{**values, **fields})
        other.expect_error(code)
    other = FrameClient(connect(path), SIM)
    other.send("LIST")
    other.expect_error("protocol")
    client.ping()


def sim_frames(rig):
    """Frames in shared memory, credit, a new mode, BYE."""
    sim, path = rig.sim("--size", "640x96", "--rate", "100")
    client, _ = greet(path)
    client.subscribe(7, scanout=0)
    check_frames(client, 7, 20)
    here = client.channels[7]
    check(here.pool.kind == POOL_SEALED, "not sealed memory")
    client.send("SUBSCRIBE", 8, scanout=0, rate_den=1, flags=SUBSCRIBE_INLINE)
    error = client.expect_error("unsupported", 0x50)
    check(error.channel == 8, "ERROR on another channel")
    held = [client.frame(7, keep=True) for _ in range(here.pool.slots)]
    # One that came now would have a slot that is held, which is a breach.
    client.ping()
    client.release(held[0])
    check(client.frame(7).slot == held[0].slot, "no frame for a credit")
    for frame in held[1:]:
        client.release(frame)
    client.send("SET_SCANOUT", scanout=0, width=800, height=160)
    frame = client.frame(7, lambda m: (m.width, m.height) == (800, 160))
    check(number_of(frame) is not None, "no marker after the mode changed")
    client.send("RELEASE", 7, pool_id=held[0].pool_id, slot=held[0].slot)
    check_frames(client, 7, 3)
    without, _ = greet(path, features=0)
    without.send("SUBSCRIBE", 1, scanout=0, rate_den=1)
    without.expect_error("unsupported", 0x50)
    rig.end(sim)
    bye = client.expect("BYE")
    client.expect_end()
    return f"BYE says: {bye.tail.decode()}"


def sim_control(rig):
    """CURSOR, LIST, SET_SCANOUT, SHOW, and all errors that close nothing."""
    _, path = rig.sim("--size", "640x96", "--scanouts", "2", "--scanouts-on",
                      "1", "--resources", "1", "--cursor")
    client, screens = greet(path)
    check(not screens[1].flags & SCANOUT_ENABLED, "scanout 1 is on")
    client.subscribe(7, scanout=0, flags=SUBSCRIBE_CURSOR)
    cursor = client.expect("CURSOR")
    check(cursor.flags & CURSOR_SHAPE, "the first CURSOR has no shape")
    moved = client.expect("CURSOR", lambda m: m.x != cursor.x)
    check(moved.serial == cursor.serial, "the shape has changed")
    client.send("SET_SCANOUT", scanout=1, width=800, height=600)
    client.expect("SCANOUT", lambda m: (m.channel, m.scanout, m.width) ==
                  (0, 1, 800))
    client.send("SET_SCANOUT", scanout=1)
    client.expect("SCANOUT", lambda m: m.scanout == 1 and not m.flags)
    client.subscribe(9, scanout=1)
    client.subscribe(8, resource_id=1001)
    check(number_of(client.frame(8)) >= 1000000, "not resource 1001")
    client.send("SHOW", 7, resource_id=1001, capture_ns=NONE64)
    frame = client.frame(7, lambda m: m.resource_id == 1001)
    check(not frame.rects and number_of(frame) >= 1000000, "not resource 1001")
    client.send("LIST")
    status = client.expect("STATUS")
    names = [client.expect("CLIENT") for _ in range(status.clients)]
    check([n.tail for n in names if n.flags & 1] and status.frames,
         "LIST does not know the asker")
    refused = (
        ("no-scanout", "SUBSCRIBE", 5, dict(scanout=9, rate_den=1)),
        ("no-resource", "SUBSCRIBE", 5, dict(scanout=0xFFFFFFFF, rate_den=1,
                                             resource_id=4)),
        ("limit", "SUBSCRIBE", 0, dict(scanout=0, rate_den=1)),
        ("no-resource", "SHOW", 7, dict(resource_id=4, capture_ns=NONE64)),
        ("no-scanout", "SET_SCANOUT", 0, dict(scanout=9)),
        ("no-scanout", "SET_SCANOUT", 0, dict(scanout=99)))
    for code, name, channel, fields in refused:
        client.send(name, channel, **fields)
        error = client.expect_error(code)
        check(error.channel == channel and error.tail, f"{name}: {error}")
    client.send_error("limit", text="an ERROR is not answered")
    client.send("UNSUBSCRIBE", 99)
    client.ping()
    client.send("BYE", tail=b"done")
    client.expect_end()


def sim_breaches(rig):
    """What a well-formed message can do wrong closes one connection."""
    _, path = rig.sim("--size", "640x96", "--rate", "100")
    witness, _ = greet(path)
    witness.subscribe(1, scanout=0)

    def second_hello(client):
        client.send("HELLO", version_min=1, version_max=1, role=1)

    def slot_beyond_the_pool(client):
        frame = client.frame(3)
        client.send("RELEASE", 3, pool_id=frame.pool_id,
                    slot=client.channels[3].pool.slots)

    def unknown_pool(client):
        client.send("RELEASE", 3, pool_id=77, slot=0)

    for breach in (second_hello, slot_beyond_the_pool, unknown_pool):
        client, _ = greet(path)
        client.subscribe(3, scanout=0)
        breach(client)
        client.expect_error("protocol")
        witness.frame(1)


def to_file(rig, server, caps, *options):
    """What helixqemusrc makes of a server, as raw pictures in a file."""
    listener, _ = listen(rig.path("vm.sock"))
    server.listen_at(listener)
    output = rig.path("out.raw")
    rig.gst("src", f"helixqemusrc socket-path={rig.path('vm.sock')} "
            f"auto-reconnect=false keepalive-time=0 {' '.join(options)} ! "
            f"{caps} ! filesink location={output}").wait(LIMIT)
    with open(output, "rb") as file:
        return file.read()


def src_shared(rig):
    """Pictures in sealed memory, bit for bit."""
    server = frame_server.FrameServer("helixqemusrc", [(640, 96)],
                                      pictures=40, ends=True)
    data = to_file(rig, server, "video/x-raw,format=BGRx")
    size = 640 * 96 * 4
    numbers = []
    for at in range(0, len(data), size):
        number = marker.read(data[at:at + 640 * 64], 640 * 4, 4)
        check(data[at:at + size] == frame_server.paint(number, 640, 96),
             f"picture {number} is not as it was sent")
        numbers.append(number)
    check(sorted(set(numbers)) == list(range(1, 41)), f"pictures {numbers}")
    check(server.wait_for("HELLO").features & FEATURE_SHM, "no SHM offered")


def src_converted(rig):
    """Pictures converted only where rectangles say so."""
    server = frame_server.FrameServer("helixqemusrc", [(640, 96)],
                                      pictures=40, ends=True)
    data = to_file(rig, server, "video/x-raw,format=I420",
                   "show-cursor=true")
    size = 640 * 96 * 3 // 2
    for at in range(0, len(data), size):
        number = marker.read(data[at:at + 640 * 16], 640, 1)
        x, y, width, height = frame_server.box_of(number, 640, 96)
        row = data[at + y * 640:at + (y + 1) * 640]
        check(min(row[x:x + width]) > 230 and
             max(row[:x] + row[x + width:]) < 140, f"box of {number}")
    check(len(data) // size >= 40, "pictures are missing")


def helix_tool(rig):
    """The helix command as a client: LIST, SET_SCANOUT, a snapshot."""
    server = frame_server.FrameServer("helix", [(640, 96), None])
    path = rig.path("vm.sock")
    listener, _ = listen(path)
    server.listen_at(listener)
    rig.helix("scanout", "1", "800x600", "--socket", path)
    wish = server.wait_for("SET_SCANOUT")
    check((wish.scanout, wish.width, wish.height) == (1, 800, 600), wish)
    rig.helix("snapshot", "-o", rig.path("out.png"), "--socket", path)
    check(os.path.getsize(rig.path("out.png")), "no picture")
    said = json.loads(rig.helix("list", "--json", "--socket", path))
    check("800" in json.dumps(said), said)


CASES = [sim_before_hello, sim_frames, sim_control, sim_breaches, src_shared,
         src_converted, helix_tool]
