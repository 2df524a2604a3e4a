# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream protocol's client: what helixsrc is to helixguestsink."""

import hmac
import os
import secrets
import time

from helixlink import LIMIT, Late, Link
from helixwire import (CURSOR_SHAPE, FEATURE_PROOF, HELLO_PAD, NONE64,
                       ROLE_STREAM, UNIT_KEY, Malformed, need, proof)


class StreamClient(Link):
    """`outliving`: the stream is one that outlives its sessions."""

    def __init__(self, end, peer, outliving=False):
        super().__init__(end, "client", "stream", peer)
        self.outliving = outliving
        self.forget()

    def forget(self):
        """A session begins: nothing is known of the stream."""
        self.caps = self.last = None
        self.need_key, self.serials = True, {0}
        self.data, self.keyframes, self.count_units = bytearray(), 0, 0

    def hello(self, role=ROLE_STREAM, token=b"", **fields):
        """Opens a session; returns WELCOME. On a stream that outlives its
        sessions it asks again, with another nonce, until an answer comes."""
        limit = time.monotonic() + LIMIT
        while True:
            try:
                welcome = self.greet(role, token, 1 if self.outliving
                                     else LIMIT, **fields)
                break
            except Late:
                if not self.outliving or time.monotonic() > limit:
                    raise
        if token:
            self.prove(token, welcome.nonce, welcome.challenge)
        return welcome

    def greet(self, role=ROLE_STREAM, token=b"", seconds=LIMIT, **fields):
        """HELLO and its WELCOME, once."""
        nonce = secrets.randbits(64)
        if self.outliving:
            self.send_bytes(HELLO_PAD)
        values = dict(version_min=1, version_max=1, role=role,
                      features=FEATURE_PROOF if token else 0, nonce=nonce,
                      pid=os.getpid(), tail=b"interop stream client")
        self.send("HELLO", **{**values, **fields})
        if self.outliving:
            self.scanning = lambda m: m.name == "WELCOME" and m.nonce == nonce
        welcome = self.expect("WELCOME", seconds=seconds)
        if (welcome.version, welcome.role, welcome.nonce) != (1, role, nonce):
            raise Malformed("WELCOME is not an answer to HELLO")
        if bool(welcome.challenge) != bool(token):
            raise Malformed("only one end has a token")
        return welcome

    def prove(self, token, nonce, challenge):
        self.send("PROOF", hmac=proof(token, b"client", nonce, challenge))
        answer = self.expect("PROOF").hmac
        if not hmac.compare_digest(answer, proof(token, b"server", nonce,
                                                 challenge)):
            raise Malformed("the server does not know the token")

    def note(self, message):
        if message.name == "WELCOME":
            self.forget()
        elif message.name == "CAPS":
            self.caps, self.need_key = message, True
        elif message.name == "UNIT":
            self.take_unit(message)
        elif message.name == "CURSOR":
            if message.flags & CURSOR_SHAPE:
                self.serials.add(message.serial)
            need(message.serial in self.serials, "CURSOR without its shape")

    def take_unit(self, unit):
        need(self.caps and unit.caps_id == self.caps.caps_id, "caps_id")
        if self.last:
            need(unit.sequence > self.last.sequence, "sequence falls")
            self.need_key |= unit.sequence != self.last.sequence + 1
        need(unit.flags & UNIT_KEY or not self.need_key, "KEY is missing")
        self.need_key, self.last = False, unit
        self.count_units += 1
        self.keyframes += bool(unit.flags & UNIT_KEY)
        self.data += unit.tail

    def units(self, count):
        """Receives so many."""
        return [self.expect("UNIT") for _ in range(count)]

    def keyframe(self, reason=0):
        """Asks for one, and receives up to it."""
        last = self.last.sequence if self.last else NONE64
        self.send("KEYFRAME", reason=reason, last_sequence=last)
        return self.expect("UNIT", lambda m: m.flags & UNIT_KEY)

    def stats(self):
        self.send("STATS", units=self.count_units, bytes=len(self.data),
                  keyframes=self.keyframes, lost=0, latency_ns=NONE64,
                  last_sequence=self.last.sequence if self.last else NONE64)

    def list(self):
        """(STATUS, [CLIENT])"""
        self.send("LIST")
        status = self.expect("STATUS")
        return status, [self.expect("CLIENT", lambda m, i=i: m.index == i)
                        for i in range(status.clients)]
