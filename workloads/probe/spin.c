/* spin: full load on N threads, and every gap in it. */
#include "probe.h"
#include "where.h"

#include <string.h>

enum {
    UNIT_STEPS = 1000, /* one unit is 1 to 5 us */
    MAX_LISTED = 4096, /* gaps, all threads together */
    MAX_LISTED_A_THREAD = 1024
};

struct gap {
    uint64_t start_ns; /* since the window's */
    uint64_t length_ns;
};

struct spinner {
    OWN_LINES struct whereabouts where;
    uint64_t t_start_ns; /* when this thread took its edges */
    uint64_t t_end_ns;
    uint64_t cpu_ns;
    uint64_t work;
    uint64_t gaps;
    uint64_t gap_total_ns;
    uint64_t gap_max_ns;
    struct gap *listed; /* the first ones, as many as window.listed_a_thread */
    uint64_t histogram[MAX_BINS];
    uint64_t sink; /* the work's result: kept, so that the work is */
    bool complete;
};

/* Static, so that nothing is allocated; of it only what N threads need is ever touched. */
static struct spinner *spinners;
static struct gap listed_gaps[MAX_LISTED];

/* Written before the threads are released and only read after. */
static struct {
    OWN_LINES uint64_t go_ns, start_ns, end_ns;
    uint64_t gap_threshold_ns;
    uint64_t listed_a_thread;
    struct scale scale;
} window;

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t greatest(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void count_gap(struct spinner *self, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t gap_ns = to_ns > from_ns ? to_ns - from_ns : 0;
    if (gap_ns < window.gap_threshold_ns)
        return;
    if (self->gaps < window.listed_a_thread)
        self->listed[self->gaps] = (struct gap){from_ns - window.start_ns, gap_ns};
    self->gaps++;
    self->gap_total_ns += gap_ns;
    if (gap_ns > self->gap_max_ns)
        self->gap_max_ns = gap_ns;
    self->histogram[bin_of(&window.scale, gap_ns)]++;
}

/* One thread's life. From the release to the end of the window it makes no system call but for
 * its CPU clock, once at each edge.
 *
 * A gap is the time between two looks at the clock with one unit of work between them; it is cut
 * to the window before it is compared with the threshold, so that what is off the CPU across an
 * edge counts with the part that lies inside. A thread that cannot run at an edge takes it at the
 * first moment it does: its CPU clock stood still meanwhile, so cpu_ns is that of the window.
 *
 * "Stop" is looked at before the clock: the other way round, a thread held off the CPU between
 * the two past the window's end would take a late stop for an early one. */
static void *spin_thread(void *argument)
{
    struct spinner *self = argument;
    watch_cpu(&self->where);
    park();

    uint64_t x = self->sink;
    uint64_t before = window.go_ns; /* we want to run from here on */
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    bool stop = false;
    while (now < window.start_ns && !stop) {
        x = work_steps(x, UNIT_STEPS);
        stop = must_stop();
        before = now;
        now = clock_ns(CLOCK_MONOTONIC);
    }

    self->t_start_ns = now;
    uint64_t cpu_at_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t work = 0;
    count_gap(self, greatest(before, window.start_ns), least(now, window.end_ns));
    while (now < window.end_ns && !stop) {
        x = work_steps(x, UNIT_STEPS);
        work++;
        count_unit(&self->where);
        stop = must_stop();
        before = now;
        now = clock_ns(CLOCK_MONOTONIC);
        if (now - before >= window.gap_threshold_ns)
            count_gap(self, before, least(now, window.end_ns));
    }
    self->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_at_start_ns;
    self->t_end_ns = now;
    self->work = work;
    self->complete = now >= window.end_ns;

    /* The load goes on while the counters outside are read for the last time. */
    while (!must_stop())
        x = work_steps(x, UNIT_STEPS);
    self->sink = x;
    return NULL;
}

static void report_spin(size_t threads)
{
    uint64_t histogram[MAX_BINS] = {0};
    bool complete = true;
    for (size_t i = 0; i < threads; i++) {
        complete = complete && spinners[i].complete;
        for (size_t bin = 0; bin < window.scale.bins; bin++)
            histogram[bin] += spinners[i].histogram[bin];
    }
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"spin\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"gap_threshold_ns\":%" PRIu64,
           VERSION, json_bool(complete), window.start_ns, window.end_ns, window.gap_threshold_ns);
    print_numbers("gap_edges_ns", window.scale.edges_ns, window.scale.bins + 1);
    print_numbers("gap_histogram", histogram, window.scale.bins);
    printf(",\"gap_list\":[");
    const char *separator = "";
    for (size_t i = 0; i < threads; i++)
        for (size_t gap = 0; gap < least(spinners[i].gaps, window.listed_a_thread); gap++) {
            const struct gap *g = &spinners[i].listed[gap];
            printf("%s[%" PRIu64 ",%" PRIu64 "]", separator, g->start_ns, g->length_ns);
            separator = ",";
        }
    printf("],\"threads\":[");
    for (size_t i = 0; i < threads; i++) {
        const struct spinner *s = &spinners[i];
        printf("%s{\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
               ",\"work\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"gap_total_ns\":%" PRIu64
               ",\"gap_max_ns\":%" PRIu64,
               i > 0 ? "," : "", s->t_start_ns, s->t_end_ns, s->cpu_ns, s->work, s->gaps,
               s->gap_total_ns, s->gap_max_ns);
        print_cpus(&s->where);
        printf("}");
    }
    printf("]}\n");
    flush_output();
}

int spin(int count, char **arguments)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'},
        {"deadline", required_argument, NULL, 'd'},
        {"gap-us", required_argument, NULL, 'g'},
        {NULL, 0, NULL, 0},
    };
    uint64_t threads = 0, deadline_s = 0, gap_us = 500;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 't')
            threads = option_number("threads", optarg, 1, MAX_THREADS);
        else if (option == 'd')
            deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
        else
            gap_us = option_number("gap-us", optarg, 10, 1000000);
    }
    if (threads == 0 || deadline_s == 0)
        misuse("--threads and --deadline are needed");

    install_deadline(deadline_s);
    window.gap_threshold_ns = gap_us * NS_PER_US;
    make_scale(&window.scale, window.gap_threshold_ns);
    window.listed_a_thread = least(MAX_LISTED / threads, MAX_LISTED_A_THREAD);
    spinners = own_memory(threads * sizeof *spinners);
    memset(listed_gaps, 0, threads * window.listed_a_thread * sizeof listed_gaps[0]); /* touches */
    for (size_t i = 0; i < threads; i++) {
        memset(&spinners[i], 0, sizeof spinners[i]);
        spinners[i].listed = &listed_gaps[i * window.listed_a_thread];
        spinners[i].sink = i + 1; /* any seed but 0, xorshift's fixed point */
    }
    start_threads(threads, spin_thread, spinners, sizeof spinners[0]);
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"spin\",\"threads\":%" PRIu64 "}\n",
           VERSION, threads);
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    window.go_ns = clock_ns(CLOCK_MONOTONIC);
    window.start_ns = window.go_ns + warmup_ns;
    window.end_ns = window.start_ns + duration_ns;
    release_threads();

    await_stop(window.end_ns, 0);
    stop_threads();
    report_spin(threads);
    return 0;
}
