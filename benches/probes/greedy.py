"""A campaign of 100,000 beside small ones: how long those wait."""

import dataclasses, json, time
import lab, mtas
from probes.common import route
from probes.post import drip, hand_in

# Transactional messages a second, and messages of the small campaign.
RATE, SMALL = 4, 400
TENANTS = "".join(f'[[tenant]]\nname = "{name}"\ndomains = ["bench.example"]\n' for name in ("big", "small"))
LIMITED = '[[source]]\nname = "ip-0"\naddress = "127.0.0.11"\nehlo = "ip-0.example"\nlimits = { messages = "50/s" }\n'


@dataclasses.dataclass
class Scene:
    """What is in the way of everybody."""

    what: str
    # The greedy campaign's, one after the other, and those of the transactional mail.
    domains: list
    small: list
    config: str = ""
    latency: str = "0ms"


SCENES = [
    Scene("one site, which takes 50 ms for each reply", ["s0.example"], ["s0.example"], latency="50ms"),
    Scene("one source with 50/s, the greedy campaign to 100 sites, the others to one of those and one of their own",
          [f"s{n}.example" for n in range(100)], ["s0.example", "s100.example"], LIMITED),
]


def greedy(args, here):
    """Transactional mail of the greedy tenant and of another, and a small campaign of the other: alone, then beside."""
    print(f"{RATE} transactional messages a second over {args.seconds} s, half of them of the greedy tenant, and meanwhile a campaign of "
          f"{SMALL} of another tenant", flush=True)
    for number, scene in enumerate(SCENES):
        home = here / f"greedy-{number}"
        home.mkdir()
        print(f"\n{scene.what}:", flush=True)
        play(args, scene, home)


def play(args, scene, here):
    sink = lab.Receiver(here, "--latency", scene.latency, host="0.0.0.0")
    routes = "".join(route(domain, f"127.1.0.{n + 1}:{sink.port}") for n, domain in enumerate(dict.fromkeys(scene.domains + scene.small)))
    mta = mtas.Mailwright(here / "mta", 0, route=routes, extra=TENANTS + scene.config)
    alone = streams(args, scene, mta, "alone")
    before, begin = sink.seen(), time.monotonic()
    hand_in(mta.port, campaign("big", "greedy", args.messages, scene.domains))
    handed = time.monotonic() - begin
    beside = streams(args, scene, mta, "beside")
    rate, left = (sink.seen() - before) / (time.monotonic() - begin), args.messages - delivered(mta, "greedy")
    print(f"  {args.messages:,} handed in within {handed:.0f} s; {rate:.0f} messages a second arrived in all; at the end {left:,} still waited")
    for name in alone:
        print(f"  {name}, s from accepted to delivered\n    alone   {shown(alone[name])}\n    beside  {shown(beside[name])}   "
              f"ratio of p50 {ratio(alone, beside, name, 0.5):.2f}, of p99 {ratio(alone, beside, name, 0.99):.2f}", flush=True)
    mta.stop()
    sink.stop()


def streams(args, scene, mta, when):
    """Sends what is small, waits until it has arrived, and gives the times of each kind."""
    receipts, small = f"receipts-{when}", f"small-{when}"
    # Each tenant's go to each domain.
    letters = (letter(("big", "small")[n % 2], receipts, "transactional", scene.small[n // 2 % len(scene.small)], n) for n in range(10**9))
    thread = drip(mta.port, letters, RATE, args.seconds)
    time.sleep(args.seconds / 5)
    hand_in(mta.port, campaign("small", small, SMALL, scene.small))
    thread.join()
    total = int(RATE * args.seconds)
    lab.wait_for(lambda: delivered(mta, receipts) >= total and delivered(mta, small) >= SMALL, 900, "what is small did not arrive")
    kinds = {f"transactional of {of} to {domain}": (receipts, tenant, domain) for domain in scene.small
             for of, tenant in (("the greedy tenant", "big"), ("another", "small"))}
    return {name: seconds(mta, *which) for name, which in {**kinds, "small campaign of another": (small, "small", "")}.items()}


def campaign(tenant, name, count, domains):
    return (letter(tenant, name, "marketing", domains[n % len(domains)], n) for n in range(count))


def letter(tenant, campaign, stream, domain, n):
    return f"r{n}@{domain}", {"Tenant": tenant, "Campaign": campaign, "Stream": stream}


def outcomes(mta):
    # Rotated at 256 MiB, which no run here reaches.
    with open(mta.directory / "data/events/events.jsonl") as file:
        for line in file:
            if '"type":"delivered"' in line and line.endswith("\n"):
                yield json.loads(line)


def delivered(mta, campaign):
    time.sleep(1)
    return sum(event.get("campaign") == campaign for event in outcomes(mta))


def seconds(mta, campaign, tenant, domain):
    found = (event for event in outcomes(mta) if (event.get("campaign"), event.get("tenant")) == (campaign, tenant))
    return sorted(event["latency_ms"] / 1000 for event in found if event["recipient"].endswith(domain))


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


def ratio(alone, beside, name, share):
    return percentile(beside[name], share) / max(0.001, percentile(alone[name], share))


def shown(times):
    return (f"p50 {percentile(times, 0.5):.2f}  p90 {percentile(times, 0.9):.2f}  p99 {percentile(times, 0.99):.2f}  "
            f"max {times[-1]:.2f}  of {len(times):,}")
