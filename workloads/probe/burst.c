/* burst: pieces of work that become due whether or not those before are done, and how long each
 * took from then on.
 *
 * A piece's response time runs from the moment it was due, not from when a thread got to it: else
 * a load that is held up would not count those that had to wait (coordinated omission). */
#include "probe.h"
#include "where.h"

#include <string.h>
#include <sys/prctl.h>

enum {
    MAX_PIECES = 1 << 18, /* due between "go" and the window's end */
    CHUNK_STEPS = 100     /* of work between two looks at the clock: 0.1 to 0.5 us */
};

struct worker {
    OWN_LINES struct whereabouts where; /* counted in chunks */
    uint64_t t_start_ns; /* when this thread took its edges */
    uint64_t t_end_ns;
    uint64_t cpu_at_start_ns;
    uint64_t cpu_ns;
    uint64_t pieces; /* of the window, that it finished */
    uint64_t sink;
    enum { BEFORE, INSIDE, BEHIND } place; /* in the window */
};

static struct worker *workers;

enum arrivals { FIXED, POISSON };
static const char *const arrivals_names[] = {"fixed", "poisson", NULL};

/* Written before the threads are released and only read after. */
static struct {
    OWN_LINES uint64_t go_ns, start_ns, end_ns;
    uint64_t cost_ns, rate_hz;
    enum arrivals arrivals;
    uint64_t seed;
    uint64_t first, offered; /* the pieces that are due inside the window */
    uint64_t scheduled;      /* all up to the first that is due behind it */
    struct scale scale;
} load;

static uint64_t *due_offset_ns; /* MAX_PIECES + 1 of them, from "go"; of Poisson arrivals only */
static uint64_t *response_ns;   /* MAX_PIECES, of the window's pieces; 0: not finished */

static OWN_LINES _Atomic uint64_t next_piece;

/* --- when pieces are due --- */

/* Poisson arrivals repeat from where the schedule ends: that is after the window. */
static uint64_t due_ns(uint64_t piece)
{
    if (load.arrivals == FIXED)
        return load.go_ns + piece / load.rate_hz * NS_PER_S +
               piece % load.rate_hz * NS_PER_S / load.rate_hz;
    uint64_t again = piece / load.scheduled, offset_ns = due_offset_ns[piece % load.scheduled];
    if (again > 0) /* while they are counted there is no last one */
        offset_ns += again * due_offset_ns[load.scheduled - 1];
    return load.go_ns + offset_ns;
}

/* Finds the window's pieces, and touches the memory that they need. */
static void schedule_pieces(uint64_t warmup_ns, uint64_t duration_ns)
{
    uint64_t piece = 0, state = load.seed, sum_ns = 0;
    load.scheduled = UINT64_MAX; /* none repeats while they are counted */
    for (;; piece++) {
        if (load.arrivals == POISSON)
            due_offset_ns[piece] = sum_ns += random_interval_ns(&state, load.rate_hz);
        uint64_t offset_ns = due_ns(piece); /* go_ns is still 0 */
        if (offset_ns >= warmup_ns + duration_ns)
            break;
        if (piece == MAX_PIECES)
            fail(EXIT_USAGE, "more than %d pieces of work up to the window's end", MAX_PIECES);
        if (offset_ns < warmup_ns)
            load.first++;
    }
    load.offered = piece - load.first;
    load.scheduled = piece + 1;
    memset(response_ns, 0, load.offered * sizeof response_ns[0]);
}

/* --- the threads --- */

/* The time; and the thread's edges of the window, each at its first look at or after it. A thread
 * that sleeps or is held off the CPU across an edge takes it late, but its CPU clock stood still
 * meanwhile. */
static inline uint64_t look(struct worker *self)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (self->place == BEFORE && now >= load.start_ns) {
        self->place = INSIDE;
        self->t_start_ns = now;
        self->cpu_at_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    }
    if (self->place == INSIDE && now >= load.end_ns) {
        self->place = BEHIND;
        self->t_end_ns = now;
        self->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - self->cpu_at_start_ns;
    }
    return now;
}

/* Uses as much CPU time as a piece costs; false where "stop" came before. The CPU clock is a
 * system call, so it is read only once so much time has passed that it can have been enough. */
static bool do_piece(struct worker *self)
{
    uint64_t enough_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + load.cost_ns;
    uint64_t left_ns = load.cost_ns;
    for (;;) {
        uint64_t from_ns = look(self);
        do {
            self->sink = work_steps(self->sink, CHUNK_STEPS);
            if (self->place == INSIDE)
                count_unit(&self->where);
            if (must_stop())
                return false;
        } while (look(self) - from_ns < left_ns);
        uint64_t used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        if (used_ns >= enough_ns)
            return true;
        left_ns = enough_ns - used_ns;
    }
}

static void *work_thread(void *argument)
{
    struct worker *self = argument;
    watch_cpu(&self->where);
    park();
    for (;;) {
        uint64_t piece = atomic_fetch_add_explicit(&next_piece, 1, memory_order_relaxed);
        uint64_t due = due_ns(piece);
        while (look(self) < due && !must_stop())
            sleep_while(&stopped, 0, due);
        if (!do_piece(self))
            break;
        uint64_t done = look(self);
        if (piece >= load.first && piece - load.first < load.offered) {
            response_ns[piece - load.first] = done - due;
            self->pieces++;
        }
    }

    uint64_t now = look(self);
    if (self->place == BEFORE)
        self->t_start_ns = now;
    if (self->place != BEHIND)
        self->t_end_ns = now;
    if (self->place == INSIDE)
        self->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - self->cpu_at_start_ns;
    return NULL;
}

/* --- the report --- */

/* A heapsort: qsort may allocate as much again. */
static void sort_in_place(uint64_t *numbers, size_t count)
{
    for (size_t built = count / 2, end = count; end > 1;) {
        uint64_t sinking;
        if (built > 0) {
            sinking = numbers[--built];
        } else {
            sinking = numbers[--end];
            numbers[end] = numbers[0];
        }
        size_t at = built;
        for (size_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && numbers[child + 1] > numbers[child])
                child++;
            if (numbers[child] <= sinking)
                break;
            numbers[at] = numbers[child];
        }
        numbers[at] = sinking;
    }
}

/* The nearest rank, of what is sorted; null where there is nothing. */
static void print_quantile(const char *name, uint64_t offered, uint64_t per_mille)
{
    if (offered == 0)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRIu64, name, response_ns[(offered * per_mille + 999) / 1000 - 1]);
}

static void report_burst(size_t threads, uint64_t stop_ns)
{
    /* Of a window that was cut short, only what was due by then was offered. */
    uint64_t offered = load.offered;
    while (offered > 0 && due_ns(load.first + offered - 1) > stop_ns)
        offered--;

    uint64_t completed = 0, backlog = 0, histogram[MAX_BINS] = {0};
    for (uint64_t i = 0; i < offered; i++) {
        uint64_t due = due_ns(load.first + i);
        if (response_ns[i] > 0)
            completed++;
        else
            response_ns[i] = stop_ns - due; /* at least: an overload must not look quick */
        if (due + response_ns[i] > load.end_ns)
            backlog++;
        histogram[bin_of(&load.scale, response_ns[i])]++;
    }
    sort_in_place(response_ns, offered);

    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"burst\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64,
           VERSION, json_bool(stop_ns >= load.end_ns), load.start_ns, load.end_ns);
    printf(",\"cost_ns\":%" PRIu64 ",\"rate_hz\":%" PRIu64 ",\"arrivals\":\"%s\",\"seed\":%" PRIu64,
           load.cost_ns, load.rate_hz, arrivals_names[load.arrivals], load.seed);
    printf(",\"offered\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"unfinished\":%" PRIu64
           ",\"backlog\":%" PRIu64,
           offered, completed, offered - completed, backlog);
    print_quantile("response_p50_ns", offered, 500);
    print_quantile("response_p90_ns", offered, 900);
    print_quantile("response_p99_ns", offered, 990);
    print_quantile("response_p999_ns", offered, 999);
    print_quantile("response_max_ns", offered, 1000);
    print_numbers("response_edges_ns", load.scale.edges_ns, load.scale.bins + 1);
    print_numbers("response_histogram", histogram, load.scale.bins);
    printf(",\"threads\":[");
    for (size_t i = 0; i < threads; i++) {
        printf("%s{\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
               ",\"pieces\":%" PRIu64,
               i > 0 ? "," : "", workers[i].t_start_ns, workers[i].t_end_ns, workers[i].cpu_ns,
               workers[i].pieces);
        print_cpus(&workers[i].where);
        printf("}");
    }
    printf("]}\n");
    flush_output();
}

int burst(int count, char **arguments)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'},
        {"deadline", required_argument, NULL, 'd'},
        {"cost-us", required_argument, NULL, 'c'},
        {"rate", required_argument, NULL, 'r'},
        {"arrivals", required_argument, NULL, 'a'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    uint64_t threads = 0, deadline_s = 0;
    load.seed = 1;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 't')
            threads = option_number("threads", optarg, 1, MAX_THREADS);
        else if (option == 'd')
            deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
        else if (option == 'c')
            load.cost_ns = option_number("cost-us", optarg, 10, 1000000) * NS_PER_US;
        else if (option == 'r')
            load.rate_hz = option_number("rate", optarg, 1, 100000);
        else if (option == 'a')
            load.arrivals = (enum arrivals)option_choice("arrivals", optarg, arrivals_names);
        else
            load.seed = option_number("seed", optarg, 0, UINT32_MAX);
    }
    if (threads == 0 || deadline_s == 0 || load.cost_ns == 0 || load.rate_hz == 0)
        misuse("--threads, --deadline, --cost-us and --rate are needed");

    install_deadline(deadline_s);
    make_scale(&load.scale, 10 * NS_PER_US);
    prctl(PR_SET_TIMERSLACK, 1); /* ns, of the threads too: else they sleep up to 50 us too long */
    workers = own_memory(threads * sizeof *workers);
    due_offset_ns = own_memory((MAX_PIECES + 1) * sizeof *due_offset_ns);
    response_ns = own_memory(MAX_PIECES * sizeof *response_ns);
    for (size_t i = 0; i < threads; i++) {
        memset(&workers[i], 0, sizeof workers[i]); /* touches it */
        workers[i].sink = i + 1; /* any seed but 0, xorshift's fixed point */
    }
    start_threads(threads, work_thread, workers, sizeof workers[0]);
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"burst\",\"threads\":%" PRIu64 "}\n",
           VERSION, threads);
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    schedule_pieces(warmup_ns, duration_ns);
    load.go_ns = clock_ns(CLOCK_MONOTONIC);
    load.start_ns = load.go_ns + warmup_ns;
    load.end_ns = load.start_ns + duration_ns;
    release_threads();

    uint64_t stop_ns = await_stop(load.end_ns, DRAIN_NS);
    stop_threads();
    report_burst(threads, stop_ns);
    return 0;
}
