"""Many peers at once: idle ones, slow ones, and ones that hang."""

import smtplib, socket, threading
import lab, mtas
from probes.common import MIB, beside, in_turn, load_rate, resident, route, with_twin

# Connections that a site gets before it has shown that it can take more.
UNPROVEN = 5


def idle(args, here):
    """Inbound connections that have read the greeting and say nothing."""
    fast = lab.Sink(here)
    mta = with_twin(here, fast)
    before, held = resident(mta), []
    for number in range(args.connections):
        # Other source addresses, so that ports do not run out.
        s = socket.create_connection(("127.0.0.1", mta.port), 10, (f"127.0.1.{number % 200 + 1}", 0))
        s.recv(200)
        s.sendall(b"EHLO idle.example\r\n")
        s.recv(2000)
        held.append(s)
    print(f"{len(held):,} idle connections: {growth(mta, before, len(held))}", flush=True)
    beside(args, mta, fast, "with them")
    for s in held:
        s.close()


def slow(args, here):
    """Outbound connections to sites that take 20 seconds for every reply, and fast mail beside them."""
    fast, port = lab.Sink(here), lab.free_port()
    crawling = lab.Receiver(here, "--latency", "20s", host="0.0.0.0", port=port)
    sites = -(-args.slow // UNPROVEN)
    routes = "".join(route(f"s{n}.example", f"127.0.{5 + n // 250}.{n % 250 + 1}:{port}") for n in range(sites))
    mta = with_twin(here, fast, f"[delivery]\nmax_connections = {args.slow + 100}\n", routes)
    before = resident(mta)
    hand_in(mta, (f"s{n}.example" for n in range(sites)), 25)
    lab.wait_for(lambda: crawling.totals()["open"] >= args.slow, 120, f"only {crawling.totals()['open']} connections are open")
    print(f"{crawling.totals()['open']:,} slow connections to {sites} sites, {25 * sites:,} messages for them: "
          f"{growth(mta, before, args.slow)}, their messages included", flush=True)
    beside(args, mta, fast, "with them")
    print(f"slow connections still open: {crawling.totals()['open']:,}")


def hanging(args, here):
    """Half of the sites accept connections and say nothing; the others are measured beside them and alone."""
    good, silent = lab.Receiver(here, host="0.0.0.0"), lab.free_port()
    hole, held = socket.create_server(("0.0.0.0", silent), backlog=4096), []
    threading.Thread(target=hold, args=(hole, held), daemon=True).start()
    half = args.sites // 2
    routes = "".join(route(f"d{n}.load.example", f"127.0.2.{n + 1}:{good.port}") for n in range(half))
    routes += "".join(route(f"h{n}.load.example", f"127.0.3.{n + 1}:{silent}") for n in range(half))
    mta, twin = (mtas.Mailwright(here / name, 0, route=routes) for name in ("mta", "twin"))
    answering = lambda one: load_rate(args, one, good, half, args.count)
    before = resident(mta)
    hand_in(mta, (f"h{n}.load.example" for n in range(half)), 40)
    lab.wait_for(lambda: len(held) >= UNPROVEN * half, 60, f"only {len(held)} connections to the sites that hang")
    print(f"{half} sites hang, {40 * half:,} messages wait for them, {len(held)} connections held: "
          f"{growth(mta, before, len(held))}, their messages included", flush=True)
    for one in (mta, twin):
        answering(one)
    in_turn(args.rounds, {f"{half} sites that answer, alone": lambda: answering(twin), "beside as many that hang": lambda: answering(mta)})
    hole.shutdown(socket.SHUT_RDWR)
    for s in [hole, *held]:
        s.close()


def hold(listener, held):
    """Accepts connections and says nothing on them, until the listener is shut down."""
    while True:
        try:
            held.append(listener.accept()[0])
        except OSError:
            return


def hand_in(mta, domains, each):
    """`each` small messages to every domain."""
    with smtplib.SMTP("127.0.0.1", mta.port) as client:
        for domain in domains:
            for _ in range(each):
                client.sendmail(lab.SENDER, f"rcpt@{domain}", f"From: {lab.SENDER}\r\nSubject: this takes time\r\n\r\ntext\r\n")


def growth(mta, before, count):
    now = resident(mta)
    return f"resident {before / MIB:.0f} -> {now / MIB:.0f} MiB, {(now - before) / count / 1024:.1f} KiB a connection"
