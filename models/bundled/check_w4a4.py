#!/usr/bin/env python3
"""Check a w4a4 file, and what was trained, against the arithmetic of the C engine in numpy (integers.py).

    check_w4a4.py FILE.gguf                       perplexity of the first --tokens held-out tokens, in integers
    check_w4a4.py FILE.gguf --golden GOLDEN       hashes of logits are those of the file GOLDEN, which the engine's
                                                  test reads too (--write: write it)
    check_w4a4.py FILE.gguf --training            the model of fake_quant.py: of the same inputs every product has the
                                                  same integers and the same results, to the bit; then its logits

Needs numpy; --training torch.
"""

import argparse
import math
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from integers import IntegerDecoder, group_codes, static_codes   # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN_TOKENS = 72               # three blocks of the cache


def mix(x):
    """base/hash.h, hash_mix."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return x ^ (x >> np.uint64(31))


def hash_floats(v):
    """base/hash.h, from element 0 on."""
    at = np.arange(1, len(v) + 1, dtype=np.uint64)
    return int(np.add.reduce(mix(mix(at) ^ v.view(np.uint32).astype(np.uint64))))


def golden_lines(decoder, ids):
    logits = decoder.forward(ids)
    return ["# id of a token and hash of the logits after it: integers.py, of models/bundled/kjv-3m-w4a4.gguf"] + [
        "%d %016x" % (i, hash_floats(row)) for i, row in zip(ids, logits)]


def check_golden(decoder, path, write):
    if write:
        rng = np.random.default_rng(1)
        ids = np.concatenate(([1], rng.integers(3, len(decoder.mat["token_embd"].q), GOLDEN_TOKENS - 1)))
        with open(path, "w") as f:
            f.write("\n".join(golden_lines(decoder, ids)) + "\n")
    with open(path) as f:
        want = f.read().splitlines()
    ids = np.array([int(line.split()[0]) for line in want[1:]])
    got = golden_lines(decoder, ids)
    wrong = sum(a != b for a, b in zip(got[1:], want[1:]))
    print("%s: logits of %d of %d positions are those of the file" % (path, len(ids) - wrong, len(ids)))
    return wrong


class Comparison:
    """What flowed through each product of the trained model, beside integers.py on the same inputs."""

    def __init__(self, decoder, model):
        from fake_quant import Matrix
        self.decoder, self.products, self.wrong, self.hooks = decoder, 0, [], []
        for name, m in model.named_modules():
            if isinstance(m, Matrix):
                self.hooks.append(m.register_forward_hook(lambda m, x, y, name=name: self.compare(name, x[0], y)))

    def compare(self, name, x, y):
        """x: (codes, step) of the input; y: the product."""
        w = self.decoder.mat[name]
        q = x[0].numpy().astype(np.int32).reshape(-1, w.q.shape[1])
        sums = (q @ w.q.T).astype(np.float32) * (w.step * w.act_step)
        self.products += 1
        if not (np.float32(x[1]) == w.act_step and np.array_equal(sums, y.numpy().reshape(sums.shape))):
            self.wrong.append(name)


def compare_rounding(decoder, model, ids):
    """Codes of random values: learned inputs, groups or learned steps of attention and SiLU.  Returns names of those
    that differ."""
    import torch
    from fake_quant import HEAD_STEPS
    from fake_quant import group_codes as trained_codes
    from quantize import act_of
    rng, wrong = np.random.default_rng(2), []
    for name, w in decoder.mat.items():
        x = (rng.standard_normal((64, 512)) * 5 * w.act_step).astype(np.float32)
        if not np.array_equal(w.codes(x), act_of(model, name).codes(torch.tensor(x))[0].numpy()):
            wrong.append(name + ".act_step")
    for i, block in enumerate(model.blk):
        for n, name in HEAD_STEPS.items() if block.static else ():
            m, step = getattr(block, n), decoder.step(i, name[:-len(".step")])
            x = (rng.standard_normal((len(step), 64, 32)) * 5 * step).astype(np.float32)
            if not np.array_equal(static_codes(x, step, m.low, m.high), m.codes(torch.tensor(x))[0].numpy()):
                wrong.append("blk.%d.%s" % (i, name))
    for top in (7, 15, 127):
        x = rng.standard_normal((4096, 32)).astype(np.float32)
        pairs = zip(group_codes(x, top), trained_codes(torch.tensor(x), top))
        if not all(np.array_equal(a, b.numpy()) for a, b in pairs):
            wrong.append("groups to %d" % top)
    return wrong


def check_training(decoder, path, ids):
    import torch
    from quantize import read_w4a4
    model = read_w4a4(path)[1]
    torch.set_num_threads(1)
    wrong = compare_rounding(decoder, model, ids)
    c = Comparison(decoder, model)
    with torch.no_grad():
        trained = model(torch.tensor(ids[None]))[0].numpy()
    exact = decoder.forward(ids)
    print("training: %d products on %d tokens, %d differ in some bit%s" % (
        c.products, len(ids), len(c.wrong), ": " + ", ".join(c.wrong) if c.wrong else ""))
    print("training: rounding of %d inputs, %d steps of heads and SiLU and 3 sizes of groups, %d differ%s" % (
        len(decoder.mat), sum(5 * b.static for b in model.blk), len(wrong),
        ": " + ", ".join(wrong) if wrong else ""))
    print("training: logits differ by %.3f in the median, at most %.3f, of a standard deviation of %.2f; best token "
          "the same at %.1f %%" % (np.median(np.abs(trained - exact)), np.abs(trained - exact).max(), exact.std(),
                                   100 * np.mean(trained.argmax(1) == exact.argmax(1))))
    return len(wrong) + len(c.wrong)


def check_heldout(decoder, path, n, window=512):
    """Loss of the first n tokens, as train.evaluate has it."""
    from check_gguf import SpmTokenizer
    with open(path, encoding="utf-8", newline="") as f:
        ids = SpmTokenizer(decoder.meta).encode(" " + f.read())[:n]
    total = 0.0
    for at in range(0, len(ids), window - 1):
        y = np.array(ids[at:at + window - 1])
        x = decoder.forward(np.concatenate(([1], y[:-1]))).astype(np.float64)
        x -= x.max(1, keepdims=True)
        total += (np.log(np.exp(x).sum(1)) - x[np.arange(len(y)), y]).sum()
    print("held-out loss of %d tokens in integers: %.6f, perplexity %.4f" % (
        len(ids), total / len(ids), math.exp(total / len(ids))))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("file")
    p.add_argument("--golden", metavar="FILE")
    p.add_argument("--write", action="store_true")
    p.add_argument("--training", action="store_true")
    p.add_argument("--heldout", default=os.path.join(HERE, "heldout.txt"))
    p.add_argument("--tokens", type=int, default=2044)
    args = p.parse_args()
    decoder, wrong = IntegerDecoder(args.file), 0
    if args.golden:
        wrong += check_golden(decoder, args.golden, args.write)
    if args.training:
        wrong += check_training(decoder, args.file, np.random.default_rng(3).integers(3, 1000, 200))
    if not args.golden and not args.training:
        check_heldout(decoder, args.heldout, args.tokens)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
