#!/usr/bin/env python3
"""Write the bundled decoder as GGUF v3: F16, Q8_0 and Q4_0.

    export_gguf.py RUN_FOLDER OUTPUT_FOLDER [--types f16,q8_0,q4_0]

RUN_FOLDER is train.py's --out (best.pt and tokenizer.model).  A self-contained
writer; the arithmetic of the block formats is that of llama.cpp's reference
(quantize_row_q8_0_ref, quantize_row_q4_0_ref), in binary32 throughout.

The quantized files are made from the F16 weights, so the F16 file is the one
base of everything: a quantizer that reads it gets the same bytes.

Northwall's own I4 and I8 (models/include/models/tensor_type.h) are stored as
ggml's I8: pack_i4 and unpack_i4 go between integers -8..7 and their bytes.

Importable: quantize, dequantize, write_gguf, read_gguf, tensors_of,
metadata_of, pack_i4, unpack_i4.
"""

import argparse
import os
import struct

import numpy as np

# ggml tensor types, and general.file_type values
F32, F16, Q4_0, Q8_0, I8 = 0, 1, 2, 8, 24
FILE_TYPE = {"f16": 1, "q4_0": 2, "q8_0": 7}
TYPE = {"f16": F16, "q8_0": Q8_0, "q4_0": Q4_0}
BLOCK = 32
ALIGN = 32
# GGUF value types
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


# ------------------------------------------------------------ quantization --

def quantize_q8_0(x):
    """rows of binary32 -> bytes; d = amax / 127, halves rounded away from zero."""
    x = np.ascontiguousarray(x, np.float32).reshape(-1, BLOCK)
    d = np.abs(x).max(1) / np.float32(127)
    inv = np.where(d != 0, np.float32(1) / np.where(d != 0, d, np.float32(1)), np.float32(0))
    y = x * inv[:, None].astype(np.float32)
    whole = np.trunc(y)                      # roundf: y - whole is exact
    q = (whole + (np.abs(y - whole) >= np.float32(0.5)) * np.sign(y)).astype(np.int8)
    out = np.empty((len(x), 34), np.uint8)
    out[:, :2] = d.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = q.view(np.uint8)
    return out.tobytes()


def quantize_q4_0(x):
    """rows of binary32 -> bytes; d = (the value of largest magnitude) / -8,
    q = min(15, (int)(x / d + 8.5)), element j in the low nibble of byte j and
    element j + 16 in the high one."""
    x = np.ascontiguousarray(x, np.float32).reshape(-1, BLOCK)
    # argmax takes the first of equal magnitudes, as the reference's `amax < fabsf(v)`
    top = x[np.arange(len(x)), np.abs(x).argmax(1)] + np.float32(0)     # never -0
    d = top / np.float32(-8)
    inv = np.where(d != 0, np.float32(1) / np.where(d != 0, d, np.float32(1)), np.float32(0))
    y = x * inv[:, None].astype(np.float32) + np.float32(8.5)
    q = np.minimum(15, y.astype(np.int8)).astype(np.uint8)
    out = np.empty((len(x), 18), np.uint8)
    out[:, :2] = d.astype(np.float16)[:, None].view(np.uint8)
    out[:, 2:] = q[:, :16] | (q[:, 16:] << 4)
    return out.tobytes()


def quantize(x, kind):
    x = np.ascontiguousarray(x, np.float32)
    if kind == F32:
        return x.tobytes()
    if kind == F16:
        return x.astype(np.float16).tobytes()
    if kind == I8:
        return x.astype(np.int8).tobytes()
    return quantize_q8_0(x) if kind == Q8_0 else quantize_q4_0(x)


def dequantize(data, kind, shape):
    """bytes -> binary32 array of shape (rows, columns) or (columns,)."""
    if kind == F32:
        x = np.frombuffer(data, np.float32)
    elif kind == F16:
        x = np.frombuffer(data, np.float16).astype(np.float32)
    elif kind == I8:
        x = np.frombuffer(data, np.int8).astype(np.float32)
    else:
        b = np.frombuffer(data, np.uint8).reshape(-1, 34 if kind == Q8_0 else 18)
        d = b[:, :2].copy().view(np.float16).astype(np.float32)
        if kind == Q8_0:
            q = b[:, 2:].copy().view(np.int8).astype(np.float32)
        else:
            q = np.concatenate((b[:, 2:] & 15, b[:, 2:] >> 4), 1).astype(np.float32) - 8
        x = q * d
    return x.reshape(shape)


def nbytes(kind, n):
    return {F32: 4 * n, F16: 2 * n, I8: n, Q8_0: n // BLOCK * 34, Q4_0: n // BLOCK * 18}[kind]


def pack_i4(q):
    """[rows, columns] of -8..7 -> [rows, columns / 2] signed bytes: of each 32 columns element j in the low nibble
    of byte j, element j + 16 in the high one, stored + 8."""
    u = (np.asarray(q).astype(np.int16) + 8).astype(np.uint8).reshape(len(q), -1, BLOCK)
    return (u[..., :16] | (u[..., 16:] << 4)).reshape(len(q), -1).view(np.int8)


def unpack_i4(b):
    u = np.asarray(b).astype(np.int8).view(np.uint8).reshape(len(b), -1, BLOCK // 2)
    return np.concatenate((u & 15, u >> 4), -1).reshape(len(b), -1).astype(np.int8) - np.int8(8)


# ------------------------------------------------------------ GGUF, writing --

def _string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def _value(kind, v):
    if kind == STRING:
        return _string(v)
    if kind == BOOL:
        return struct.pack("<?", v)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f"}[kind], v)


def write_gguf(path, metadata, tensors):
    """metadata: (key, type, value) or (key, (ARRAY, type), values);
    tensors: (name, ggml type, binary32 array [rows, columns] or [columns])."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        head += _string(key)
        if isinstance(kind, tuple):
            head += struct.pack("<IIQ", ARRAY, kind[1], len(value))
            for v in value:
                head += _value(kind[1], v)
        else:
            head += struct.pack("<I", kind) + _value(kind, value)
    body = bytearray()
    for name, kind, x in tensors:
        dims = x.shape[::-1]                      # ne order: fastest first
        head += _string(name) + struct.pack("<I", len(dims))
        for n in dims:
            head += struct.pack("<Q", n)
        head += struct.pack("<IQ", kind, len(body))
        body += quantize(x, kind)
        body += bytes(-len(body) % ALIGN)
    head += bytes(-len(head) % ALIGN)
    with open(path, "wb") as f:
        f.write(head)
        f.write(body)


# ------------------------------------------------------------ GGUF, reading --

def read_gguf(path):
    """(metadata dict, {name: binary32 array}); enough for the files above."""
    with open(path, "rb") as f:
        data = f.read()
    at = 0

    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, data, at)[0]
        at += struct.calcsize("<" + fmt)
        return v

    def value(kind):
        nonlocal at
        if kind == STRING:
            n = take("Q")
            at += n
            return data[at - n:at].decode("utf-8")
        if kind == ARRAY:
            sub, n = take("I"), take("Q")
            return [value(sub) for _ in range(n)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", FLOAT: "f",
                     BOOL: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    assert data[:4] == b"GGUF"
    at = 4
    assert take("I") == 3
    n_tensors, n_meta = take("Q"), take("Q")
    meta = {}
    for _ in range(n_meta):
        key = value(STRING)
        meta[key] = value(take("I"))
    infos = []
    for _ in range(n_tensors):
        name = value(STRING)
        shape = tuple(take("Q") for _ in range(take("I")))[::-1]
        infos.append((name, shape, take("I"), take("Q")))
    start = at + -at % meta.get("general.alignment", 32)
    tensors = {}
    for name, shape, kind, offset in infos:
        size = nbytes(kind, int(np.prod(shape)))
        tensors[name] = dequantize(data[start + offset:start + offset + size], kind, shape)
    return meta, tensors


# -------------------------------------------------------------- this model --

SOURCE = "trained by models/bundled/train.py of northwall on the King James Bible (public domain)"


def metadata_of(cfg, pieces, scores, types, file_type, name="KJV 3M", source=SOURCE):
    """file_type None: of no type that has a number."""
    number = [] if file_type is None else [("general.file_type", U32, FILE_TYPE[file_type])]
    return [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, name),
        ("general.basename", STRING, "kjv"),
        ("general.size_label", STRING, "3M"),
        ("general.license", STRING, "mit"),
        ("general.source", STRING, source),
        *number,
        ("general.quantization_version", U32, 2),
        ("general.alignment", U32, ALIGN),
        ("llama.vocab_size", U32, cfg.vocab),
        ("llama.context_length", U32, cfg.context),
        ("llama.embedding_length", U32, cfg.hidden),
        ("llama.block_count", U32, cfg.layers),
        ("llama.feed_forward_length", U32, cfg.ffn),
        ("llama.attention.head_count", U32, cfg.heads),
        ("llama.attention.head_count_kv", U32, cfg.heads),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT, cfg.eps),
        ("llama.rope.dimension_count", U32, cfg.head_dim),
        ("llama.rope.freq_base", FLOAT, cfg.rope_base),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.pre", STRING, "default"),
        ("tokenizer.ggml.tokens", (ARRAY, STRING), pieces),
        ("tokenizer.ggml.scores", (ARRAY, FLOAT), scores),
        ("tokenizer.ggml.token_type", (ARRAY, I32), types),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def vocabulary(sp):
    """(pieces, scores, token types) of a SentencePiece model."""
    pieces, scores, types = [], [], []
    for i in range(len(sp)):
        pieces.append(sp.id_to_piece(i))
        scores.append(sp.get_score(i))
        types.append(2 if sp.is_unknown(i) else 3 if sp.is_control(i) else
                     6 if sp.is_byte(i) else 1)
    return pieces, scores, types


def tensors_of(weights, kind, embedding=None):
    """weights: {GGUF name: array}; matrices get kind (the embedding its own, if
    given), vectors stay F32.  Values pass through F16 first."""
    out = []
    for name, x in weights.items():
        x = np.asarray(x, np.float32)
        if x.ndim == 2:
            x = x.astype(np.float16).astype(np.float32)
            k = embedding if embedding is not None and name == "token_embd.weight" else kind
            out.append((name, k, x))
        else:
            out.append((name, F32, x))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("run")
    p.add_argument("out")
    p.add_argument("--types", default="f16,q8_0,q4_0")
    p.add_argument("--q4-embedding", default="q4_0", choices=("q4_0", "q8_0"),
                   help="type of the embedding in the Q4_0 file")
    p.add_argument("--prefix", default="kjv-3m")
    args = p.parse_args()

    import sentencepiece as spm
    import torch
    from train import Config
    best = torch.load(os.path.join(args.run, "best.pt"))
    weights = {n: t.numpy() for n, t in best["model"].items()}
    vocab = vocabulary(spm.SentencePieceProcessor(
        model_file=os.path.join(args.run, "tokenizer.model")))
    for t in args.types.split(","):
        path = os.path.join(args.out, "%s-%s.gguf" % (args.prefix, t))
        embedding = TYPE[args.q4_embedding] if t == "q4_0" else None
        write_gguf(path, metadata_of(Config(), *vocab, t),
                   tensors_of(weights, TYPE[t], embedding))
        print("%s: %d bytes (step %d)" % (path, os.path.getsize(path), best["step"]))


if __name__ == "__main__":
    main()
