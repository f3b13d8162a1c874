#!/usr/bin/env python3
"""Decoding between hosts of the lab, predicted from calibration alone, then measured (docs/VALIDATION.md).

    lab.py calibrate FOLDER     a cluster file for each rate, measured in the lab
    lab.py predict FOLDER       lab-predictions.csv from these files, simulated; it is written once
    lab.py measure FOLDER       lab-points.csv: what is predicted beside what is measured

northwall and northwall-lab are those in PATH; both are started as root (docs/LAB.md)."""
import csv
import json
import os
import subprocess
import sys

RATES = ["20Mb/s", "50Mb/s", "100Mb/s", "200Mb/s"]
BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/bundled")
MODELS = {
    "kjv-3m-q8_0": ["--model", BUNDLED + "/kjv-3m-q8_0.gguf"],
    "kjv-3m-q4_0": ["--model", BUNDLED + "/kjv-3m-q4_0.gguf"],
    "smollm-135m": ["--model", "smollm-135m", "--quant", "q8_0"],
}
STRATEGIES = {"tp2": [], "pp2": [], "tp2 int8": ["--wire", "int8"]}
PROMPT, GENERATED, REPEAT = "8", "16", "9"


def cluster(folder, rate):
    return os.path.join(folder, "lab-" + rate.split("Mb")[0] + ".yaml")


def run(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(" ".join(words) + ": status " + str(done.returncode) + ": " + done.stderr.strip()[-400:])
    return done.stdout


def calibrate(folder):
    for rate in RATES:
        run(["northwall-lab", "--hosts", "2", "--rate", rate, "calibrate", "--threads", "1", "--out", cluster(folder, rate)])
        print("calibrated", rate, flush=True)


def points():
    for rate in RATES:
        for model in MODELS:
            for name in STRATEGIES:
                yield rate, model, name


def predict(folder):
    path = os.path.join(folder, "lab-predictions.csv")
    if os.path.exists(path):
        sys.exit(path + " is there: what was predicted stays")
    with open(path + ".part", "w", newline="", encoding="ascii") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["rate", "model", "strategy", "simulated [ms/token]"])
        for rate, model, name in points():
            o = json.loads(run(["northwall", "simulate", *MODELS[model], "--strategy", name.split()[0], *STRATEGIES[name],
                                "--cluster", cluster(folder, rate), "--users", "1", "--prompt", PROMPT,
                                "--generate", GENERATED, "--json"]))
            out.writerow([rate, model, name, "%.6g" % o["decode_ms_per_tok"]])
    os.rename(path + ".part", path)


def bench(rate, model, name, verify):
    return json.loads(run(["northwall-lab", "--hosts", "2", "--rate", rate, *verify, "bench", *MODELS[model],
                           "--strategy", name.split()[0], *STRATEGIES[name], "--threads", "1", "--n-prompt", PROMPT,
                           "-n", GENERATED, "--repeat", REPEAT, "--no-verify", "--json", "-q"]))


def measure(folder):
    with open(os.path.join(folder, "lab-predictions.csv"), newline="", encoding="ascii") as f:
        said = list(csv.reader(f))[1:]
    path = os.path.join(folder, "lab-points.csv")
    with open(path + ".part", "w", newline="", encoding="ascii") as f:  # an earlier file stays until all are measured
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["rate", "model", "strategy", "simulated [ms/token]", "measured [ms/token]", "low", "high", "n",
                      "simulated / measured - 1 [%]"])
        last = None
        for rate, model, name, ms in said:
            o = bench(rate, model, name, [] if rate != last else ["--no-verify"])  # a link is verified once
            last = rate
            is_ms, low, high = (1e3 / o["decode_tok_per_s" + end] for end in ("", "_high", "_low"))
            out.writerow([rate, model, name, ms, "%.6g" % is_ms, "%.6g" % low, "%.6g" % high, o["n"],
                          "%.3g" % (100 * (float(ms) / is_ms - 1))])
            f.flush()
            print(rate, model, name, ms, "%.4g [%.4g, %.4g] ms/token" % (is_ms, low, high), flush=True)
    os.rename(path + ".part", path)


if __name__ == "__main__":
    tasks = {"calibrate": calibrate, "predict": predict, "measure": measure}
    if len(sys.argv) != 3 or sys.argv[1] not in tasks:
        sys.exit(__doc__)
    tasks[sys.argv[1]](sys.argv[2])
