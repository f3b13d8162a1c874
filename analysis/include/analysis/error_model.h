/* error_model.h - how large the errors of values kept or sent in fewer bits are to be, before any is measured.
 *
 * All are root mean squares, but for error_allreduce relative to that of the values, which are independent and normal:
 * what is kept of a group depends on its greatest magnitude a, and E[a^2] of g normal values is exact by quadrature.
 * Rounding to the nearest of evenly spaced steps s leaves an error that is uniform in a step, with variance s^2 / 12
 * (Bennett 1948; Widrow and Kollar, Quantization Noise, 2008, chapter 4), where values reach over many steps. One value
 * in g, the greatest, falls on a step and has no error. All functions are pure and local. */
#ifndef ANALYSIS_ERROR_MODEL_H
#define ANALYSIS_ERROR_MODEL_H

/* Steps -steps ... steps of a / steps each: int8 (127) and int4 (7) of wires, activations, caches, and of rows with one
 * step. Variance E[a^2] / steps^2 / 12 * (1 - 1/g). */
double error_steps(int group, int steps);

/* ggml's symmetric 4-bit blocks: steps of a / half from -half to half - 1, of which -half takes the greatest magnitude.
 * Values of the other sign beyond half - 1/2 steps are cut off: their error is what lies above half - 1 steps. */
double error_clipped_steps(int group, int half);

/* binary16, to nearest, of values with standard deviation sigma: a unit in the last place is 2^(e-10) in the binade of
 * 2^e, and 2^-24 below 2^-14; nothing saturates. Values fill a binade evenly enough for an error uniform in a unit. */
double error_half(double sigma);

/* An all-reduce of `ranks` vectors in which a value is rounded `hops` times on its way: operands, each with an error of
 * `operand` (absolute), and if hops is 2 the sum too, with an error of `sum`. Errors are independent of each other:
 * sqrt(ranks operand^2 + (hops - 1) sum^2). Of independent operands, whose sum is sqrt(ranks) times as large, that is
 * sqrt(hops) roundings of the sum, whatever the number of ranks. */
double error_allreduce(int ranks, int hops, double operand, double sum);

/* What leaving out the all-reduce after attention does to what the FFN makes of the attention's sum, over `ranks`
 * ranks, to first order. Each rank adds p_s, its part of the sum, and applies its part J_s of the FFN, sum J = sum of
 * J_s, to its own part alone: what is missing is sum over s of (J - J_s) p_s. With independent parts p_s of equal
 * variance it is, relative to J times the sum, sqrt(1 - 1/ranks) where the J_s are independent of each other, and 1 -
 * 1/ranks where they are alike (J_s = J / ranks): measured ones should lie between. */
double error_dropped_sync(int ranks, int alike);

/* The quadratures behind them. */
double error_greatest_square(int group); /* E[a^2] */

#endif
