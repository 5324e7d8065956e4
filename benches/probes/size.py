"""Large messages: memory a session while they come in, and while they leave."""

import socket
import lab, mtas
from probes.common import MIB, forget_peak, peak, resident

LINE = b"0123456789abcdef" * 4 + b"-and-more-of-it\r\n"
PIECE = LINE * 200


def size(args, here):
    """Many sessions, each in the middle of a message; the size must not tell."""
    for octets in (10 * 1024, 100 * 1024, 1024 * 1024, 10 * MIB):
        sink = lab.Receiver(here)
        mta = mtas.Mailwright(here / f"mta-{octets}", sink.port, "rsa")
        sessions = [begin(mta.port) for _ in range(args.uploads)]
        before = resident(mta)
        sent, most = 0, before
        while sent < octets * 9 // 10:
            for s in sessions:
                s.sendall(PIECE[:octets - sent])
            sent, most = sent + len(PIECE), max(most, resident(mta))
        print(f"{args.uploads} sessions with {min(sent, octets) / MIB:.2f} MiB of a message each: resident {before / MIB:.0f} -> {most / MIB:.0f} MiB, "
              f"{(most - before) / args.uploads / 1024:.0f} KiB a session", flush=True)
        forget_peak(mta)
        for s in sessions:
            finish(s)
        lab.wait_for(lambda: sink.seen() >= args.uploads, 300, "the mail did not arrive")
        print(f"  then committed and delivered: peak {peak(mta) / MIB:.0f} MiB", flush=True)
        mta.stop()
        sink.stop()


def begin(port):
    """A session after 354, with the header section sent."""
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.recv(500)
    for command in (b"EHLO large.example", f"MAIL FROM:<{lab.SENDER}>".encode(), b"RCPT TO:<rcpt@rcpt.example>", b"DATA"):
        s.sendall(command + b"\r\n")
        s.recv(2000)
    s.sendall(f"From: <{lab.SENDER}>\r\nSubject: large\r\n\r\n".encode())
    return s


def finish(s):
    s.sendall(b"\r\n.\r\n")
    reply = s.recv(500)
    s.close()
    if not reply.startswith(b"250"):
        raise SystemExit(f"a large message was answered {reply!r}")
