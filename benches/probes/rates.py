"""Configured rates beside what arrives."""

import dataclasses, threading, time
import lab, mtas
from probes.common import route
from probes.post import Supply

RATES = ("1000/s", "100/s", "10/s", "60/min")
# Seconds of its rate that wait of each, and seconds before the measurement begins.
AHEAD, BEFORE = 10, 5


@dataclasses.dataclass
class Outlet:
    """One rate: the sink that counts it, and the mail for it."""

    name: str
    limit: str
    domains: list
    labels: dict
    sink: lab.Receiver

    @property
    def rate(self):
        """A second."""
        count, _, per = self.limit.partition("/")
        return int(count) / {"s": 1, "min": 60, "h": 3600}[per]

    def letter(self, n):
        return f"r{n}@{self.domains[n % len(self.domains)]}", self.labels


def rates(args, here):
    """Each rate for a tenant, a source and a source at a provider, then for one source and one tenant over a hundred sites."""
    print(f"{'limit':<46} {'configured':>10} {'measured/s':>11} {'off by':>8}   least - most in 10 s")
    for number, lay_out in enumerate((tenants, sources, providers, wide)):
        home = here / f"rates-{number}"
        home.mkdir()
        run(args, home, *lay_out(home))


def run(args, here, outlets, config):
    mta = mtas.Mailwright(here / "mta", 0, route="", extra=config)
    supplies = {outlet.name: Supply(mta.port, outlet.letter, outlet.sink, int(outlet.rate * AHEAD) + 2 * len(outlet.domains))
                for outlet in outlets}
    lab.wait_for(lambda: all(supply.left() > supply.waiting / 2 for supply in supplies.values()), 120, "mail could not be handed in fast enough")
    time.sleep(BEFORE)
    watched, least = watch(outlets, supplies, args.seconds)
    for outlet in outlets:
        supplies[outlet.name].stop()
        report(outlet, watched[outlet.name], least[outlet.name])
        outlet.sink.stop()
    mta.stop()


def watch(outlets, supplies, seconds):
    """(time, messages) whenever the count of an outlet was seen to change, and the least that ever waited."""
    changes, end = {outlet.name: [] for outlet in outlets}, time.monotonic() + seconds
    least = {outlet.name: 10**9 for outlet in outlets}
    while (now := time.monotonic()) < end:
        for outlet in outlets:
            seen, before = outlet.sink.seen(), changes[outlet.name]
            least[outlet.name] = min(least[outlet.name], supplies[outlet.name].given - seen)
            if not before or before[-1][1] != seen:
                before.append((now, seen))
        time.sleep(0.02)
    return changes, least


def report(outlet, changes, least):
    """From one change to another, so that a slow rate is not off by the message that came just before or after."""
    (first, before), (last, after) = changes[1], changes[-1]
    measured = (after - before) / (last - first)
    print(f"{outlet.name:<46} {outlet.limit:>10} {measured:>11,.2f} {measured / outlet.rate - 1:>8.2%}   {windows(outlet, changes[1:])}"
          f"{'   MAIL RAN OUT' if least <= len(outlet.domains) else ''}", flush=True)


def windows(outlet, changes):
    """The least and the most of any ten seconds, of what the rate gives in that time."""
    shares, ahead = [], 0
    for begin, before in changes:
        while ahead < len(changes) and changes[ahead][0] < begin + 10:
            ahead += 1
        if ahead == len(changes):
            break
        end, after = changes[ahead]
        shares.append((after - before) / (end - begin) / outlet.rate)
    return f"{min(shares):.1%} - {max(shares):.1%}" if shares else ""


# Each lay-out: the outlets, and the configuration that goes with them.

def tenants(here):
    outlets, config = [], ""
    for n, rate in enumerate(RATES):
        sink = lab.Receiver(here)
        outlets.append(Outlet(f"a tenant, {rate}", rate, [f"d{n}.example"], {"Tenant": f"t{n}"}, sink))
        config += tenant(f"t{n}", rate) + route(f"d{n}.example", f"127.0.0.1:{sink.port}")
    return outlets, config


def sources(here):
    outlets, config = [], ""
    for n, rate in enumerate(RATES):
        sink = lab.Receiver(here)
        outlets.append(Outlet(f"a source, {rate}", rate, [f"d{n}.example"], {"Pool": f"pool-{n}"}, sink))
        config += source(n, rate) + route(f"d{n}.example", f"127.0.0.1:{sink.port}")
    return outlets, config


def providers(here):
    """Five sites each."""
    outlets, config = [], source(0, None)
    for n, rate in enumerate(RATES):
        sink = lab.Receiver(here, host="0.0.0.0")
        hosts = [f"127.0.{5 + n}.{site}" for site in range(1, 6)]
        domains = [f"d{site}.p{n}.example" for site in range(1, 6)]
        outlets.append(Outlet(f"a source at a provider with 5 sites, {rate}", rate, domains, {"Pool": "pool-0"}, sink))
        mx = ", ".join(f'"{host}"' for host in hosts)
        config += f'[[provider]]\nname = "p{n}"\nmx = [{mx}]\nlimits = {{ messages = "{rate}" }}\n'
        config += "".join(route(domain, f"{host}:{sink.port}") for domain, host in zip(domains, hosts))
    return outlets, config


def wide(here):
    """A hundred sites each: three sources, and a tenant whose mail leaves from all of these."""
    outlets, config = [], source(3, None)
    for n, (of, rate) in enumerate((("a source", "1000/s"), ("a source", "100/s"), ("a source", "10/s"), ("a tenant", "100/s"))):
        sink = lab.Receiver(here, host="0.0.0.0")
        domains = [f"d{site}.w{n}.example" for site in range(100)]
        labels = {"Pool": f"pool-{n}"} if of == "a source" else {"Pool": "pool-3", "Tenant": "t0"}
        outlets.append(Outlet(f"{of} over 100 sites, {rate}", rate, domains, labels, sink))
        config += source(n, rate) if of == "a source" else tenant("t0", rate)
        config += "".join(route(domain, f"127.1.{n}.{site + 1}:{sink.port}") for site, domain in enumerate(domains))
    return outlets, config


def tenant(name, rate):
    return f'[[tenant]]\nname = "{name}"\ndomains = ["bench.example"]\nlimits = {{ messages = "{rate}" }}\n'


def source(n, rate):
    """A source, and a pool of it alone."""
    limits = f'limits = {{ messages = "{rate}" }}\n' if rate else ""
    return (f'[[source]]\nname = "ip-{n}"\naddress = "127.0.0.{11 + n}"\nehlo = "ip-{n}.example"\n{limits}'
            f'[[pool]]\nname = "pool-{n}"\nsources = [{{ name = "ip-{n}" }}]\n')
