"""What the benchmarks share: processes and what they cost, sources and sinks."""

import atexit, itertools, json, os, pathlib, random, re, shutil, signal, socket, statistics, subprocess, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAILWRIGHT = pathlib.Path(os.environ.get("MAILWRIGHT", ROOT / "target/release/mailwright"))
SENDER = "bench@bench.example"
started, ports = [], set()


def workspace(where):
    """A directory that other users may pass through; removed at the end, where it is still there."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="mailwright-bench-", dir=where))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, True)
    atexit.register(stop_all)
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, lambda *_: exit(1))
    return path


def free_port():
    """Below the ports that outgoing connections are given, so that none of them takes it meanwhile; none comes twice."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            if port not in ports and s.connect_ex(("127.0.0.1", port)) != 0:
                ports.add(port)
                return port


def start(command, log=subprocess.DEVNULL, **more):
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=more.pop("stderr", log), **more)
    started.append(process)
    return process


def stop(process, how=signal.SIGTERM, patience=60):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_all():
    while started:
        stop(started.pop(), patience=10)
    while Group.made:
        try:
            Group.made[-1].remove()
        except SystemExit as stuck:
            # The others are to go all the same.
            print(stuck, flush=True)


def wait_for(what, seconds, why):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"gave up after {seconds} s: {why}")
        time.sleep(0.02)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            return bool(s.recv(1))
    except OSError:
        return False


def listens(port):
    """Whether somebody accepts connections, who need not speak first."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def install(*packages):
    """Debian packages, where their programs are missing. No service is started."""
    missing = [package for program, package in packages if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing:
        subprocess.run(["sh", "-c", INSTALL, "sh", *missing], check=True)


# Packages that bring a daemon must not start it: it would take port 25.
INSTALL = """set -e
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
    trap 'rm /usr/sbin/policy-rc.d' EXIT INT TERM HUP
fi
apt-get update -qq
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
"""


# Cost of processes.

class Group:
    """Processes whose cost is counted together, with all that they start, in a control group (version 2).

    Exim and others leave children to the kernel that nobody waits for; no sum over /proc would find their time."""

    made, number = [], itertools.count()

    def __init__(self):
        lines = pathlib.Path("/proc/mounts").read_text().splitlines()
        mounts = [line.split()[1] for line in lines if line.split()[2] == "cgroup2"]
        own = next(line.partition("::")[2] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        self.path = pathlib.Path(f"{mounts[0]}{own}/mailwright-bench-{os.getpid()}-{next(Group.number)}")
        self.path.mkdir()
        Group.made.append(self)

    def start(self, command, log=subprocess.DEVNULL, **more):
        """The process keeps its pid through the shell, which only puts it into the group."""
        return start(["sh", "-c", 'echo $$ >"$0" && exec "$@"', self.path / "cgroup.procs", *command], log, **more)

    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def cpu_seconds(self):
        """User and system time of all that ever ran in it."""
        return int((self.path / "cpu.stat").read_text().split()[1]) / 1e6

    def kill(self):
        (self.path / "cgroup.kill").write_text("1")

    def remove(self):
        Group.made.remove(self)
        self.kill()
        wait_for(self.removed, 10, "processes that cannot be killed")

    def removed(self):
        """The kernel refuses as long as a process is on its way out."""
        try:
            return self.path.rmdir() is None
        except OSError:
            return False


def calm(groups, seconds=10):
    """Waits until the groups have next to nothing to do, for a while at most."""
    end, used = time.monotonic() + seconds, sum(group.cpu_seconds() for group in groups)
    while time.monotonic() < end:
        time.sleep(0.25)
        before, used = used, sum(group.cpu_seconds() for group in groups)
        if used - before < 0.01:
            return


def sum_of(pids, file, key, unit):
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(key + ":"):
                    total += int(line.split()[1]) * unit
        except OSError:
            pass
    return total


def pss(pids):
    return sum_of(pids, "smaps_rollup", "Pss", 1024)


def rss(pids):
    return sum_of(pids, "status", "VmRSS", 1024)


def peak_rss(pids):
    return sum_of(pids, "status", "VmHWM", 1024)


def device_written(directory):
    """Octets written to the disk below `directory`, journal included, by everybody."""
    at = os.stat(directory).st_dev
    try:
        return int(pathlib.Path(f"/sys/dev/block/{os.major(at)}:{os.minor(at)}/stat").read_text().split()[6]) * 512
    except OSError:
        return 0


class Meter:
    """CPU and peak memory of a group, and writes to the disk, from one moment until it is calm again after another.

    What /proc/PID/io calls written counts pages made dirty, with large folios many times what reaches the disk."""

    def __init__(self, group, directory):
        self.group, self.directory, self.peak, self.over = group, directory, 0, threading.Event()
        self.before = group.cpu_seconds(), device_written(directory)
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def sample(self):
        while not self.over.wait(1.0):
            self.peak = max(self.peak, pss(self.group.pids()))

    def stop(self):
        calm([self.group])
        os.sync()
        after = self.group.cpu_seconds(), device_written(self.directory)
        self.over.set()
        self.sampler.join()
        self.peak = max(self.peak, pss(self.group.pids()))
        cpu, device = (b - a for a, b in zip(self.before, after))
        return {"cpu": cpu, "device": device, "pss": self.peak}


# The other ends.

class Sink:
    """Postfix's smtp-sink, which writes its counts to a file."""

    def __init__(self, directory, port=None, dump=False):
        self.port = port or free_port()
        self.counts = directory / f"sink-{self.port}"
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        keep = ["-d", f"{dump}/m."] if dump else []
        self.group = Group()
        self.process = self.group.start(["/usr/sbin/smtp-sink", "-c", "-m", "4000", *user, *keep, f"127.0.0.1:{self.port}", "4096"],
                                        open(self.counts, "wb"), stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), 10, "the sink does not answer")

    def seen(self):
        with open(self.counts, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
            # A count that is being written may be cut short: the one before it is whole.
            counts = re.findall(rb"mesg=(\d+)\s", file.read())
        return int(counts[-1]) if counts else 0

    def stop(self):
        self.group.kill()
        self.process.wait()
        self.group.remove()


class Receiver:
    """`mailwright sink`, for what smtp-sink cannot: many addresses, rules, times in transit."""

    def __init__(self, directory, *options, host="127.0.0.1", port=None):
        self.port = port or free_port()
        self.counts = directory / f"receiver-{self.port}"
        command = [MAILWRIGHT, "sink", "--listen", f"{host}:{self.port}", "--stats", "50ms", "--format", "json", *options]
        self.process = start(command, open(self.counts, "wb"), stderr=subprocess.DEVNULL)
        wait_for(lambda: self.counts.stat().st_size > 0, 10, "the sink prints no counts")

    def totals(self):
        with open(self.counts, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            lines = file.read().rpartition(b"\n")[0].splitlines()
        return json.loads(lines[-1])

    def seen(self):
        return self.totals()["messages"]

    def stop(self):
        """Its last counts, with the times in transit where it was asked for them."""
        stop(self.process)
        return self.totals()


def source(port, count, sessions, size, keep=True, to="rcpt@rcpt.example"):
    """smtp-source, not waited for."""
    many = ["-d"] if keep else []
    return start(["/usr/sbin/smtp-source", "-s", sessions, "-l", size, "-m", count, *many, "-f", SENDER, "-t", to, f"127.0.0.1:{port}"])


def spread(values):
    return min(values), statistics.median(values), max(values)


def text(values, form, mark=""):
    """Minimum – median – maximum, or the one value that all are in this form; `mark` goes around the median."""
    low, middle, high = (format(value, form) for value in spread(values))
    shown = f"{mark}{middle}{mark}"
    return shown if low == middle == high else f"{low} – {shown} – {high}"


def machine():
    cpu = next((l.partition(":")[2].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({cpu}), Linux {os.uname().release}, load {' '.join(f'{x:.1f}' for x in os.getloadavg())}"
