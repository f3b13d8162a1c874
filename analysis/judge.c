#include "analysis/judge.h"

#include <math.h>

const char *const verdict_name[VERDICTS] = {"holds", "holds where", "does not hold", "cannot be told"};

double judge_rounded(double x, int digits) {
    double unit = pow(10, floor(log10(x)) + 1 - digits);
    return unit * nearbyint(x / unit);
}

enum verdict judge_printed(double fit, double low, double high, double printed, int digits) {
    if (fabs(judge_rounded(fit, digits) / printed - 1) < 1e-9) return VERDICT_HOLDS;
    return printed >= low && printed <= high ? VERDICT_UNTOLD : VERDICT_FAILS;
}

enum verdict judge_above(double low, double high, double bound) {
    if (low > bound) return VERDICT_HOLDS;
    return high > bound || isnan(low) || isnan(high) ? VERDICT_UNTOLD : VERDICT_FAILS;
}

enum verdict judge_at_most(double low, double high, double bound) {
    if (high <= bound) return VERDICT_HOLDS;
    return low <= bound || isnan(low) || isnan(high) ? VERDICT_UNTOLD : VERDICT_FAILS;
}

enum verdict judge_near(double low, double high, double published, double within) {
    double least = published * (1 - within), most = published * (1 + within);
    if (low >= least && high <= most) return VERDICT_HOLDS;
    return high < least || low > most ? VERDICT_FAILS : VERDICT_UNTOLD;
}

enum verdict judge_cases(int as_claimed, int n, enum verdict mixed) {
    if (n == 0) return VERDICT_UNTOLD;
    if (as_claimed == n) return VERDICT_HOLDS;
    return as_claimed ? mixed : VERDICT_FAILS;
}

enum verdict judge_apart(const double *b, const int *pays, int n, double *limit, double *told) {
    int paying = 0, best = -1;
    for (int i = 0; i < n; i++)
        paying += pays[i];
    *limit = *told = NAN;
    if (paying == 0 || paying == n) return VERDICT_UNTOLD;
    for (int k = 0; k < n; k++) { /* as a limit: what has no more of it pays */
        int right = 0;
        for (int i = 0; i < n; i++)
            right += pays[i] == (b[i] <= b[k]);
        if (right <= best) continue;
        best = right;
        *limit = b[k];
    }
    *told = (double)best / n;
    if (best == n) return VERDICT_HOLDS;
    return best > paying && best > n - paying ? VERDICT_WHERE : VERDICT_FAILS;
}
