#!/usr/bin/env python3
"""Post-training quantization of the bundled decoder to w4a4: no weight is changed, steps are chosen.

    quantize.py BASE.gguf OUT.gguf [--static] [--seed 1] [--windows 8]

The step of each row of a matrix, and that of each input of products, is the one with the least squared error of 200
between a fifth of and the whole of amax / 7 (amax / 127 for int8): rows by their weights, inputs by what the base
computes in binary32 on random windows of 512 tokens of the training text.  With --static the same for heads of
queries, keys and values and for SiLU; they have scales of their own values at run time without.  Prints the held-out
loss of both.

Importable: base_of, post_training, write_w4a4, read_w4a4.

Needs what train.py needs but sentencepiece: the tokenizer is the base's.
"""

import argparse
import copy
import math
import sys

import numpy as np
import torch

from check_gguf import config_of, load_gguf
from export_gguf import F32, I8, STRING, U32, metadata_of, pack_i4, read_gguf, unpack_i4, write_gguf
from fake_quant import HEAD_STEPS, PRODUCT_INPUTS, W4A4, Matrix
from train import Corpus, evaluate, load_text, split_text

TRIES = 200


def base_of(path, text=None):
    """(metadata, model in binary32, corpus) of a file that export_gguf.py wrote."""
    model, tokenizer = load_gguf(path)
    return read_gguf(path)[0], model, Corpus(*split_text(load_text(text)), tokenizer.encode)


def best_step(x, low, high):
    """Steps of least squared error, one a row of x."""
    amax = x.abs().amax(1)
    best, least = amax / high, torch.full_like(amax, math.inf)
    for i in range(TRIES):
        step = (amax * (0.2 + 0.8 * (i + 1) / TRIES) / high).clamp_min(1e-12)
        q = (x / step[:, None]).clamp_(low, high).round_()
        error = q.mul_(step[:, None]).sub_(x).square_().sum(1)
        best = torch.where(error < least, step, best)
        least = torch.minimum(error, least)
    return best


def inputs_of(base, ids):
    """{name of a learned input: what flows into it, [tokens, columns]}, of the base on ids."""
    seen, hooks = {}, []

    def watch(module, name):
        hooks.append(module.register_forward_pre_hook(lambda m, x: seen.__setitem__(name, x[0].flatten(0, 1))))

    for i, block in enumerate(base.blk):
        for name, readers in PRODUCT_INPUTS.items():
            watch(getattr(block, readers[0]), "blk.%d.%s" % (i, name))
    hooks.append(base.output_norm.register_forward_hook(
        lambda m, x, y: seen.__setitem__("output_in", y.flatten(0, 1))))
    with torch.no_grad():
        base(ids)
    for h in hooks:
        h.remove()
    return seen


# What writes the columns of an input: a norm, or a matrix whose rows they are.
WRITERS = {"attn_in": "attn_norm", "attn_output_in": "attn_v", "ffn_in": "ffn_norm", "ffn_down_in": "ffn_up"}


@torch.no_grad()
def equalized(base, ids, power=0.5):
    """The same function with other numbers: each column of an input is divided, where it is written, by (its size / the
    size of the weights that read it)^power, and these are multiplied, so that neither has columns far above the rest
    (arXiv 1906.04721, 2211.10438).  Sizes: root mean squares."""
    base, seen = copy.deepcopy(base), inputs_of(base, ids)
    for i, block in enumerate(base.blk):
        for name, writer in WRITERS.items():
            readers = [getattr(block, r).weight for r in PRODUCT_INPUTS[name]]
            ratio = seen["blk.%d.%s" % (i, name)].square().mean(0) / torch.cat(readers).square().mean(0)
            c = ratio.clamp_min(1e-12).pow(power / 2)
            c /= c.log().mean().exp()
            written = getattr(block, writer).weight
            written.div_(c[:, None] if written.dim() == 2 else c)
            for w in readers:
                w.mul_(c)
    return base


def calibrate(model, ids):
    """Chooses HEAD_STEPS, each on what flows there when all before it is rounded; those of weights are 1/15, which
    clamps none."""
    def choose(m, x):
        rows = x[0].transpose(0, 1).flatten(1) if m.log_step.dim() else x[0].reshape(1, -1)
        m.log_step.copy_(best_step(rows, m.low, m.high).log().view(m.log_step.shape))

    hooks = []
    for block in model.blk:
        block.w_in.log_step.fill_(-math.log(block.w_in.high))
        hooks += [getattr(block, n).register_forward_pre_hook(choose) for n in HEAD_STEPS if n != "w_in"]
    model(ids)
    for h in hooks:
        h.remove()


@torch.no_grad()
def post_training(base, ids, static=False):
    """A W4A4 of the base's weights, equalized, with steps chosen on token windows ids."""
    base = equalized(base, ids)
    model = W4A4(base.cfg, static)
    model.load_state_dict(base.state_dict(), strict=False)
    for m in model.modules():
        if isinstance(m, Matrix):
            m.log_step.copy_(best_step(m.weight, m.low, m.high).log()[:, None])
    for name, x in inputs_of(base, ids).items():
        m = model.get_submodule(name)
        m.log_step.copy_(best_step(x.reshape(1, -1), m.low, m.high)[0].log())
    if static:
        calibrate(model, ids)
    return model


def act_of(model, name):
    """The learned input of matrix `name` ("blk.0.attn_q")."""
    layer, _, short = name.rpartition(".")
    inputs = [i for i, readers in PRODUCT_INPUTS.items() if short in readers]
    return model.get_submodule(layer + "." + inputs[0] if inputs else "output_in")


def matrix_tensors(name, m, act_step):
    q, step = m.codes(m.weight)
    q, step = q.numpy().astype(np.int8), step.numpy().reshape(-1)
    return [(name, I8, pack_i4(q) if m.high == 7 else q), (name + ".step", F32, step),
            (name + ".act_step", F32, act_step.step().numpy().reshape(1))]


@torch.no_grad()
def write_w4a4(path, meta, model, source):
    """The model as a file of northwall's own formats; meta: that of the base."""
    tensors, formats = [], []
    for name, p in model.state_dict().items():
        if name.endswith("log_step"):
            continue
        m = model.get_submodule(name[:-len(".weight")])
        if not isinstance(m, Matrix):
            tensors.append((name, F32, p.numpy()))
            continue
        act = act_of(model, name[:-len(".weight")])
        tensors += matrix_tensors(name, m, act)
        formats.append(("northwall.format." + name, STRING, "I4" if m.high == 7 else "I8"))
        if act.high == 127 and m.high == 7:
            formats.append(("northwall.act_bits." + name, U32, 8))
    for i, block in enumerate(model.blk):
        tensors += [("blk.%d.%s" % (i, name), F32, getattr(block, n).step().numpy().reshape(-1))
                    for n, name in HEAD_STEPS.items() if block.static]
    vocabulary = [meta["tokenizer.ggml." + k] for k in ("tokens", "scores", "token_type")]
    write_gguf(path, metadata_of(model.cfg, *vocabulary, None, "KJV 3M w4a4", source) + formats, tensors)


@torch.no_grad()
def read_w4a4(path):
    """(metadata, W4A4) of a file that write_w4a4 wrote: its steps to the bit, which no logarithm may hold."""
    meta, tensors = read_gguf(path)
    model = W4A4(config_of(meta), "blk.0." + HEAD_STEPS["q_in"] in tensors)
    for i, block in enumerate(model.blk):
        for n, name in HEAD_STEPS.items() if block.static else ():
            m = getattr(block, n)
            m.fixed = torch.tensor(tensors["blk.%d.%s" % (i, name)]).view(m.log_step.shape)
    for name, p in model.named_parameters():
        if name not in tensors:
            continue
        m, x = model.get_submodule(name[:-len(".weight")]), torch.tensor(tensors[name])
        if isinstance(m, Matrix):
            step = torch.tensor(tensors[name + ".step"])[:, None]
            x = step * (torch.tensor(unpack_i4(tensors[name])) if m.high == 7 else x)
            act = act_of(model, name[:-len(".weight")])
            m.fixed, act.fixed = step, torch.tensor(tensors[name + ".act_step"][0])
        p.copy_(x)
    return meta, model.eval()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("base")
    p.add_argument("out")
    p.add_argument("--text", help="as of train.py")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--static", action="store_true", help="steps for attention and SiLU too")
    p.add_argument("--windows", type=int, default=8)
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    meta, base, corpus = base_of(args.base, args.text)
    model = post_training(base, corpus.batch(args.seed, 0, args.windows, 512)[0], args.static)
    write_w4a4(args.out, meta, model, "steps by models/bundled/quantize.py of northwall, seed %d" % args.seed)
    for name, m in (("full precision", base), ("post-training w4a4", model)):
        loss = evaluate(m, corpus.heldout)
        print("%s: held-out loss %.5f, perplexity %.4f" % (name, loss, math.exp(loss)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
