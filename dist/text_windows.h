/* text_windows.h - a text that a model reads window by window, each from an empty cache, and what it predicts there.
 *
 *   text_windows_read(&w, app, m, path, &d);                         collective, as all that takes an app
 *   tp_forward_open(&f, app, m, w.window, text_windows_chunk(&w, app), &d);
 *   text_windows_run(&w, app, &f, see, user, &d);                    see: once for each prediction that counts
 *   tp_forward_close(&f);  text_windows_fini(&w); */
#ifndef DIST_TEXT_WINDOWS_H
#define DIST_TEXT_WINDOWS_H

#include "tp_forward.h"

struct text_windows {
    int *ids, n; /* the text's tokens */
    size_t bytes; /* the text's; rank 0 */
    int bos; /* a begin token stands before each window; -1: none */
    int window, skip; /* tokens of a window, the begin token included; first predictions of each that do not count */
    int body, every; /* tokens of the text in a window; windows of it there are */
    int n_windows; /* that are read, spread evenly over `every` */
    long predictions; /* that count */
};

/* --text, or a file's text ("-": standard input). malloc'ed. Local. */
int text_input(const struct app *app, const char *path, char **text, size_t *len, struct diag *d);
/* Reads --text or the file on rank 0 and cuts it by --window, --windows and --skip. Collective; freed by
 * text_windows_fini. ERR_UNSUPPORTED: an encoder; ERR_USAGE, ERR_RANGE: nothing would be left to predict. */
int text_windows_read(struct text_windows *w, const struct app *app, const struct model *m, const char *path,
                      struct diag *d);
void text_windows_fini(struct text_windows *w);
/* Tokens of a forward call: --chunk, at most a window. Local. */
int text_windows_chunk(const struct text_windows *w, const struct app *app);
/* Predictions of a window that count. */
int text_windows_count(const struct text_windows *w, int window);

/* token follows; logits [n_vocab] are what the model says of it, good during the call. */
typedef void text_see(void *user, int window, int token, const float *logits);
/* Feeds all windows; see (NULL: nothing is scored on this rank) is called in order. ERR_INTERRUPTED once app_stop is
 * set. Collective. */
int text_windows_run(const struct text_windows *w, const struct app *app, struct tp_forward *f, text_see *see,
                     void *user, struct diag *d);
/* ERR_FORMAT where a mean of what was predicted is no number. Local. */
int text_windows_check(double mean_nll, const struct app *app, const struct tp_forward *f, struct diag *d);

/* The mean of a figure over all predictions, from its sum in each window. Interval of 95 %: normal, by the scatter of
 * windows (a ratio estimate: Cochran 1977, section 2.11), as predictions of one window depend on each other; NaN with
 * fewer than 8. */
struct text_mean {
    double mean, low, high;
};
enum { TEXT_LEAST_WINDOWS = 8 };
struct text_mean text_windows_mean(const struct text_windows *w, const double *sums);

#endif
