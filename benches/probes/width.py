"""Many recipient domains, beside one."""

import lab, mtas
from probes.common import deferred, in_turn, load_rate, route

ZONE = "$ORIGIN load.example.\n$TTL 86400\n@ SOA ns. root. 1 3600 3600 86400 3600\n@ NS ns.invalid.\n"


def width(args, here):
    """One domain, a thousand and a hundred thousand (`--domains`): behind one route, with one MX for all, and with an MX and an address each.

    Every run of the widest reaches all its domains, so that its first is the one that asks DNS for each."""
    lab.install(("nsd", "nsd"))
    widths = (1, 1000, args.domains)
    sink = lab.Receiver(here, host="0.0.0.0")
    together = ["* MX 10 mx", "mx A 127.0.4.1"]
    apart = [f"d{n} MX 10 m{n}.mx\nm{n}.mx A 127.{16 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(args.domains)]
    for name, routes, extra in (("one route", route("*", f"127.0.0.1:{sink.port}"), ""),
                                ("one MX, so one site", "", by_dns(serve(here / "together", together), sink)),
                                ("an MX and a site each", "", by_dns(serve(here / "apart", apart), sink))):
        print(f"{name}:", flush=True)
        made = {n: mtas.Mailwright(here / f"{name}-{n}".replace(" ", "-"), 0, route=routes, extra=extra) for n in widths}
        for n, mta in made.items():
            load_rate(args, mta, sink, 1, 2000)
        in_turn(args.rounds, {f"{n:,} domain{'s' * (n > 1)}": lambda n=n: load_rate(args, made[n], sink, n, max(args.count, n))
                              for n in widths})
        for n, mta in made.items():
            print(f"  {n:,}: {deferred(mta)} deferrals")
            mta.stop()


def by_dns(server, sink):
    # A question lost on a busy machine is asked again soon: the run waits for every message.
    return (f'[dns]\nnameservers = ["127.0.0.1:{server}"]\nmin_ttl = "1h"\n[delivery]\nport = {sink.port}\nallow_loopback = true\n'
            '[retry]\nfirst = "1s"\nmax = "1s"\n')


def serve(directory, records):
    """An NSD with the zone load.example; gives its port."""
    directory.mkdir()
    port = lab.free_port()
    (directory / "zone").write_text(ZONE + "\n".join(records) + "\n")
    (directory / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n receive-buffer-size: 4194304\n send-buffer-size: 4194304\n'
        f' username: ""\n zonesdir: "{directory}"\n database: ""\n pidfile: ""\n'
        f' zonelistfile: "{directory}/zones"\n xfrdfile: ""\n logfile: "{directory}/log"\n xfrdir: "{directory}"\n'
        "remote-control:\n control-enable: no\nzone:\n name: load.example\n zonefile: zone\n")
    lab.start(["/usr/sbin/nsd", "-d", "-c", directory / "nsd.conf"], open(directory / "out", "wb"))
    lab.wait_for(lambda: lab.listens(port), 60, "nsd does not listen")
    return port
