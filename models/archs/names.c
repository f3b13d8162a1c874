/* names.c - which GGUF tensor holds which role or vector, and how large it is. */
#include <stdio.h>
#include <string.h>

#include "models/shape.h"

/* Names as GGUF writers give them; those of a layer follow "blk.N.". Fused and post-norm models differ below. */
static const char *const role_names[ROLE_COUNT] = {
    [ROLE_EMBED] = "token_embd.weight",
    [ROLE_POS_EMBED] = "position_embd.weight",
    [ROLE_TYPE_EMBED] = "token_types.weight",
    [ROLE_Q] = "attn_q.weight",
    [ROLE_K] = "attn_k.weight",
    [ROLE_V] = "attn_v.weight",
    [ROLE_O] = "attn_output.weight",
    [ROLE_GATE] = "ffn_gate.weight",
    [ROLE_UP] = "ffn_up.weight",
    [ROLE_DOWN] = "ffn_down.weight",
    [ROLE_HEAD] = "output.weight",
};

static const char *const vec_names[VEC_COUNT] = {
    [VEC_EMBED_NORM] = "token_embd_norm.weight",
    [VEC_EMBED_NORM_B] = "token_embd_norm.bias",
    [VEC_ATTN_NORM] = "attn_norm.weight",
    [VEC_ATTN_NORM_B] = "attn_norm.bias",
    [VEC_Q_NORM] = "attn_q_norm.weight",
    [VEC_K_NORM] = "attn_k_norm.weight",
    [VEC_Q_B] = "attn_q.bias",
    [VEC_K_B] = "attn_k.bias",
    [VEC_V_B] = "attn_v.bias",
    [VEC_O_B] = "attn_output.bias",
    [VEC_FFN_NORM] = "ffn_norm.weight",
    [VEC_FFN_NORM_B] = "ffn_norm.bias",
    [VEC_GATE_B] = "ffn_gate.bias",
    [VEC_UP_B] = "ffn_up.bias",
    [VEC_DOWN_B] = "ffn_down.bias",
    [VEC_Q_STEP] = "attn_query.step",
    [VEC_K_STEP] = "attn_key.step",
    [VEC_V_STEP] = "attn_value.step",
    [VEC_WEIGHT_STEP] = "attn_weight.step",
    [VEC_SILU_STEP] = "ffn_silu.step",
    [VEC_OUT_NORM] = "output_norm.weight",
    [VEC_OUT_NORM_B] = "output_norm.bias",
    [VEC_HEAD_B] = "output.bias",
    [VEC_ROPE_FACTORS] = "rope_freqs.weight",
};

const char *role_name(enum role role) {
    static const char *const names[ROLE_COUNT] = {
#define X(name) #name,
        ROLE_LIST(X)
#undef X
    };
    return names[role];
}

int role_in_layer(enum role role) {
    return role >= ROLE_Q && role <= ROLE_DOWN;
}

int vec_in_layer(enum vec vec) {
    return vec >= VEC_ATTN_NORM && vec <= VEC_SILU_STEP;
}

int vec_is_step(enum vec vec) {
    return vec >= VEC_Q_STEP && vec <= VEC_SILU_STEP;
}

void shape_role_size(const struct model_shape *s, enum role role, int *rows, int *cols) {
    int q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim;
    int has_head = s->causal;
    const int size[ROLE_COUNT][2] = {
        [ROLE_EMBED] = {s->n_vocab, s->d_model},
        [ROLE_POS_EMBED] = {s->n_positions, s->d_model},
        [ROLE_TYPE_EMBED] = {s->n_types, s->d_model},
        [ROLE_Q] = {q, s->d_model},
        [ROLE_K] = {kv, s->d_model},
        [ROLE_V] = {kv, s->d_model},
        [ROLE_O] = {s->d_model, q},
        [ROLE_GATE] = {s->ffn_gated ? s->d_ffn : 0, s->d_model},
        [ROLE_UP] = {s->d_ffn, s->d_model},
        [ROLE_DOWN] = {s->d_model, s->d_ffn},
        [ROLE_HEAD] = {has_head ? s->n_vocab : 0, s->d_model},
    };
    *rows = size[role][0];
    *cols = size[role][0] ? size[role][1] : 0;
}

int shape_vec_size(const struct model_shape *s, enum vec vec) {
    if (!(s->has_vec >> vec & 1)) return 0;
    switch (vec) {
    case VEC_Q_NORM:
    case VEC_K_NORM: return s->head_dim;
    case VEC_Q_B: return s->n_heads * s->head_dim;
    case VEC_K_B:
    case VEC_V_B: return s->n_kv_heads * s->head_dim;
    case VEC_GATE_B: return s->ffn_gated ? s->d_ffn : 0;
    case VEC_UP_B: return s->d_ffn;
    case VEC_Q_STEP:
    case VEC_WEIGHT_STEP: return s->n_heads;
    case VEC_K_STEP:
    case VEC_V_STEP: return s->n_kv_heads;
    case VEC_SILU_STEP: return 1;
    case VEC_HEAD_B: return s->n_vocab;
    case VEC_ROPE_FACTORS: return s->rope_dim / 2;
    default: return s->d_model;
    }
}

/* First row of q, k or v in a fused tensor: it holds all of q, then k, then v. */
static int fused_row(const struct model_shape *s, int part) {
    return part == 0 ? 0 : (s->n_heads + (part - 1) * s->n_kv_heads) * s->head_dim;
}

int shape_role_tensor(const struct model_shape *s, enum role role, int layer, char *name) {
    int rows, cols;
    shape_role_size(s, role, &rows, &cols);
    if (!rows) return -1;
    const char *text = role_names[role == ROLE_HEAD && s->tied_head ? ROLE_EMBED : role];
    int row0 = 0;
    if (s->fused_qkv && role >= ROLE_Q && role <= ROLE_V) {
        text = "attn_qkv.weight";
        row0 = fused_row(s, (int)role - ROLE_Q);
    }
    if (role_in_layer(role))
        snprintf(name, SHAPE_NAME_LEN, "blk.%d.%s", layer, text);
    else
        snprintf(name, SHAPE_NAME_LEN, "%s", text);
    return row0;
}

/* Post-norm models name the norms after the sums that they follow. */
static const char *post_norm_name(enum vec vec) {
    switch (vec) {
    case VEC_ATTN_NORM: return "attn_output_norm.weight";
    case VEC_ATTN_NORM_B: return "attn_output_norm.bias";
    case VEC_FFN_NORM: return "layer_output_norm.weight";
    case VEC_FFN_NORM_B: return "layer_output_norm.bias";
    default: return vec_names[vec];
    }
}

int shape_vec_tensor(const struct model_shape *s, enum vec vec, int layer, char *name) {
    if (!shape_vec_size(s, vec)) return -1;
    const char *text = s->post_norm ? post_norm_name(vec) : vec_names[vec];
    int first = 0;
    if (s->fused_qkv && vec >= VEC_Q_B && vec <= VEC_V_B) {
        text = "attn_qkv.bias";
        first = fused_row(s, (int)vec - VEC_Q_B);
    }
    if (vec_in_layer(vec))
        snprintf(name, SHAPE_NAME_LEN, "blk.%d.%s", layer, text);
    else
        snprintf(name, SHAPE_NAME_LEN, "%s", text);
    return first;
}
