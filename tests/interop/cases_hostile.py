# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is malformed, sent to each program that reads it: it is refused, and
other connections do not notice."""

import cases_frame
import cases_sink
from cases_src import SRC
from frame_client import FrameClient
from frame_server import XR24
from helixlink import Gone, Late, Link, connect, listen
from helixtext import ERRORS, PROTOCOLS, TYPES
from helixwire import MAGIC, NAMES, ROLE_FRAMES, ROLE_STREAM, SCANOUT_ENABLED
from judge_vectors import read_index, read_vector


def malformed():
    """(file, bytes, name of the type) of each malformed vector."""
    for file, result, *_ in read_index():
        data = read_vector(file)
        if result == "invalid":
            known = len(data) > 4 and data[:4] == MAGIC
            yield file, data, NAMES.get(data[4]) if known else None


def is_for(name, protocol, side):
    """Whether the end that is a "client" or a "server" takes such messages;
    what has no name has no magic, and goes to both ends. The elements never
    send LIST, so they need not know its answers; there is no token here."""
    return name is None or (
        protocol in PROTOCOLS[name] and
        name not in ("STATUS", "CLIENT", "PROOF") and
        not TYPES[name].direction.startswith(side))


def expect_refusal(link, file, name):
    """ERROR `protocol` and the end; what is not for this end may be
    `unsupported` as well."""
    codes = {ERRORS["protocol"][0]}
    theirs = "server" if link.side == "client" else "client"
    if not is_for(name, link.protocol, theirs):
        codes.add(ERRORS["unsupported"][0])
    try:
        error = link.expect("ERROR")
    except (Gone, Late) as fault:
        raise AssertionError(f"{file}: {fault}") from fault
    if error.code not in codes or not error.tail:
        raise AssertionError(f"{file}: {error}")
    if error.code == ERRORS["protocol"][0]:
        link.expect_end()


def attack_server(fresh, witness):
    """Each vector on a connection of its own; returns how many."""
    count = 0
    for count, (file, data, name) in enumerate(malformed(), 1):
        client = fresh()
        if name != "HELLO":
            client.hello()
        client.send_bytes(data)
        expect_refusal(client, file, name)
        client.close()
        witness.ping()
    return f"{count} vectors"


def sim_malformed(rig):
    _, path = rig.sim("--size", "640x96", "--rate", "100")

    def fresh():
        return FrameClient(connect(path), cases_frame.SIM)
    witness = fresh()
    witness.hello()
    witness.subscribe(1, scanout=0)
    said = attack_server(fresh, witness)
    cases_frame.check_frames(witness, 1, 5)
    return said


def sink_malformed(rig):
    _, vm = rig.sim("--size", "640x96")
    path = rig.path("video.sock")
    sink = cases_sink.sink_pipeline(rig, vm, f"address=unix:{path}")
    witness = cases_sink.greet_sink(sink, path=path)
    witness.hello()
    said = attack_server(lambda: cases_sink.greet_sink(sink, path=path),
                         witness)
    witness.keyframe()
    return said


def answer_hello(link, role):
    """A WELCOME, and what makes helixqemusrc listen to FRAMEs."""
    hello = link.expect("HELLO")
    frames = role == ROLE_FRAMES
    link.send("WELCOME", version=1, role=role, nonce=hello.nonce,
              scanouts=1 if frames else 0)
    if frames:
        screen = dict(scanout=0, flags=SCANOUT_ENABLED, generation=1,
                      width=640, height=96, fourcc=XR24)
        link.send("SCANOUT", **screen)
        channel = link.expect("SUBSCRIBE").channel
        link.send("SCANOUT", channel, **screen)
        link.send("POOL", channel, pool_id=1, slots=3)


def first_of_each(protocol):
    """The first malformed vector of each type that a client takes."""
    names = set()
    for file, data, name in malformed():
        if name not in names and is_for(name, protocol, "client"):
            names.add(name)
            yield file, data, name


def attack_client(rig, start, listener, protocol, peer, role):
    """Each vector to a client of its own, which it ends."""
    count = 0
    for count, (file, data, name) in enumerate(first_of_each(protocol), 1):
        program = start()
        sock, _ = listener.accept()
        link = Link(sock, "server", protocol, peer)
        if name != "WELCOME":
            answer_hello(link, role)
        else:
            link.expect("HELLO")
        link.send_bytes(data)
        expect_refusal(link, file, name)
        link.close()
        rig.end(program)
    return f"{count} vectors"


def qemusrc_malformed(rig):
    listener, _ = listen(rig.path("vm.sock"))

    def start():
        return rig.gst("src", f"helixqemusrc socket-path="
                       f"{rig.path('vm.sock')} ! fakesink")
    return attack_client(rig, start, listener, "frame", "helixqemusrc",
                         ROLE_FRAMES)


def src_malformed(rig):
    listener, _ = listen(rig.path("video.sock"))

    def start():
        return rig.gst("src", f"helixsrc address=unix:"
                       f"{rig.path('video.sock')} ! fakesink")
    return attack_client(rig, start, listener, "stream", SRC,
                         ROLE_STREAM)


CASES = [sim_malformed, sink_malformed, qemusrc_malformed, src_malformed]
