/* design.h - the parts of the report on the design of cards: what a budget is best spent on. */
#ifndef ANALYSIS_DESIGN_H
#define ANALYSIS_DESIGN_H

#include "study.h"

/* A job on one card, or so many: weights as stored, activations of 16 bits. */
struct study_case design_case(const struct cluster *c, const char *model, const char *quant, int users, int prompt);
/* Adds a level of memory behind the card's last one, of so many bytes (0: not limited) and bytes a second. */
void design_behind(struct cluster *c, const char *name, uint64_t bytes, double Bps);
/* Bytes a second of a level, or of the link of two neighbours. */
double design_rate(struct pico_rate G);

int design_trade(struct study *st);
int design_memory(struct study *st);
int design_stream(struct study *st);
int design_cliff(struct study *st);
int design_precision(struct study *st);
extern const struct report_figure design_figures[];

#endif
