/* Which CPUs a thread has met, and how much it did on each. */
#include "probe.h"
#include "where.h"

#include <sys/syscall.h>
#include <unistd.h>

void watch_cpu(struct whereabouts *where)
{
    where->here = &where->cpus[MAX_CPUS];
    where->here->cpu = -1; /* no CPU's number */
    /* The kernel keeps the number of this thread's CPU in its memory from now on (rseq(2)).
     * Refused where the C library has done the same for itself. */
    const uint32_t signature = 0x53053053; /* of critical sections, of which we have none */
    where->rseq.cpu_id = UINT32_MAX;
    syscall(SYS_rseq, &where->rseq, sizeof where->rseq, 0, signature);
}

void meet_cpu(struct whereabouts *where, int cpu)
{
    size_t i = 0;
    while (i < where->met && where->cpus[i].cpu != cpu)
        i++;
    if (i == where->met && i < MAX_CPUS)
        where->cpus[where->met++].cpu = cpu;
    where->here = &where->cpus[i];
}

void print_cpus(const struct whereabouts *where)
{
    printf(",\"cpus\":[");
    const char *separator = "";
    for (size_t i = 0; i <= MAX_CPUS; i++)
        if (where->cpus[i].units > 0) {
            printf("%s[%d,%" PRIu64 "]", separator, where->cpus[i].cpu, where->cpus[i].units);
            separator = ",";
        }
    printf("]");
}
