# SPDX-License-Identifier: LGPL-2.1-or-later
"""One connection: whole messages in and out, descriptors beside them, PING
answered at once, and a tally of what was spoken with whom."""

import os
import select
import socket
import threading
import time

from helixtext import ERRORS
from helixwire import HEADER, Malformed, Reader, check_early, pack, pack_raw

# Seconds that anything may take; what takes longer has failed. The variable
# is that of the C tests.
LIMIT = 30 * float(os.environ.get("CK_TIMEOUT_MULTIPLIER", 1))
CODES = {code: name for name, (code, _) in ERRORS.items()}

# {(protocol, message, direction): {(peer, "to it" or "from it")}}
spoken = {}


class Gone(Exception):
    """End of stream, or a connection that was cut."""


class Late(Exception):
    """Nothing came within the limit."""


class Refused(Exception):
    """An ERROR that the caller did not expect; `code` is its name."""

    def __init__(self, error):
        self.error, self.code = error, CODES.get(error.code, error.code)
        super().__init__(f"{self.code}: {error.tail.decode()}")


class Tty:
    """A pseudo-terminal's end with the methods of a socket."""

    family = None

    def __init__(self, fd):
        self.fd = fd
        os.set_blocking(fd, False)

    def fileno(self):
        return self.fd

    def recv(self, size):
        return os.read(self.fd, size)

    def send(self, data):
        return os.write(self.fd, data)

    def close(self):
        os.close(self.fd)


class Link:
    """`side` is this end's: "client" or "server". `protocol` is "frame" or
    "stream". `peer` names the program at the other end."""

    def __init__(self, end, side, protocol, peer):
        self.end, self.side, self.protocol, self.peer = (
            end, side, protocol, peer)
        self.reader = Reader()
        self.fds = []
        self.scanning = None
        self.closed, self.sending = False, threading.Lock()
        if isinstance(end, socket.socket):
            end.setblocking(False)

    def close(self):
        if self.closed:
            return
        self.closed = True
        for fd in self.fds:
            os.close(fd)
        self.end.close()

    def refuse(self, fault):
        """Answers what is malformed or a breach, and closes."""
        if not self.closed:
            self.send_error("protocol", text=f"malformed: {fault}")
            self.close()

    # ---- out

    def send(self, name, channel=0, fds=(), **fields):
        self.send_bytes(pack(name, channel, **fields), fds)
        self.count(name, "to it")

    def send_bytes(self, data, fds=()):
        """Bytes as they are. What one thread sends is not mixed with what
        another does."""
        with self.sending:
            self.send_all(data, fds)

    def send_all(self, data, fds):
        limit = time.monotonic() + LIMIT
        while data:
            self.ready(write=True, limit=limit)
            try:
                if fds:
                    sent = socket.send_fds(self.end, [data], fds)
                else:
                    sent = self.end.send(data)
            except BlockingIOError:
                continue
            except OSError:
                return  # reading finds BYE or ERROR, and then the end
            data, fds = data[sent:], ()

    def send_error(self, code, refers=0, channel=0, text="refused"):
        self.send("ERROR", channel, code=ERRORS[code][0], refers=refers,
                  tail=text.encode())

    def count(self, name, way):
        outward = (self.side == "client") == (way == "to it")
        direction = "client → server" if outward else "server → client"
        key = self.protocol, name, direction
        spoken.setdefault(key, set()).add((self.peer, way))

    # ---- in

    def ready(self, write, limit):
        """Waits until the descriptor can be written or read."""
        poll = select.poll()
        poll.register(self.end.fileno(),
                      select.POLLOUT if write else select.POLLIN)
        if not poll.poll(max(0, limit - time.monotonic()) * 1000):
            raise Late(f"{self.peer}: nothing came in time")

    def fill(self, limit):
        """Reads no further than the next message needs, so that descriptors
        belong to the message in whose first bytes they came."""
        have = len(self.reader.data)
        want = 65536
        if not self.scanning:
            total = check_early(self.reader.data[:HEADER.size + 60])
            want = (total or HEADER.size) - have
        self.ready(write=False, limit=limit)
        fds = []
        try:
            if self.end.family == socket.AF_UNIX:
                data, fds, flags, _ = socket.recv_fds(self.end, want, 8)
                self.fds.extend(fds)
                if flags & socket.MSG_CTRUNC:
                    raise Malformed("control data was truncated")
            else:
                data = self.end.recv(want)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone(f"{self.peer} closed the connection")
        self.reader.data += data
        if fds and have:
            raise Malformed("a descriptor in the midst of a message")

    def receive(self, seconds=LIMIT):
        """The next message but for PINGs, which are answered, and PONGs. What
        is malformed is answered by ERROR, and closes."""
        limit = time.monotonic() + seconds
        while True:
            try:
                message = self.take(limit)
                self.count(message.name, "from it")
                self.note(message)
            except Malformed as fault:
                self.refuse(fault)
                raise
            if message.name == "PING":
                self.pong(message)
            elif message.name is None:
                self.send_error("unsupported", message.type, message.channel)
            else:
                return message

    def take(self, limit):
        while True:
            message = (self.reader.scan(self.scanning) if self.scanning
                       else self.reader.next())
            if message:
                self.scanning = None
                message.fds, self.fds = self.fds, []
                if message.fds and message.name != "POOL":
                    self.fds = message.fds
                    raise Malformed(f"a descriptor beside {message.name}")
                return message
            self.fill(limit)

    def note(self, message):
        """What a protocol's end keeps of each message; may raise Malformed."""

    def pong(self, ping):
        now = time.monotonic_ns()
        self.send("PONG", ping.channel, bare=ping.bare,
                  **({} if ping.bare else dict(
                      ping_ns=ping.sent_ns, received_ns=now,
                      sent_ns=time.monotonic_ns())))

    def expect(self, name, test=lambda message: True, seconds=LIMIT):
        """The next `name` that passes the test; what comes before is dropped.
        An ERROR that was not asked for raises Refused."""
        limit = time.monotonic() + seconds
        while True:
            try:
                message = self.receive(limit - time.monotonic())
            except Late:
                raise Late(f"{self.peer}: no {name} as wanted") from None
            if message.name == name and test(message):
                return message
            if message.name == "ERROR":
                raise Refused(message)
            self.drop(message)

    def drop(self, message):
        """A message that came while another one was waited for."""

    def expect_error(self, code, refers=None):
        """An ERROR; whether the other end then closes is as section 8 says."""
        error = self.expect("ERROR")
        if (error.code != ERRORS[code][0] or
                refers not in (None, error.refers)):
            raise Refused(error)
        if ERRORS[code][1]:
            self.expect_end()
        return error

    def expect_end(self):
        """The other end closes; what comes before is dropped."""
        try:
            while True:
                self.receive()
        except Gone:
            pass

    def ping(self, bare=False, channel=0):
        """A PING and its PONG: (round trip, offset) by section 7."""
        asked = time.monotonic_ns()
        self.send("PING", channel, bare=bare, **({} if bare else
                                                 dict(sent_ns=asked)))
        pong = self.expect("PONG", lambda m: m.bare == bare and
                           (bare or m.ping_ns == asked))
        if pong.channel != channel:
            raise Malformed("PONG has not the channel of its PING")
        if bare:
            return 0, 0
        now = time.monotonic_ns()
        trip = (now - asked) - (pong.sent_ns - pong.received_ns)
        return trip, ((pong.received_ns - asked) + (pong.sent_ns - now)) // 2

    def send_unknown(self, type_, channel=0):
        """A type that is not in the text, or of the earlier dialect."""
        self.send_bytes(pack_raw(type_, channel, b"what is this"))


def connect(path=None, port=None, alive=lambda: True):
    """A socket of a server that may still be starting: it is tried again
    until it listens, as there is no event to wait for."""
    limit = time.monotonic() + LIMIT
    while True:
        sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        try:
            sock.connect(path or ("127.0.0.1", port))
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if not alive() or time.monotonic() > limit:
                raise
            select.select([], [], [], 0.05)


def listen(path=None):
    """(listening socket, port)."""
    sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    sock.bind(path or ("127.0.0.1", 0))
    sock.listen()
    sock.settimeout(LIMIT)
    return sock, (None if path else sock.getsockname()[1])
