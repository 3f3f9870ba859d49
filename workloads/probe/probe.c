/* The probe: a load that reports from inside its container what its limits did to it.
 *
 * The contract (commands, protocol, report, exit codes) is in ../README.md. Each mode is one
 * function in the table at the end of this file; the deadline, the reading of lines and the exit
 * codes are common to all of them.
 *
 * It is linked statically, since its image holds nothing else, and must build without a warning
 * with GCC on glibc and with Clang on musl.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define VERSION 1 /* of the protocol and of the report */

#define NS_PER_US UINT64_C(1000)
#define NS_PER_S UINT64_C(1000000000)

enum {
    EXIT_SYSTEM = 1,      /* the system refused a thread, or the output */
    EXIT_USAGE = 2,       /* a bad command line, or a line on stdin that is not understood */
    EXIT_NO_GO = 3,       /* stdin ended before "go": whoever started us is gone */
    EXIT_DEADLINE = 124,  /* as timeout(1) */
    EXIT_TERMINATED = 143 /* 128 + SIGTERM, as a shell reports it */
};

static const char usage[] =
    "usage: probe spin --threads N --deadline SECONDS [--gap-us MICROSECONDS]\n"
    "       probe --version\n";

/* --- what every mode needs --------------------------------------------------------------- */

/* One line on stderr, then the end: by _exit, which waits for no thread. */
__attribute__((noreturn, format(printf, 2, 3))) static void fail(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("probe: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(code);
}

/* A command line that cannot be carried out. */
#define MISUSE(...) (fputs(usage, stderr), fail(EXIT_USAGE, __VA_ARGS__))

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time); /* CLOCK_MONOTONIC: through the vDSO, no system call */
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/* A decimal number of least..most at *text, which then stands behind it. Digits only: strtoull
 * would also take a sign, blanks and other bases. */
static bool parse_number(const char **text, uint64_t least, uint64_t most, uint64_t *number)
{
    const char *at = *text;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > most)
            return false;
    }
    if (at == *text || value < least)
        return false;
    *text = at;
    *number = value;
    return true;
}

static uint64_t option_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
    uint64_t number;
    if (!parse_number(&text, least, most, &number) || *text != '\0')
        MISUSE("--%s takes a whole number of %" PRIu64 " to %" PRIu64, name, least, most);
    return number;
}

static void on_signal(int signal_number)
{
    _exit(signal_number == SIGALRM ? EXIT_DEADLINE : EXIT_TERMINATED);
}

/* The dead man's deadline, and SIGTERM. Both need handlers: the kernel drops a signal of default
 * action that is sent to PID 1 of a namespace, which is what we are in a container
 * (pid_namespaces(7)). Handlers are all that they do, so that nothing can hold the end up. */
static void install_deadline(uint64_t seconds)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    /* A mask is inherited through execve; a blocked alarm would be no deadline. */
    sigset_t needed;
    sigemptyset(&needed);
    sigaddset(&needed, SIGALRM);
    sigaddset(&needed, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &needed, NULL);

    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0)
        fail(EXIT_SYSTEM, "no timer for the deadline: %s", strerror(errno));

    /* A reader that went away is seen in what fflush returns. */
    signal(SIGPIPE, SIG_IGN);
}

enum { LINE_BYTES = 128 };

/* The next line of standard input, without its end; false at the end of input. Sleeps in poll(),
 * which also makes a stdin right that whoever started us left non-blocking. */
static bool read_line(char line[LINE_BYTES])
{
    static char held[LINE_BYTES];
    static size_t count;
    for (;;) {
        char *end = memchr(held, '\n', count);
        if (end != NULL) {
            size_t length = (size_t)(end - held);
            memcpy(line, held, length);
            line[length] = '\0';
            count -= length + 1;
            memmove(held, end + 1, count);
            return true;
        }
        if (count == sizeof held)
            fail(EXIT_USAGE, "a line of more than %d bytes", LINE_BYTES - 1);

        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, -1) < 0)
            continue; /* EINTR is all that can be */
        ssize_t got = read(STDIN_FILENO, held + count, sizeof held - count);
        if (got > 0)
            count += (size_t)got;
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return false;
    }
}

/* Waits for "go WARMUP_NS DURATION_NS". */
static void read_go(uint64_t *warmup_ns, uint64_t *duration_ns)
{
    const uint64_t most = UINT64_C(1000000) * NS_PER_S; /* far from any overflow */
    char line[LINE_BYTES];
    if (!read_line(line))
        _exit(EXIT_NO_GO);
    const char *at = line;
    if (strncmp(at, "go ", 3) == 0) {
        at += 3;
        if (parse_number(&at, 0, most, warmup_ns) && *at++ == ' ' &&
            parse_number(&at, 1, most, duration_ns) && *at == '\0')
            return;
    }
    fail(EXIT_USAGE, "expected 'go WARMUP_NS DURATION_NS', got '%s'", line);
}

/* Waits for "stop", or for the end of input, which means the same once there is a load. */
static void read_stop(void)
{
    char line[LINE_BYTES];
    if (read_line(line) && strcmp(line, "stop") != 0)
        fail(EXIT_USAGE, "expected 'stop', got '%s'", line);
}

static void flush_output(void)
{
    if (fflush(stdout) != 0)
        fail(EXIT_SYSTEM, "standard output is gone: %s", strerror(errno));
}

/* --- spin: full load on N threads, and every gap in it ------------------------------------- */

enum {
    MAX_THREADS = 1024,
    MAX_BINS = 56,        /* the least threshold, 10 us, takes 52 bins */
    BINS_A_DECADE = 8,
    UNIT_STEPS = 1000,    /* of about 2 ns each: one unit is 1 to 5 us */
    STACK_BYTES = 65536,
    TOUCHED_BYTES = 16384 /* of each stack: many times what a spinner uses */
};

/* Two cache lines, since CPUs prefetch them in pairs: no thread slows another by its counting. */
#define OWN_LINES _Alignas(128)

struct spinner {
    OWN_LINES pthread_t thread;
    uint64_t t_start_ns; /* when this thread took its edges */
    uint64_t t_end_ns;
    uint64_t cpu_ns;
    uint64_t work;
    uint64_t gaps;
    uint64_t gap_total_ns;
    uint64_t gap_max_ns;
    uint64_t histogram[MAX_BINS];
    uint64_t sink; /* the work's result: kept, so that the work is */
    bool complete;
};

/* Static, so that nothing is allocated; of it only what N threads need is ever touched. */
static struct spinner spinners[MAX_THREADS];

/* Written before the threads are let go and only read after. */
static struct {
    OWN_LINES uint64_t go_ns, start_ns, end_ns;
    uint64_t gap_threshold_ns;
    uint64_t edges_ns[MAX_BINS + 1];
    size_t bins;
} window;

static OWN_LINES _Atomic uint32_t released;
static OWN_LINES atomic_bool stopped;
static OWN_LINES sem_t parked;

/* Log-spaced edges from the threshold up to 30 s or just above, 8 to a decade. A table and not
 * pow(): the same integers whatever the C library. */
static void set_threshold(uint64_t threshold_ns)
{
    static const uint64_t millionths[BINS_A_DECADE] = {1000000, 1333521, 1778279, 2371374,
                                                       3162278, 4216965, 5623413, 7498942};
    window.gap_threshold_ns = threshold_ns;
    uint64_t decade_ns = threshold_ns;
    size_t i = 0;
    for (;; i++) {
        if (i > 0 && i % BINS_A_DECADE == 0)
            decade_ns *= 10;
        window.edges_ns[i] = decade_ns * millionths[i % BINS_A_DECADE] / 1000000;
        if (window.edges_ns[i] >= 30 * NS_PER_S || i == MAX_BINS)
            break;
    }
    window.bins = i;
}

/* The fixed unit of work: steps of xorshift64, each of which needs the one before it. */
static inline uint64_t work_unit(uint64_t x)
{
    for (int i = 0; i < UNIT_STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    __asm__ volatile("" : "+r"(x)); /* the compiler may neither drop nor reorder it */
    return x;
}

static void count_gap(struct spinner *self, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t gap_ns = to_ns > from_ns ? to_ns - from_ns : 0;
    if (gap_ns < window.gap_threshold_ns)
        return;
    self->gaps++;
    self->gap_total_ns += gap_ns;
    if (gap_ns > self->gap_max_ns)
        self->gap_max_ns = gap_ns;
    size_t bin = 0;
    while (bin + 1 < window.bins && gap_ns >= window.edges_ns[bin + 1])
        bin++;
    self->histogram[bin]++;
}

static bool must_stop(void)
{
    return atomic_load_explicit(&stopped, memory_order_relaxed);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Page faults while measuring would be charged to the window, so take them now. */
static __attribute__((noinline)) void touch_stack(void)
{
    volatile char bytes[TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof bytes; i += 1024)
        bytes[i] = 0;
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
    touch_stack();
    sem_post(&parked);
    while (atomic_load_explicit(&released, memory_order_acquire) == 0)
        syscall(SYS_futex, &released, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);

    uint64_t x = self->sink;
    uint64_t before = window.go_ns; /* we want to run from here on */
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    bool stop = false;
    while (now < window.start_ns && !stop) {
        x = work_unit(x);
        stop = must_stop();
        before = now;
        now = clock_ns(CLOCK_MONOTONIC);
    }

    self->t_start_ns = now;
    uint64_t cpu_at_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t work = 0;
    count_gap(self, later(before, window.start_ns), earlier(now, window.end_ns));
    while (now < window.end_ns && !stop) {
        x = work_unit(x);
        work++;
        stop = must_stop();
        before = now;
        now = clock_ns(CLOCK_MONOTONIC);
        if (now - before >= window.gap_threshold_ns)
            count_gap(self, before, earlier(now, window.end_ns));
    }
    self->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_at_start_ns;
    self->t_end_ns = now;
    self->work = work;
    self->complete = now >= window.end_ns;

    /* The load goes on while the counters outside are read for the last time. */
    while (!must_stop())
        x = work_unit(x);
    self->sink = x;
    return NULL;
}

/* Starts the threads and returns once each of them is parked with its memory touched. */
static void start_spinners(size_t threads)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sem_init(&parked, 0, 0);
    for (size_t i = 0; i < threads; i++) {
        memset(&spinners[i], 0, sizeof spinners[i]);
        spinners[i].sink = i + 1; /* any seed but 0, xorshift's fixed point */
        int error = pthread_create(&spinners[i].thread, &attributes, spin_thread, &spinners[i]);
        if (error != 0)
            fail(EXIT_SYSTEM, "no thread %zu of %zu: %s", i + 1, threads, strerror(error));
    }
    for (size_t i = 0; i < threads; i++)
        while (sem_wait(&parked) != 0)
            ;
}

static void report_spin(size_t threads)
{
    uint64_t histogram[MAX_BINS] = {0};
    bool complete = true;
    for (size_t i = 0; i < threads; i++) {
        complete = complete && spinners[i].complete;
        for (size_t bin = 0; bin < window.bins; bin++)
            histogram[bin] += spinners[i].histogram[bin];
    }
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"spin\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"gap_threshold_ns\":%" PRIu64,
           VERSION, complete ? "true" : "false", window.start_ns, window.end_ns,
           window.gap_threshold_ns);
    printf(",\"gap_edges_ns\":[");
    for (size_t i = 0; i <= window.bins; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", window.edges_ns[i]);
    printf("],\"gap_histogram\":[");
    for (size_t bin = 0; bin < window.bins; bin++)
        printf("%s%" PRIu64, bin > 0 ? "," : "", histogram[bin]);
    printf("],\"threads\":[");
    for (size_t i = 0; i < threads; i++) {
        const struct spinner *s = &spinners[i];
        printf("%s{\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
               ",\"work\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"gap_total_ns\":%" PRIu64
               ",\"gap_max_ns\":%" PRIu64 "}",
               i > 0 ? "," : "", s->t_start_ns, s->t_end_ns, s->cpu_ns, s->work, s->gaps,
               s->gap_total_ns, s->gap_max_ns);
    }
    printf("]}\n");
    flush_output();
}

static int spin(int count, char **arguments)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'},
        {"deadline", required_argument, NULL, 'd'},
        {"gap-us", required_argument, NULL, 'g'},
        {NULL, 0, NULL, 0},
    };
    uint64_t threads = 0, deadline_s = 0, gap_us = 500;
    opterr = 0;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == 't')
            threads = option_number("threads", optarg, 1, MAX_THREADS);
        else if (option == 'd')
            deadline_s = option_number("deadline", optarg, 1, 10000000);
        else if (option == 'g')
            gap_us = option_number("gap-us", optarg, 10, 1000000);
        else
            MISUSE("%s is no option, or lacks its value", arguments[optind - 1]);
    }
    if (optind < count)
        MISUSE("'%s' is one argument too many", arguments[optind]);
    if (threads == 0 || deadline_s == 0)
        MISUSE("--threads and --deadline are needed");

    install_deadline(deadline_s);
    set_threshold(gap_us * NS_PER_US);
    start_spinners(threads);
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"spin\",\"threads\":%" PRIu64 "}\n",
           VERSION, threads);
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    window.go_ns = clock_ns(CLOCK_MONOTONIC);
    window.start_ns = window.go_ns + warmup_ns;
    window.end_ns = window.start_ns + duration_ns;
    atomic_store_explicit(&released, 1, memory_order_release);
    syscall(SYS_futex, &released, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);

    read_stop();
    atomic_store_explicit(&stopped, true, memory_order_relaxed);
    for (size_t i = 0; i < threads; i++)
        pthread_join(spinners[i].thread, NULL);
    report_spin(threads);
    return 0;
}

/* --- the command line ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(int count, char **arguments); /* arguments[0] is the mode's name */
} modes[] = {
    {"spin", spin},
};

int main(int count, char **arguments)
{
    if (count < 2)
        MISUSE("a mode is needed");
    if (strcmp(arguments[1], "--version") == 0) {
        printf("probe %d\n", VERSION);
        flush_output();
        return 0;
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(arguments[1], modes[i].name) == 0)
            return modes[i].run(count - 1, arguments + 1);
    MISUSE("'%s' is no mode", arguments[1]);
}
