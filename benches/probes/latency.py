"""Acceptance, and time in the MTA, under an open-loop load: a slow server does not slow the question."""

import lab, mtas
from probes.common import load, through

SESSIONS = 100


def latency(args, here):
    """At half and nine tenths of the highest rate, with and without a signature."""
    for dkim in ("off", "rsa"):
        (here / dkim).mkdir()
        for key in args.mtas.split(","):
            kind = mtas.CONTENDERS[key]
            if dkim in kind.signs:
                measure(args, here / dkim, kind, dkim)


def measure(args, here, kind, dkim):
    """Each share `rounds` times, in turn; a receiver of its own keeps the times of each run."""
    port = lab.free_port()
    mta = kind(here / kind.__name__, port, dkim, SESSIONS)
    highest = highest_rate(args, here, mta, port)
    print(f"{mta.name}, DKIM {dkim} ({mtas.PROMISE[mta.synced]}), highest rate through {highest:,.0f} messages/s, then ms:", flush=True)
    for number in range(args.rounds):
        for share in (0.5, 0.9):
            receiver = lab.Receiver(here, "--transit", port=port)
            report = load(mta, "--sessions", SESSIONS, "--size", f"{args.size}B", "--duration", f"{args.seconds}s",
                          "--rate", f"{highest * share:.0f}")
            lab.wait_for(lambda: receiver.seen() >= report["accepted"], 120, "the mail did not arrive")
            end = receiver.stop()
            untimed = end["messages"] - end["transit_messages"]
            print(f"  {share:.0%} round {number + 1}: accepted {percentiles(report['latency_ms'])}   "
                  f"through {percentiles(end['transit_ms'])}   failed {report['failed']}"
                  f"{f', arrived without a time {untimed}' if untimed else ''}", flush=True)
    mta.stop()


def highest_rate(args, here, mta, port):
    """The best of three runs with the same ends, after one to warm up."""
    receiver = lab.Receiver(here, "--transit", port=port)
    send = lambda count: through(receiver, count, lambda: load(mta, "--sessions", SESSIONS, "--messages", count, "--size", f"{args.size}B"))
    count = int(max(500, send(1000) * args.seconds / 2))
    highest = max(send(count) for _ in range(3))
    receiver.stop()
    return highest


def percentiles(ms):
    return "  ".join(f"{name} {ms[key]:.1f}" for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max")))
