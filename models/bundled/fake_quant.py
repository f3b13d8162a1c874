"""The bundled decoder as the C engine computes it in mode w4a4, in PyTorch, with gradients.

What is rounded, and how (order.h rules 4, 6 and 8; "learned" is LSQ, arXiv 1902.08153):

  matrices of a layer       int4, a learned step for each row
  inputs of q k v, of o, of gate and up
                            int4, a learned step for each
  input of down: SiLU times up
                            int8, a learned step
  embedding = output layer  int8, a learned step for each row
  input of the output layer int8, a learned step

and, with scales of the values at run time or, where static, with learned steps:

  SiLU of the gate          int8, amax / 127 of each 32 columns; static: one
  queries, keys, values     int4, amax / 7 of each head; static: one for each head
  weights of attention      0..15, times the value's scale, max / 15 of each 32 positions; static: without the scale,
                            one for each head

A product of two rounded matrices is computed on the integers themselves, which binary32 holds exactly (512 products
of 4 bits with 8, 256 of 8 with 8), and multiplied by both steps afterwards: the engine's integers and the engine's
product, whatever the order of the sum. What lies between (norms, exp, sums over leaves) is binary32 in an order of its
own, so logits agree with the engine's to some 1e-6 and, where such a difference crosses a rounding boundary, by an
activation's step.

Importable: W4A4, PRODUCT_INPUTS, HEAD_STEPS.  Parameter names: those of the GGUF tensors, log_step where a step is
learned.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from train import Config, RMSNorm, rope, rope_table

GROUP = 32                       # columns, dimensions of a head or positions that share a dynamic scale


class Codes(torch.autograd.Function):
    """round(clamp(x / step)) with LSQ's gradients: of the codes as if nothing were rounded, none where clamped."""

    @staticmethod
    def forward(ctx, x, step, low, high):
        v = x / step
        q = v.clamp(low, high)
        ctx.save_for_backward(v, step, q == v)
        return q.round_()

    @staticmethod
    def backward(ctx, grad):
        v, step, inside = ctx.saved_tensors
        grad = grad * inside / step
        return grad, -(grad * v).sum_to_size(step.shape), None, None


class LearnedStep(nn.Module):
    """Steps as logarithms: they stay above 0, and one learning rate moves small and large ones alike."""

    def __init__(self, bits, shape, per_step, signed=True):
        super().__init__()
        self.low, self.high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
        self.fixed = None                                   # a step to use in place of the learned one
        self.log_step = nn.Parameter(torch.zeros(shape))
        self.log_step.register_hook(lambda g, scale=1 / math.sqrt(per_step * self.high): g * scale)

    def step(self):
        return self.log_step.exp() if self.fixed is None else self.fixed

    def codes(self, x):
        """(integers, step) of x."""
        step = self.step()
        return Codes.apply(x, step, self.low, self.high), step


class Input(LearnedStep):
    """What products read: one step, or one for each head."""

    def __init__(self, bits, cols, shape=(), signed=True):
        super().__init__(bits, shape, cols, signed)

    def forward(self, x):
        return self.codes(x)


class Matrix(LearnedStep):
    """A matrix with a step for each row, times an Input's result."""

    def __init__(self, bits, rows, cols):
        super().__init__(bits, (rows, 1), cols)
        self.weight = nn.Parameter(torch.zeros(rows, cols))

    def forward(self, x):
        q, step = self.codes(self.weight)
        return F.linear(x[0], q) * (step.squeeze(1) * x[1])

    def rows(self, ids):
        q, step = self.codes(self.weight)
        return F.embedding(ids, q) * F.embedding(ids, step)


def factor(amax, top):
    """top / amax, rounded once (PyTorch makes number / tensor of a reciprocal); 0 if that is not finite."""
    inverse = torch.full_like(amax, top) / amax
    return torch.where(inverse.isfinite(), inverse, torch.zeros_like(amax))


def group_codes(x, top):
    """(integers, scales) of groups in the last dimension: amax / top."""
    amax = x.abs().amax(-1, keepdim=True)
    return (x * factor(amax, top)).round_(), amax / top


class GroupRound(torch.autograd.Function):
    """Rounded to groups of GROUP and back; the gradient passes straight through."""

    @staticmethod
    def forward(ctx, x, top):
        q, scale = group_codes(x.unflatten(-1, (-1, GROUP)), top)
        return (q * scale).flatten(-2)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class WeighedSum(torch.autograd.Function):
    """softmax(scores) times values, both factors rounded; scores [N, T, T] masked with large negative numbers, values
    [N, T, D], D at most GROUP.  The gradient is that of attention with the rounded values, straight through."""

    @staticmethod
    def forward(ctx, scores, values):
        T = scores.shape[-1]
        vq, scale = group_codes(values, 7)
        p = (scores - scores.amax(-1, keepdim=True)).exp_()
        total = p.sum(-1, keepdim=True)
        w = F.pad(p * scale.transpose(1, 2), (0, -T % GROUP)).unflatten(-1, (-1, GROUP))
        top = w.amax(-1, keepdim=True)
        w.mul_(factor(top, 15)).round_().mul_(top / 15)
        w = w.flatten(-2)[..., :T]
        out = torch.bmm(w, vq).div_(total)
        ctx.save_for_backward(p.div_(total), w / total, vq, scale, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        p, w, vq, scale, out = ctx.saved_tensors
        per_scale = torch.where(scale > 0, 1 / scale, torch.zeros_like(scale))
        values = torch.bmm(w.transpose(1, 2), grad) * per_scale
        scores = torch.bmm(grad, (vq * scale).transpose(1, 2))
        return scores.sub_((grad * out).sum(-1, keepdim=True)).mul_(p), values


class StaticWeighedSum(torch.autograd.Function):
    """The same for scores [B, H, T, T] and codes of values [B, H, T, D], with a learned step of the weights for each
    head, [H, 1, 1]: u = round(p / step), at most 15, p = exp(score - the greatest score up to the end of its block of
    GROUP positions); the sum of u times values over the sum of u, as if all p were relative to the last greatest
    score.  The step itself cancels; its gradient is LSQ's, that of scores straight through: a clamped weight has one
    too, since p changes with the greatest score, and that of a row sums to 0."""

    @staticmethod
    def forward(ctx, scores, values, step):
        T = scores.shape[-1]
        p = F.pad(scores, (0, -T % GROUP), value=-math.inf).unflatten(-1, (-1, GROUP))
        top = p.amax(-1, keepdim=True).cummax(-2).values
        p = (p - top).exp_()
        rescale = (top - top[..., -1:, :]).exp_()
        w = p / step[..., None]
        inside = (w <= 15).flatten(-2)[..., :T]
        w = w.clamp_max_(15).round_().mul_(rescale).flatten(-2)[..., :T]
        p = p.mul_(rescale).flatten(-2)[..., :T]
        w = w / w.sum(-1, keepdim=True)
        out = w @ values
        ctx.save_for_backward(p / p.sum(-1, keepdim=True), w, inside, values, out, step)
        return out

    @staticmethod
    def backward(ctx, grad):
        p, w, inside, values, out, step = ctx.saved_tensors
        scores = grad @ values.transpose(-1, -2)
        steps = ((scores - (grad * out).sum(-1, keepdim=True)).mul_(p) * inside).sum_to_size(step.shape) / -step
        scores = scores.sub_((scores * p).sum(-1, keepdim=True)).mul_(p)
        return scores, w.transpose(-1, -2) @ grad, steps


class Block(nn.Module):
    def __init__(self, cfg, static):
        super().__init__()
        h, f = cfg.hidden, cfg.ffn
        self.cfg = cfg
        self.attn_norm, self.ffn_norm = RMSNorm(h, cfg.eps), RMSNorm(h, cfg.eps)
        self.attn_in, self.attn_output_in, self.ffn_in = Input(4, h), Input(4, h), Input(4, h)
        self.ffn_down_in = Input(8, f)
        self.attn_q, self.attn_k, self.attn_v = Matrix(4, h, h), Matrix(4, h, h), Matrix(4, h, h)
        self.attn_output = Matrix(4, h, h)
        self.ffn_gate, self.ffn_up, self.ffn_down = Matrix(4, f, h), Matrix(4, f, h), Matrix(4, h, f)
        self.static = static
        if static:
            heads = (cfg.heads, 1, 1)
            self.q_in, self.k_in, self.v_in = (Input(4, cfg.head_dim, heads) for _ in "qkv")
            self.w_in = Input(4, GROUP, heads, signed=False)
            self.silu_in = Input(8, f)

    def heads(self, x):
        B, T, _ = x.shape
        return x.view(B, T, self.cfg.heads, self.cfg.head_dim).transpose(1, 2)

    def attend(self, q, k, v, mask):
        """q, k, v [B, H, T, D]; mask [1, T, T]."""
        B, H, T, D = v.shape
        scale = 1.0 / math.sqrt(D)
        if not self.static:
            q, k = (GroupRound.apply(x, 7).reshape(-1, T, D) for x in (q, k))
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
            return WeighedSum.apply(scores, v.reshape(-1, T, D)).view(B, H, T, D)
        (q, q_step), (k, k_step), (v, v_step) = self.q_in(q), self.k_in(k), self.v_in(v)
        dot = torch.baddbmm(mask, q.reshape(-1, T, D), k.reshape(-1, T, D).transpose(1, 2)).view(B, H, T, T)
        return StaticWeighedSum.apply(dot * (k_step * q_step * scale), v, self.w_in.step()) * v_step

    def forward(self, x, cos, sin, mask):
        B, T, C = x.shape
        D = self.cfg.head_dim
        y = self.attn_in(self.attn_norm(x))
        y = self.attend(rope(self.heads(self.attn_q(y)), cos, sin), rope(self.heads(self.attn_k(y)), cos, sin),
                        self.heads(self.attn_v(y)), mask)
        y = y.transpose(1, 2).reshape(B, T, C)
        x = x + self.attn_output(self.attn_output_in(y))
        y = self.ffn_in(self.ffn_norm(x))
        gate = F.silu(self.ffn_gate(y))
        if self.static:
            codes, step = self.silu_in(gate)
            gate = codes * step
        else:
            gate = GroupRound.apply(gate, 127)
        y = gate * self.ffn_up(y)
        return x + self.ffn_down(self.ffn_down_in(y))


# Learned steps of a layer beside those of its matrices and of their inputs, and the tensors that hold them.
HEAD_STEPS = {"q_in": "attn_query.step", "k_in": "attn_key.step", "v_in": "attn_value.step",
              "w_in": "attn_weight.step", "silu_in": "ffn_silu.step"}

# The products that read each learned input.
PRODUCT_INPUTS = {"attn_in": ("attn_q", "attn_k", "attn_v"), "attn_output_in": ("attn_output",),
                  "ffn_in": ("ffn_gate", "ffn_up"), "ffn_down_in": ("ffn_down",)}


class W4A4(nn.Module):
    def __init__(self, cfg=None, static=False):
        super().__init__()
        cfg = cfg or Config()
        assert cfg.head_dim <= GROUP and cfg.ffn % GROUP == 0
        self.cfg = cfg
        self.token_embd = Matrix(8, cfg.vocab, cfg.hidden)
        self.blk = nn.ModuleList(Block(cfg, static) for _ in range(cfg.layers))
        self.output_norm = RMSNorm(cfg.hidden, cfg.eps)
        self.output_in = Input(8, cfg.hidden)
        self.tables = {}

    def forward(self, ids):
        T = ids.shape[1]
        if T not in self.tables:
            mask = torch.full((T, T), -1e9).triu_(1)
            self.tables[T] = (*rope_table(self.cfg, T), mask[None])
        x = self.token_embd.rows(ids)
        for b in self.blk:
            x = b(x, *self.tables[T])
        return self.token_embd(self.output_in(self.output_norm(x)))
