# SPDX-License-Identifier: LGPL-2.1-or-later
"""A token is proved by both ends of the stream, and told by neither."""

import pathlib

import stream_server
from cases_sink import SINK, greet_sink
from cases_src import RATE, SIZE, SRC, check_pictures, receive, record
from helixlink import LIMIT, Refused, listen
from helixtext import TYPES
from helixwire import FEATURE_PROOF, ROLE_CONTROL, pack_raw
from rig import ENCODER, check, open_tty
from stream_client import StreamClient

TOKEN = b"a token of the interop tests"


def token_file(rig):
    file = pathlib.Path(rig.path("token"))
    file.write_bytes(TOKEN)
    file.chmod(0o600)
    return f"token-file={file}"


def start_sink(rig, address):
    return rig.gst("sink", f"videotestsrc is-live=true ! {ENCODER} ! "
                   f"helixguestsink {token_file(rig)} {address}", "-e")


def refused(client, **how):
    """HELLO, and whatever follows it, ends in ERROR `auth`."""
    try:
        client.hello(**how)
    except Refused as error:
        check(error.code == "auth", f"{error} for {how}")
        return
    raise AssertionError(f"not refused: {how}")


def sink_token(rig):
    """helixguestsink serves only who proves the token."""
    path = rig.path("video.sock")
    sink = start_sink(rig, f"address=unix:{path}")
    for how in (dict(), dict(token_size=len(TOKEN), tail=TOKEN, name_size=0),
                dict(token=b"another token"), dict(role=ROLE_CONTROL),
                dict(role=ROLE_CONTROL, token=b"another token")):
        client = greet_sink(sink, path=path)
        refused(client, **how)
        client.expect_end()
    client = greet_sink(sink, path=path)
    welcome = client.hello(token=TOKEN)
    check(welcome.pid == 0 and welcome.features & FEATURE_PROOF, welcome)
    client.units(3)
    again = client.hello(token=TOKEN)
    check(again.challenge != welcome.challenge, "the challenge is not new")
    client.units(3)
    client = greet_sink(sink, path=path)
    client.hello(role=ROLE_CONTROL, token=TOKEN)
    client.list()


def sink_unproved(rig):
    """Between WELCOME and PROOF there is no session."""
    path = rig.path("video.sock")
    sink = start_sink(rig, f"address=unix:{path}")
    for name in ("LIST", "KEYFRAME"):
        client = greet_sink(sink, path=path)
        client.greet(token=TOKEN)
        client.ping()
        check(client.caps is None, "CAPS before PROOF")
        client.send(name)
        client.expect_error("protocol")
    client = greet_sink(sink, path=path)
    client.greet(token=TOKEN)
    client.send_bytes(pack_raw(TYPES["PROOF"].value, 0, bytes(31)))
    client.expect_error("protocol")


def sink_token_serial(rig):
    """On a stream that outlives its sessions, a wrong PROOF ends nothing."""
    end, path = open_tty()
    start_sink(rig, f"address=serial:{path} mode=connect")
    refused(StreamClient(end, SINK, outliving=True), token=b"another token")
    client = StreamClient(end, SINK, outliving=True)
    client.hello(token=TOKEN)
    client.units(3)


def src_token(rig):
    """helixsrc proves its token, and plays only what a server sends that
    proves it, too."""
    path = rig.path("video.sock")
    listener, _ = listen(path)
    server = stream_server.StreamServer(SRC, record(rig), SIZE, RATE,
                                        token=TOKEN)
    server.listen_at(listener)
    options = f"address=unix:{path}", token_file(rig), "auto-reconnect=false"
    receive(rig, server, *options).wait(LIMIT)
    check(not server.wait_for("HELLO").token, "the token is in HELLO")
    server.wait_for("PROOF")
    said = check_pictures(rig, len(server.units), len(server.units))
    for token in (b"", b"another token"):
        server.heard.clear()
        server.token = token
        program = receive(rig, server, *options)
        check(program.wait(LIMIT) != 0, f"took a server with token {token}")
        with open(rig.path("out.raw"), "rb") as file:
            check(not file.read(1), "played what is not proved")
    return said


CASES = [sink_token, sink_unproved, sink_token_serial, src_token]
