"""Syncs of 1,000 secrets: in step, first pushes, pushes of a few changes; and 10,000 names planned. Called by
bench.py; bench_servers.py starts the servers and the proxy that delays and counts.

Requests are counted by their flights, less one for each connection's handshake where there is TLS: on one
connection a request follows the answer before it. A handshake whose end is sent by itself counts as one more, so
bounds leave a hundredth. There is no progress bar: here is no terminal.
"""

import json
import os
import shutil
import statistics
import subprocess

from bench_servers import ROUND_TRIP, Fake, Moto, OpenBao, Proxy, document

COUNT = 1000
CHANGED = 10
# As many requests as each of these stores takes at once.
LIMIT = 16
TEXT = f"""
## Syncs

An environment with a Vault document of 1,000 secrets (OpenBao, TLS) as its source and `dotenv:.env` as its mirror,
in step. *Time* is without added delay; flights, connections and *× least* are through the proxy that adds 25 ms
each way, and *least* is a handshake and one read, at 50 ms each. Without a base: nothing was ever synced from here.

{{in_step}}
`secrets push --store dotenv:.env STORE --yes` of 1,000 secrets through the proxy: first into an empty store of single
secrets, then once more with {CHANGED} of them changed. *Least* is what the counted requests take at 50 ms each with
{LIMIT} at once, after one handshake where there is TLS and the pages of a list that name one another. OpenBao is the
real server; moto stands for AWS, ends the connection after each answer and takes a time of its own; Azure and Google
are our own fakes.

{{pushes}}
Planning alone: no store, no value, names that were agreed on before.

{{planning}}{{peers}}"""


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def most(runs, what):
    return max(run.counted[what] for run in runs)


def write_env(path=".env", changed=0):
    """The secrets in a file; so many of them with another value."""
    with open(path, "w", encoding="ascii") as file:
        for n, (name, value) in enumerate(document(COUNT).items()):
            file.write(f"{name}={value}{'-changed' if n < changed else ''}\n")
    os.chmod(path, 0o600)


class Bench:
    """The tables, and whether their bounds hold."""

    def __init__(self, place, rounds):
        self.place = place
        self.secrets = place.secrets
        self.rounds = max(3, rounds // 15)
        self.pushes = 2 if rounds >= 30 else 1
        self.verdicts = []

    def held(self, row, held):
        """The row with its verdict."""
        self.verdicts.append(held)
        row = (*row, "yes" if held else "**no**")
        print(row, flush=True)
        return row

    # In step

    def in_step(self, bao, proxy):
        bao.fill("secret/data/sync/in-step", document(COUNT))
        manifest = ('[project]\ndefault-environment = "production"\n'
                    '[environments.production]\nsource = ["vault:secret/sync/in-step"]\nmirrors = ["dotenv:.env"]\n')
        rows = []
        with self.place.project("in-step", manifest, bao.variables(bao.address)) as direct:
            write_env()
            push = ["push", "--yes"]
            delayed = {**direct, "VAULT_ADDR": f"https://{proxy.address}"}
            # What is remembered is remembered of one address.
            for environment in (direct, delayed):
                self.place.run([self.secrets, *push], environment)
            fresh = {"HOME": self.place.environment("fresh")["HOME"]}
            for what, arguments, home in (
                ("`secrets status`", ["status"], {}),
                ("the same without a base", ["status"], fresh),
                ("`secrets diff`", ["diff", "vault:secret/sync/in-step", "dotenv:.env"], {}),
                ("`secrets push --yes`, with nothing to do", push, {}),
            ):
                rows.append(self.in_step_row(what, arguments, {**direct, **home}, {**delayed, **home}, proxy))
        return table(["what", "time", "connections", "flights", "× least", "CPU", "peak", "wanted", "held"], rows)

    def in_step_row(self, what, arguments, direct, delayed, proxy):
        command = [self.secrets, *arguments]
        memory = self.place.run(command, direct, weigh=True).memory
        near = [self.place.run(command, direct) for _ in range(self.rounds)]
        far = [self.place.run(command, delayed, proxy) for _ in range(self.rounds)]
        wall = statistics.median(run.wall for run in near)
        cpu = statistics.median(run.cpu for run in near)
        ratio = statistics.median(run.wall for run in far) / (2 * ROUND_TRIP)
        connections, flights = most(far, "connections"), most(far, "flights")
        row = (what, f"{wall:.0f} ms", str(connections), str(flights), f"{ratio:.2f}", f"{cpu:.0f} ms",
               f"{memory:.0f} MiB", "< 150 ms, 1 connection, 2 flights: one read")
        return self.held(row, wall < 150 and connections == 1 and flights == 2)

    # Pushes

    def push(self, label, targets, tls, most_requests, in_turn, most_time):
        """Rows of a first and a second push: so many requests, so many of which can only be made in turn.
        `targets` prepares a new store for each round."""
        first, second = [], []
        for environment, proxy, store in targets:
            command = [self.secrets, "push", "--store", "dotenv:.env", store, "--yes"]
            for runs, changed in ((first, 0), (second, CHANGED)):
                write_env(changed=changed)
                runs.append(self.place.run(command, environment, proxy, weigh=True))
            if len(first) == self.pushes:
                # It fails where anything differs.
                self.place.run([self.secrets, "diff", "dotenv:.env", store], environment)
        whats = (f"{label}: a first push of {COUNT:,}", f"the same with {CHANGED} changed")
        return [self.push_row(what, runs, tls, requests, turns, most_time)
                for what, runs, requests, turns in zip(whats, (first, second), most_requests, in_turn)]

    def push_row(self, what, runs, tls, most_requests, in_turn, most_time):
        def requests(run):
            return run.counted["flights"] - (run.counted["connections"] if tls else 0)

        def least(run):
            return (int(tls) + in_turn + -(-(requests(run) - in_turn) // LIMIT)) * ROUND_TRIP

        wall = statistics.median(run.wall for run in runs)
        ratio = statistics.median(run.wall / least(run) for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        memory = max(run.memory for run in runs)
        made, connections = max(map(requests, runs)), most(runs, "connections")
        held = made <= most_requests and (most_time is None or ratio <= most_time) and cpu < 500 and memory < 50
        wanted = f"≤ {most_requests:,} requests"
        if most_time is not None:
            wanted += f", ≤ {LIMIT + 1} connections, ≤ {most_time}×"
            held = held and connections <= LIMIT + 1
        wanted += ", CPU < 500 ms, < 50 MiB"
        row = (what, f"{wall / 1e3:.2f} s", f"{made:,}", f"{connections:,}", f"{min(map(least, runs)) / 1e3:.2f} s",
               f"{ratio:.2f}", f"{cpu:.0f} ms", f"{memory:.0f} MiB", wanted)
        return self.held(row, held)

    def each_round(self, environment, proxy, store):
        for turn in range(self.pushes):
            yield environment, proxy, store.format(turn)

    def all_pushes(self, bao, proxy):
        rows = []
        here = os.getcwd()
        os.mkdir(os.path.join(self.place.folder, "pushes"))
        os.chdir(os.path.join(self.place.folder, "pushes"))
        environment = self.place.environment(**bao.variables(f"https://{proxy.address}"))
        # A list, and a write for each, which the engine refuses if anything ever was there. Then a list, a read of
        # each, and for the changed ones a look (what else the path holds stays) and a write.
        rows += self.push("OpenBao, TLS", self.each_round(environment, proxy, "vault:secret/sync/{}?layout=each"), True,
                          (COUNT + 20, COUNT + 2 * CHANGED + 10), (1, 1), 1.25)
        moto = Moto(self.place)
        moto_proxy = Proxy(self.place, moto.listens)
        environment = self.place.environment(**moto.variables(moto_proxy.address))
        # A page; a batch for each twenty that may have been deleted; a creation each. Then pages of twenty, and
        # four requests for a change that only holds if nobody else has made one.
        rows += self.push("AWS (moto, plain HTTP)", self.each_round(environment, moto_proxy, "aws:sync/{}?layout=each"), False,
                          (1 + COUNT // 20 + COUNT, COUNT // 20 + 4 * CHANGED), (1, COUNT // 20), None)
        os.chdir(here)
        # The challenge and a page; two questions each whether it was deleted; a write each. Then pages of 25, a
        # read of each, and a write for each change.
        rows += self.push("Azure (our fake, TLS; its login is not delayed)", self.fakes("azure"), True,
                          (3 * COUNT + 20, COUNT + COUNT // 25 + CHANGED + 10), (2, 2), 1.25)
        # A page; for each the secret and its first version. Then pages, reads, additions.
        rows += self.push("Google (our fake, plain HTTP)", self.fakes("gcp"), False,
                          (2 * COUNT + 20, COUNT + CHANGED + 10), (1, 1), 1.25)
        return table(["what", "time", "requests", "connections", "least", "× least", "CPU", "peak", "wanted", "held"], rows)

    def fakes(self, service):
        """A new fake each round: a list tells all that a vault or a project has."""
        for turn in range(self.pushes):
            fake = Fake(self.place, service)
            manifest = fake.store("target", f"{service}:bench/sync", fake.delayed) + '[environments.dev]\nsource = ["env:"]\n'
            with self.place.project(f"push-{service}-{turn}", manifest, fake.variables) as environment:
                yield environment, fake.proxy, "target"
            fake.end()

    # Planning

    def planning(self):
        output = subprocess.run([self.place.example("plan")], check=True, capture_output=True).stdout
        measured = json.loads(output)
        row = (f"{measured['names']:,} names, a tenth of them changed", f"{measured['median_ms']:.1f} ms", "< 50 ms")
        return table(["what", "measured", "wanted", "held"], [self.held(row, measured["median_ms"] < 50)])

    # Peers

    def peers(self):
        """The same copy from one `.env` to another that is not there yet, in turn with each peer found here."""
        rows, missing = [], []
        folder = os.path.join(self.place.folder, "peers")
        os.mkdir(folder)
        here = os.getcwd()
        os.chdir(folder)
        write_env("from.env")
        with open("secretspec.toml", "w", encoding="ascii") as file:
            file.write('[project]\nname = "bench"\nrevision = "1.0"\n[profiles.default]\n')
            file.writelines(f'{name} = {{ description = "a setting", required = true }}\n' for name in document(COUNT))
        with open(".teller.yml", "w", encoding="ascii") as file:
            file.write("providers:\n")
            for which in ("from", "to"):
                file.write(f"  {which}:\n    kind: dotenv\n    maps:\n      - id: env\n        path: {which}.env\n")
        environment = self.place.environment(SECRETSPEC_PROVIDER="dotenv:to.env")
        ours = [self.secrets, "sync", "dotenv:from.env", "dotenv:to.env", "--first", "--yes"]
        for peer, verb, arguments in (
            ("secretspec", "import", ["import", "dotenv:from.env"]),
            ("teller", "copy", ["--config", ".teller.yml", "copy", "--from", "from/env", "--to", "to/env"]),
        ):
            found = self.place.tool(f"cargo/bin/{peer}")
            found = found if os.path.exists(found) else shutil.which(peer)
            if found:
                rows.append(self.beside(f"`{peer} {verb}`", ours, [found, *arguments], environment))
            else:
                missing.append(peer)
        os.chdir(here)
        text = ""
        if rows:
            text += ("\n1,000 secrets from one `.env` to another that is not there yet, by `secrets sync` and by others in "
                     "turn; the\nratio is the median of neighbouring runs.\n\n")
            text += table(["beside", "secrets", "the other", "ratio", "wanted", "held"], rows)
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            text += f"\nNot found here, so nothing is said of them: {names}."
            text += " `scripts/bench --peers` builds secretspec.\n" if "secretspec" in missing else "\n"
        return text

    def beside(self, what, ours, other, environment):
        mine, theirs = [], []
        for turn in range(min(self.rounds, 10)):
            for command, times in ((ours, mine), (other, theirs))[:: 1 if turn % 2 else -1]:
                if os.path.exists("to.env"):
                    os.remove("to.env")
                times.append(self.place.run(command, environment).wall)
                with open("to.env", encoding="ascii") as file:
                    lines = sum(line.startswith("NAME_") for line in file)
                if lines != COUNT:
                    raise SystemExit(f"{command[0]} copied {lines} of {COUNT}")
        ratio = statistics.median(a / b for a, b in zip(mine, theirs))
        row = (what, f"{statistics.median(mine):.0f} ms", f"{statistics.median(theirs):.0f} ms", f"{ratio:.2f}", "< 1")
        return self.held(row, ratio < 1)

    def run(self):
        """The section's text, and whether its bounds hold."""
        bao = OpenBao(self.place)
        proxy = Proxy(self.place, bao.listens)
        text = TEXT.format(in_step=self.in_step(bao, proxy), pushes=self.all_pushes(bao, proxy),
                           planning=self.planning(), peers=self.peers())
        return text.rstrip("\n") + "\n", self.verdicts
