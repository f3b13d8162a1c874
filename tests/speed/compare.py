#!/usr/bin/env python3
"""Speed, start and memory beside other engines, paired: one round runs every contender once, in turn, every second round
from the last to the first, and rounds are repeated, so that neighbours in time are compared. A sample is thrown away
when other processes used more than --others of the cores.

  compare.py --northwall BIN --model Q4_0=M.gguf [--model Q8_0=M8.gguf] [--llama DIR] [--dllama BIN Q4_0=M.m]
             [--llama2c BIN Q8_0=M.bin] [--calm BIN Q4_0=GF4 Q8_0=FP8] [--prompt 96,512] [--rounds 6] [--only REGEX]

A file follows the format that it is compared under. DIR holds llama-bench, llama-batched-bench and, for the RPC row,
rpc-server; M.t lies beside M.m, llama2.c's tokenizer.bin beside its BIN. Peers that are not given are left out; the
first --model is run in every way, others with one and two ranks alone. Of the --prompt lengths the first is run with
the decoding, the rest by northwall and llama.cpp alone. Prints Markdown tables: median with an interval by binomial
ranks where there are samples enough (else least and greatest), n, and ratios round by round. Ctrl-C prints what there
is so far.
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
from collections import namedtuple

# run(sample) returns figures by name. A round runs kind after kind, and within one the contenders in ORDER: what is
# compared runs within the same minute.
Contender = namedtuple("Contender", "format name kind argv run")
SPEED, PREFILL, START, PAUSED = "speed", "prefill", "start", "start after a pause"
KINDS = [SPEED, PREFILL, START, PAUSED]
BATCH_PROMPT = 16  # tokens of each prompt where eight sequences are generated at once
STEPS = 16  # tokens of a start sample: time to read the memory of a process that generates

ONE, TWO, THREADS, BATCH = ("northwall, 1 rank", "northwall, 2 ranks (tp2)", "northwall, 1 rank x 2 threads",
                            "northwall, 1 rank, 8 sequences")
PAIRS = [(ONE, "llama.cpp -t 1"), (ONE, "llama2.c, 1 thread"), (ONE, "calm, 1 thread"), (TWO, "llama.cpp -t 2"),
         (TWO, THREADS), (TWO, "llama.cpp RPC, 2 servers"), (TWO, "distributed-llama, 2 nodes"),
         (TWO, "llama2.c, 2 threads"), (TWO, "calm, 2 threads"), (BATCH, "llama.cpp -t 1, 8 sequences")]
ORDER = list(dict.fromkeys(name for pair in PAIRS for name in pair))


# ---- one sample ----

def cpu_busy():
    """Busy seconds of all cores since boot."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v[:8]) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def tree(pid):
    """A process and all that descend from it."""
    parents = {}
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % p) as f:
                parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(p))
        except OSError:
            pass  # it has ended
    pids = [pid]
    for p in pids:
        pids += parents.get(p, [])
    return pids


def pss_mib(pid):
    """Memory of a process and its descendants: pages that several share count once."""
    kib = 0
    for p in tree(pid):
        with open("/proc/%d/smaps_rollup" % p) as f:
            kib += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1))
    return kib / 1024


class Sample:
    """Runs commands; afterwards `others` is the share of the cores that was used by processes not started here."""

    def __init__(self):
        self.env = dict(os.environ, OMP_WAIT_POLICY="active")
        self.helpers = []

    def __enter__(self):
        self.t, self.busy, self.own = time.monotonic(), cpu_busy(), children_seconds()
        return self

    def helper(self, argv):
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.helpers.append(subprocess.Popen(argv, env=self.env, **quiet))
        time.sleep(1.0)

    def run(self, argv, both=False):
        """What a command prints on stdout, or on stdout and stderr."""
        p = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
        out, err = p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")
        if p.returncode:
            sys.exit("%s: status %d\n%s" % (" ".join(argv), p.returncode, err[-2000:]))
        return out + err if both else out

    def start(self, argv, stream, mark):
        """Seconds until `mark` (b"": anything) is printed on stdout or stderr, and the memory then."""
        streams = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        streams[stream] = subprocess.PIPE
        t = time.monotonic()
        p = subprocess.Popen(argv, env=self.env, **streams)
        seen, pipe = b"", getattr(p, stream)
        while not seen or mark not in seen:
            piece = os.read(pipe.fileno(), 4096)
            if not piece:
                sys.exit("%s: ended without a token\n%s" % (" ".join(argv), seen[-2000:].decode(errors="replace")))
            seen += piece
        figures = {"start": time.monotonic() - t, "pss": pss_mib(p.pid)}
        p.communicate()
        return figures

    def __exit__(self, *_):
        for h in self.helpers:
            h.send_signal(signal.SIGTERM)
            try:
                h.wait(5)
            except subprocess.TimeoutExpired:
                h.kill()
                h.wait()
        self.seconds = time.monotonic() - self.t
        used = children_seconds() - self.own
        self.others = max(0.0, (cpu_busy() - self.busy - used) / (self.seconds * os.cpu_count()))
        return False


# ---- the engines: each function returns Contenders ----

def start_rows(fmt, name, argv, stream, mark, paused):
    def back_to_back(s):
        s.start(argv, stream, mark)  # so that the memory at hand is what this very command has given back
        return s.start(argv, stream, mark)

    def after_pause(s):
        return {"start after a pause": s.start(argv, stream, mark)["start"]}
    rows = [Contender(fmt, name, START, argv, back_to_back)]
    return rows + [Contender(fmt, name, PAUSED, argv, after_pause)] if paused else rows


def northwall(a, fmt, model, name, ranks=1, threads=1, batch=1):
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    split = ["--tp", str(ranks)] if ranks > 1 else []
    bench = launch + [a.northwall, "bench", "--model", model, "--repeat", "1", "--no-verify", "--json", "-q", "-t",
                      str(threads), "-b", str(batch)] + split

    def row(kind, prompt, predict):
        argv = bench + ["--n-prompt", str(prompt), "-n", str(predict)]

        def run(s):
            r = json.loads(s.run(argv))
            out = {"prefill %d" % prompt: r["prefill_tok_per_s"]}
            if kind == SPEED:
                out.update(decode=r["decode_tok_per_s"], fraction=r["fraction_of_read_bw"], read=r["read_GBps"])
            return out
        return Contender(fmt, name, kind, argv, run)
    rows = [row(SPEED, a.prompt[0] if batch == 1 else BATCH_PROMPT, a.predict)]
    if batch == 1 and threads == 1:
        rows += [row(PREFILL, n, 2) for n in a.prompt[1:]]
        argv = launch + [a.northwall, "run", "--model", model, "-p", "h", "-n", str(STEPS), "--no-echo", "-q"] + split
        rows += start_rows(fmt, name, argv, "stdout", b"", ranks == 1)
    return rows


def llama(a, fmt, model, name, threads, rpc=0):
    common = [a.llama + "/llama-bench", "-m", model, "-t", str(threads), "-r", "1", "-o", "json"]
    ports = ["127.0.0.1:%d" % (50152 + i) for i in range(rpc)]
    bench = common + ["-p", str(a.prompt[0]), "-n", str(a.predict)]
    bench += ["-ngl", "99", "--rpc", ",".join(ports)] if rpc else []

    def speed(s):
        for p in ports:
            s.env["OMP_NUM_THREADS"] = "1"
            s.helper([a.llama + "/rpc-server", "-H", "127.0.0.1", "-p", p.split(":")[1]])
        tests = json.loads(s.run(bench))
        return {"decode" if r["n_gen"] else "prefill %d" % a.prompt[0]: r["avg_ts"] for r in tests}
    rows = [Contender(fmt, name, SPEED, bench, speed)]
    if not rpc:
        rows += [llama_batched(a, fmt, model, name, PREFILL, threads, 1, n, 1) for n in a.prompt[1:]]
        # its warm-up generates one token: the next line of progress comes with the first token there
        start = common + ["-p", "0", "-n", str(STEPS), "--progress"]
        rows += start_rows(fmt, name, start, "stderr", b": generation run", threads == 1)
    return rows


def llama_batched(a, fmt, model, name, kind, threads, batch, prompt, predict):
    argv = [a.llama + "/llama-batched-bench", "-m", model, "-t", str(threads), "-c", "2048", "-npp", str(prompt),
            "-ntg", str(predict), "-npl", str(batch)]

    def run(s):
        row = [x.strip() for x in re.findall(r"^\|(.*)\|$", s.run(argv), re.M)[-1].split("|")]
        return {"prefill %d" % prompt: float(row[5])} if kind == PREFILL else {"decode": float(row[7])}
    return Contender(fmt, name, kind, argv, run)


def dllama(a, fmt, model, nodes=2):
    argv = [a.dllama[0], "inference", "--model", model, "--tokenizer", model[:-2] + ".t", "--buffer-float-type", "q80",
            "--prompt", "hello world this is", "--steps", "48", "--nthreads", "1", "--max-seq-len", "512",
            "--temperature", "0", "--net-turbo", "1"]
    ports = [str(9990 + i) for i in range(1, nodes)]
    argv += [word for p in ports for word in ("--workers", "127.0.0.1:" + p)]

    def run(s):
        for p in ports:
            s.helper([a.dllama[0], "worker", "--host", "127.0.0.1", "--port", p, "--nthreads", "1", "--net-turbo",
                      "1"])
        return {"decode": float(re.findall(r"tokens/s:\s*([0-9.]+)", s.run(argv))[-1])}
    return [Contender(fmt, "distributed-llama, %d nodes" % nodes, SPEED, argv, run)]


def openmp_peer(fmt, name, argv, rate, env):
    """Programs that take their threads from OMP_NUM_THREADS and generate from one token."""
    def row(threads):
        def run(s):
            s.env.update(env, OMP_NUM_THREADS=str(threads))
            return {"decode": float(re.search(rate, s.run(argv, True)).group(1))}
        words = ["%s=%s" % e for e in env.items()] + ["OMP_NUM_THREADS=%d" % threads] + argv
        return Contender(fmt, "%s, %d thread%s" % (name, threads, "s"[:threads - 1]), SPEED, words, run)
    return [row(1), row(2)]


def contenders(a):
    c = []
    for i, (fmt, model) in enumerate(a.model):
        every = i == 0
        c += northwall(a, fmt, model, ONE) + northwall(a, fmt, model, TWO, ranks=2)
        if every:
            c += northwall(a, fmt, model, THREADS, threads=2) + northwall(a, fmt, model, BATCH, batch=8)
        if a.llama:
            c += llama(a, fmt, model, "llama.cpp -t 1", 1) + llama(a, fmt, model, "llama.cpp -t 2", 2)
        if a.llama and every:
            c += [llama_batched(a, fmt, model, "llama.cpp -t 1, 8 sequences", SPEED, 1, 8, BATCH_PROMPT,
                                a.predict)]
            if os.path.exists(a.llama + "/rpc-server"):
                c += llama(a, fmt, model, "llama.cpp RPC, 2 servers", 1, rpc=2)
    for f in a.dllama[1:]:
        c += dllama(a, *format_file(f))
    for fmt, f in map(format_file, a.llama2c[1:]):
        argv = [a.llama2c[0], f, "-z", os.path.dirname(a.llama2c[0]) + "/tokenizer.bin", "-t", "0", "-n",
                str(a.predict + 1)]
        c += openmp_peer(fmt, "llama2.c", argv, r"achieved tok/s: ([0-9.]+)", {})
    for fmt, f in map(format_file, a.calm[1:]):
        argv = [a.calm[0], f, "-t", "0", "-i", "h", "-c", "512", "-n", str(a.predict)]
        c += openmp_peer(fmt, "calm", argv, r"throughput: ([0-9.]+) tok/s", {"CALM_CPU": "1"})
    c = [x for x in c if not a.only or re.search(a.only, " | ".join(x[:3]))]
    formats = list(dict.fromkeys([fmt for fmt, _ in a.model] + [x.format for x in c]))
    return sorted(c, key=lambda x: (KINDS.index(x.kind), formats.index(x.format), ORDER.index(x.name)))


# ---- the tables ----

def median_text(v, digits):
    """Median and the narrowest symmetric order-statistic interval of at least 95 %."""
    v = sorted(v)
    n, text = len(v), "%.*f" % (digits, statistics.median(v))
    for k in range(n // 2, 0, -1):
        if 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n >= 0.95:
            return "%s [%.*f, %.*f] n=%d" % (text, digits, v[k - 1], digits, v[n - k], n)
    return "%s (%.*f to %.*f) n=%d" % (text, digits, v[0], digits, v[-1], n)


def print_table(heading, columns, rows):
    """rows: (name, {column: values}); rows and columns without any value are left out."""
    columns = [c for c in columns if any(values.get(c[0]) for _, values in rows)]
    rows = [(name, values) for name, values in rows if any(values.get(c[0]) for c in columns)]
    if rows:
        print("\n| %s |\n|%s" % (" | ".join([heading] + [c[1] for c in columns]), "---|" * (1 + len(columns))))
    for name, values in rows:
        cells = [median_text(values[k], digits) if values.get(k) else "" for k, _, digits in columns]
        print("| %s |" % " | ".join([name] + cells))


def print_format(a, fmt, names, rounds):
    """rounds: one {(format, contender): {figure: value}} each."""
    prefill = [("prefill %d" % n, "prefill of %d, tok/s" % n, 1) for n in a.prompt]
    speed = [("decode", "decode, tok/s", 1)] + prefill
    memory = [("fraction", "fraction of read bandwidth", 3), ("read", "read GB/s", 1)]
    start = [("start", "start to first token, s", 2), ("start after a pause", "after a pause of %g s, s" % a.pause, 2),
             ("pss", "memory then (PSS), MiB", 0)]
    keys = [k for k, _, _ in speed + memory + start]
    pairs = [(o, t) for o, t in PAIRS if o in names and t in names]

    def values(key, name):
        return [g[fmt, name][key] for g in rounds if key in g.get((fmt, name), {})]

    def ratios(key, o, t):
        both = [(g[fmt, o], g[fmt, t]) for g in rounds if (fmt, o) in g and (fmt, t) in g]
        return [x[key] / y[key] for x, y in both if key in x and key in y]
    print("\n### %s" % fmt)
    rows = [(n, {k: values(k, n) for k in keys}) for n in names]
    print_table("contender", speed + memory, rows)
    print_table("contender", start, rows)
    words = [(k, text.split(",")[0], 2) for k, text, _ in speed + start]
    print_table("ratio, round by round", words, [("%s / %s" % p, {k: ratios(k, *p) for k in keys}) for p in pairs])


def format_file(word):
    fmt, _, path = word.partition("=")
    if not path:
        sys.exit("%s: expected a format and a file, as in Q4_0=model.gguf" % word)
    return fmt, path


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--northwall", required=True)
    p.add_argument("--model", required=True, action="append", type=format_file, metavar="FORMAT=FILE")
    p.add_argument("--llama", metavar="DIR")
    for name in ("dllama", "llama2c", "calm"):
        p.add_argument("--" + name, nargs="+", default=[], metavar="BIN FORMAT=FILE")
    p.add_argument("--prompt", type=lambda s: [int(x) for x in s.split(",")], default=[96], metavar="N,...")
    p.add_argument("--predict", type=int, default=32)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--pause", type=float, default=10, help="seconds of rest before a start after a pause")
    p.add_argument("--others", type=float, default=0.08)
    p.add_argument("--only", metavar="REGEX", help="of 'FORMAT | contender | kind'; kinds: " + ", ".join(KINDS))
    p.add_argument("--list", action="store_true", help="print the commands and stop")
    p.add_argument("--json", metavar="FILE", help="append every sample, with its command")
    return p.parse_args()


def run_round(a, who, number, rounds):
    """One sample of each contender, as {(format, name): figures} at the end of rounds."""
    rounds.append({})
    for i, c in enumerate(who):
        label = " | ".join(c[:3])
        print("\rround %d of %d, %d of %d: %-60s" % (number, a.rounds, i + 1, len(who), label), end="", file=sys.stderr)
        sys.stderr.flush()
        if c.kind == PAUSED:
            time.sleep(a.pause)
        with Sample() as s:
            figures = c.run(s)
        if s.others <= a.others:
            rounds[-1].setdefault((c.format, c.name), {}).update(figures)
        if a.json:
            row = {"round": number, "name": label, "command": c.argv, "seconds": s.seconds, "others": s.others}
            with open(a.json, "a") as f:
                f.write(json.dumps(dict(row, kept=s.others <= a.others, **figures)) + "\n")
        yield s.others <= a.others


def main():
    a = options()
    who, rounds, kept, t = contenders(a), [], [], time.monotonic()
    if a.list:
        print("\n".join("%s: %s" % (" | ".join(c[:3]), " ".join(c.argv)) for c in who))
        return
    try:
        for r in range(a.rounds):
            kept += run_round(a, who[::-1] if r % 2 else who, r + 1, rounds)
    except KeyboardInterrupt:
        pass
    print("\n%.0f s; %d of %d samples thrown away for other load above %g of the cores" %
          (time.monotonic() - t, kept.count(False), len(kept), a.others), file=sys.stderr)
    for fmt in dict.fromkeys(c.format for c in who):
        print_format(a, fmt, [name for name in ORDER if any(c[:2] == (fmt, name) for c in who)], rounds)


if __name__ == "__main__":
    main()
