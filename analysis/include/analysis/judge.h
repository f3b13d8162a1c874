/* judge.h - the criteria by which claims are judged, stated before any number is known. All functions are local. */
#ifndef ANALYSIS_JUDGE_H
#define ANALYSIS_JUDGE_H

enum verdict {
    VERDICT_HOLDS,
    VERDICT_WHERE, /* under some of the conditions looked at, which are named */
    VERDICT_FAILS,
    VERDICT_UNTOLD, /* what is known does not decide it */
    VERDICTS
};
extern const char *const verdict_name[VERDICTS];

/* x to so many digits that count. */
double judge_rounded(double x, int digits);

/* A printed number beside a fit of its points with the interval [low, high]: holds where the fit rounds to it, untold
 * where the interval has it, else fails. */
enum verdict judge_printed(double fit, double low, double high, double printed, int digits);
/* "More than bound", of a number that lies in [low, high]: untold where the interval has the bound. */
enum verdict judge_above(double low, double high, double bound);
/* "At most bound", likewise. */
enum verdict judge_at_most(double low, double high, double bound);
/* A prediction in [low, high], its range over what is not published: holds where all of it is within so much of the
 * published number (0.1: 10 %), fails where none is, else untold. */
enum verdict judge_near(double low, double high, double published, double within);
/* So many of n cases are as claimed: cases differ in conditions that are known (mixed: holds where), or in what nobody
 * has published (mixed: untold). n = 0: untold. */
enum verdict judge_cases(int as_claimed, int n, enum verdict mixed);
/* "It pays only with little of b": holds where all cases that pay have less of b than all that do not, untold where all
 * pay or none does, fails where no limit of b tells more cases right than none would, else where. *limit: the most b
 * that pays, by the limit that tells most; *told: the share of the cases that it tells right. */
enum verdict judge_apart(const double *b, const int *pays, int n, double *limit, double *told);

#endif
