"""The arithmetic of the C engine in mode w4a4, to the bit, in numpy, from a GGUF file: written from order.h alone, to
check both the engine and training (check_w4a4.py).  For a file of quantize.py or lsq.py: matrices I4 or I8 with
static steps, heads of 32, one leaf of the down product each 32 columns.

Importable: IntegerDecoder.
"""

import numpy as np

from export_gguf import read_gguf, unpack_i4

f32 = np.float32
LANES, GROUP = 16, 32
EXP = [f32(float.fromhex(c)) for c in ("0x1p-1", "0x1.555556p-3", "0x1.5554e8p-5", "0x1.1110e0p-7", "0x1.6d43b0p-10",
                                       "0x1.a1256cp-13")]


def fma(a, b, c):
    """a * b + c, rounded once: the product is exact in binary64, the sum is rounded to odd there."""
    p, c = a.astype(np.float64) * np.asarray(b, f32).astype(np.float64), np.asarray(c, f32).astype(np.float64)
    s = p + c
    t = s - p
    lost = (p - (s - t)) + (c - t)
    bits = np.array(s).view(np.int64)
    toward = np.where((lost > 0) == (s > 0), 1, -1)
    return np.where((lost != 0) & (bits & 1 == 0), bits + toward, bits).view(np.float64).astype(f32)


def exp(x):
    """mathf.c, exp_one."""
    x = np.clip(x, f32(-104), f32(89))
    big = f32(1.5 * 2 ** 23)
    shifted = fma(x, f32(float.fromhex("0x1.715476p0")), big)
    n = shifted - big
    r = fma(-n, f32(float.fromhex("-0x1.05c610p-29")), fma(-n, f32(float.fromhex("0x1.62e430p-1")), x))
    y = np.full_like(r, EXP[-1])
    for c in EXP[-2::-1]:
        y = fma(y, r, c)
    y = fma(r * r, y, r) + f32(1)
    k = n.astype(np.int32)
    half = k >> 1
    return y * np.ldexp(f32(1), half) * np.ldexp(f32(1), k - half)


def lanes_sum(lane):
    """The last axis, of 16."""
    for n in (8, 4, 2, 1):
        lane = lane[..., :n] + lane[..., n:]
    return lane[..., 0]


def rms_norm(x, weight, eps):
    lane = np.zeros(x.shape[:-1] + (LANES,), f32)
    for i in range(0, x.shape[-1], LANES):
        lane = fma(x[..., i:i + LANES], x[..., i:i + LANES], lane)
    inv = f32(1) / np.sqrt(lanes_sum(lane) / f32(x.shape[-1]) + f32(eps))
    return x * inv[..., None] * weight


def group_codes(x, top):
    """(integers, scale) with amax / top of the last axis, at most 32 long: rule 6."""
    amax = np.abs(x).max(-1, keepdims=True)
    with np.errstate(divide="ignore", over="ignore"):
        inv = f32(top) / amax
    ok = (amax > 0) & np.isfinite(inv)
    q = np.rint(x * np.where(ok, inv, f32(0)))
    return q.astype(np.int32), np.where(ok, amax / f32(top), f32(0))


def static_codes(x, step, low, high):
    return np.rint(np.clip(x / step, f32(low), f32(high))).astype(np.int32)


def tree_sum(x):
    """A list of leaves along the tree of pairtree.h; their number is a power of two here."""
    n = len(x)
    assert n & (n - 1) == 0
    return x[0] if n == 1 else tree_sum(x[:n // 2]) + tree_sum(x[n // 2:])


class Matrix:
    def __init__(self, meta, tensors, name):
        stored = tensors[name]
        self.is_i4 = meta["northwall.format." + name] == "I4"
        self.q = (unpack_i4(stored) if self.is_i4 else stored).astype(np.int32)
        self.step = tensors[name + ".step"]
        self.act_step = tensors[name + ".act_step"][0]
        self.act_high = 7 if self.is_i4 and meta.get("northwall.act_bits." + name, 4) == 4 else 127

    def codes(self, x):
        return static_codes(x, self.act_step, -self.act_high - 1, self.act_high)

    def product(self, x, leaves=1):
        """Sums of integers over `leaves` equal leaves of the columns, each times both steps, added along the tree."""
        q, n = self.codes(x), self.q.shape[1] // leaves
        scale = self.step * self.act_step
        return tree_sum([(q[:, i * n:(i + 1) * n] @ self.q[:, i * n:(i + 1) * n].T).astype(f32) * scale
                         for i in range(leaves)])


class IntegerDecoder:
    def __init__(self, path):
        self.meta, self.tensors = read_gguf(path)
        self.layers = self.meta["llama.block_count"]
        self.heads = self.meta["llama.attention.head_count"]
        self.eps = self.meta["llama.attention.layer_norm_rms_epsilon"]
        self.mat = {n[:-len(".weight")]: Matrix(self.meta, self.tensors, n) for n in self.tensors
                    if n + ".step" in self.tensors}

    def norm(self, x, name):
        return rms_norm(x, self.tensors[name + ".weight"], self.eps)

    def rope(self, x):
        """x [T, heads, 32]: pairs (2i, 2i + 1)."""
        half = np.arange(GROUP // 2)
        freq = np.exp(-(2.0 * half / GROUP) * np.log(np.float64(f32(self.meta["llama.rope.freq_base"]))))
        angle = np.arange(len(x))[:, None, None] * freq
        cs, sn = np.cos(angle).astype(f32), np.sin(angle).astype(f32)
        a, b = x[..., 0::2], x[..., 1::2]
        return np.stack((fma(a, cs, -(b * sn)), fma(a, sn, b * cs)), -1).reshape(x.shape)

    def step(self, layer, name):
        """A static step for each head, [heads, 1, 1], or None."""
        steps = self.tensors.get("blk.%d.%s.step" % (layer, name))
        return None if steps is None else steps[:, None, None]

    def head_codes(self, layer, name, x):
        """(integers, scale) of x [heads, T, 32]."""
        step = self.step(layer, name)
        if step is None:
            return group_codes(x, 7)
        return static_codes(x, step, -8, 7), np.broadcast_to(step, x.shape[:2] + (1,))

    def attend(self, layer, q, k, v):
        """Rule 8, int4 cache in mode a4; q, k, v [heads, T, 32]."""
        heads, T, dim = q.shape
        (qq, qs), (kq, ks), (vq, vs) = (self.head_codes(layer, "attn_" + n, x) for n, x in (
            ("query", q), ("key", k), ("value", v)))
        w_step = self.step(layer, "attn_weight")
        m, l = np.full((heads, T), -np.inf, f32), np.zeros((heads, T), f32)
        o = np.zeros((heads, T, dim), f32)
        scale = f32(1 / np.sqrt(np.float64(dim)))
        for first in range(0, T, GROUP):
            cols = slice(first, min(first + GROUP, T))
            rows = slice(first, T)                      # queries that see some of the block
            seen = np.arange(T)[rows, None] >= np.arange(T)[None, cols]
            dot = (qq[:, rows] @ kq[:, cols].transpose(0, 2, 1)).astype(f32)
            s = dot * (ks[:, cols].transpose(0, 2, 1) * qs[:, rows]) * scale
            s = np.where(seen, s, f32(-np.inf))
            top = np.maximum(m[:, rows], s.max(-1))
            with np.errstate(invalid="ignore"):
                c = np.where(m[:, rows] > -np.inf, exp(m[:, rows] - top), f32(0))
            p = np.where(seen, exp(np.where(seen, s - top[..., None], f32(0))), f32(0))
            if w_step is None:
                u, step = group_codes(p * vs[:, cols].transpose(0, 2, 1), 15)
                u = np.clip(u, 0, 15)
                lane = np.zeros(p.shape[:-1] + (2 * LANES,), f32)
                lane[..., :p.shape[-1]] = p
                weight = lanes_sum(lane[..., :LANES] + lane[..., LANES:])
            else:
                u, step = static_codes(p, w_step, 0, 15), vs[:, :1]
                weight = u.sum(-1).astype(f32)
            l[:, rows] = fma(l[:, rows], c, weight)
            m[:, rows] = top
            total = (u @ vq[:, cols]).astype(f32)
            o[:, rows] = fma(total, step, o[:, rows] * c[..., None])
        return o / l[..., None]

    def forward(self, ids):
        """Logits [T, vocabulary] of one sequence."""
        e, dim = self.mat["token_embd"], GROUP
        x = e.step[ids, None] * e.q[ids].astype(f32)
        T = len(ids)
        for i in range(self.layers):
            w = {n[len("blk.%d." % i):]: m for n, m in self.mat.items() if n.startswith("blk.%d." % i)}
            y = self.norm(x, "blk.%d.attn_norm" % i)
            q, k, v = (w[n].product(y).reshape(T, self.heads, dim) for n in ("attn_q", "attn_k", "attn_v"))
            o = self.attend(i, *(a.transpose(1, 0, 2) for a in (self.rope(q), self.rope(k), v)))
            x = x + w["attn_output"].product(o.transpose(1, 0, 2).reshape(T, -1), self.heads)
            y = self.norm(x, "blk.%d.ffn_norm" % i)
            gate = w["ffn_gate"].product(y)
            gate = gate / (f32(1) + exp(-gate))
            step = self.step(i, "ffn_silu")
            if step is None:
                g, scale = group_codes(gate.reshape(T, -1, GROUP), 127)
            else:
                g, scale = static_codes(gate.reshape(T, -1, GROUP), step, -128, 127), step
            y = (g.astype(f32) * scale).reshape(T, -1) * w["ffn_up"].product(y)
            x = x + w["ffn_down"].product(y, y.shape[1] // GROUP)
        return self.mat["token_embd"].product(self.norm(x, "output_norm"))
