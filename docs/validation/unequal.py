#!/usr/bin/env python3
"""Unequal ranks, measured: calibrated, shared by speed, and benched beside even shares in turns.

usage: unequal.py [--northwall FILE] [--model FILE|PRESET] [--rounds N] [--spinners N] [--budget S] [--out DIR]

Rank 1 of 2 is made slow by processes that spin on its processor (--spinners; 0: ranks as they are). Needs 2 idle
processors and an environment in which mpirun starts northwall. Prints one row a round, then the medians with their
ranges; writes the calibrated cluster and all figures under --out.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys


def ask():
    p = argparse.ArgumentParser()
    p.add_argument("--northwall", default="northwall")
    p.add_argument("--model", default="smollm-135m")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--spinners", type=int, default=2)
    p.add_argument("--budget", type=float, default=60)
    p.add_argument("--out", default="unequal")
    return p.parse_args()


def ranks(args, *words):
    r = subprocess.run(["mpirun", "-n", "2", args.northwall, *words], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"northwall {' '.join(words)}: status {r.returncode}: {r.stderr.strip()[-300:]}")
    return r.stdout


def processor(args):
    """Of rank 1, where northwall binds it."""
    found = re.search(r"rank 1 on CPU (\d+)", ranks(args, "calibrate", "--budget", "0.5"))
    return int(found[1]) if found else sys.exit("rank 1 has no processor of its own")


def spin(cpu, n):
    def bind():
        os.sched_setaffinity(0, {cpu})
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=bind) for _ in range(n)]


def one(args, cluster, shares):
    words = ["bench", "--model", args.model, "--tp", "2", "--net", cluster, "--shares", shares, "--n-prompt", "16",
             "-n", "32", "--repeat", "7", "--no-verify", "--json", "-q"]
    return json.loads(ranks(args, *words))["latency_ms_per_tok"]


def measure(args, cluster):
    rows = []
    print(f"{'round':5} {'even':>12} {'by speed':>12} {'even / by speed':>16}   ms a token, measured, medians of 7 runs")
    for i in range(args.rounds):
        order = ["even", "speed"] if i % 2 else ["speed", "even"]
        row = {s: one(args, cluster, s) for s in order}
        rows.append(row)
        print(f"{i:5} {row['even']:12.3f} {row['speed']:12.3f} {row['even'] / row['speed']:16.3f}", flush=True)
    return rows


def main():
    args = ask()
    os.makedirs(args.out, exist_ok=True)
    cluster = os.path.join(args.out, "cluster.yaml")
    spinners = spin(processor(args), args.spinners) if args.spinners else []
    try:
        text = ranks(args, "calibrate", "--budget", str(args.budget), "--out", cluster)
        print("\n".join(l for l in text.splitlines() if re.match(r"memory read|products read|rank", l)))
        plan = subprocess.run([args.northwall, "plan", "--model", args.model, "--tp", "2", "--net", cluster, "--json"],
                              capture_output=True, text=True, check=True).stdout
        for key in "head_begin", "ffn_leaf_begin", "vocab_begin":
            print(f"shares by speed: {key} {json.loads(plan)['stages'][0][key]}")
        rows = measure(args, cluster)
    finally:
        for p in spinners:
            p.kill()
            p.wait()
    gain = [r["even"] / r["speed"] for r in rows]
    print(f"even / by speed: {statistics.median(gain):.3f}, n = {len(gain)}, from {min(gain):.3f} to {max(gain):.3f}")
    with open(os.path.join(args.out, "rounds.json"), "w") as f:
        json.dump({"spinners": args.spinners, "model": args.model, "rounds": rows}, f, indent=1)


main()
