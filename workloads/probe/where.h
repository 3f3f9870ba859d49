/* Where a thread is: how much of its work it did on which CPU, at the price of a load a unit.
 *
 * cgroup v2 counts no CPUs apart, so what a load outside its cpuset would do is told by itself. */
#ifndef WHERE_H
#define WHERE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_CPUS = 256 }; /* that the units of one thread are told apart by */

struct cpu_count {
    int cpu;
    uint64_t units;
};

/* The struct rseq of linux/rseq.h as it was at first, in kernel 4.18: all later ones take it. */
struct rseq_area {
    uint32_t cpu_id_start;
    volatile uint32_t cpu_id; /* the kernel writes it; negative: not registered */
    uint64_t critical_section;
    uint32_t flags;
    uint32_t unused[3];
};

/* One thread's; of lines of the cache that are its own, as the kernel wants of an rseq_area. */
struct whereabouts {
    struct rseq_area rseq;
    struct cpu_count *here; /* of cpus: where the thread was last */
    size_t met;
    struct cpu_count cpus[MAX_CPUS + 1]; /* in the order met; the last one is for all others */
};

/* By the thread itself, before its first unit; what it watches with was zero. */
void watch_cpu(struct whereabouts *where);

/* The thread is on another CPU than it was. */
void meet_cpu(struct whereabouts *where, int cpu);

/* ,"cpus":[[cpu,units],...] */
void print_cpus(const struct whereabouts *where);

/* In a few ns, without a system call: from our rseq, from the C library's (glibc since 2.35), or
 * through the vDSO (x86). Only an old glibc or kernel on another CPU would make one. */
static inline int current_cpu(const struct whereabouts *where)
{
    uint32_t cpu = where->rseq.cpu_id;
    return cpu <= INT32_MAX ? (int)cpu : sched_getcpu();
}

/* One unit of work was done, on the CPU that the thread is on at its end. */
static inline void count_unit(struct whereabouts *where)
{
    int cpu = current_cpu(where);
    if (cpu != where->here->cpu)
        meet_cpu(where, cpu);
    where->here->units++;
}

#endif
