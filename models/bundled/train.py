#!/usr/bin/env python3
"""Train the bundled decoder: a 2.9 M parameter Llama on the King James text.

Everything the model depends on is made here, from one public-domain source
and one seed:

  text       the 31,102 verses printed by the `bible` program (Debian packages
             bible-kjv and bible-kjv-text)
  split      whole chapters, drawn by a fixed seed, are held out (about 4 %)
  tokenizer  a SentencePiece BPE of 1024 pieces, trained on the training split
  model      RMSNorm, rotary positions in interleaved pairs, SwiGLU, no biases,
             tied embeddings; parameter names are the GGUF tensor names
  training   AdamW; warm-up, constant rate and cosine cooldown counted in steps;
             an exponential moving average of the weights; the average with the
             lowest held-out loss is kept as best.pt

The batch and the dropout of a step depend on (seed, step) alone, so a run that
was stopped continues from its checkpoint as if it had not been: run the same
command again.

Other scripts may import this file: Config, Llama, load_text, split_text,
heldout_text, Corpus, evaluate and generate have no side effects at import.

Needs: python3-torch, python3-numpy, python3-sentencepiece, bible-kjv.
"""

import argparse
import dataclasses
import hashlib
import math
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

UNK, BOS, EOS = 0, 1, 2          # SentencePiece's and Llama's usual three
BYTE0 = 3                        # piece of byte b is BYTE0 + b
NEWLINE = BYTE0 + 0x0A           # "<0x0A>"
SPLIT_SEED = 1611                # never changes: it defines what is held out
HELDOUT_BYTES = 176_000          # about 4 % of the text


# ---------------------------------------------------------------- the text --

def load_text(source=None):
    """The verses as a list of (book, chapter, verse text).

    source is a file holding the output of `bible -f "Gen1:1-Rev22:21"`; None
    runs the program.
    """
    if source:
        with open(source, encoding="ascii") as f:
            raw = f.read()
    else:
        if shutil.which("bible") is None:
            sys.exit("train.py: the program `bible` is missing; it and the text "
                     "come with the Debian package bible-kjv "
                     "(apt-get install bible-kjv)")
        run = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            sys.exit("train.py: `bible` failed (is the Debian package "
                     "bible-kjv-text installed?): "
                     + run.stderr.decode(errors="replace").strip())
        raw = run.stdout.decode("ascii")
    verses = []
    for line in raw.splitlines():
        m = re.match(r"([0-9]?[A-Za-z]+)([0-9]+):([0-9]+) +(.*\S)\s*$", line)
        if not m:
            sys.exit("train.py: unexpected line from `bible`: %r" % line[:80])
        verses.append((m.group(1), int(m.group(2)), m.group(4)))
    if len(verses) != 31102:
        sys.exit("train.py: expected 31102 verses, got %d" % len(verses))
    return verses


def split_text(verses):
    """(train, heldout): each a list of (book, [verse, ...]), one per chapter.

    The first chapter of a book is never held out: it is what follows the
    beginning-of-text token in the training stream.
    """
    chapters = []
    for book, number, verse in verses:
        if not chapters or chapters[-1][:2] != (book, number):
            chapters.append((book, number, []))
        chapters[-1][2].append(verse)
    order = [i for i, c in enumerate(chapters) if c[1] != 1]
    random.Random(SPLIT_SEED).shuffle(order)
    held, size = set(), 0
    for i in order:
        if size >= HELDOUT_BYTES:
            break
        held.add(i)
        size += sum(len(v) + 1 for v in chapters[i][2]) + 1
    train = [(b, v) for i, (b, _, v) in enumerate(chapters) if i not in held]
    heldout = [(b, v) for i, (b, _, v) in enumerate(chapters) if i in held]
    return train, heldout


def heldout_text(heldout):
    """The held-out chapters as a file: a verse a line, a blank line between
    chapters.  The training stream has the same form."""
    return "\n".join("".join(v + "\n" for v in verses) for _, verses in heldout)


# ----------------------------------------------------------- the tokenizer --

def train_tokenizer(train, prefix, vocab_size=1024):
    """Train the BPE and write PREFIX.model; a no-op if that file exists.

    No dummy prefix is added while training, so that the words that open a verse
    after a newline ("And", "For", ...) get pieces of their own.  The prefix
    is put in front of a text by Corpus, exactly as an engine does that reads
    add_space_prefix from the GGUF file.
    """
    import sentencepiece as spm
    if not os.path.exists(prefix + ".model"):
        def lines():
            for _, verses in train:
                for i, v in enumerate(verses):
                    yield (" " + v) if i == 0 else v
        spm.SentencePieceTrainer.train(
            sentence_iterator=lines(), model_prefix=prefix,
            model_type="bpe", vocab_size=vocab_size, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=False, split_digits=True, character_coverage=1.0,
            num_threads=1, unk_id=UNK, bos_id=BOS, eos_id=EOS, pad_id=-1,
            max_sentence_length=8192, minloglevel=2)
    sp = spm.SentencePieceProcessor(model_file=prefix + ".model")
    assert sp.id_to_piece(NEWLINE) == "<0x0A>" and len(sp) == vocab_size
    return sp


# ------------------------------------------------------------ token stream --

class Corpus:
    """The training stream and its random windows, and the held-out stream.

    encode is a function from str to a list of ids that adds neither a prefix
    nor special tokens.  The stream is, for each book,

        BOS " " verse NL verse NL ... NL NL verse NL ... verse NL EOS
    """

    def __init__(self, train, heldout, encode):
        out, starts, self.first = [], [], []
        book = None
        for b, verses in train:
            if b != book:
                if book is not None:
                    out.append(EOS)
                out.append(BOS)
            else:
                out.append(NEWLINE)
            for i, v in enumerate(verses):
                opening = encode(" " + v)       # as the first verse of a text
                ids = opening if (b != book and i == 0) else encode(v)
                out += ids
                starts.append(len(out))         # where the verse ends
                self.first.append(np.array(opening, np.int64))
                out.append(NEWLINE)
            book = b
        out.append(EOS)
        self.stream = np.array(out, np.int64)
        self.ends = np.array(starts, np.int64)
        text = heldout_text(heldout)
        self.heldout = np.array(encode(" " + text), np.int64)
        self.heldout_bytes = len(text.encode())
        self.heldout_words = len(text.split())

    def batch(self, seed, step, size, ctx):
        """inputs and targets [size, ctx] of a step.

        Every window begins with BOS, as every text does that an engine is
        given.  Half of the windows begin with a verse, the others anywhere.
        """
        rng = np.random.default_rng((seed, step))
        rows = np.empty((size, ctx + 1), np.int64)
        rows[:, 0] = BOS
        for r in range(size):
            if r % 2 == 0:
                while True:
                    v = rng.integers(len(self.ends))
                    lead = self.first[v][:ctx]
                    more = ctx - len(lead)
                    if self.ends[v] + more <= len(self.stream):
                        break
                rows[r, 1:1 + len(lead)] = lead
                rows[r, 1 + len(lead):] = self.stream[self.ends[v]:self.ends[v] + more]
            else:
                o = rng.integers(len(self.stream) - ctx + 1)
                rows[r, 1:] = self.stream[o:o + ctx]
        rows = torch.from_numpy(rows)
        return rows[:, :-1], rows[:, 1:]


# --------------------------------------------------------------- the model --

@dataclasses.dataclass
class Config:
    vocab: int = 1024
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    ffn: int = 512
    context: int = 512
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.hidden // self.heads


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weight


def rope_table(cfg, length):
    """cos and sin, [length, head_dim / 2]."""
    freq = cfg.rope_base ** (-torch.arange(0, cfg.head_dim, 2).double() / cfg.head_dim)
    angle = torch.outer(torch.arange(length).double(), freq)
    return angle.cos().float(), angle.sin().float()


def rope(x, cos, sin):
    """Rotate the pairs (2i, 2i+1) of the last dimension; x is [B, H, T, D]."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        h, f = cfg.hidden, cfg.ffn
        self.cfg = cfg
        self.attn_norm = RMSNorm(h, cfg.eps)
        self.attn_q = nn.Linear(h, h, bias=False)
        self.attn_k = nn.Linear(h, h, bias=False)
        self.attn_v = nn.Linear(h, h, bias=False)
        self.attn_output = nn.Linear(h, h, bias=False)
        self.ffn_norm = RMSNorm(h, cfg.eps)
        self.ffn_gate = nn.Linear(h, f, bias=False)
        self.ffn_up = nn.Linear(h, f, bias=False)
        self.ffn_down = nn.Linear(f, h, bias=False)

    def forward(self, x, cos, sin, mask, drop):
        B, T, C = x.shape
        H, D = self.cfg.heads, self.cfg.head_dim
        y = self.attn_norm(x)
        q = rope(self.attn_q(y).view(B, T, H, D).transpose(1, 2), cos, sin)
        k = rope(self.attn_k(y).view(B, T, H, D).transpose(1, 2), cos, sin)
        v = self.attn_v(y).view(B, T, H, D).transpose(1, 2)
        att = torch.baddbmm(mask, q.reshape(B * H, T, D),
                            k.reshape(B * H, T, D).transpose(1, 2),
                            alpha=1.0 / math.sqrt(D))
        att = torch.bmm(att.softmax(-1), v.reshape(B * H, T, D))
        att = att.view(B, H, T, D).transpose(1, 2).reshape(B, T, C)
        x = x + F.dropout(self.attn_output(att), drop, self.training)
        y = self.ffn_norm(x)
        y = F.silu(self.ffn_gate(y)) * self.ffn_up(y)
        return x + F.dropout(self.ffn_down(y), drop, self.training)


class Llama(nn.Module):
    """state_dict() has the names of the GGUF tensors; the output matrix is the
    embedding."""

    def __init__(self, cfg=None, dropout=0.0):
        super().__init__()
        cfg = cfg or Config()
        self.cfg, self.dropout = cfg, dropout
        self.token_embd = nn.Embedding(cfg.vocab, cfg.hidden)
        self.blk = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.output_norm = RMSNorm(cfg.hidden, cfg.eps)
        self.tables = {}
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.02
                if name.endswith(("attn_output.weight", "ffn_down.weight")):
                    std /= math.sqrt(2 * cfg.layers)
                nn.init.normal_(p, std=std)

    def forward(self, ids):
        T = ids.shape[1]
        if T not in self.tables:
            mask = torch.full((T, T), -1e9).triu_(1)
            self.tables[T] = (*rope_table(self.cfg, T), mask[None])
        cos, sin, mask = self.tables[T]
        x = F.dropout(self.token_embd(ids), self.dropout, self.training)
        for b in self.blk:
            x = b(x, cos, sin, mask, self.dropout)
        return F.linear(self.output_norm(x), self.token_embd.weight)


@torch.no_grad()
def evaluate(model, tokens, ctx=512, batch=8):
    """Mean loss per token of a stream cut into windows of BOS and ctx - 1
    tokens; every token of the stream is predicted once."""
    was = model.training
    model.eval()
    n, total = ctx - 1, 0.0
    full = len(tokens) // n * n
    groups = [tokens[:full].reshape(-1, n)[i:i + batch] for i in range(0, full // n, batch)]
    if full < len(tokens):
        groups.append(tokens[full:].reshape(1, -1))
    for rows in groups:
        y = torch.from_numpy(np.ascontiguousarray(rows))
        x = torch.cat((torch.full((len(rows), 1), BOS), y[:, :-1]), 1)
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train(was)
    return total / len(tokens)


@torch.no_grad()
def generate(model, ids, count):
    """Greedy continuation of ids, without the prompt."""
    model.eval()
    ids, out = list(ids), []
    for _ in range(count):
        window = ids[-model.cfg.context:]
        out.append(int(model(torch.tensor([window]))[0, -1].argmax()))
        ids.append(out[-1])
    return out


# ---------------------------------------------------------------- training --

def learning_rate(args, step):
    """Warm-up, a constant rate, and a cosine over the last --cooldown steps.

    Until the cooldown begins nothing depends on --steps, so the length of a run
    may be settled while it runs."""
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    t = max(0.0, (step - (args.steps - args.cooldown)) / max(1, args.cooldown))
    return args.lr * (args.lr_end + (1 - args.lr_end) * 0.5 * (1 + math.cos(math.pi * t)))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", default="run", help="folder for checkpoints, tokenizer and train.log")
    p.add_argument("--text", help="saved output of `bible -f \"Gen1:1-Rev22:21\"` instead of the program")
    p.add_argument("--write-heldout", metavar="FILE", help="write the held-out text and stop")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--cooldown", type=int, default=1500, help="steps over which the rate falls")
    p.add_argument("--tokens", type=int, default=2048, help="tokens in a batch")
    p.add_argument("--ctx", type=int, default=256, help="window for most of the run")
    p.add_argument("--long-ctx", type=int, default=512, help="window for its end")
    p.add_argument("--long-steps", type=int, default=1000, help="steps at --long-ctx")
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--lr-end", type=float, default=0.01, help="last rate as a share of --lr")
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--eval-every", type=int, default=250)
    p.add_argument("--workers", type=int, default=2,
                   help="processes that share a batch (the sums, and so the last digits, depend on it)")
    p.add_argument("--stop", type=int, help="stop after this step (checkpoint kept) without changing the schedule")
    args = p.parse_args()
    if args.tokens % (args.workers * max(args.ctx, args.long_ctx)):
        p.error("--tokens must be a multiple of --workers times the window")
    return args


class Worker:
    """One of the processes that compute a batch together.

    The weights (model and average) lie in shared memory.  Each process leaves
    its gradient in a row of grads; the first one adds the rows and steps.
    """

    def __init__(self, args, corpus, model, average, grads, losses, barrier, start):
        self.args, self.corpus, self.model, self.average = args, corpus, model, average
        self.grads, self.losses, self.barrier, self.start = grads, losses, barrier, start

    def wait(self):
        self.barrier.wait(1800)

    def gradient(self, rank, step):
        a = self.args
        ctx = a.long_ctx if step >= a.steps - a.long_steps else a.ctx
        x, y = self.corpus.batch(a.seed, step, a.tokens // ctx, ctx)
        half = len(x) // a.workers
        x, y = x[rank * half:(rank + 1) * half], y[rank * half:(rank + 1) * half]
        torch.manual_seed((a.seed * 1_000_003 + step) * 64 + rank)    # dropout
        self.model.train()
        loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())
        grad = torch.autograd.grad(loss, list(self.model.parameters()))
        torch.cat([g.flatten() for g in grad], out=self.grads[rank])
        self.losses[rank] = loss.item()

    def held(self, rank):
        """This process's share of the held-out loss, as a sum."""
        ids, n = self.corpus.heldout, 511
        rows = -(-len(ids) // n)
        lo = rows * rank // self.args.workers * n
        hi = min(len(ids), rows * (rank + 1) // self.args.workers * n)
        self.losses[rank] = evaluate(self.average, ids[lo:hi]) * (hi - lo)

    def is_report(self, step):
        return step % self.args.eval_every == 0 or step == self.end

    @property
    def end(self):
        return min(self.args.steps, self.args.stop or self.args.steps)

    def run(self, rank):
        """The life of every process but the first."""
        torch.set_num_threads(1)
        for step in range(self.start, self.end):
            self.gradient(rank, step)
            self.wait()                 # gradients are there
            self.wait()                 # the step is made
            if self.is_report(step + 1):
                self.held(rank)
                self.wait()


def main():
    args = arguments()
    torch.set_num_threads(1)

    train, heldout = split_text(load_text(args.text))
    if args.write_heldout:
        with open(args.write_heldout, "w", newline="\n") as f:
            f.write(heldout_text(heldout))
        return
    os.makedirs(args.out, exist_ok=True)
    sp = train_tokenizer(train, os.path.join(args.out, "tokenizer"))
    corpus = Corpus(train, heldout, sp.encode)
    print("# tokens: train %d, heldout %d (%d bytes, %d words); stream sha256 %s" % (
        len(corpus.stream), len(corpus.heldout), corpus.heldout_bytes, corpus.heldout_words,
        hashlib.sha256(corpus.stream.tobytes()).hexdigest()[:16]), file=sys.stderr)

    torch.manual_seed(args.seed)
    model = Llama(dropout=args.dropout).share_memory()
    average = Llama().share_memory()
    average.load_state_dict(model.state_dict())
    parameters = list(model.parameters())
    opt = torch.optim.AdamW(
        [{"params": [q for q in parameters if q.dim() == 2], "weight_decay": args.weight_decay},
         {"params": [q for q in parameters if q.dim() < 2], "weight_decay": 0.0}],
        lr=args.lr, betas=(0.9, 0.95), eps=1e-8, foreach=True)
    step = tokens = 0
    best = float("inf")

    last = os.path.join(args.out, "last.pt")
    log_path = os.path.join(args.out, "train.log")
    if os.path.exists(last):
        state = torch.load(last)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        opt.load_state_dict(state["opt"])
        step, tokens, best = state["step"], state["tokens"], state["best"]
        print("# resumed at step %d" % step, file=sys.stderr)
    if step == 0:
        with open(log_path, "w") as f:
            f.write("step,tokens,train_loss,heldout_loss,heldout_ppl,tok_per_s\n")

    count = sum(q.numel() for q in parameters)
    grads = torch.zeros(args.workers, count).share_memory_()
    losses = torch.zeros(args.workers, dtype=torch.float64).share_memory_()
    fork = multiprocessing.get_context("fork")
    w = Worker(args, corpus, model, average, grads, losses, fork.Barrier(args.workers), step)
    others = [fork.Process(target=w.run, args=(r,), daemon=True) for r in range(1, args.workers)]
    for o in others:
        o.start()

    loss_sum, loss_n, seen, t0 = 0.0, 0, 0, time.monotonic()
    while step < w.end:
        w.gradient(0, step)
        w.wait()
        total = grads.sum(0).div_(args.workers)
        total.mul_(min(1.0, 1.0 / (total.norm().item() + 1e-6)))        # clip to norm 1
        for q, g in zip(parameters, total.split([q.numel() for q in parameters])):
            q.grad = g.view_as(q)
        for g in opt.param_groups:
            g["lr"] = learning_rate(args, step)
        opt.step()
        loss_sum += losses.mean().item()
        loss_n += 1
        step += 1
        tokens += args.tokens
        seen += args.tokens
        decay = min(args.ema, step / (step + 10.0))
        with torch.no_grad():
            torch._foreach_mul_(list(average.parameters()), decay)
            torch._foreach_add_(list(average.parameters()), parameters, alpha=1 - decay)
        w.wait()
        if w.is_report(step):
            speed = seen / (time.monotonic() - t0)
            w.held(0)
            w.wait()
            held = losses.sum().item() / len(corpus.heldout)
            line = "%d,%d,%.4f,%.4f,%.3f,%.0f" % (
                step, tokens, loss_sum / loss_n, held, math.exp(held), speed)
            with open(log_path, "a") as f:
                f.write(line + "\n")
            print(line, flush=True)
            if held < best:
                best = held
                torch.save({"model": average.state_dict(), "step": step, "heldout": held},
                           os.path.join(args.out, "best.pt"))
            torch.save({"model": model.state_dict(), "average": average.state_dict(),
                        "opt": opt.state_dict(), "step": step, "tokens": tokens, "best": best},
                       last + ".new")
            os.replace(last + ".new", last)
            loss_sum, loss_n, seen, t0 = 0.0, 0, 0, time.monotonic()
    for o in others:
        o.join()


if __name__ == "__main__":
    main()
