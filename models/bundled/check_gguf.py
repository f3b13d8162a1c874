#!/usr/bin/env python3
"""Measure the bundled GGUF files in binary32 from nothing but the files.

    check_gguf.py FILE.gguf ... [--heldout heldout.txt] [--samples] [--reference OUT]

For each file: held-out loss, perplexity per token, per byte and per word, and
the figure of llama.cpp's perplexity program at -c 512; with --samples three
greedy continuations; with --reference the last-position logits and a greedy
continuation of a prompt, for comparing an engine with.

Weights are dequantized to binary32 and activations stay binary32, so an
engine that quantizes activations differs a little.

Importable: config_of, load_gguf (a train.Llama and an SpmTokenizer) and
SpmTokenizer.
"""

import argparse
import heapq
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from export_gguf import read_gguf                       # noqa: E402
from train import BOS, BYTE0, Config, Llama, evaluate, generate  # noqa: E402

PROMPTS = ("In the beginning", "And Jesus said unto them,", "The LORD is my")
REFERENCE_PROMPT = "In the beginning God created"


class SpmTokenizer:
    """llama.cpp's SPM merge over the vocabulary of a GGUF file: join the
    neighbouring pair whose union has the best score, leftmost among equals,
    until no pair is a piece; what is no piece then becomes bytes."""

    def __init__(self, meta):
        self.pieces = meta["tokenizer.ggml.tokens"]
        self.scores = meta["tokenizer.ggml.scores"]
        self.types = meta["tokenizer.ggml.token_type"]
        self.ids = {p: i for i, p in enumerate(self.pieces) if self.types[i] in (1, 4)}
        self.words = {}

    def _word(self, word):
        left = list(range(-1, len(word) - 1))
        right = list(range(1, len(word))) + [-1]
        text = list(word)
        queue = []

        def push(a, b):
            if a >= 0 and b >= 0:
                i = self.ids.get(text[a] + text[b])
                if i is not None:
                    heapq.heappush(queue, (-self.scores[i], a, b, len(text[a]) + len(text[b])))

        for i in range(len(word) - 1):
            push(i, i + 1)
        while queue:
            _, a, b, n = heapq.heappop(queue)
            if not text[a] or not text[b] or len(text[a]) + len(text[b]) != n:
                continue
            text[a] += text[b]
            text[b] = ""
            right[a] = right[b]
            if right[b] >= 0:
                left[right[b]] = a
            push(left[a], a)
            push(a, right[a])
        out, i = [], 0
        while i >= 0:
            if text[i] in self.ids:
                out.append(self.ids[text[i]])
            else:
                out += [BYTE0 + b for b in text[i].encode("utf-8")]
            i = right[i]
        return out

    def encode(self, text):
        """ids of text, with neither prefix nor BOS.  No piece has a space after
        its first character, so words are merged apart from each other."""
        out = []
        text = text.replace(" ", "\u2581")
        for k, word in enumerate(text.split("\u2581")):
            if k:
                word = "\u2581" + word
            if word not in self.words:
                self.words[word] = self._word(word) if word else []
            out += self.words[word]
        return out

    def prompt(self, text):
        """ids of a text as an engine makes them: BOS, and a space in front."""
        return [BOS] + self.encode(" " + text)

    def decode(self, ids):
        out = b""
        for i in ids:
            if self.types[i] == 6:
                out += bytes([i - BYTE0])
            elif self.types[i] in (1, 4):
                out += self.pieces[i].replace("\u2581", " ").encode("utf-8")
        return out.decode("utf-8", "replace")


def config_of(meta):
    return Config(vocab=meta["llama.vocab_size"], hidden=meta["llama.embedding_length"],
                  layers=meta["llama.block_count"], heads=meta["llama.attention.head_count"],
                  ffn=meta["llama.feed_forward_length"], context=meta["llama.context_length"],
                  rope_base=meta["llama.rope.freq_base"],
                  eps=meta["llama.attention.layer_norm_rms_epsilon"])


def load_gguf(path):
    """(model in binary32, tokenizer) of a file that export_gguf.py wrote."""
    meta, tensors = read_gguf(path)
    model = Llama(config_of(meta))
    model.load_state_dict({n: torch.tensor(x) for n, x in tensors.items()})
    return model.eval(), SpmTokenizer(meta)


@torch.no_grad()
def chunk_loss(model, ids, ctx=512):
    """The figure of llama.cpp's perplexity program: chunks of ctx tokens whose
    first is replaced by BOS, the second half of each scored, the rest of the
    text left out."""
    total = n = 0
    for c in range(len(ids) // ctx):
        row = torch.tensor(ids[c * ctx:(c + 1) * ctx])
        row[0] = BOS
        logits = model(row[None])[0, ctx // 2:-1]
        total += F.cross_entropy(logits, row[ctx // 2 + 1:], reduction="sum").item()
        n += len(logits)
    return total / n


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("files", nargs="+")
    p.add_argument("--heldout", default=os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                     "heldout.txt"))
    p.add_argument("--samples", action="store_true")
    p.add_argument("--reference", metavar="OUT",
                   help="write the reference logits of the first file")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    with open(args.heldout, encoding="utf-8", newline="") as f:
        text = f.read()
    print("| file | bytes | loss/token | ppl/token | ppl/byte | bits/byte | ppl/word | ppl, chunks of 512 |")
    print("|---|---|---|---|---|---|---|---|")
    loaded = []
    for path in args.files:
        model, tok = load_gguf(path)
        loaded.append((path, model, tok))
        ids = np.array(tok.encode(" " + text), np.int64)
        loss = evaluate(model, ids)
        total = loss * len(ids)
        size, words = len(text.encode()), len(text.split())
        print("| %s | %d | %.5f | %.4f | %.4f | %.4f | %.2f | %.4f |" % (
            os.path.basename(path), os.path.getsize(path), loss, math.exp(loss),
            math.exp(total / size), total / size / math.log(2), math.exp(total / words),
            math.exp(chunk_loss(model, [BOS] + ids.tolist()))), flush=True)
    print("held-out: %d tokens, %d bytes, %d words" % (len(ids), size, words))
    if args.samples:
        for path, model, tok in loaded:
            print("\n%s" % os.path.basename(path))
            for prompt in PROMPTS:
                out = generate(model, tok.prompt(prompt), 60)
                print("\n> **%s**%s" % (prompt, tok.decode(out).replace("\n", "\n> ")))
    if args.reference:
        path, model, tok = loaded[0]
        ids = tok.prompt(REFERENCE_PROMPT)
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0, -1].numpy()
        top = np.argsort(-logits, kind="stable")[:10]
        greedy = generate(model, ids, 40)
        with open(args.reference, "w") as f:
            f.write("# %s, binary32 activations\n" % os.path.basename(path))
            f.write("prompt %s\n" % REFERENCE_PROMPT)
            f.write("prompt_ids %s\n" % " ".join(map(str, ids)))
            for i in top:
                f.write("top %d %.6f %s\n" % (i, logits[i], tok.pieces[i]))
            f.write("greedy_ids %s\n" % " ".join(map(str, greedy)))
            f.write("greedy_text %r\n" % tok.decode(greedy))
            f.write("logits %s\n" % " ".join("%.6f" % v for v in logits))


if __name__ == "__main__":
    main()
