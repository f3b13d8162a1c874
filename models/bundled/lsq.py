#!/usr/bin/env python3
"""Quantization-aware fine-tuning of the bundled decoder to w4a4 with learned step sizes.

    lsq.py BASE.gguf OUT.gguf --out RUN_FOLDER

Starts from the base's weights and the steps of quantize.py, both from BASE.gguf.  LSQ (arXiv 1902.08153) in the
recipe of the NorthPole paper: int8 for the weights and the input of the output layer and for SiLU, int4 for all other
weights, inputs and attention products (fake_quant.py); the gradient of a step is scaled by 1/sqrt(n Qp); the learning
rate of steps is --boost times as high for the first --boost-steps.  Ours: steps are learned as logarithms, so that one
rate suits all sizes, and the loss is --distill parts cross-entropy with the base's predictions, the rest with the
text.

The batch of a step depends on (seed, step) alone: run the same command again to continue from the checkpoint as if
the run had not been stopped.  RUN_FOLDER/lsq.log is CSV; its first row, step 0, is post-training quantization; a row
has a held-out loss where it was measured.

Needs what quantize.py needs; with libopenblas0 in place of the reference BLAS it is 10 times as fast.
"""

import argparse
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

from fake_quant import W4A4
from quantize import base_of, post_training, write_w4a4
from train import evaluate, learning_rate

HEADER = "step,tokens,text_loss,distill_loss,heldout_loss,heldout_ppl,tok_per_s\n"


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("base")
    p.add_argument("file", help="GGUF file to write")
    p.add_argument("--out", default="run", help="folder for checkpoint and lsq.log")
    p.add_argument("--text", help="as of train.py")
    p.add_argument("--static", action="store_true", help="learn steps for attention and SiLU too (fake_quant.py)")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=600)
    p.add_argument("--warmup", type=int, default=10)
    p.add_argument("--cooldown", type=int, default=350, help="steps over which the rate falls")
    p.add_argument("--tokens", type=int, default=2048, help="tokens in a batch")
    p.add_argument("--ctx", type=int, default=256, help="window for most of the run")
    p.add_argument("--long-ctx", type=int, default=512, help="window for its end")
    p.add_argument("--long-steps", type=int, default=150, help="steps at --long-ctx")
    p.add_argument("--lr", type=float, default=5e-4)
    p.add_argument("--lr-end", type=float, default=0.01, help="last rate as a share of --lr")
    p.add_argument("--step-lr", type=float, default=1e-4, help="rate of steps, of their logarithms")
    p.add_argument("--boost", type=float, default=200, help="what that is multiplied by at first")
    p.add_argument("--boost-steps", type=int, default=250)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--distill", type=float, default=1.0)
    p.add_argument("--eval-every", type=int, default=300, help="steps between measurements of the held-out loss")
    p.add_argument("--save-every", type=int, default=25, help="steps between checkpoints and rows of the log")
    p.add_argument("--threads", type=int, default=2, help="of PyTorch (the last digits depend on it)")
    p.add_argument("--stop", type=int, help="stop after this step (checkpoint kept) without changing the schedule")
    args = p.parse_args()
    if args.tokens % max(args.ctx, args.long_ctx) or args.tokens % args.ctx:
        p.error("--tokens must be a multiple of --ctx and of --long-ctx")
    return args


def parameter_groups(model, decay):
    """Matrices, vectors, steps."""
    groups = [{"params": [], "weight_decay": w} for w in (decay, 0.0, 0.0)]
    for name, p in model.named_parameters():
        groups[2 if name.endswith("log_step") else 1 if p.dim() < 2 else 0]["params"].append(p)
    return groups


class Run:
    """Model, optimizer and what the log's next row needs."""

    def __init__(self, args, base, corpus):
        self.args, self.base, self.corpus = args, base, corpus
        self.model, self.step = W4A4(base.cfg, args.static), 0
        self.opt = torch.optim.AdamW(parameter_groups(self.model, args.weight_decay), lr=args.lr, betas=(0.9, 0.95),
                                     eps=1e-8, foreach=True)
        self.sums = torch.zeros(2, dtype=torch.float64)             # losses since the last row
        self.rows, self.path = 0, os.path.join(args.out, "lsq.pt")
        self.log_path = os.path.join(args.out, "lsq.log")

    def start(self):
        """From the checkpoint if there is one, else from post-training quantization."""
        if os.path.exists(self.path):
            state = torch.load(self.path)
            self.model.load_state_dict(state["model"])
            self.opt.load_state_dict(state["opt"])
            self.step, self.sums, self.rows = state["step"], state["sums"], state["rows"]
            print("# resumed at step %d" % self.step, file=sys.stderr)
            return
        self.model.load_state_dict(post_training(
            self.base, self.corpus.batch(self.args.seed, 0, 8, self.args.long_ctx)[0],
            self.args.static).state_dict())
        with open(self.log_path, "w") as f:
            f.write(HEADER)
        self.report(True)

    def save(self):
        torch.save({"model": self.model.state_dict(), "opt": self.opt.state_dict(), "step": self.step,
                    "sums": self.sums, "rows": self.rows}, self.path + ".new")
        os.replace(self.path + ".new", self.path)

    def losses(self, x, y):
        """Cross-entropy with the text and, less its least value, with the base's predictions."""
        with torch.no_grad():
            target = F.log_softmax(self.base(x).flatten(0, 1), -1)
        guess = F.log_softmax(self.model(x).flatten(0, 1), -1)
        return F.nll_loss(guess, y.flatten()), F.kl_div(guess, target, log_target=True, reduction="batchmean")

    def set_rates(self):
        a = self.args
        rate = learning_rate(a, self.step)
        of_steps = rate / a.lr * a.step_lr * (a.boost if self.step < a.boost_steps else 1)
        for g, r in zip(self.opt.param_groups, (rate, rate, of_steps)):
            g["lr"] = r

    def advance(self):
        a = self.args
        ctx = a.long_ctx if self.step >= a.steps - a.long_steps else a.ctx
        text, distill = self.losses(*self.corpus.batch(a.seed, self.step, a.tokens // ctx, ctx))
        self.opt.zero_grad()
        ((1 - a.distill) * text + a.distill * distill).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.set_rates()
        self.opt.step()
        self.step += 1
        self.rows += 1
        self.sums += torch.tensor((text.item(), distill.item()), dtype=torch.float64)

    def report(self, measure, speed=0.0):
        """A row of the log: losses since the last one."""
        held = evaluate(self.model, self.corpus.heldout) if measure else None
        row = [self.step, self.step * self.args.tokens]
        row += ["%.4f" % v for v in self.sums / self.rows] if self.rows else ["", ""]
        row += ["%.4f" % held, "%.3f" % math.exp(held)] if measure else ["", ""]
        line = ",".join(map(str, row + ["%.0f" % speed]))
        with open(self.log_path, "a") as f:
            f.write(line + "\n")
        print(line, flush=True)
        self.sums.zero_()
        self.rows = 0

    def train(self, end):
        t, first = time.monotonic(), self.step
        while self.step < end:
            self.advance()
            measure = self.step % self.args.eval_every == 0 or self.step == self.args.steps
            if measure or self.step % self.args.save_every == 0 or self.step == end:
                self.report(measure, (self.step - first) * self.args.tokens / (time.monotonic() - t))
                self.save()
                t, first = time.monotonic(), self.step


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    meta, base, corpus = base_of(args.base, args.text)
    run = Run(args, base, corpus)
    run.start()
    run.train(min(args.steps, args.stop or args.steps))
    write_w4a4(args.file, meta, run.model, "%s, fine-tuned by models/bundled/lsq.py of northwall, seed %d, step %d" % (
        meta["general.source"], args.seed, run.step))


if __name__ == "__main__":
    main()
