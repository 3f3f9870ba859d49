/* What the parts of the probe share. The contract with the outside is in ../README.md.
 *
 * probe.c is the command line, common.c the protocol, the deadline and the numbers of reports,
 * threads.c the threads of a load, child.c a child that may be killed, latencies.c what took how
 * long; each mode has a file of its own, `sample` three (sample.h).
 *
 * The probe is linked statically, since its image holds nothing else, and must build without a
 * warning with GCC on glibc and with Clang on musl.
 */
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#define VERSION 1 /* of the protocol and of the reports */

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

enum {
    EXIT_SYSTEM = 1,      /* the system refused a thread, a process, a file, or the output */
    EXIT_USAGE = 2,       /* a bad command line, or a line on stdin that cannot be carried out */
    EXIT_NO_GO = 3,       /* stdin ended before "go": whoever started us is gone */
    EXIT_DEADLINE = 124,  /* as timeout(1) */
    EXIT_TERMINATED = 143 /* 128 + SIGTERM, as a shell reports it */
};

/* --- the modes: arguments[0] is the mode's name --- */

int spin(int count, char **arguments);
int memory(int count, char **arguments);
int burst(int count, char **arguments);
int take(int count, char **arguments);
int sample(int count, char **arguments);
int io(int count, char **arguments);
int ask(int count, char **arguments);
int run(int count, char **arguments);

extern const char usage[];

/* --- common.c --- */

/* One line on stderr, then the end: by _exit, which waits for no thread. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(int code, const char *format, ...);

/* The same for a command line that cannot be carried out, after the usage. */
__attribute__((noreturn, format(printf, 1, 2))) void misuse(const char *format, ...);

/* So many bytes, zero, aligned as pages are. What is large comes from here and is not static: where
 * huge pages are the rule, the C library's first touch of a .bss that has room for one takes all of
 * its 2 MiB, in every mode, before main() can say no. A container of 6 MiB has a third less then. */
void *own_memory(size_t bytes);

/* The next option's value of `struct option`, -1 behind the last. Anything else is misuse. */
int next_option(int count, char **arguments, const struct option *options);

uint64_t option_number(const char *name, const char *text, uint64_t least, uint64_t most);

/* The index of the choice that the text is; the choices end with NULL. */
size_t option_choice(const char *name, const char *text, const char *const *choices);

enum { MOST_DEADLINE_S = 10000000 };

/* The dead man's deadline, and SIGTERM: each ends the process, whatever it is doing. */
void install_deadline(uint64_t seconds);

/* The deadline's timer alone: a child does not inherit its parent's. */
void start_deadline_timer(uint64_t seconds);

/* Waits for "go WARMUP_NS DURATION_NS"; both together are far from any overflow. */
void read_go(uint64_t *warmup_ns, uint64_t *duration_ns);

/* Whether there is more than the lines that were asked for: what was read with them. */
bool heard_more(void);

/* The same, or "from START_NS DURATION_NS", a moment of CLOCK_MONOTONIC: true for that. */
bool read_begin(uint64_t *start_ns, uint64_t *duration_ns);

/* Waits for "stop", or for the end of input, which means the same once there is a load: true.
 * False where the other descriptor (-1: none) can be read or has ended before that. */
bool read_stop(int other);

/* When a "stop" of now is to end a load whose window ends at end_ns. Whoever measures says "stop" at
 * the end of a window of his own, which began when he said "go" and we had not heard it: so one that
 * comes a little before our end, or close behind it, ends the load after_ns after it. Another ends
 * it at once. */
uint64_t stop_at(uint64_t end_ns, uint64_t after_ns);

/* The after_ns of what becomes due in a window: near its end it is as likely to be done as before. */
#define DRAIN_NS (20 * NS_PER_MS)

/* Waits for "stop", and then until what stop_at says. */
uint64_t await_stop(uint64_t end_ns, uint64_t after_ns);

void flush_output(void);

/* ,"name":[numbers] */
void print_numbers(const char *name, const uint64_t *numbers, size_t count);

/* ,"name":ns, or null for 0 */
void print_instant(const char *name, uint64_t ns);

static inline const char *json_bool(bool value) { return value ? "true" : "false"; }

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time); /* CLOCK_MONOTONIC: through the vDSO, no system call */
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

#define FOREVER UINT64_MAX

/* Sleeps while the word has the value, at most until the moment. Can return early. */
void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns);

/* Sets the word and wakes all that sleep on it. */
void set_and_wake(_Atomic uint32_t *word, uint32_t value);

enum { MAX_BINS = 64 }; /* the least first edge, 1 us, takes 60 bins */

struct scale {
    uint64_t edges_ns[MAX_BINS + 1];
    size_t bins;
};

/* Log-spaced edges, 8 to a decade, from the first up to 30 s or just above. */
void make_scale(struct scale *scale, uint64_t first_ns);

/* Bin i is edges[i] <= ns < edges[i + 1]; the first also holds all below, the last all above. */
size_t bin_of(const struct scale *scale, uint64_t ns);

/* --- latencies.c --- */

enum { FINE_BITS = 7 };             /* 128 bins from each power of two to the next: 0.8 % */
#define FINE_BINS (31 << FINE_BITS) /* up to 137 s */

struct latencies {
    uint64_t count, max_ns;
    uint32_t fine[FINE_BINS]; /* for the quantiles */
    uint64_t histogram[MAX_BINS];
};

void count_latency(struct latencies *took, const struct scale *scale, uint64_t ns);
void add_latencies(struct latencies *sum, const struct latencies *more);

/* The nearest rank, up to the end of its fine bin; 0 where there is nothing. */
uint64_t latency_quantile(const struct latencies *took, uint64_t per_mille);

/* ,"latency_p50_ns":ns and so on, each null where there is nothing, and the histogram */
void print_latencies(const struct latencies *took, const struct scale *scale);

uint64_t random_bits(uint64_t *state);

/* An interval of the exponential distribution, whose mean is that of the rate. */
uint64_t random_interval_ns(uint64_t *state, uint64_t rate_hz);

/* --- child.c: a child that takes what may end it --- */

/* Makes the pipe by which it tells, before it is made: the descriptor that is to be heard. */
int open_tells(void);

/* Begins the child's life, which may return: then it holds what it took. */
pid_t start_child(uint64_t deadline_s, void (*life)(void));

/* Returns once it has told that it is ready. */
void await_child(void);

/* In the child: it is ready, or it is done. */
void tell(void);

/* Whether it told something; false where it is gone. */
bool was_told(void);

/* In the child: makes it the OOM killer's first choice; false where it may not. */
bool be_first_for_oom(void);

/* Waits for its end: the signal that brought it, or 0. */
int end_of(pid_t child);

/* --- threads.c --- */

enum { MAX_THREADS = 1024 };

/* Two cache lines, since CPUs prefetch them in pairs: no thread slows another by its counting. */
#define OWN_LINES _Alignas(128)

/* Starts a thread on each of the elements and returns once all of them are parked. */
void start_threads(size_t count, void *(*run)(void *), void *elements, size_t element_bytes);

/* Called by each thread first: touches its stack, and sleeps until the threads are released.
 * What the releasing thread wrote before can be read after. */
void park(void);
void release_threads(void);

extern _Atomic uint32_t stopped;
static inline bool must_stop(void)
{
    return atomic_load_explicit(&stopped, memory_order_relaxed) != 0;
}

/* Makes must_stop true, wakes who sleeps on it, and waits for the threads' end. */
void stop_threads(void);

/* Page faults while measuring would be charged to the window, so take them before. */
void touch_stack(void);

/* Work of fixed size: steps of xorshift64, of 1 to 5 ns each, since each needs the one before. */
static inline uint64_t work_steps(uint64_t x, int steps)
{
    for (int i = 0; i < steps; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    __asm__ volatile("" : "+r"(x)); /* the compiler may neither drop nor reorder it */
    return x;
}

#endif
