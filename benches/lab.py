"""What the benchmarks share: private MTAs on loopback, and what their processes cost."""

import atexit, os, pathlib, random, shutil, signal, socket, statistics, subprocess, tempfile, threading, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAILWRIGHT = pathlib.Path(os.environ.get("MAILWRIGHT", ROOT / "target/release/mailwright"))
SENDER = "bench@bench.example"
TICK = os.sysconf("SC_CLK_TCK")
started = []


def workspace(where):
    """A directory that other users may pass through; removed at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="mailwright-bench-", dir=where))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, True)
    atexit.register(stop_all)
    return path


def free_port():
    """Below the ports that outgoing connections are given, so that none of them takes it meanwhile."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
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
    for process in reversed(started):
        stop(process, patience=10)


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


def install(*packages):
    """Debian packages, where their programs are missing. No service is started."""
    missing = [package for program, package in packages if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing:
        policy = pathlib.Path("/usr/sbin/policy-rc.d")
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True,
                           env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        finally:
            if ours:
                policy.unlink()


# Cost of processes.

def tree(roots):
    """The pids of `roots` and all below them."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(") ")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry))
            except OSError:
                pass
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(pids):
    """User and system time, with that of children already reaped."""
    total = 0
    for pid in pids:
        try:
            total += sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:15]))
        except OSError:
            pass
    return total / TICK


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


def device_written(directory):
    """Octets written to the disk below `directory`, journal included, by everybody."""
    at = os.stat(directory).st_dev
    try:
        return int(pathlib.Path(f"/sys/dev/block/{os.major(at)}:{os.minor(at)}/stat").read_text().split()[6]) * 512
    except OSError:
        return 0


class Meter:
    """CPU and peak memory of process trees, and writes to the disk, between two moments.

    What /proc/PID/io calls written counts pages made dirty, with large folios many times what reaches the disk."""

    def __init__(self, roots, directory):
        self.roots, self.directory, self.peak, self.over = roots, directory, 0, threading.Event()
        pids = tree(roots)
        self.before = cpu_seconds(pids), device_written(directory)
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def sample(self):
        while not self.over.wait(1.0):
            self.peak = max(self.peak, pss(tree(self.roots)))

    def stop(self):
        pids = tree(self.roots)
        after = cpu_seconds(pids), device_written(self.directory)
        self.over.set()
        self.sampler.join()
        self.peak = max(self.peak, pss(pids))
        cpu, device = (b - a for a, b in zip(self.before, after))
        return {"cpu": cpu, "device": device, "pss": self.peak}


# MTAs. Each has: name, promise, port, roots (pids), and hands everything to 127.0.0.1:sink.

def rsa_key(directory):
    """A 2048-bit key in a form that everybody reads."""
    key = directory / "rsa.pem"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        key.chmod(0o600)
    return key


class Mailwright:
    name = "mailwright"

    def __init__(self, directory, sink, dkim="off", extra="", smtp="", route=None):
        self.directory, self.port, self.http = directory, free_port(), free_port()
        self.promise = "synced (fdatasync before 250)"
        directory.mkdir()
        signing = ""
        if dkim == "rsa":
            signing = f'[[dkim]]\ndomain = "bench.example"\nselector = "s1"\nkey = "{rsa_key(directory.parent)}"\n'
        elif dkim == "ed25519":
            key = directory / "ed.pem"
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
            key.chmod(0o600)
            signing = f'[[dkim]]\ndomain = "bench.example"\nselector = "s1"\nkey = "{key}"\n'
        route = route if route is not None else f'[[route]]\ndomain = "*"\nnext_hop = ["127.0.0.1:{sink}"]\ntls = "off"\n'
        (directory / "mailwright.toml").write_text(
            f'hostname = "mta.bench.example"\ndata_dir = "{directory}/data"\n'
            f'[smtp]\nmax_connections = 12000\nmax_connections_per_address = 12000\n{smtp}'
            f'[[listener]]\naddress = "127.0.0.1:{self.port}"\ntls = "off"\n'
            f'[http]\naddress = "127.0.0.1:{self.http}"\n{signing}{route}{extra}')
        self.start()

    def start(self):
        self.log = open(self.directory / "log", "ab")
        self.process = start([MAILWRIGHT, "serve", "--config", self.directory / "mailwright.toml"], self.log)
        self.roots = [self.process.pid]
        wait_for(lambda: answers(self.port) or self.process.poll() is not None, 300, "mailwright does not answer")
        if self.process.poll() is not None:
            raise SystemExit((self.directory / "log").read_text())

    def stop(self, how=signal.SIGTERM):
        stop(self.process, how)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=30) as answer:
            return answer.read().decode()


class Postfix:
    """A private instance: its own configuration, queue and data directories; the system's is not touched."""

    def __init__(self, directory, sink, dkim="off", sessions=50):
        self.name = "postfix" if dkim == "off" else "postfix + opendkim"
        self.promise = "synced (fsync before 250)"
        self.directory, self.port, self.roots = directory, free_port(), []
        self.etc, queue, data = directory / "etc", directory / "queue", directory / "data"
        for made in (directory, self.etc, queue, data):
            made.mkdir()
        shutil.chown(data, "postfix")
        settings = {
            "compatibility_level": "3.6", "queue_directory": queue, "data_directory": data, "mail_owner": "postfix",
            "setgid_group": "postdrop", "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin",
            "meta_directory": "/etc/postfix", "shlib_directory": "/usr/lib/postfix", "myhostname": "mta.bench.example",
            "mydestination": "", "local_recipient_maps": "", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8", "relayhost": f"[127.0.0.1]:{sink}", "maillog_file": directory / "maillog",
            "maillog_file_prefixes": directory, "default_process_limit": max(100, sessions + 20),
            "smtpd_client_connection_count_limit": 0, "in_flow_delay": 0, "smtp_tls_security_level": "none",
            "disable_dns_lookups": "yes", "alias_maps": "", "alias_database": "", "smtpd_peername_lookup": "no",
        }
        if dkim != "off":
            settings |= {"smtpd_milters": f"inet:127.0.0.1:{self.opendkim()}", "milter_default_action": "tempfail"}
        (self.etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
        services = [f"127.0.0.1:{self.port} inet n - n - - smtpd", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr",
                    "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce",
                    "trace unix - - n - 0 bounce", "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp",
                    "relay unix - - n - - smtp", "error unix - - n - - error", "retry unix - - n - - error",
                    "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "pickup unix n - n 60 1 pickup",
                    "flush unix n - n 1000? 0 flush", "tlsmgr unix - - n 1000? 1 tlsmgr", "postlog unix-dgram n - n - 1 postlogd"]
        (self.etc / "master.cf").write_text("\n".join(services) + "\n")
        self.master = start(["/usr/sbin/postfix", "-c", self.etc, "start-fg"], open(directory / "out", "wb"))
        self.roots.append(self.master.pid)
        wait_for(lambda: answers(self.port) or self.master.poll() is not None, 30, (directory / "out").read_text())
        if self.master.poll() is not None:
            raise SystemExit((directory / "out").read_text())

    def opendkim(self):
        port, key = free_port(), self.directory / "key.pem"
        shutil.copy(rsa_key(self.directory.parent), key)
        shutil.chown(key, "opendkim")
        key.chmod(0o600)
        (self.directory / "opendkim.conf").write_text(
            f"Socket inet:{port}@127.0.0.1\nDomain bench.example\nSelector s1\nKeyFile {key}\nMode s\n"
            "Canonicalization relaxed/relaxed\nUserID opendkim\nSyslog no\nInternalHosts 127.0.0.0/8\nRequireSafeKeys no\n")
        milter = start(["/usr/sbin/opendkim", "-f", "-x", self.directory / "opendkim.conf"], open(self.directory / "milter", "wb"))
        self.roots.append(milter.pid)

        def listens():
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close() is None
            except OSError:
                return False
        wait_for(listens, 10, "opendkim does not listen")
        return port

    def stop(self):
        subprocess.run(["/usr/sbin/postfix", "-c", self.etc, "stop"], capture_output=True, timeout=60)


# The other ends.

class Sink:
    """Postfix's smtp-sink, which writes its counts to a file."""

    def __init__(self, directory, port=None, dump=False):
        self.port = port or free_port()
        self.counts = directory / f"sink-{self.port}"
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        keep = ["-d", f"{dump}/m."] if dump else []
        self.process = start(["/usr/sbin/smtp-sink", "-c", "-m", "4000", *user, *keep, f"127.0.0.1:{self.port}", "4096"],
                             open(self.counts, "wb"), stderr=subprocess.DEVNULL)
        self.roots = [self.process.pid]
        wait_for(lambda: answers(self.port), 10, "the sink does not answer")

    def seen(self):
        with open(self.counts, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
            last = file.read().rstrip(b"\r").rpartition(b"\r")[2].decode()
        return int(last.partition("mesg=")[2].split()[0]) if "mesg=" in last else 0

    def stop(self):
        stop(self.process, signal.SIGKILL)


def source(port, count, sessions, size, keep=True, to="rcpt@rcpt.example"):
    """smtp-source, not waited for."""
    many = ["-d"] if keep else []
    return start(["/usr/sbin/smtp-source", "-s", sessions, "-l", size, "-m", count, *many, "-f", SENDER, "-t", to, f"127.0.0.1:{port}"])


def spread(values):
    return min(values), statistics.median(values), max(values)


def machine():
    cpu = next((l.partition(":")[2].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({cpu}), Linux {os.uname().release}, load {' '.join(f'{x:.1f}' for x in os.getloadavg())}"
