"""What the benchmarks of stores on a network start: the servers, the proxy that counts and delays, and one
run of a command behind it. Used by bench_network.py and bench_sync.py.

The least time a protocol allows is its flights times 50 ms: a TLS 1.3 handshake is one flight, a request
after it another. Servers: OpenBao is the real one; moto stands for AWS; Azure and Google are our own
fakes (providers/testkit), called fakes in the tables.
"""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from typing import NamedTuple

DELAY = 25
ROUND_TRIP = 2 * DELAY


class Proxy:
    """The counting proxy before `upstream`."""

    def __init__(self, place, upstream, delay=DELAY):
        self.process = place.start(
            [place.example("delay"), upstream, str(delay)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def counted(self):
        """Connections and flights since the last question."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Once(NamedTuple):
    """What one run took: milliseconds on the clock and on the processor, MiB if it was weighed, and what the
    proxy counted."""

    wall: float
    cpu: float
    memory: float
    counted: dict


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, is_so):
    end = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not in a minute")
        time.sleep(0.02)


def answers(url, **options):
    try:
        with urllib.request.urlopen(url, timeout=5, **options) as answer:
            return answer.status == 200
    except OSError:
        return False


def document(count):
    """So many names and their values."""
    return {f"NAME_{n}": f"value-of-the-setting-{n}" for n in range(count)}


class Place:
    """A folder, the programs, and all that was started there, ended by its own pid."""

    def __init__(self, root, secrets, examples):
        self.root = root
        self.secrets = secrets
        self.examples = examples
        self.running = []
        self.folder = tempfile.mkdtemp(prefix="secrets-bench-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def example(self, name):
        return os.path.join(self.examples, name)

    def tool(self, path):
        return os.path.join(self.root, "target/tools", path)

    def start(self, command, **options):
        process = subprocess.Popen(command, **options)
        self.running.append(process)
        return process

    def end(self, process):
        self.running.remove(process)
        process.kill()
        process.wait()

    def environment(self, home="home", **variables):
        home = os.path.join(self.folder, home)
        os.makedirs(home, exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **variables}

    def run(self, command, environment, proxy=None, weigh=False):
        """One run. To be weighed it is started by GNU time: a process counts what it was forked from as its own
        memory, and this Python is larger than what is measured."""
        weight = os.path.join(self.folder, "weight")
        said = os.path.join(self.folder, "said")
        if weigh:
            command = ["/usr/bin/time", "-q", "-f", "%M", "-o", weight, *command]
        if proxy:
            proxy.counted()
        start = time.perf_counter()
        pid = os.posix_spawn(command[0], command, environment, file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ])
        _, status, usage = os.wait4(pid, 0)
        wall = (time.perf_counter() - start) * 1e3
        if status != 0:
            with open(said, encoding="utf-8") as file:
                raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}: {file.read()[-2000:]}")
        memory = 0
        if weigh:
            with open(weight, encoding="ascii") as file:
                memory = int(file.read()) / 1024
        return Once(wall, (usage.ru_utime + usage.ru_stime) * 1e3, memory, proxy.counted() if proxy else {})

    @contextlib.contextmanager
    def project(self, name, manifest, variables):
        """A folder of its own with this manifest, trusted: the environment to run commands in."""
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        here = os.getcwd()
        os.chdir(folder)
        try:
            with open("secrets.toml", "w", encoding="utf-8") as file:
                file.write(manifest)
            environment = self.environment(**variables)
            shown = subprocess.run([self.secrets, "trust", "--json"], env=environment, capture_output=True, check=False)
            environment["SECRETS_TRUST"] = json.loads(shown.stdout)["digest"]
            yield environment
        finally:
            os.chdir(here)


class OpenBao:
    """The real server, in memory, over TLS, with a KV engine at `secret/`."""

    def __init__(self, place):
        found = [os.path.join(path, "bao") for path, _, files in os.walk(place.tool("python"))
                 if "bao" in files and path.endswith("/bin")]
        self.program = found[0]
        port = free_port()
        self.listens = f"127.0.0.1:{port}"
        self.address = f"https://{self.listens}"
        self.token = "root-token-of-the-bench"
        place.start(
            [self.program, "server", "-dev", "-dev-no-store-token", "-dev-tls", f"-dev-tls-cert-dir={place.folder}",
             f"-dev-root-token-id={self.token}", f"-dev-listen-address={self.listens}"],
            env=place.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ca = os.path.join(place.folder, "vault-ca.pem")
        until("OpenBao's certificate", lambda: os.path.exists(self.ca) and os.path.getsize(self.ca) > 0)
        self.trust = ssl.create_default_context(cafile=self.ca)
        until("OpenBao", lambda: answers(f"{self.address}/v1/sys/health", context=self.trust))
        until("the engine", self.has_engine)

    def has_engine(self):
        try:
            # Until the engine has made itself ready for versions it answers reads, and no write.
            self.call("secret/data/ready", {"data": {}})
            return True
        except OSError:
            return False

    def call(self, path, body, method="POST"):
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Vault-Token": self.token}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.trust, timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def fill(self, path, fields):
        """A document of so many fields, a part at a time: one request may hold 1,000 texts."""
        items = list(fields.items())
        for start in range(0, len(items), 400):
            part = {"data": dict(items[start:start + 400])}
            self.call(path, part, "PATCH" if start else "POST")

    def variables(self, address):
        return {"VAULT_ADDR": address, "VAULT_TOKEN": self.token, "VAULT_CACERT": self.ca}


class Moto:
    """What stands for AWS, over plain HTTP."""

    def __init__(self, place):
        port = free_port()
        self.listens = f"127.0.0.1:{port}"
        place.start([place.tool("python/bin/python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                    env=place.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("moto", lambda: answers(f"http://{self.listens}/moto-api/"))

    def variables(self, listens):
        return {"AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{listens}", "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}


class Fake:
    """Our own fake of Azure (over TLS) or Google (plain HTTP), and the proxy before it."""

    def __init__(self, place, service):
        self.place = place
        self.process = place.start([place.example("fake"), service], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.proxy = Proxy(place, told["listens"])
        self.direct = told["address"]
        # The certificate is for a name: the proxy is spoken to by it, at another port.
        own_port = told["listens"].rsplit(":", 1)[1]
        self.delayed = told["address"].replace(f":{own_port}", ":" + self.proxy.address.rsplit(":", 1)[1])
        self.variables = told["variables"]
        self.method = told.get("method")

    def store(self, name, uri, address):
        """A store of the manifest."""
        store = f'[stores.{name}]\nuri = "{uri}"\naddresses = ["{address}"]\n'
        return store + (f'auth = {{ method = "{self.method}" }}\n' if self.method else "")

    def end(self):
        self.place.end(self.proxy.process)
        self.place.end(self.process)
