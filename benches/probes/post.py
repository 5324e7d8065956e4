"""Mail with labels: tenants, campaigns, streams, pools."""

import socket, threading, time
import lab

# What a connection reads at once.
MOST = 1 << 16


class Client:
    """A connection that hands in one message after another, without waiting where the protocol lets it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.unread, self.owes = b"", False
        self.expect(b"220")
        self.socket.sendall(b"EHLO bench.example\r\n")
        self.expect(b"250")

    def begin(self, recipient, labels, size):
        """Sends what is left of the message before, and this one up to its content."""
        envelope = f"MAIL FROM:<{lab.SENDER}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()
        self.socket.sendall(self.left() + envelope)
        self.content = content(recipient, labels, size)

    def left(self):
        """Nothing, or the content whose turn it is."""
        return self.content if self.owes else b""

    def go_on(self):
        """Reads until the server asks for the content."""
        for code in ([b"250"] if self.owes else []) + [b"250", b"250", b"354"]:
            self.expect(code)
        self.owes = True

    def end(self):
        if self.owes:
            self.socket.sendall(self.content)
            self.expect(b"250")
        self.owes = False

    def close(self):
        self.end()
        self.socket.close()

    def expect(self, code):
        while True:
            line, found, rest = self.unread.partition(b"\r\n")
            if not found:
                read = self.socket.recv(MOST)
                if not read:
                    raise SystemExit("the connection was closed while mail was handed in")
                self.unread += read
                continue
            self.unread = rest
            if line[3:4] == b"-":
                continue
            if not line.startswith(code):
                raise SystemExit(f"mail was answered {line.decode(errors='replace')!r}")
            return


def content(recipient, labels, size):
    fields = "".join(f"X-Mailwright-{name}: {value}\r\n" for name, value in labels.items())
    head = f"From: <{lab.SENDER}>\r\nTo: <{recipient}>\r\nSubject: traffic\r\n{fields}\r\n"
    line = "0123456789" * 7 + "\r\n"
    return f"{head}{line * max(1, (size - len(head)) // len(line))}.\r\n".encode()


def hand_in(port, letters, size=1024, sessions=20):
    """Every one of `letters` (recipient, labels), over so many connections; returns when all are accepted."""
    clients, letters = [Client(port) for _ in range(sessions)], iter(letters)
    while busy := [client for client, letter in zip(clients, letters) if not client.begin(*letter, size)]:
        for client in busy:
            client.go_on()
    for client in clients:
        client.close()


def drip(port, letters, rate, seconds, size=1024):
    """So many of `letters` a second, in a thread of its own that is given back."""
    def run():
        client, begin = Client(port), time.monotonic()
        for number, letter in zip(range(int(rate * seconds)), letters):
            time.sleep(max(0, begin + number / rate - time.monotonic()))
            client.begin(*letter, size)
            client.go_on()
            client.end()
        client.close()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


class Supply:
    """Keeps so many messages of `letter` (a function of their number) waiting for a sink, until it is stopped."""

    def __init__(self, port, letter, sink, waiting):
        self.letter, self.sink, self.waiting, self.given = letter, sink, waiting, 0
        self.clients = [Client(port) for _ in range(max(1, min(20, waiting // 50)))]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.05):
            while not self.over.is_set() and self.left() < self.waiting:
                self.give()
            for client in self.clients:
                client.end()
        for client in self.clients:
            client.close()

    def left(self):
        """What waits, what is on its way included."""
        return self.given - self.sink.seen()

    def give(self):
        """One message over each connection."""
        for client in self.clients:
            client.begin(*self.letter(self.given), 1024)
            self.given += 1
        for client in self.clients:
            client.go_on()

    def stop(self):
        self.over.set()
        self.thread.join()
