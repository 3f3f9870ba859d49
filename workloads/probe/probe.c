/* The probe: a load that reports from inside its container what its limits did to it.
 *
 * This is its command line; probe.h says what is where.
 */
#include "probe.h"

#include <string.h>
#include <sys/prctl.h>

const char usage[] =
    "usage: probe spin --threads N --deadline SECONDS [--gap-us MICROSECONDS]\n"
    "       probe memory --target BYTES --deadline SECONDS [--step BYTES]\n"
    "                    [--kind anon|file|tmpfs|mixed] [--path DIR] [--victim child|self]\n"
    "       probe burst --threads N --deadline SECONDS --cost-us MICROSECONDS --rate HZ\n"
    "                   [--arrivals fixed|poisson] [--seed N]\n"
    "       probe io --block BYTES --file BYTES --path DIR --deadline SECONDS\n"
    "                [--operation write|read|files] [--way direct|buffered|fsync]\n"
    "                [--order sequential|random] [--depth N] [--rate HZ] [--seed N]\n"
    "                [--existing NAME]\n"
    "       probe take --kind process|thread|descriptor|lock|stack|file|cpu --most N\n"
    "                  --deadline SECONDS [--path DIR]\n"
    "       probe sample --rate-mhz MHZ --deadline SECONDS [--detail-every TICKS] [--host PATH]\n"
    "                    [--keep-off CPU] [--room-mib MIB]\n"
    "                    --files TICK,...:DETAIL,...:EDGE,...\n"
    "                    | --root DIR --id ID --tick HIERARCHY:FILE [--detail HIERARCHY:FILE]\n"
    "                      [--edge HIERARCHY:FILE] [--up HIERARCHY:FILE] [--inner FOLDER/FILE]\n"
    "       probe ask --port PORT --deadline SECONDS [--protocol http|redis] [--path PATH]\n"
    "                 [--ready-path PATH | --ready-tcp] [--ready-s SECONDS] [--rate HZ [--to-rate HZ]]\n"
    "                 [--arrivals fixed|poisson] [--connections N] [--seed N]\n"
    "                 [--keys N] [--value-bytes N] [--writes PERCENT]\n"
    "       probe run --deadline SECONDS -- PROGRAM [ARGUMENT]...\n"
    "       probe --version | --help\n";

static const struct {
    const char *name;
    int (*run)(int count, char **arguments);
} modes[] = {
    {"spin", spin},
    {"memory", memory},
    {"burst", burst},
    {"take", take},
    {"sample", sample},
    {"io", io},
    {"ask", ask},
    {"run", run},
};

int main(int count, char **arguments)
{
    if (count < 2)
        misuse("a mode is needed");
    /* Where huge pages are the rule (Debian's default) a stack or a heap of a few kB would be charged
       as 2 MiB: a third of the least --memory, and no part of the load. Children inherit it. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (strcmp(arguments[1], "--version") == 0) {
        printf("probe %d\n", VERSION);
        flush_output();
        return 0;
    }
    if (strcmp(arguments[1], "--help") == 0) {
        fputs(usage, stdout);
        flush_output();
        return 0;
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(arguments[1], modes[i].name) == 0)
            return modes[i].run(count - 1, arguments + 1);
    misuse("'%s' is no mode", arguments[1]);
}
