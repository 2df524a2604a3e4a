# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the servers of both protocols share: a thread for each client, one
message after the other, and something to send when it is due."""

import threading
import time

from helixlink import LIMIT, Gone, Late, Link
from helixtext import ERRORS
from helixwire import need

NEVER = float("inf")
LATER, CHANNEL = 0x6f, 5  # a type that is in no table, on some channel

# What went wrong in the threads of servers since a case began.
faults = []


class Served(Link):
    """One client. A subclass has on_NAME for each message that it takes."""

    protocol = None

    def __init__(self, end, server):
        super().__init__(end, "server", self.protocol, server.peer)
        self.server, self.hello = server, None
        self.begun = time.monotonic_ns()
        self.frames = 0

    def serve(self):
        """Until the client goes, or is refused."""
        while True:
            with self.server.lock:
                due = self.next_due()
            try:
                message = self.receive(min(due - time.monotonic(), 3600))
            except Late:
                with self.server.lock:
                    self.send_due()
                continue
            with self.server.lock:
                self.server.hear(message)
                if message.name == "BYE":
                    return
                self.dispatch(message)

    def dispatch(self, message):
        early = "HELLO", "PROOF", "PONG", "ERROR"
        need(self.hello or message.name in early,
             f"{message.name} before HELLO")
        handle = getattr(self, "on_" + message.name.lower(), None)
        need(handle, f"{message.name} has no place here")
        handle(message)

    def next_due(self):
        """When send_due has something to do, in seconds of the monotonic
        clock."""
        return NEVER

    def send_due(self):
        pass

    def probe(self):
        """Sends what a client must bear at any time: a PING, and a message of
        a later version, which it answers by ERROR `unsupported`."""
        self.send("PING", sent_ns=time.monotonic_ns())
        self.send_unknown(LATER, CHANNEL)

    def on_pong(self, _):
        pass

    on_error = on_pong

    def refuse_hello(self, code, hello):
        self.send_error(code, hello.type)
        raise Gone(code)

    def on_list(self, _):
        clients = [c for c in self.server.clients if c.hello]
        self.send("STATUS", clients=len(clients), **self.server.figures())
        for index, client in enumerate(clients):
            self.send("CLIENT", index=index, flags=client is self,
                      connected_ns=time.monotonic_ns() - client.begun,
                      role=client.hello.role, frames=client.frames,
                      tail=client.hello.tail, **client.figures())


class Server:
    """Serves each connection of a listening socket. `heard` has all messages
    that came."""

    def __init__(self, served, peer):
        self.served, self.peer = served, peer
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)
        self.begun = time.monotonic_ns()
        self.clients, self.heard = [], []

    def hear(self, message):
        self.heard.append(message)
        self.news.notify_all()

    def wait_for(self, name, test=lambda message: True):
        """A message that came, or will within the limit."""
        def found():
            return [m for m in self.heard if m.name == name and test(m)]
        with self.news:
            if not self.news.wait_for(found, LIMIT):
                raise Late(f"{self.peer} sent no {name} as wanted")
            return found()[0]

    def wait_for_unsupported(self):
        """A client's answer to what probe sent."""
        wanted = ERRORS["unsupported"][0], LATER, CHANNEL
        self.wait_for("ERROR", lambda m: (m.code, m.refers, m.channel) ==
                      wanted)

    def listen_at(self, listener):
        threading.Thread(target=self.accept, args=(listener,),
                         daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            self.serve_one(end)

    def serve_one(self, end):
        """One connection, in the background."""
        threading.Thread(target=self.serve, args=(end,), daemon=True).start()

    def serve(self, end):
        client = self.served(end, self)
        self.clients.append(client)
        try:
            client.serve()
        except Gone:
            pass
        except Exception as fault:  # a client's breach, or an error here
            faults.append(fault)
            client.refuse(fault)
        finally:
            with self.lock:
                self.clients.remove(client)
            client.close()
