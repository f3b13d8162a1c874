#!/usr/bin/env python3
"""Speed beside other engines, paired: one round runs every contender once, in turn, and rounds are repeated, so that
neighbours in time are compared. A sample is thrown away when other processes used more than --others of the cores.

  compare.py --northwall BIN --model M.gguf [--llama-bin DIR] [--llama-rpc-bin DIR] [--dllama BIN --dllama-model M.m]
             [--rounds 7] [--prompt 128] [--predict 32] [--only NAME,...] [--json OUT.jsonl]

DIR holds llama-bench, llama-batched-bench (and rpc-server). Contenders whose programs are not given are left out. Prints
a table: median, interval by binomial ranks where there are samples enough, n, and the ratio to each peer round by round.
"""
import argparse
import json
import math
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time


def cpu_busy():
    """Busy seconds of all cores since boot."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v[:8]) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


class Sample:
    """Runs commands; afterwards `others` is the share of the cores that was used by processes not started here."""

    def __init__(self, env):
        self.env = dict(os.environ, **env)
        self.helpers = []

    def __enter__(self):
        self.t, self.busy, self.own = time.monotonic(), cpu_busy(), children_seconds()
        return self

    def helper(self, argv):
        self.helpers.append(subprocess.Popen(argv, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1.0)

    def run(self, argv):
        p = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        out = p.stdout.decode(errors="replace")
        if p.returncode:
            sys.exit("%s: status %d\n%s" % (" ".join(argv), p.returncode, p.stderr.decode(errors="replace")[-2000:]))
        return out

    def __exit__(self, *_):
        for h in self.helpers:
            h.send_signal(signal.SIGTERM)
            try:
                h.wait(5)
            except subprocess.TimeoutExpired:
                h.kill()
                h.wait()
        wall = time.monotonic() - self.t
        used = children_seconds() - self.own
        self.others = max(0.0, (cpu_busy() - self.busy - used) / (wall * os.cpu_count()))
        return False


def northwall(a, ranks, threads, batch):
    argv = [a.northwall, "bench", "--model", a.model, "--n-prompt", str(a.prompt), "-n", str(a.predict), "--repeat", "1",
            "--no-verify", "--json", "-q", "-t", str(threads), "-b", str(batch)]
    if ranks > 1:
        argv = ["mpirun", "-n", str(ranks), "--bind-to", "core"] + argv + ["--tp", str(ranks)]

    def sample(s):
        r = json.loads(s.run(argv))
        return {"decode": r["decode_tok_per_s"], "prefill": r["prefill_tok_per_s"],
                "fraction_of_read_bw": r["fraction_of_read_bw"], "read_GBps": r["read_GBps"]}
    return argv, sample


def llama_bench(a, where, threads, rpc):
    argv = [where + "/llama-bench", "-m", a.model, "-t", str(threads), "-p", str(a.prompt), "-n", str(a.predict), "-r", "1",
            "-o", "json"]
    servers = []
    if rpc:
        ports = ["127.0.0.1:%d" % (50152 + i) for i in range(rpc)]
        servers = [[where + "/rpc-server", "-H", "127.0.0.1", "-p", p.split(":")[1]] for p in ports]
        argv += ["-ngl", "99", "--rpc", ",".join(ports)]

    def sample(s):
        for argv_server in servers:
            s.env["OMP_NUM_THREADS"] = "1"
            s.helper(argv_server)
        out = {}
        for r in json.loads(s.run(argv)):
            out["decode" if r["n_gen"] else "prefill"] = r["avg_ts"]
        return out
    return argv, sample


def llama_batched(a, threads, batch):
    argv = [a.llama_bin + "/llama-batched-bench", "-m", a.model, "-t", str(threads), "-c", "4096", "-npp", "16", "-ntg",
            str(a.predict), "-npl", str(batch)]

    def sample(s):
        row = [x.strip() for x in re.findall(r"^\|(.*)\|$", s.run(argv), re.M)[-1].split("|")]
        return {"decode": float(row[7])}
    return argv, sample


def dllama(a, nodes):
    argv = [a.dllama, "inference", "--model", a.dllama_model, "--tokenizer", a.dllama_model[:-2] + ".t",
            "--buffer-float-type", "q80", "--prompt", "hello world this is", "--steps", "48", "--nthreads", "1",
            "--max-seq-len", "512", "--temperature", "0", "--net-turbo", "1"]
    workers = []
    for i in range(1, nodes):
        port = str(9990 + i)
        workers.append([a.dllama, "worker", "--host", "127.0.0.1", "--port", port, "--nthreads", "1", "--net-turbo", "1"])
        argv += ["--workers", "127.0.0.1:" + port]

    def sample(s):
        for w in workers:
            s.helper(w)
        return {"decode": float(re.findall(r"tokens/s:\s*([0-9.]+)", s.run(argv))[-1])}
    return argv, sample


def contenders(a):
    c = {"northwall, 1 rank": northwall(a, 1, 1, 1), "northwall, 2 ranks (tp2)": northwall(a, 2, 1, 1),
         "northwall, 1 rank x 2 threads": northwall(a, 1, 2, 1), "northwall, 1 rank, 8 sequences": northwall(a, 1, 1, 8)}
    if a.llama_bin:
        c["llama.cpp -t 1"] = llama_bench(a, a.llama_bin, 1, 0)
        c["llama.cpp -t 2"] = llama_bench(a, a.llama_bin, 2, 0)
        c["llama.cpp -t 1, 8 sequences"] = llama_batched(a, 1, 8)
    if a.llama_rpc_bin:
        c["llama.cpp RPC, 2 servers"] = llama_bench(a, a.llama_rpc_bin, 1, 2)
    if a.dllama:
        c["distributed-llama, 2 nodes"] = dllama(a, 2)
    return {k: v for k, v in c.items() if not a.only or any(o in k for o in a.only.split(","))}


PAIRS = [("northwall, 1 rank", "llama.cpp -t 1"), ("northwall, 2 ranks (tp2)", "llama.cpp -t 2"),
         ("northwall, 2 ranks (tp2)", "distributed-llama, 2 nodes"), ("northwall, 2 ranks (tp2)", "llama.cpp RPC, 2 servers"),
         ("northwall, 2 ranks (tp2)", "northwall, 1 rank x 2 threads"),
         ("northwall, 1 rank, 8 sequences", "llama.cpp -t 1, 8 sequences")]


def median_text(v, digits):
    """Median and the narrowest symmetric order-statistic interval of at least 95 %."""
    v = sorted(v)
    n, text = len(v), "%.*f" % (digits, statistics.median(v))
    for k in range(n // 2, 0, -1):
        if 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n >= 0.95:
            return "%s [%.*f, %.*f] n=%d" % (text, digits, v[k - 1], digits, v[n - k], n)
    return "%s (%.*f to %.*f) n=%d" % (text, digits, v[0], digits, v[-1], n)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("northwall", "model"):
        p.add_argument("--" + name, required=True)
    for name in ("llama-bin", "llama-rpc-bin", "dllama", "dllama-model", "only", "json"):
        p.add_argument("--" + name)
    for name, value in (("rounds", 7), ("prompt", 128), ("predict", 32)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--others", type=float, default=0.08)
    a = p.parse_args()
    who, rounds, dropped = contenders(a), [], 0
    for r in range(a.rounds):
        got = {}
        for name, (argv, sample) in who.items():
            with Sample({"OMP_WAIT_POLICY": "active"}) as s:
                figures = sample(s)
            if s.others > a.others:
                dropped += 1
            else:
                got[name] = figures
            if a.json:
                with open(a.json, "a") as f:
                    f.write(json.dumps({"round": r, "name": name, "command": argv, "others": s.others, **figures}) + "\n")
            print("\rround %d of %d: %-40s" % (r + 1, a.rounds, name), end="", file=sys.stderr, flush=True)
        rounds.append(got)
    print("\n%d samples thrown away for other load above %g of the cores" % (dropped, a.others), file=sys.stderr)
    print("| contender | decode tok/s, median [95 %] | prefill tok/s | fraction of read bandwidth | read GB/s |\n|---|---|---|---|---|")
    for name in who:
        cells = []
        for key, digits in (("decode", 1), ("prefill", 1), ("fraction_of_read_bw", 3), ("read_GBps", 1)):
            v = [g[name][key] for g in rounds if name in g and key in g[name]]
            cells.append(median_text(v, digits) if v else "")
        print("| %s | %s |" % (name, " | ".join(cells)))
    print("\n| ratio, round by round | decode | prefill |\n|---|---|---|")
    for ours, theirs in PAIRS:
        cells = []
        for key in ("decode", "prefill"):
            v = [g[ours][key] / g[theirs][key] for g in rounds
                 if ours in g and theirs in g and key in g[ours] and key in g[theirs]]
            cells.append(median_text(v, 2) if v else "")
        if any(cells):
            print("| %s / %s | %s |" % (ours, theirs, " | ".join(cells)))


if __name__ == "__main__":
    main()
