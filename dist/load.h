/* load.h - what the processors of this node do meanwhile: whether a measurement had them to itself. */
#ifndef DIST_LOAD_H
#define DIST_LOAD_H

/* Since the node started, by the kernel's count; NaN where it does not tell (/proc/stat). */
struct load {
    double busy_s, stolen_s, wall_s; /* processor time of all, taken by a hypervisor; a clock */
    double own_s; /* processor time of the processes that `who` of getrusage names */
};

struct load load_now(int who); /* RUSAGE_SELF; RUSAGE_CHILDREN: those that have ended */
/* Shares of the node's processor time between the two: what others used than those with own_s, and what was stolen;
 * NaN: unknown. */
double load_of_others(const struct load *from, const struct load *to, double own_s);
double load_stolen(const struct load *from, const struct load *to);

#endif
