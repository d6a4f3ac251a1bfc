"""Stores on a network, measured through a proxy that adds 25 ms each way and counts connections and
flights: what the client sends before it has to wait. Called by bench.py.

The least time a protocol allows is its flights times 50 ms: a TLS 1.3 handshake is one flight, a request
after it another. Servers: OpenBao is the real one; moto stands for AWS; Azure and Google are our own
fakes (providers/testkit), called fakes in the tables.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

TEXT = """
## Stores on a network

`secrets exec --store STORE -- true` through a proxy that adds 25 ms each way and counts. A flight is what the
client sends before it has to wait: a TLS 1.3 handshake is one, a request after it another. *Deepest* is the
most flights of one connection; *× least* is the whole time over the flights the protocol cannot do without, at
50 ms each. OpenBao is the real server; moto stands for AWS, and takes a time of its own; Azure and Google are our
own fakes.

| what | time | connections | deepest | flights | × least | CPU | peak | wanted | held |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
DELAY = 25
ROUND_TRIP = 2 * DELAY


class Processes:
    """What was started, ended by its own pid."""

    def __init__(self):
        self.running = []

    def start(self, command, **options):
        process = subprocess.Popen(command, **options)
        self.running.append(process)
        return process

    def end(self):
        for process in reversed(self.running):
            process.kill()
            process.wait()


class Proxy:
    """The counting proxy before `upstream`."""

    def __init__(self, processes, root, upstream, delay=DELAY):
        program = os.path.join(root, "target/release/examples/delay")
        self.process = processes.start(
            [program, upstream, str(delay)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def counted(self):
        """Connections and flights since the last question."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


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


def measure(command, environment, proxy, rounds):
    """Median wall time in ms, and what one run took on the wire, CPU in ms and peak memory in MiB."""
    proxy.counted()
    times, counted, cpu = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        pid = os.posix_spawn(command[0], command, environment, file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        ])
        _, status, usage = os.wait4(pid, 0)
        times.append((time.perf_counter() - start) * 1e3)
        if status != 0:
            raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
        counted.append(proxy.counted())
        cpu.append((usage.ru_utime + usage.ru_stime) * 1e3)
    # GNU time starts it: a process counts what it was forked from as its own, and this Python is larger.
    timed = subprocess.run(["/usr/bin/time", "-f", "%M", *command], env=environment, check=True, capture_output=True)
    memory = int(timed.stderr.split()[-1]) / 1024
    worst = max(counted, key=lambda c: (c["connections"], c["deepest"]))
    return statistics.median(times), worst, statistics.median(cpu), memory


class Bench:
    """The tables, and whether their bounds hold."""

    def __init__(self, root, secrets, rounds):
        self.root = root
        self.secrets = secrets
        self.rounds = max(5, rounds // 15)
        self.processes = Processes()
        self.folder = tempfile.mkdtemp(prefix="secrets-bench-network-")
        self.rows = []
        self.verdicts = []
        self.missing = []

    def environment(self, **variables):
        home = os.path.join(self.folder, "home")
        os.makedirs(home, exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **variables}

    def row(self, what, store, environment, proxy, most_connections, most_deep, time_limit=None,
            cpu_limit=None, memory_limit=None):
        command = [self.secrets, "exec", "--store", store, "--", "true"]
        wall, counted, cpu, memory = measure(command, environment, proxy, self.rounds)
        least = most_deep * ROUND_TRIP
        ratio = wall / least
        # Sixteen connections do not share a thousand requests quite evenly.
        slack = 4 if most_deep > 16 else 0
        held = counted["connections"] <= most_connections and counted["deepest"] <= most_deep + slack
        held = held and (time_limit is None or ratio <= time_limit)
        held = held and (cpu_limit is None or cpu < cpu_limit) and (memory_limit is None or memory < memory_limit)
        wanted = f"≤ {most_connections} connections, ≤ {most_deep} deep"
        wanted += f", ≤ {time_limit}×" if time_limit else ""
        wanted += f", CPU < {cpu_limit} ms" if cpu_limit else ""
        wanted += f", < {memory_limit} MiB" if memory_limit else ""
        self.rows.append((what, f"{wall:.0f} ms", str(counted["connections"]), str(counted["deepest"]),
                          str(counted["flights"]), f"{ratio:.2f}", f"{cpu:.0f} ms", f"{memory:.0f} MiB",
                          wanted, "yes" if held else "**no**"))
        self.verdicts.append(held)
        print(self.rows[-1], flush=True)
        return command

    def beside(self, what, ours, other, environment, proxy):
        """Paired with another tool that reads the same through the same proxy."""
        ratios, mine, theirs = [], [], []
        for turn in range(self.rounds):
            times = {}
            for name, command in (("ours", ours), ("other", other))[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
                times[name] = (time.perf_counter() - start) * 1e3
            mine.append(times["ours"])
            theirs.append(times["other"])
            ratios.append(times["ours"] / times["other"])
        ratio = statistics.median(ratios)
        held = ratio < 1
        self.rows.append((what, f"{statistics.median(mine):.0f} ms, the other {statistics.median(theirs):.0f} ms",
                          "", "", "", f"{ratio:.2f} of the other", "", "", "< 1", "yes" if held else "**no**"))
        self.verdicts.append(held)
        print(self.rows[-1], flush=True)

    def document(self, count):
        return {f"NAME_{n}": f"value-of-the-setting-{n}" for n in range(count)}

    # Vault

    def vault(self):
        python = os.path.join(self.root, "target/tools/python")
        found = [os.path.join(path, "bao") for path, _, files in os.walk(python) if "bao" in files and path.endswith("/bin")]
        bao = found[0]
        port = free_port()
        token = "root-token-of-the-bench"
        self.processes.start(
            [bao, "server", "-dev", "-dev-no-store-token", "-dev-tls", f"-dev-tls-cert-dir={self.folder}",
             f"-dev-root-token-id={token}", f"-dev-listen-address=127.0.0.1:{port}"],
            env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ca = os.path.join(self.folder, "vault-ca.pem")
        until("OpenBao's certificate", lambda: os.path.exists(ca) and os.path.getsize(ca) > 0)
        import ssl
        trust = ssl.create_default_context(cafile=ca)
        until("OpenBao", lambda: answers(f"https://127.0.0.1:{port}/v1/sys/health", context=trust))

        def call(path, body, method="POST"):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"https://127.0.0.1:{port}/v1/{path}", data, method=method,
                                             headers={"X-Vault-Token": token})
            with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
                text = answer.read()
                return json.loads(text) if text else None

        until("the engine", lambda: answers_kv(call))
        call("secret/data/shop/production", {"data": self.document(20)})
        for name, value in self.document(1000).items():
            call(f"secret/data/shop/each/{name}", {"data": {"value": value}})
        call("sys/auth/approle", {"type": "approle"})
        call("sys/policies/acl/shop", {"policy": 'path "secret/*" { capabilities = ["read", "list"] }'})
        call("auth/approle/role/shop", {"token_policies": ["shop"]})
        role = call("auth/approle/role/shop/role-id", None, "GET")["data"]["role_id"]
        secret_id = call("auth/approle/role/shop/secret-id", {})["data"]["secret_id"]

        proxy = Proxy(self.processes, self.root, f"127.0.0.1:{port}")
        address = f"https://{proxy.address}"
        environment = self.environment(VAULT_ADDR=address, VAULT_TOKEN=token, VAULT_CACERT=ca)
        ours = self.row("OpenBao, a document of 20, TLS", "vault:secret/shop/production", environment, proxy, 1, 2, 1.15)
        self.beside("the same beside `bao kv get`", ours,
                    [bao, "kv", "get", "-format=json", "secret/shop/production"], environment, proxy)
        self.row("OpenBao, 1,000 at paths of their own (one list, then 16 at once)", "vault:secret/shop/each?layout=each",
                 environment, proxy, 17, 2 + (1000 + 15) // 16, 1.15, 300, 40)

        project = os.path.join(self.folder, "approle")
        os.mkdir(project)
        with open(os.path.join(project, "secret-id"), "w", encoding="ascii") as file:
            file.write(secret_id)
        stores = (f'[stores.hq]\nuri = "vault:secret/shop/production"\naddresses = ["{address}"]\n'
                  f'auth = {{ method = "approle", role-id = "{role}", secret-id = "file:secret-id" }}\n')
        self.in_project(project, stores, {"VAULT_CACERT": ca}, lambda environment: self.row(
            "the same document, with a login by AppRole", "hq", environment, proxy, 1, 3, 1.15))

    # AWS, by moto

    def aws(self):
        port = free_port()
        python = os.path.join(self.root, "target/tools/python/bin/python")
        self.processes.start([python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                             env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("moto", lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))
        direct = self.environment(AWS_ENDPOINT_URL_SECRETS_MANAGER=f"http://127.0.0.1:{port}", AWS_REGION="eu-west-1",
                                  AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="example")
        for store, count in (("aws:bench/document", 20), ("aws:bench/twenty?layout=each", 20), ("aws:bench/each?layout=each", 1000)):
            self.fill(store, count, direct)
        proxy = Proxy(self.processes, self.root, f"127.0.0.1:{port}")
        environment = {**direct, "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{proxy.address}"}
        self.row("AWS (moto, plain HTTP), a document of 20", "aws:bench/document", environment, proxy, 1, 1)
        self.row("AWS (moto), 20 secrets", "aws:bench/twenty?layout=each", environment, proxy, 1, 1)
        # moto ends the connection after each answer: fifty requests are fifty connections here.
        self.row("AWS (moto), 1,000 secrets: 50 requests", "aws:bench/each?layout=each", environment, proxy, 50, 50, None, 300, 40)

    def fill(self, store, count, environment):
        text = json.dumps(self.document(count)).encode()
        subprocess.run([self.secrets, "import", "-", "--format", "json", "--store", store, "--yes", "-q"],
                       env=environment, input=text, check=True, capture_output=True)

    # Azure and Google, by our own fakes

    def fakes(self):
        program = os.path.join(self.root, "target/release/examples/fake")
        services = (("azure", "Azure (our fake, TLS; its login is not delayed)", "azure:bench/{}"),
                    ("gcp", "Google (our fake, plain HTTP)", "gcp:bench/{}"))
        for service, label, uri in services:
            fake = self.processes.start([program, service], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            told = json.loads(fake.stdout.readline())
            proxy = Proxy(self.processes, self.root, told["listens"])
            # The certificate is for a name: the proxy is spoken to by it, at another port.
            own_port = told["listens"].rsplit(":", 1)[1]
            delayed = told["address"].replace(f":{own_port}", ":" + proxy.address.rsplit(":", 1)[1])
            project = os.path.join(self.folder, service)
            os.mkdir(project)
            stores = ""
            for name in ("twenty", "thousand"):
                for kind, address in (("direct", told["address"]), ("delayed", delayed)):
                    stores += f'[stores.{name}-{kind}]\nuri = "{uri.format(name)}"\naddresses = ["{address}"]\n'
                    if "method" in told:
                        stores += f'auth = {{ method = "{told["method"]}" }}\n'
            self.in_project(project, stores, told["variables"], lambda environment: self.rows_of(label, environment, proxy, service))

    def in_project(self, project, stores, variables, then):
        """Runs `then` in a folder whose manifest names these stores, and is trusted."""
        with open(os.path.join(project, "secrets.toml"), "w", encoding="utf-8") as file:
            file.write(stores + '[environments.dev]\nsource = ["env:"]\n')
        here = os.getcwd()
        os.chdir(project)
        environment = self.environment(**variables)
        shown = subprocess.run([self.secrets, "trust", "--json"], env=environment, capture_output=True, check=False)
        environment["SECRETS_TRUST"] = json.loads(shown.stdout)["digest"]
        then(environment)
        os.chdir(here)

    def rows_of(self, label, environment, proxy, service):
        handshake = 1 if service == "azure" else 0
        # Azure's challenge is one request more.
        challenge = 1 if service == "azure" else 0
        for name, count in (("twenty", 20), ("thousand", 1000)):
            self.fill(f"{name}-direct", count, environment)
            # Further pages of the list are asked for beside the values.
            deep = handshake + challenge + 1 + (count + 15) // 16
            limits = (None, 300, 40) if count == 1000 else (None, None, None)
            self.row(f"{label}, {count:,} secrets", f"{name}-delayed", environment, proxy, 17, deep, *limits)

    def run(self):
        try:
            self.vault()
            self.aws()
            self.fakes()
        finally:
            self.processes.end()
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.rows, self.verdicts


def answers_kv(call):
    try:
        call("secret/config", None, "GET")
        return True
    except OSError:
        return False
