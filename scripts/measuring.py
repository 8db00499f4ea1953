"""What scripts/bench and scripts/bench-durable share: starting brokers, running `securemq bench`, and medians."""

import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60


def build(profile):
    """Builds securemq and says where it is: cargo knows, and the configuration of the machine may move it."""
    command = ["cargo", "build", "--quiet", "--profile", profile, "--message-format=json"]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return [message["executable"] for message in messages if message.get("executable")][-1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A running broker in a folder of its own."""

    def __init__(self, program, folder):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        self.program = program
        self.port = free_port()
        self.tls_port = None
        self.login = []
        self.prepare()
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, env=self.environment(),
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.wait_until_it_listens()

    def prepare(self):
        """Writes what it reads at its start."""

    def environment(self):
        return dict(os.environ)

    def wait_until_it_listens(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{self.name} does not listen: {(self.folder / 'output').read_text()}")
                time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Securemq(Broker):
    """As shipped: accounts, rules, event log and sealing; clients are a user of the role Student."""

    name = "securemq"
    durability = None

    def prepare(self):
        self.tls_port = free_port()
        self.login = ["--user", "bench", "--password-file", str(self.folder / "password")]
        password = secrets.token_hex(16)
        (self.folder / "password").write_text(password + "\n")
        (self.folder / "password").chmod(0o600)
        add = [self.program, "user", "add", "bench", "--role", "Student", "--password-stdin",
               "--data-dir", str(self.folder / "data")]
        subprocess.run(add, check=True, input=f"{password}\n", text=True, stdout=subprocess.DEVNULL)

    def command(self):
        return [self.program, "serve", "--data-dir", str(self.folder / "data"),
                "--listen", f"mqtt://127.0.0.1:{self.port}", "--listen", f"mqtts://127.0.0.1:{self.tls_port}"]

    def environment(self):
        chosen = {} if self.durability is None else {"SECUREMQ__STORE__DURABILITY": self.durability}
        return {**os.environ, **chosen}

    def certificate_authority(self):
        return self.folder / "data" / "tls" / "ca.crt"


class Mosquitto(Broker):
    """As light as it gets: nobody logs in, there are no rules, nothing is logged or kept."""

    name = "mosquitto"
    persistence = False
    # A securemq that makes certificates for it; without one it has no listener with TLS.
    maker = None

    def prepare(self):
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true", "log_type none",
                 "max_queued_messages 0", "max_inflight_messages 1024", f"persistence {str(self.persistence).lower()}"]
        if self.persistence:
            lines += [f"persistence_location {self.folder}/", "autosave_interval 1"]
        if self.maker:
            self.tls_port = free_port()
            subprocess.run([self.maker, "cert", "init", "--data-dir", str(self.folder)], check=True,
                           stdout=subprocess.DEVNULL)
            tls = self.folder / "tls"
            lines += [f"listener {self.tls_port} 127.0.0.1", f"certfile {tls / 'server.crt'}",
                      f"keyfile {tls / 'server.key'}"]
        if os.geteuid() == 0:
            lines.append("user root")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def command(self):
        return [self.program, "-c", str(self.folder / "mosquitto.conf")]

    def certificate_authority(self):
        return self.folder / "tls" / "ca.crt"


class FlashMQ(Broker):
    """Nobody logs in, nothing is kept."""

    name = "flashmq"

    def prepare(self):
        (self.folder / "flashmq.conf").write_text(
            f"allow_anonymous true\nlog_level error\nlisten {{\n  protocol mqtt\n  port {self.port}\n}}\n")

    def command(self):
        return [self.program, "--config-file", str(self.folder / "flashmq.conf")]


class Nats(Broker):
    """With JetStream, without which it speaks no MQTT; in memory as far as it can be."""

    name = "nats-server"

    def prepare(self):
        (self.folder / "nats.conf").write_text(
            f"server_name: bench\nlisten: 127.0.0.1:{free_port()}\njetstream {{ store_dir: {self.folder} }}\n"
            f"mqtt {{ host: 127.0.0.1, port: {self.port} }}\n")

    def command(self):
        return [self.program, "-c", str(self.folder / "nats.conf")]


def others():
    """The other brokers on this machine, with their programs."""
    found = {kind: shutil.which(kind.name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
             for kind in [Mosquitto, FlashMQ, Nats]}
    if not found[Mosquitto]:
        subprocess.run(["bash", "-c", f"source '{REPOSITORY}/scripts/lib.sh' && install_debian mosquitto"], check=True)
        found[Mosquitto] = "/usr/sbin/mosquitto"
    return {kind: program for kind, program in found.items() if program}


def measure(generator, broker, shape, arguments, tls=False):
    """One run of `securemq bench`; what it prints as JSON."""
    place = ["--plain", "--port", str(broker.port)]
    if tls:
        place = ["--port", str(broker.tls_port), "--ca", str(broker.certificate_authority())]
    command = [generator, "bench", shape, "--json", "--pid", str(broker.process.pid), "--topic", "students/bench",
               *place, *broker.login, *map(str, arguments)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{run.stderr}")
    report = json.loads(run.stdout)
    faults = {fault: report[fault] for fault in ["lost", "duplicates", "out_of_order", "refused"] if report[fault]}
    if faults:
        print(f"{broker.name}, {shape}: {faults}", file=sys.stderr)
    return report


def median(values):
    return statistics.median(values)


def machine():
    """What the figures were measured on."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    name = processor[1] if processor else platform.machine()
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def version(program):
    """The first line that names a version, whichever way a program tells it."""
    for flag in ["--version", "-h"]:
        run = subprocess.run([program, flag], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", run.stdout + run.stderr)
        if found:
            return found[0]
    return "of unknown version"
