/* tokenizer.h - text to token ids and back, by the vocabulary stored in a GGUF file.
 *
 *   struct tokenizer *t;
 *   int *ids;
 *   if (tokenizer_new(&t, g, &diag)) ...                                    g from gguf_open
 *   int n = tokenizer_encode(t, text, len, TOKENIZE_BOS, &ids, &diag);      n < 0: an error code
 *   ... free(ids); tokenizer_free(t);
 *
 * The same on the command line: printf 'Hello world' | northwall model tokenize --model m.gguf
 *
 * Kinds, by tokenizer.ggml.model: "llama" (SentencePiece BPE: score-driven merges, byte fallback), "gpt2" (byte-level
 * BPE: merges by rank after a pre-tokenizer) and "bert" (WordPiece). The ids are those of llama.cpp. A file names its
 * pre-tokenizer in tokenizer.ggml.pre (llama-bpe, starcoder, qwen2, ...: a row of a table each); an unknown one is an
 * error that lists the known ones, and where the key is missing "default" is used, which older files rely on.
 * All functions but the constructors may be called by several threads on one tokenizer. */
#ifndef MODELS_TOKENIZER_H
#define MODELS_TOKENIZER_H

#include "models/gguf.h"

struct tokenizer;

/* Builds from the file's metadata; the tokenizer keeps its own copies (g may be closed). Local. */
int tokenizer_new(struct tokenizer **out, const struct gguf *g, struct diag *d);
/* The same kind of object for a model without vocabulary (synthetic weights) of n_vocab ids: a byte of text is token
 * byte mod n_vocab; tokens from 256 on print as their number, "[300]". */
int tokenizer_new_bytes(struct tokenizer **out, int n_vocab, struct diag *d);
void tokenizer_free(struct tokenizer *t); /* NULL accepted */

int tokenizer_n_vocab(const struct tokenizer *t);
int tokenizer_bos(const struct tokenizer *t); /* -1 if none; "bert": CLS */
int tokenizer_eos(const struct tokenizer *t); /* -1 if none; "bert": SEP */
int tokenizer_adds_bos(const struct tokenizer *t); /* file's add_bos_token, or the default of its kind */
int tokenizer_adds_eos(const struct tokenizer *t);
/* Ends generation: eos, eot, and other end-of-generation tokens, by their id in the file or their usual name. */
int tokenizer_is_end(const struct tokenizer *t, int id);
/* Control or user-defined: taken whole from a text. */
int tokenizer_is_special(const struct tokenizer *t, int id);
const char *tokenizer_kind(const struct tokenizer *t); /* "SentencePiece BPE", "byte-level BPE", "WordPiece", "bytes" */
const char *tokenizer_pre(const struct tokenizer *t); /* "llama-bpe", ...; "" where the kind has none */

/* bos in front, eos behind, if the file says so | parse control tokens in the text (user-defined ones always are) */
enum { TOKENIZE_BOS = 1, TOKENIZE_SPECIAL = 2, TOKENIZE_EOS = 4 };

/* Tokens of text[0..len), any bytes, malloc'ed into *ids (caller frees, also when there are none). Returns their
 * number, or an error code. Text is taken verbatim; bytes outside UTF-8 go through byte tokens. A byte that the
 * vocabulary has no token for becomes the unknown token in SPM and is left out by BPE. "bert" folds case and accents.
 * Local. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, int flags, int **ids, struct diag *d);

/* Bytes of one token: writes at most cap bytes, returns the full length. `first` says that it opens the text or follows
 * a special token: SPM then drops the space that encoding puts there. Control tokens give no bytes unless `special`.
 * A character may be spread over several tokens; the pieces in order are the exact bytes of the text. */
int tokenizer_piece(const struct tokenizer *t, int id, int first, int special, char *buf, int cap);

/* The pieces of n tokens in order, malloc'ed into *text with a 0 behind (caller frees): what tokenizer_encode was
 * given, if every byte has a token. Local. */
int tokenizer_decode(const struct tokenizer *t, const int *ids, int n, int special, char **text, size_t *len,
                     struct diag *d);

#endif
