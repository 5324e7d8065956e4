"""What the probes share: a Mailwright and its twin, rates taken in turn."""

import json, subprocess, time
import lab, mtas

MIB = 2**20
FAST = "fast.example"


def route(domain, hop):
    return f'[[route]]\ndomain = "{domain}"\nnext_hop = ["{hop}"]\ntls = "off"\n'


def resident(mta):
    return lab.rss(mta.group.pids())


def peak(mta):
    """The most that was ever resident since the start or `forget_peak`."""
    return lab.peak_rss(mta.group.pids())


def forget_peak(mta):
    with open(f"/proc/{mta.process.pid}/clear_refs", "w") as file:
        file.write("5")


def gauge(mta, name, having=""):
    lines = [line for line in mta.metrics().splitlines() if line.startswith(name) and having in line]
    return int(sum(float(line.split()[-1]) for line in lines))


def deferred(mta):
    """Deferrals since the start."""
    return gauge(mta, "mailwright_messages_total", 'type="deferred"')


def load(mta, *options):
    """`mailwright load` to its end; what it reports."""
    command = [lab.MAILWRIGHT, "load", "--to", f"127.0.0.1:{mta.port}", "--from", lab.SENDER, "--format", "json", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def rate(args, mta, sink):
    """Messages a second from smtp-source through to the sink, all to one domain."""
    return through(sink, args.count, lambda: lab.source(mta.port, args.count, 50, args.size, to=f"rcpt@{FAST}").wait())


def load_rate(args, mta, sink, domains, count):
    """Messages a second from `mailwright load` through to the sink."""
    return through(sink, count, lambda: load(mta, "--messages", count, "--size", f"{args.size}B", "--domains", domains))


def through(sink, count, send):
    before, begin = sink.seen(), time.monotonic()
    send()
    lab.wait_for(lambda: sink.seen() >= before + count, 300, "the mail did not arrive")
    return count / (time.monotonic() - begin)


def in_turn(rounds, measures):
    """Takes each of `measures` (name: function) once a round; prints them, and the ratio to the first of the same round."""
    names, rates = list(measures), {name: [] for name in measures}
    for number in range(rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            rates[name].append(measures[name]())
    for name in names:
        ratios = [a / b for a, b in zip(rates[name], rates[names[0]])]
        beside = "" if name == names[0] else f"; of the first {lab.text(ratios, '.2f')}"
        print(f"  {name:<44} {lab.text(rates[name], ',.0f')} messages/s{beside}", flush=True)
    return rates


def beside(args, mta, sink, what):
    """Rates of `mta` and of a twin without its burden, in turn, so that drift of the machine does not decide."""
    for one in (mta, mta.twin):
        through(sink, 2000, lambda: lab.source(one.port, 2000, 50, args.size, to=f"rcpt@{FAST}").wait())
    in_turn(args.rounds, {"a twin without": lambda: rate(args, mta.twin, sink), what: lambda: rate(args, mta, sink)})


def with_twin(here, sink, extra="", routes=""):
    """A Mailwright, and one configured alike that is left without burden.

    Both are fresh: after the first run, what the allocator has kept would hide the memory that a burden takes."""
    made = [mtas.Mailwright(here / name, 0, route=route(FAST, f"127.0.0.1:{sink.port}") + routes, extra=extra) for name in ("mta", "twin")]
    made[0].twin = made[1]
    return made[0]
