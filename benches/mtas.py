"""The MTAs that the benchmarks run: private instances on loopback, the system's own are not touched.

Each hands everything to 127.0.0.1:sink and has: name, synced (whether 250 waits for the disk), signs (the kinds of DKIM
it can), port, group (its processes), stop().
"""

import functools, os, shutil, signal, subprocess, urllib.request
import lab

PROMISE = {True: "synced (fsync before 250)", False: "written, not synced"}


def rsa_key(directory):
    """A 2048-bit key in a form that everybody reads."""
    key = directory / "rsa.pem"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        key.chmod(0o600)
    return key


def ed25519_key(directory):
    key = directory / "ed.pem"
    if not key.exists():
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        key.chmod(0o600)
    return key


def key_for(dkim, directory):
    return rsa_key(directory) if dkim == "rsa" else ed25519_key(directory)


class Mailwright:
    name, synced, signs = "mailwright", True, ("off", "rsa", "ed25519")

    def __init__(self, directory, sink, dkim="off", sessions=50, route=None, extra=""):
        self.directory, self.port, self.http, self.group = directory, lab.free_port(), lab.free_port(), lab.Group()
        directory.mkdir()
        signing = ""
        if dkim != "off":
            signing = f'[[dkim]]\ndomain = "bench.example"\nselector = "s1"\nkey = "{key_for(dkim, directory.parent)}"\n'
        route = route if route is not None else f'[[route]]\ndomain = "*"\nnext_hop = ["127.0.0.1:{sink}"]\ntls = "off"\n'
        (directory / "mailwright.toml").write_text(
            f'hostname = "mta.bench.example"\ndata_dir = "{directory}/data"\n'
            f'[spool]\nsync = {str(self.synced).lower()}\n'
            f'[smtp]\nmax_connections = {max(12000, sessions)}\nmax_connections_per_address = {max(12000, sessions)}\n'
            f'[[listener]]\naddress = "127.0.0.1:{self.port}"\ntls = "off"\n'
            f'[http]\naddress = "127.0.0.1:{self.http}"\n{signing}{route}{extra}')
        self.start()

    def start(self):
        self.log = open(self.directory / "log", "ab")
        self.process = self.group.start([lab.MAILWRIGHT, "serve", "--config", self.directory / "mailwright.toml"], self.log)
        lab.wait_for(lambda: lab.answers(self.port) or self.process.poll() is not None, 300, "mailwright does not answer")
        if self.process.poll() is not None:
            raise SystemExit((self.directory / "log").read_text())

    def stop(self, how=signal.SIGTERM):
        lab.stop(self.process, how)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=30) as answer:
            return answer.read().decode()


class Unsynced(Mailwright):
    name, synced = "mailwright, sync = false", False


class Postfix:
    """Its own configuration, queue and data directories; opendkim signs as a milter, installed where one is to sign."""

    synced, signs = True, ("off", "rsa")

    def __init__(self, directory, sink, dkim="off", sessions=50):
        self.name = "postfix" if dkim == "off" else "postfix + opendkim"
        self.directory, self.port, self.group = directory, lab.free_port(), lab.Group()
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
        self.master = self.group.start(["/usr/sbin/postfix", "-c", self.etc, "start-fg"], open(directory / "out", "wb"))
        lab.wait_for(lambda: lab.answers(self.port) or self.master.poll() is not None, 30, (directory / "out").read_text())
        if self.master.poll() is not None:
            raise SystemExit((directory / "out").read_text())

    def opendkim(self):
        lab.install(("opendkim", "opendkim"))
        port, key = lab.free_port(), self.directory / "key.pem"
        shutil.copy(rsa_key(self.directory.parent), key)
        shutil.chown(key, "opendkim")
        key.chmod(0o600)
        (self.directory / "opendkim.conf").write_text(
            f"Socket inet:{port}@127.0.0.1\nDomain bench.example\nSelector s1\nKeyFile {key}\nMode s\n"
            "Canonicalization relaxed/relaxed\nUserID opendkim\nSyslog no\nInternalHosts 127.0.0.0/8\nRequireSafeKeys no\n")
        self.group.start(["/usr/sbin/opendkim", "-f", "-x", self.directory / "opendkim.conf"], open(self.directory / "milter", "wb"))
        lab.wait_for(lambda: lab.listens(port), 10, "opendkim does not listen")
        return port

    def stop(self):
        subprocess.run(["/usr/sbin/postfix", "-c", self.etc, "stop"], capture_output=True, timeout=60)


@functools.cache
def overlay(*packages):
    """A directory under which the system is seen with other Debian packages in place of those that they conflict with.

    Gives the command line that runs a command there: arguments are a directory that is the same there, and the command."""
    here = lab.workspace("/var/tmp")
    for name in ("upper", "work", "root"):
        (here / name).mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, here]
    subprocess.run([*command, here, "sh", "-c", lab.INSTALL, "sh", *packages], check=True, stdin=subprocess.DEVNULL)
    return command


ENTER = """set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
for same in /proc /dev /sys "$1"; do mkdir -p "$0/root$same"; mount --rbind "$same" "$0/root$same"; done
root=$0/root; shift
exec chroot "$root" "$@"
"""


class Exim:
    """Exim 4 with its own DKIM. It runs without root, as is advised for a relay, and starts delivery at once on every 250.

    What Exim has by default stays: a log of its own for each message (`message_logs`), not synced. Its programs are read
    through overlayfs; the spool is not."""

    name, synced, signs = "exim", True, ("off", "rsa", "ed25519")

    def __init__(self, directory, sink, dkim="off", sessions=50):
        self.directory, self.port, self.group = directory, lab.free_port(), lab.Group()
        directory.mkdir()
        signing = ""
        if dkim != "off":
            shutil.copy(key_for(dkim, directory.parent), directory / "key.pem")
            signing = f"dkim_domain = bench.example\ndkim_selector = s1\ndkim_private_key = {directory}/key.pem\ndkim_canon = relaxed\n"
        (directory / "exim.conf").write_text(
            f"primary_hostname = mta.bench.example\nqualify_domain = bench.example\nspool_directory = {directory}/spool\n"
            f"log_file_path = {directory}/log/%slog\npid_file_path = {directory}/exim.pid\ndaemon_smtp_ports = {self.port}\n"
            "local_interfaces = 127.0.0.1\ndisable_ipv6\ntls_advertise_hosts =\nhost_lookup =\ndeliver_drop_privilege\n"
            f"smtp_accept_max = 0\nsmtp_accept_queue_per_connection = 0\nsmtp_connect_backlog = {max(100, sessions)}\n"
            "acl_smtp_rcpt = accept\nacl_smtp_data = accept\n"
            "begin acl\nbegin routers\nall:\ndriver = manualroute\ntransport = out\nself = send\n"
            f"route_list = * 127.0.0.1::{sink} byname\nbegin transports\nout:\ndriver = smtp\nhosts_avoid_tls = *\n"
            f"hosts_try_dane =\n{signing}begin retry\n* * F,1d,5m\n")
        go = ('chown -R Debian-exim: "$0" && chmod 644 "$0/exim.conf" && chown root "$0/exim.conf" && '
              'exec setpriv --reuid Debian-exim --regid Debian-exim --init-groups exim4 -C "$0/exim.conf" -bdf')
        self.process = self.group.start([*overlay("exim4-daemon-light"), directory, "sh", "-c", go, directory], open(directory / "out", "wb"))
        lab.wait_for(lambda: lab.answers(self.port) or self.process.poll() is not None, 30, "exim does not answer")
        if self.process.poll() is not None:
            raise SystemExit((directory / "out").read_text())

    def stop(self):
        lab.stop(self.process)


@functools.cache
def npm(*packages):
    """A directory with these packages of npm in node_modules."""
    here = lab.workspace("/var/tmp")
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--omit=optional", *packages], check=True, cwd=here)
    return here / "node_modules"


class Haraka:
    """Haraka, a process a core. It writes the queue file and renames it before 250, and syncs neither."""

    name, synced, signs = "haraka", False, ("off", "rsa")

    def __init__(self, directory, sink, dkim="off", sessions=50):
        self.directory, self.port, self.group = directory, lab.free_port(), lab.Group()
        modules, config = npm("Haraka@3.3.4", "haraka-plugin-dkim@1.3.1"), directory / "config"
        for made in (directory, config, directory / "plugins", directory / "queue"):
            made.mkdir()
        (directory / "node_modules").symlink_to(modules)
        shutil.copy(modules / "Haraka/config/connection.ini", config)
        # Up to 20 connections to the sink, as everybody has.
        files = {"smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=cpus\n", "me": "mta.bench.example\n", "loglevel": "NOTICE\n",
                 "outbound.ini": f"enable_tls=false\nlocal_mx_ok=true\nconcurrency_max={max(1, round(20 / (os.cpu_count() or 1)))}\n",
                 "plugins": "everyone\n" + ("" if dkim == "off" else "dkim\n"), "../plugins/everyone.js": EVERYONE % sink,
                 "dkim.ini": "[sign]\nenabled=true\nselector=s1\ndomain=bench.example\nheaders=From,Subject,Date,Message-ID,To\n"
                             "[canon]\nbody=relaxed\n[verify]\nenabled=false\n"}
        for name, text in files.items():
            (config / name).write_text(text)
        if dkim != "off":
            shutil.copy(rsa_key(directory.parent), config / "dkim.private.key")
        self.process = self.group.start(["node", modules / "Haraka/bin/haraka", "-c", directory], open(directory / "log", "wb"))
        lab.wait_for(lambda: lab.answers(self.port) or self.process.poll() is not None, 60, "haraka does not answer")
        if self.process.poll() is not None:
            raise SystemExit((directory / "log").read_text())

    def stop(self):
        lab.stop(self.process)


EVERYONE = """exports.hook_connect = function (next, connection) { connection.relaying = true; next() }
exports.hook_rcpt = function (next) { next(OK) }
exports.hook_get_mx = function (next) { next(OK, { priority: 0, exchange: '127.0.0.1', port: %d }) }
"""

CONTENDERS = {"mailwright": Mailwright, "mailwright-unsynced": Unsynced, "postfix": Postfix, "exim": Exim, "haraka": Haraka}
