"""What the suppression list costs acceptance: this build, over each store, beside one whose intake asks nothing."""

import json, subprocess, time
import lab, mtas
from probes.common import in_turn

LISTED = 100_000


def lookups(args, here):
    """Messages a second until the last 250, in turn. `--beside` names a build in which `Intake::known` answers at once."""
    if not args.beside:
        print("  --beside PROGRAM: a build in which Intake::known answers that each recipient is free")
        return
    lab.install(("redis-server", "redis-server"))
    sink = lab.Sink(here)
    made = {
        "asks nothing": contender(here / "none", sink, program=args.beside),
        "asks the embedded store": contender(here / "embedded", sink),
        "asks Redis": contender(here / "redis", sink, f'[state]\nurl = "{redis(here)}"\n'),
    }
    for mta in made.values():
        fill(mta, here)
    for mta in made.values():
        accepted(args, mta, sink)
    in_turn(args.rounds, {name: lambda mta=mta: accepted(args, mta, sink) for name, mta in made.items()})


class Program(mtas.Mailwright):
    """Of another build."""

    def start(self):
        ours, lab.MAILWRIGHT = lab.MAILWRIGHT, self.program
        try:
            super().start()
        finally:
            lab.MAILWRIGHT = ours


def contender(directory, sink, extra="", program=None):
    kind = type("Other", (Program,), {"program": program}) if program else mtas.Mailwright
    return kind(directory, sink.port, extra=extra)


def redis(here):
    port, directory = lab.free_port(), here / "redis-data"
    directory.mkdir()
    lab.start(["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", directory, "--appendonly", "yes", "--save", "",
               "--maxmemory-policy", "noeviction"])
    lab.wait_for(lambda: lab.listens(port), 30, "redis-server does not listen")
    return f"redis://127.0.0.1:{port}"


def fill(mta, here):
    """Gives it a list to look through; nobody on it is written to."""
    file = here / "listed.jsonl"
    if not file.exists():
        entries = (json.dumps({"address": f"u{n}@listed.example", "reason": "hard"}) for n in range(LISTED))
        file.write_text("\n".join(entries) + "\n")
    command = [lab.MAILWRIGHT, "suppress", "import", file, "--url", f"http://127.0.0.1:{mta.http}"]
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)


def accepted(args, mta, sink):
    before, begin = sink.seen(), time.monotonic()
    lab.source(mta.port, args.count, 50, args.size).wait()
    took = time.monotonic() - begin
    lab.wait_for(lambda: sink.seen() >= before + args.count, 300, "the mail did not arrive")
    return args.count / took
