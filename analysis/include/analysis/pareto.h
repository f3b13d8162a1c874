/* pareto.h - the points of a set that no other one beats in both of two things, cost and loss, where the loss is known
 * as an interval. All functions are local.
 *
 * a beats b: neither its cost nor its loss is greater, and one of them is less (Pareto dominance; Ehrgott 2005,
 * "Multicriteria Optimization", definition 2.1). Among equal points the first counts. */
#ifndef ANALYSIS_PARETO_H
#define ANALYSIS_PARETO_H

struct pareto_point {
    double cost, loss; /* finite; NaN in either: the point is not looked at */
    double low, high; /* of the loss: an interval that holds it, NaN: low = high = loss */
};

/* Numbers of the points that none beats, by growing cost and so by falling loss, into front[n]; returns how many.
 * -1: no memory. */
int pareto_front(const struct pareto_point *p, int n, int *front);
/* Of the points beside the front, how many may belong to it: none costs as little or less and has an interval below
 * theirs. Intervals are taken by themselves, which is careful where they come from the same text. -1: no memory. */
int pareto_undecided(const struct pareto_point *p, int n, const int *front, int n_front);

#endif
