# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream protocol's server: what helixguestsink is to helixsrc. It plays a
recording of access units, once from its begin to its end for each client."""

import hmac
import os
import secrets
import time

from helixlink import Gone
from helixwire import (CHALLENGE_BYTES, CONFIG_BITRATE, CONFIG_RATE,
                       CONFIG_RESOURCE, CONFIG_SCANOUT, CURSOR_SHAPE,
                       CURSOR_VISIBLE, FEATURE_PROOF, NONE32, NONE64,
                       ROLE_CONTROL, ROLE_STREAM, UNIT_DISCONT,
                       UNIT_KEY, Malformed, NoMessage, need, proof)
from serving import NEVER, Served, Server

H264 = 1


class Over(Exception):
    """The session has ended, not the stream under it."""


class Client(Served):
    protocol = "stream"

    def __init__(self, end, server):
        super().__init__(end, server)
        self.welcomed = self.stats = None
        self.challenge, self.next, self.due = b"", 0, NEVER

    def serve(self):
        """On a stream that outlives its sessions nothing closes it (section 6).
        Only what is no message starts the search for HELLO."""
        while True:
            try:
                super().serve()
            except Over:
                pass
            except NoMessage:
                if not self.server.outliving:
                    raise
                self.scanning = lambda m: m.name == "HELLO"
            except Malformed as fault:
                if not self.server.outliving:
                    raise
                self.send_error("protocol", text=f"malformed: {fault}")
            if not self.server.outliving:
                return
            self.hello, self.challenge, self.due = None, b"", NEVER

    def refuse(self, fault):
        if not self.server.outliving:
            super().refuse(fault)

    def refuse_hello(self, code, hello):
        self.send_error(code, hello.type)
        raise Over(code) if self.server.outliving else Gone(code)

    # ---- section 3

    def dispatch(self, message):
        if self.lost_session() and message.name not in (
                "HELLO", "PONG", "ERROR"):
            if message.name in ("PROOF", "STATS", "KEYFRAME", "CONFIG", "SHOW",
                                "LIST"):
                self.send_error("timeout", message.type)
            return
        super().dispatch(message)

    def lost_session(self):
        """Section 6: the client has to begin again, by HELLO."""
        return self.server.outliving and not self.hello and not self.challenge

    def pong(self, ping):
        if self.lost_session() and not ping.bare:
            self.send_error("timeout", ping.type)
        else:
            super().pong(ping)

    def on_hello(self, hello):
        if hello.version_min > 1:
            self.refuse_hello("version", hello)
        if hello.role not in (ROLE_STREAM, ROLE_CONTROL):
            self.refuse_hello("role", hello)
        token = self.server.token
        if hello.token or token and not hello.features & FEATURE_PROOF:
            self.refuse_hello("auth", hello)
        self.hello, self.due = None, NEVER
        self.welcomed = hello
        self.challenge = secrets.token_bytes(CHALLENGE_BYTES) if token else b""
        self.send("WELCOME", version=1, role=hello.role, nonce=hello.nonce,
                  features=FEATURE_PROOF if token else 0, name_size=21,
                  pid=0, tail=b"interop stream server" + self.challenge)
        if not token:
            self.open()

    def on_proof(self, message):
        need(self.challenge and not self.hello, "PROOF has no place here")
        token, nonce = self.server.token, self.welcomed.nonce
        right = proof(token, b"client", nonce, self.challenge)
        if not hmac.compare_digest(right, message.hmac):
            self.refuse_hello("auth", message)
        self.send("PROOF", hmac=proof(token, b"server", nonce,
                                      self.challenge))
        self.open()

    def open(self):
        """The session begins."""
        self.hello, self.next = self.welcomed, 0
        if self.hello.role == ROLE_STREAM:
            self.send("CAPS", **self.server.caps)
            self.send("CURSOR", scanout=0, x=5, y=6, serial=1, width=2,
                      height=2, flags=CURSOR_VISIBLE | CURSOR_SHAPE,
                      changed_ns=time.monotonic_ns(), tail=b"\xff" * 16)
            self.probe()
            self.due = time.monotonic()

    def figures(self):
        """What CLIENT says of this one."""
        return dict(scanout=NONE32, dropped=0, latency_ns=NONE64,
                    last_ns=NONE64,
                    received=self.stats.units if self.stats else NONE64)

    # ---- section 5

    def on_keyframe(self, _):
        """Goes on at the next unit where decoding can start."""
        while self.next < len(self.server.units) and \
                not self.server.units[self.next][1]:
            self.next += 1

    def on_config(self, config):
        """There is but one scanout, and a recording takes no wishes."""
        if config.fields & CONFIG_SCANOUT and config.scanout:
            self.send_error("no-scanout", config.type, text="there is one: 0")
        if config.fields & CONFIG_RESOURCE and config.resource_id:
            self.send_error("no-resource", config.type)
        if config.fields & (CONFIG_BITRATE | CONFIG_RATE):
            self.send_error("unsupported", config.type)

    def on_show(self, message):
        self.send_error("no-resource", message.type)

    def on_stats(self, message):
        self.stats = message

    def next_due(self):
        return self.due

    def send_due(self):
        if self.next >= len(self.server.units):
            self.send("BYE", reason=1, tail=b"that was the last unit")
            self.due = NEVER
            self.server.played += 1
            self.server.news.notify_all()
            if self.server.outliving:
                return
            raise Gone("done")
        self.next += self.next == self.server.lost
        data, key = self.server.units[self.next]
        step = 1_000_000_000 // self.server.rate
        now = time.monotonic_ns()
        self.send("UNIT", sequence=self.next, running_time=self.next * step,
                  dts=NONE64, duration=step, capture_ns=now, sent_ns=now,
                  caps_id=self.server.caps["caps_id"],
                  flags=(UNIT_KEY if key else 0) |
                  (0 if self.frames else UNIT_DISCONT), tail=data)
        self.next += 1
        self.frames += 1
        self.due += 1 / self.server.rate


class StreamServer(Server):
    """`units`: (data, whether decoding can start there) of each; `rate` of
    them a second are sent, but for the one with the number `lost`, which a
    server must not leave out alone. With `outliving`, sessions follow one
    another on one stream."""

    def __init__(self, peer, units, size, rate, token=b"", outliving=False,
                 lost=None):
        super().__init__(Client, peer)
        self.units, self.rate, self.token = units, rate, token
        self.outliving, self.lost = outliving, lost
        self.played = 0  # times that all of it was sent
        self.caps = dict(caps_id=1, codec=H264, width=size[0],
                         height=size[1], rate_num=rate, rate_den=1, par_num=1,
                         par_den=1, profile=b"constrained-baseline")

    def figures(self):
        """What STATUS says."""
        return dict(uptime_ns=time.monotonic_ns() - self.begun,
                    frames=len(self.units),
                    bytes=sum(len(data) for data, _ in self.units),
                    last_ns=NONE64, width=self.caps["width"],
                    height=self.caps["height"], tail=b"a recording")


def read_units(folder):
    """The units of a folder, a file each, in the order of their names. H.264:
    decoding can start where there is a sequence parameter set (type 7)."""
    units = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        units.append((data, b"\0\0\1\x67" in data or b"\0\0\1\x27" in data))
    return units
