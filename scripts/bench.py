"""Measures `secrets` beside others. `scripts/bench` prepares what this needs.

Two commands are compared by running them in turn, so that what else the machine does falls on both,
and taking the median of the ratios of neighbours. A time is that of the whole process, from its start to
its end, as a shell or a supervisor sees it.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_network
import bench_sync
from bench_servers import Place

SECTIONS = {"network": bench_network.Bench, "sync": bench_sync.Bench}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="the checkout")
    parser.add_argument("rounds", nargs="?", type=int, default=300, help="pairs of runs where one is short; longer ones take fewer")
    parser.add_argument("--only", choices=SECTIONS, help="this section alone, printed: docs/benchmarks.md stays as it is")
    parser.add_argument("--debug", action="store_true",
                        help="with --only: the programs of the debug profile, to try these scripts; its times say nothing")
    asked = parser.parse_args()
    if asked.debug and not asked.only:
        parser.error("--debug is for --only")
    return asked


ASKED = arguments()
ROOT = ASKED.root
ROUNDS = ASKED.rounds
SECRETS = os.path.join(ROOT, "target/bench/secrets-embedded")
FULL = os.path.join(ROOT, "target/debug/secrets" if ASKED.debug else "target/bench/secrets")
EXAMPLES = os.path.join(ROOT, "target/debug/examples" if ASKED.debug else "target/release/examples")
TOOLS = os.path.join(ROOT, "target/tools")


# The median of seven readings, in milliseconds.
PYTHON_DOTENV = """
import sys, time, statistics, dotenv
times = []
for _ in range(7):
    start = time.perf_counter()
    assert len(dotenv.dotenv_values(sys.argv[1])) == 7500
    times.append((time.perf_counter() - start) * 1e3)
print(statistics.median(times))
"""


def run(command, environment):
    """Wall time in milliseconds of one process."""
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ])
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter() - start) * 1e3
    if status != 0:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return elapsed


def peak(command, environment):
    """Peak memory in MiB of one process. GNU time starts it: a process counts what it was forked from
    as its own, and this Python is larger than what is measured."""
    timed = subprocess.run(["/usr/bin/time", "-f", "%M", *command], env=environment, check=True, capture_output=True)
    return int(timed.stderr.split()[-1]) / 1024


def paired(ours, other, environment, rounds=ROUNDS):
    """Median times of both, and the median of the ratios of neighbouring runs."""
    for command in (ours, other):
        for _ in range(3):
            run(command, environment)
    mine, theirs = [], []
    for turn in range(rounds):
        # Who goes first changes from turn to turn.
        for command, times in ((ours, mine), (other, theirs))[:: 1 if turn % 2 else -1]:
            times.append(run(command, environment))
    ratio = statistics.median(a / b for a, b in zip(mine, theirs))
    return statistics.median(mine), statistics.median(theirs), ratio


def section(name):
    """One section's text, and whether its bounds hold."""
    with Place(ROOT, FULL, EXAMPLES) as place:
        return SECTIONS[name](place, ROUNDS).run()


def alone(name):
    text, verdicts = section(name)
    print(text)
    if not all(verdicts):
        raise SystemExit("a bound does not hold")


def main():
    folder = tempfile.mkdtemp(prefix="secrets-bench-")
    os.chdir(folder)
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8"}
    with open(".env", "w", encoding="ascii") as file:
        for number in range(20):
            file.write(f"NAME_{number}=value-of-the-setting-{number}\n")
    os.chmod(".env", 0o600)
    exec_true = [SECRETS, "exec", "--", "true"]
    shell = ["/bin/sh", "-c", "set -a; . ./.env; exec true"]

    rows = []
    verdicts = []

    def compare(name, ours, other, limit=None, rounds=ROUNDS):
        mine, theirs, ratio = paired(ours, other, environment, rounds)
        held = "" if limit is None else ("yes" if ratio <= limit else "**no**")
        rows.append((name, f"{mine:.2f} ms", f"{theirs:.2f} ms", f"{ratio:.2f}", "" if limit is None else f"≤ {limit}", held))
        verdicts.append(limit is None or ratio <= limit)
        print(rows[-1], flush=True)

    compare("`exec` of `true`, 20-line `.env`, beside `sh -c '. ./.env'`", exec_true, shell, 1.5)
    dotenv = os.path.join(TOOLS, "python/bin/dotenv")
    compare("the same beside python-dotenv's `dotenv run`", exec_true, [dotenv, "run", "--", "true"], 1.0, max(20, ROUNDS // 10))
    dotenvx = os.path.join(TOOLS, "npm/node_modules/.bin/dotenvx")
    if os.path.exists(dotenvx):
        compare("the same beside `dotenvx run`", exec_true, [shutil.which("env"), dotenvx, "run", "--quiet", "--", "true"], 1.0, max(20, ROUNDS // 10))
    compare("`exec` from the `.env` with all providers built in, beside the embedded ones alone",
            [FULL, "exec", "--", "true"], exec_true, 1.05)
    missing = [] if os.path.exists(dotenvx) else ["dotenvx"]
    for peer, command in {"secretspec": ["run", "--", "true"], "teller": ["run", "--", "true"], "fnox": ["exec", "--", "true"]}.items():
        found = shutil.which(peer)
        if found:
            compare(f"the same beside `{peer}`", exec_true, [found, *command], 1.0, max(20, ROUNDS // 10))
        else:
            missing.append(peer)

    memory = max(peak(exec_true, environment) for _ in range(5))

    os.mkdir("local")
    os.chdir("local")
    subprocess.run([SECRETS, "init", "--no-recovery", "-q"], env=environment, check=True)
    text = open("../.env", "rb").read()
    subprocess.run([SECRETS, "import", "-", "--format", "dotenv", "-q"], env=environment, input=text, check=True)
    compare("`exec` from `local:` with a file identity, beside `exec` from the `.env`",
            exec_true, [SECRETS, "exec", "--store", "dotenv:../.env", "--", "true"], 2.0)
    local_memory = max(peak(exec_true, environment) for _ in range(5))

    million = min(run([SECRETS, "generate", "-n", "1000000"], environment) for _ in range(3))
    big = os.path.join(folder, "big.env")
    example = os.path.join(EXAMPLES, "timing")
    timing = json.loads(subprocess.run([example, big], check=True, capture_output=True).stdout)
    python_ms = float(subprocess.run([os.path.join(TOOLS, "python/bin/python"), "-c", PYTHON_DOTENV, big], check=True, capture_output=True).stdout)
    python_ratio = python_ms / timing["parse_ms"]
    # What a process takes for reading the file and holding its items, beyond one that reads four lines.
    held = statistics.median(peak([example, "--hold", big], environment) - peak([example, "--hold"], environment) for _ in range(15))
    share = held * 1024 * 1024 / os.path.getsize(big)
    size = os.path.getsize(SECRETS) / 1024 / 1024
    full_size = os.path.getsize(FULL) / 1024 / 1024
    texts = []
    for name in SECTIONS:
        text, held_there = section(name)
        texts.append(text)
        verdicts.extend(held_there)
    figures = [
        ("one million Django keys", f"{million:.0f} ms", "< 1000 ms", million < 1000),
        ("reading a 10,000-line `.env`", f"{timing['parse_ms']:.1f} ms", "< 10 ms", timing["parse_ms"] < 10),
        ("the same, times as fast as the `dotenvy` crate", f"{timing['dotenvy_ratio']:.1f}", "≥ 5", timing["dotenvy_ratio"] >= 5),
        ("the same, times as fast as python-dotenv", f"{python_ratio:.0f}", "≥ 50", python_ratio >= 50),
        ("memory for it, times the file", f"{share:.1f}", "≤ 4", share <= 4),
        ("changing one line of it, fsync included", f"{timing['edit_ms']:.1f} ms", "< 30 ms", timing["edit_ms"] < 30),
        ("peak memory of `exec` from the `.env`", f"{memory:.1f} MiB", "< 10 MiB", memory < 10),
        ("peak memory of `exec` from `local:`", f"{local_memory:.1f} MiB", "< 10 MiB", local_memory < 10),
        ("the stripped program, embedded providers and the keyring", f"{size:.1f} MiB", "< 8 MiB", size < 8),
        ("the same with all providers", f"{full_size:.1f} MiB", "< 30 MiB", full_size < 30),
    ]
    with open(os.path.join(ROOT, "docs/benchmarks.md"), "w", encoding="utf-8") as out:
        out.write("# Benchmarks\n\nMade by `scripts/bench`; do not edit. Commands are run in turn, and the ratio is the median of the\n"
                  "ratios of neighbouring runs: below 1 we are faster. A time is that of the whole process, `true` included.\n"
                  f"Times on a shared machine are noisy; trust ratios.\n\n{platform.system()} {platform.machine()}, "
                  f"{os.cpu_count()} CPUs, {ROUNDS} pairs, {time.strftime('%Y-%m-%d')}.\n\n")
        out.write("| what | secrets | the other | ratio | wanted | held |\n| --- | --- | --- | --- | --- | --- |\n")
        for row in rows:
            out.write("| " + " | ".join(row) + " |\n")
        if missing:
            out.write(f"\nNot found here, so nothing is said of them: {', '.join(missing)}.\n")
        out.write("\n| what | measured | wanted | held |\n| --- | --- | --- | --- |\n")
        for what, measured, wanted, held in figures:
            out.write(f"| {what} | {measured} | {wanted} | {'yes' if held else '**no**'} |\n")
            print(what, measured, wanted, held)
            verdicts.append(held)
        out.writelines(texts)
    shutil.rmtree(folder)
    print("docs/benchmarks.md written")
    if not all(verdicts):
        raise SystemExit("a bound does not hold")


if ASKED.only:
    alone(ASKED.only)
else:
    main()
