"""Stores on a network, measured through a proxy that adds 25 ms each way and counts connections and
flights: what the client sends before it has to wait. Called by bench.py; bench_servers.py starts them.
"""

import json
import os
import statistics
import subprocess
import time

from bench_servers import ROUND_TRIP, Fake, Moto, OpenBao, Proxy, document

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
# An environment that needs nothing: the manifest is there for its stores.
NOTHING = '[environments.dev]\nsource = ["env:"]\n'


class Bench:
    """The tables, and whether their bounds hold."""

    def __init__(self, place, rounds):
        self.place = place
        self.secrets = place.secrets
        self.rounds = max(5, rounds // 15)
        self.rows = []
        self.verdicts = []

    def row(self, what, store, environment, proxy, most_connections, most_deep, time_limit=None,
            cpu_limit=None, memory_limit=None):
        command = [self.secrets, "exec", "--store", store, "--", "true"]
        runs = [self.place.run(command, environment, proxy) for _ in range(self.rounds)]
        wall = statistics.median(run.wall for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        counted = max((run.counted for run in runs), key=lambda c: (c["connections"], c["deepest"]))
        memory = self.place.run(command, environment, weigh=True).memory
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

    # Vault

    def vault(self):
        bao = OpenBao(self.place)
        call = bao.call
        call("secret/data/shop/production", {"data": document(20)})
        for name, value in document(1000).items():
            call(f"secret/data/shop/each/{name}", {"data": {"value": value}})
        call("sys/auth/approle", {"type": "approle"})
        call("sys/policies/acl/shop", {"policy": 'path "secret/*" { capabilities = ["read", "list"] }'})
        call("auth/approle/role/shop", {"token_policies": ["shop"]})
        role = call("auth/approle/role/shop/role-id", None, "GET")["data"]["role_id"]
        secret_id = call("auth/approle/role/shop/secret-id", {})["data"]["secret_id"]

        proxy = Proxy(self.place, bao.listens)
        address = f"https://{proxy.address}"
        environment = self.place.environment(**bao.variables(address))
        ours = self.row("OpenBao, a document of 20, TLS", "vault:secret/shop/production", environment, proxy, 1, 2, 1.15)
        self.beside("the same beside `bao kv get`", ours,
                    [bao.program, "kv", "get", "-format=json", "secret/shop/production"], environment, proxy)
        self.row("OpenBao, 1,000 at paths of their own (one list, then 16 at once)", "vault:secret/shop/each?layout=each",
                 environment, proxy, 17, 2 + (1000 + 15) // 16, 1.15, 300, 40)

        manifest = (f'[stores.hq]\nuri = "vault:secret/shop/production"\naddresses = ["{address}"]\n'
                    f'auth = {{ method = "approle", role-id = "{role}", secret-id = "file:secret-id" }}\n' + NOTHING)
        with self.place.project("approle", manifest, {"VAULT_CACERT": bao.ca}) as environment:
            with open("secret-id", "w", encoding="ascii") as file:
                file.write(secret_id)
            self.row("the same document, with a login by AppRole", "hq", environment, proxy, 1, 3, 1.15)

    # AWS, by moto

    def aws(self):
        moto = Moto(self.place)
        direct = self.place.environment(**moto.variables(moto.listens))
        for store, count in (("aws:bench/document", 20), ("aws:bench/twenty?layout=each", 20), ("aws:bench/each?layout=each", 1000)):
            self.fill(store, count, direct)
        proxy = Proxy(self.place, moto.listens)
        environment = self.place.environment(**moto.variables(proxy.address))
        self.row("AWS (moto, plain HTTP), a document of 20", "aws:bench/document", environment, proxy, 1, 1)
        self.row("AWS (moto), 20 secrets", "aws:bench/twenty?layout=each", environment, proxy, 1, 1)
        # moto ends the connection after each answer: fifty requests are fifty connections here.
        self.row("AWS (moto), 1,000 secrets: 50 requests", "aws:bench/each?layout=each", environment, proxy, 50, 50, None, 300, 40)

    def fill(self, store, count, environment):
        text = json.dumps(document(count)).encode()
        subprocess.run([self.secrets, "import", "-", "--format", "json", "--store", store, "--yes", "-q"],
                       env=environment, input=text, check=True, capture_output=True)

    # Azure and Google, by our own fakes

    def fakes(self):
        services = (("azure", "Azure (our fake, TLS; its login is not delayed)", "azure:bench/{}"),
                    ("gcp", "Google (our fake, plain HTTP)", "gcp:bench/{}"))
        for service, label, uri in services:
            fake = Fake(self.place, service)
            stores = "".join(
                fake.store(f"{name}-{kind}", uri.format(name), address)
                for name in ("twenty", "thousand")
                for kind, address in (("direct", fake.direct), ("delayed", fake.delayed)))
            with self.place.project(service, stores + NOTHING, fake.variables) as environment:
                self.rows_of(label, environment, fake.proxy, service)

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
        """The section's text, and whether its bounds hold."""
        self.vault()
        self.aws()
        self.fakes()
        return TEXT + "".join("| " + " | ".join(row) + " |\n" for row in self.rows), self.verdicts
