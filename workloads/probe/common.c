/* What every mode needs: ends with a reason, options, the deadline, lines, numbers of reports. */
#include "probe.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* --- the end --- */

__attribute__((noreturn, format(printf, 2, 0))) static void
end_with_reason(int code, const char *format, va_list arguments)
{
    fputs("probe: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    _exit(code);
}

void fail(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end_with_reason(code, format, arguments);
}

void misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(usage, stderr);
    end_with_reason(EXIT_USAGE, format, arguments);
}

/* Between pages that nobody may touch: what reads beside it ends there each time, and not only where
 * nothing happens to lie. */
void *own_memory(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    char *found =
        mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED || mprotect(found + page, whole, PROT_READ | PROT_WRITE) != 0)
        fail(EXIT_SYSTEM, "no memory for %zu bytes: %s", bytes, strerror(errno));
    return found + page;
}

static void on_signal(int signal_number)
{
    _exit(signal_number == SIGALRM ? EXIT_DEADLINE : EXIT_TERMINATED);
}

/* Both signals need handlers: the kernel drops a signal of default action that is sent to PID 1
 * of a namespace, which is what we are in a container (pid_namespaces(7)). Handlers are all that
 * they do, so that nothing can hold the end up. */
void install_deadline(uint64_t seconds)
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
    start_deadline_timer(seconds);

    /* A reader that went away is seen in what fflush returns. */
    signal(SIGPIPE, SIG_IGN);
}

void start_deadline_timer(uint64_t seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0)
        fail(EXIT_SYSTEM, "no timer for the deadline: %s", strerror(errno));
}

/* --- the command line --- */

/* A decimal number of least..most at *text, which then stands behind it; most is at most a tenth
 * of what 64 bits hold. Digits only: strtoull would also take a sign, blanks and other bases. */
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

int next_option(int count, char **arguments, const struct option *options)
{
    opterr = 0;
    int option = getopt_long(count, arguments, "", options, NULL);
    if (option == '?')
        misuse("%s is no option, or lacks its value", arguments[optind - 1]);
    if (option == -1 && optind < count)
        misuse("'%s' is one argument too many", arguments[optind]);
    return option;
}

uint64_t option_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
    uint64_t number;
    if (!parse_number(&text, least, most, &number) || *text != '\0')
        misuse("--%s takes a whole number of %" PRIu64 " to %" PRIu64, name, least, most);
    return number;
}

size_t option_choice(const char *name, const char *text, const char *const *choices)
{
    size_t i = 0;
    while (choices[i] != NULL && strcmp(text, choices[i]) != 0)
        i++;
    if (choices[i] == NULL)
        misuse("--%s does not take '%s'", name, text);
    return i;
}

/* --- the protocol --- */

enum { LINE_BYTES = 128 };

enum heard { A_LINE, THE_END, ANOTHER };

/* The next line of standard input, without its end. Sleeps in poll(), which also makes a stdin
 * right that whoever started us left non-blocking. */
static char held[LINE_BYTES];
static size_t count;

static enum heard hear(char line[LINE_BYTES], int other)
{
    for (;;) {
        char *end = memchr(held, '\n', count);
        if (end != NULL) {
            size_t length = (size_t)(end - held);
            memcpy(line, held, length);
            line[length] = '\0';
            count -= length + 1;
            memmove(held, end + 1, count);
            return A_LINE;
        }
        if (count == sizeof held)
            fail(EXIT_USAGE, "a line of more than %d bytes", LINE_BYTES - 1);

        struct pollfd inputs[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                  {.fd = other, .events = POLLIN}};
        if (poll(inputs, 2, -1) < 0)
            continue; /* EINTR is all that can be */
        if (inputs[1].revents != 0)
            return ANOTHER;
        ssize_t got = read(STDIN_FILENO, held + count, sizeof held - count);
        if (got > 0)
            count += (size_t)got;
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return THE_END;
    }
}

bool heard_more(void) { return count > 0; }

/* "WORD A B": two numbers behind a word; false for another line. */
static const uint64_t most_wait_ns = UINT64_C(1000000) * NS_PER_S;

static bool parse_two(const char *line, const char *word, uint64_t most, uint64_t *a, uint64_t *b)
{
    size_t length = strlen(word);
    const char *at = line + length;
    return strncmp(line, word, length) == 0 && *at++ == ' ' && parse_number(&at, 0, most, a) &&
           *at++ == ' ' && parse_number(&at, 1, most_wait_ns, b) && *at == '\0';
}

void read_go(uint64_t *warmup_ns, uint64_t *duration_ns)
{
    char line[LINE_BYTES];
    if (hear(line, -1) == THE_END)
        _exit(EXIT_NO_GO);
    if (!parse_two(line, "go", most_wait_ns, warmup_ns, duration_ns))
        fail(EXIT_USAGE, "expected 'go WARMUP_NS DURATION_NS', got '%s'", line);
}

bool read_begin(uint64_t *start_ns, uint64_t *duration_ns)
{
    char line[LINE_BYTES];
    if (hear(line, -1) == THE_END)
        _exit(EXIT_NO_GO);
    bool moment = parse_two(line, "from", UINT64_MAX / 16, start_ns, duration_ns);
    if (!moment && !parse_two(line, "go", most_wait_ns, start_ns, duration_ns))
        fail(EXIT_USAGE, "expected 'go WARMUP_NS DURATION_NS' or 'from START_NS DURATION_NS'");
    return moment;
}

bool read_stop(int other)
{
    char line[LINE_BYTES];
    enum heard heard = hear(line, other);
    if (heard == A_LINE && strcmp(line, "stop") != 0)
        fail(EXIT_USAGE, "expected 'stop', got '%s'", line);
    return heard != ANOTHER;
}

static const uint64_t go_takes_ns = 20 * NS_PER_MS; /* on a host that is no worse than busy */

uint64_t stop_at(uint64_t end_ns, uint64_t after_ns)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    return now + go_takes_ns < end_ns || now >= end_ns + after_ns ? now : end_ns + after_ns;
}

uint64_t await_stop(uint64_t end_ns, uint64_t after_ns)
{
    read_stop(-1);
    uint64_t at_ns = stop_at(end_ns, after_ns);
    struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
    return at_ns;
}

void flush_output(void)
{
    if (fflush(stdout) != 0)
        fail(EXIT_SYSTEM, "standard output is gone: %s", strerror(errno));
}

void print_numbers(const char *name, const uint64_t *numbers, size_t count)
{
    printf(",\"%s\":[", name);
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", numbers[i]);
    putchar(']');
}

void print_instant(const char *name, uint64_t ns)
{
    if (ns == 0)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRIu64, name, ns);
}

/* --- sleeping --- */

/* Not FUTEX_PRIVATE_FLAG: the word may be shared with another process. FUTEX_WAIT_BITSET and not
 * FUTEX_WAIT: its time is a moment of CLOCK_MONOTONIC, not a length. */
void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                             .tv_nsec = (long)(until_ns % NS_PER_S)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, until_ns == FOREVER ? NULL : &until, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void set_and_wake(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* --- histograms --- */

/* A table and not pow(): the same integers whatever the C library. */
void make_scale(struct scale *scale, uint64_t first_ns)
{
    enum { BINS_A_DECADE = 8 };
    static const uint64_t millionths[BINS_A_DECADE] = {1000000, 1333521, 1778279, 2371374,
                                                       3162278, 4216965, 5623413, 7498942};
    uint64_t decade_ns = first_ns;
    size_t i = 0;
    for (;; i++) {
        if (i > 0 && i % BINS_A_DECADE == 0)
            decade_ns *= 10;
        scale->edges_ns[i] = decade_ns * millionths[i % BINS_A_DECADE] / 1000000;
        if (scale->edges_ns[i] >= 30 * NS_PER_S || i == MAX_BINS)
            break;
    }
    scale->bins = i;
}

size_t bin_of(const struct scale *scale, uint64_t ns)
{
    size_t bin = 0;
    while (bin + 1 < scale->bins && ns >= scale->edges_ns[bin + 1])
        bin++;
    return bin;
}
