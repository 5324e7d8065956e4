"""Mail that waits: memory a message, what is left of the rate, and how long a restart takes."""

import os, signal, time
import lab
from probes.common import MIB, beside, deferred, forget_peak, gauge, load, peak, resident, route, with_twin


def waiting(args, here):
    """Deferred mail; rates with none, a tenth and all of it."""
    fast, refusing = lab.Sink(here), lab.Receiver(here, "--reply", "RCPT 451 4.2.1 not now")
    retry = '[retry]\nfirst = "1d"\nmax = "1d"\nexpire = "5d"\n'
    mta = with_twin(here, fast, retry, route("*", f"127.0.0.1:{refusing.port}"))
    base, there = resident(mta), 0
    print("nothing waits:")
    beside(args, mta, fast, "this one")
    last = resident(mta)
    print(f"resident, fresh {base / MIB:.0f} MiB, after that {last / MIB:.0f} MiB", flush=True)
    for target in (args.messages // 10, args.messages // 4, args.messages // 2, args.messages * 3 // 4, args.messages):
        begin = time.monotonic()
        defer(args, mta, target - there, target)
        now = resident(mta)
        print(f"{target:>9,} wait: resident {now / MIB:.0f} MiB, peak {peak(mta) / MIB:.0f} MiB, since the last line "
              f"{(now - last) / (target - there):.0f} octets a message, on the whole since fresh {(now - base) / target:.0f}; "
              f"taken and deferred {(target - there) / (time.monotonic() - begin):.0f}/s", flush=True)
        if target in (args.messages // 10, args.messages):
            beside(args, mta, fast, f"with {target:,} waiting")
        last, there = resident(mta), target
    for how, cold in ((signal.SIGTERM, False), (signal.SIGKILL, False), (signal.SIGKILL, True)):
        restart(args, mta, how, cold)
    beside(args, mta, fast, f"with {args.messages:,} waiting, after restarts")


def defer(args, mta, count, target):
    load(mta, "--messages", count, "--size", f"{args.size}B", "--domains", 1000)
    lab.wait_for(lambda: deferred(mta) >= target, 1800, f"{target} deferrals")


def queued(mta):
    return gauge(mta, "mailwright_queue_scheduled") + gauge(mta, "mailwright_queue_ready")


def restart(args, mta, how, cold):
    """Stops it, starts it, and says what the way back consists of."""
    begin = time.monotonic()
    mta.stop(how)
    stopped, spent = time.monotonic(), mta.group.cpu_seconds()
    if cold:
        forget(mta.directory / "data")
    start = time.monotonic()
    mta.start()
    listening = time.monotonic()
    lab.wait_for(lambda: queued(mta) >= args.messages, 600, "the queue is not back")
    back, read = time.monotonic(), octets_read(mta.process.pid)
    print(f"{how.name}{', page cache dropped' if cold else ''}: stopped in {stopped - begin:.1f} s; after the start the listener "
          f"answers in {listening - start:.1f} s, {queued(mta):,} are back in {back - start:.1f} s; "
          f"CPU {mta.group.cpu_seconds() - spent:.1f} s, read {read['rchar'] / MIB:.0f} MiB, from the disk {read['read_bytes'] / MIB:.0f} MiB; "
          f"resident {resident(mta) / MIB:.0f} MiB, peak {peak(mta) / MIB:.0f} MiB", flush=True)
    forget_peak(mta)


def forget(directory):
    """Drops what the kernel holds of these files, and of no others: as after a boot."""
    os.sync()
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def octets_read(pid):
    with open(f"/proc/{pid}/io") as file:
        return {key: int(value) for key, value in (line.split(": ") for line in file)}
