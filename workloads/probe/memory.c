/* memory: a victim that takes memory page by page, and how far it came.
 *
 * The victim is a child, so that the OOM killer takes it and leaves us to tell; or a thread of
 * ours, and then nobody tells. What it does stands in memory that both share, to the page. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

enum {
    MAX_STEPS = 4096,
    MAX_PAGE_BYTES = 65536,
    MAX_PATH_BYTES = 4096
};

enum kind { ANON, ON_DISK, TMPFS, MIXED };
static const char *const kind_names[] = {"anon", "file", "tmpfs", "mixed", NULL};

enum victim { CHILD, SELF, RIVAL };
static const char *const victim_names[] = {"child", "self", "rival", NULL};

static struct {
    enum kind kind;
    enum victim victim;
    const char *path;
    uint64_t deadline_s;
    uint64_t page_bytes, target_bytes, step_bytes; /* whole pages */
    char *pages; /* anon, mixed */
    int file;    /* the other kinds, mixed too */
    int told;
} setup;

/* Shared with the child. Each field is written by the victim, but for what comes with "go". */
static struct progress {
    _Atomic uint32_t released;
    uint64_t start_ns, churn_for_ns; /* read after the release */
    _Atomic uint64_t touched_bytes;
    _Atomic uint64_t t_start_ns, t_end_ns; /* of the growth; 0: not yet */
    _Atomic int error;
    _Atomic bool first_for_oom;
    _Atomic uint64_t steps;
    uint64_t step_ns[MAX_STEPS];
    _Atomic uint64_t churn_pages, churn_ns, churn_max_ns;
} *progress;

/* --- the victim: a thread, which must_stop() tells to end, or a child, which never sees it --- */

/* A plain store and load: only one of the two processes writes a field at a time. */
#define SET(field, value) atomic_store_explicit(&progress->field, value, memory_order_relaxed)
#define GET(field) atomic_load_explicit(&progress->field, memory_order_relaxed)

/* Whether a page is memory of the victim's own. Of mixed ones every other is, so that at a limit
 * there is as much of either kind to be taken back. */
static bool is_anon(uint64_t offset)
{
    return setup.kind == ANON || (setup.kind == MIXED && offset / setup.page_bytes % 2 == 0);
}

/* Takes the page at the offset: 0, or errno. Each page is of its own content and none is all one
 * value, which zswap would not have to store. */
static int take_page(uint64_t offset)
{
    if (is_anon(offset)) {
        *(volatile uint64_t *)(setup.pages + offset) = offset + 1;
        return 0;
    }
    /* A page at a time, so that what was written is known to the page, and as small folios. */
    static char page[MAX_PAGE_BYTES];
    memcpy(page, &(uint64_t){offset + 1}, sizeof(uint64_t));
    for (uint64_t written = 0; written < setup.page_bytes;) {
        ssize_t got = write(setup.file, page + written, setup.page_bytes - written);
        if (got >= 0)
            written += (uint64_t)got;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* Up to the target: true. False where it was refused, or told to stop. */
static bool grow(void)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    SET(t_start_ns, now);
    uint64_t touched = 0, steps = 0;
    while (touched < setup.target_bytes && GET(error) == 0 && !must_stop()) {
        uint64_t before = now, step_end = touched + setup.step_bytes;
        if (step_end > setup.target_bytes)
            step_end = setup.target_bytes;
        while (touched < step_end && !must_stop()) {
            int error = take_page(touched);
            if (error != 0) {
                SET(error, error);
                break;
            }
            touched += setup.page_bytes;
            SET(touched_bytes, touched);
        }
        now = clock_ns(CLOCK_MONOTONIC);
        if (touched == step_end) {
            progress->step_ns[steps++] = now - before;
            atomic_store_explicit(&progress->steps, steps, memory_order_release);
        }
    }
    SET(t_end_ns, now);
    return touched == setup.target_bytes;
}

/* Works on one page again: changes it, or reads it where the page cache is what is wanted while
 * the victim's own memory lies idle. 0, or errno. */
static int use_page(uint64_t number)
{
    uint64_t offset = number * setup.page_bytes, word;
    if (setup.kind == MIXED)
        return pread(setup.file, &word, sizeof word, (off_t)offset) < 0 ? errno : 0;
    *(volatile uint64_t *)(setup.pages + offset) += 1;
    return 0;
}

/* Uses pages of the working set, one after the other in an order that looks like chance, each
 * once before any comes twice; of mixed ones those of the page cache.
 *
 * The order is that of a linear congruential generator of full period, less the numbers that are
 * no page's. It is another in each round: in the same one, pages would lie in the swap in the
 * order in which they are needed next, and the kernel's reading ahead would hide what swap costs.
 * The clock is read after every page. */
static void churn(void)
{
    uint64_t stride = setup.kind == MIXED ? 2 : 1;
    uint64_t pages = setup.target_bytes / setup.page_bytes / stride, mask = 1;
    while (mask < pages)
        mask = mask * 2;
    mask--;

    uint64_t page = 0, increment = 1, changed = 0, longest_ns = 0;
    uint64_t start = GET(t_end_ns), now = start;
    while (now - start < progress->churn_for_ns && !must_stop()) {
        do
            page = (page * UINT64_C(6364136223846793005) + increment) & mask;
        while (page >= pages);
        int error = use_page(page);
        if (error != 0) {
            SET(error, error);
            break;
        }
        if (++changed % pages == 0)
            increment += 2;

        uint64_t before = now;
        now = clock_ns(CLOCK_MONOTONIC);
        if (now - before > longest_ns) {
            longest_ns = now - before;
            SET(churn_max_ns, longest_ns);
        }
        SET(churn_pages, changed);
        SET(churn_ns, now - start);
    }
}

static void be_victim(void)
{
    while (atomic_load_explicit(&progress->released, memory_order_acquire) == 0 && !must_stop())
        sleep_while(&progress->released, 0, FOREVER);
    while (clock_ns(CLOCK_MONOTONIC) < progress->start_ns && !must_stop())
        sleep_while(&stopped, 0, progress->start_ns);
    if (must_stop())
        return;
    if (grow() && (setup.kind == ANON || setup.kind == MIXED))
        churn();
    if (!must_stop())
        tell();
}

static void *victim_thread(void *unused)
{
    park();
    be_victim();
    return unused;
}

static void be_child(void)
{
    /* A rival keeps the adjustment of its container: it is what decides between containers. */
    if (setup.victim == CHILD)
        SET(first_for_oom, be_first_for_oom());
    touch_stack();
    memset(progress->step_ns, 0, sizeof progress->step_ns); /* maps it here as well */
    tell();
    be_victim();
}

/* --- the parent --- */

static void open_file(void)
{
    struct statfs about;
    if (statfs(setup.path, &about) != 0)
        fail(EXIT_SYSTEM, "%s: %s", setup.path, strerror(errno));
    /* A page of the one can be dropped and a page of the other cannot: never mix them up. */
    bool is_tmpfs = (unsigned long)about.f_type == TMPFS_MAGIC;
    if (is_tmpfs != (setup.kind == TMPFS))
        fail(EXIT_SYSTEM, "%s is %s tmpfs", setup.path, is_tmpfs ? "a" : "no");

    static char name[MAX_PATH_BYTES];
    if (snprintf(name, sizeof name, "%s/probe-XXXXXX", setup.path) >= (int)sizeof name)
        misuse("--path is too long");
    setup.file = mkstemp(name);
    if (setup.file < 0)
        fail(EXIT_SYSTEM, "no file in %s: %s", setup.path, strerror(errno));
    unlink(name); /* so that nothing is left, however we end */
    posix_fadvise(setup.file, 0, 0, POSIX_FADV_RANDOM); /* pages are read as they are asked for */
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an errno like the others */
}

static void reserve_pages(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *pages = mmap(NULL, setup.target_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (pages == MAP_FAILED)
        SET(error, errno);
    else
        madvise(pages, setup.target_bytes, MADV_NOHUGEPAGE); /* EINVAL: there are none anyway */
    setup.pages = pages;
}

/* Makes all that the victim needs, and the victim; returns once it is ready. 0: it is a thread. */
static pid_t start_victim(void)
{
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    if (progress == MAP_FAILED)
        fail(EXIT_SYSTEM, "no shared memory: %s", strerror(errno));
    memset(progress, 0, sizeof *progress); /* touches it */
    if (setup.kind == ANON || setup.kind == MIXED)
        reserve_pages();
    if (setup.kind != ANON)
        open_file();
    setup.told = open_tells();
    touch_stack();

    if (setup.victim == SELF) {
        start_threads(1, victim_thread, NULL, 0);
        release_threads();
        return 0;
    }
    pid_t child = start_child(setup.deadline_s, be_child);
    if (setup.kind != ANON)
        close(setup.file); /* its pages go with the child */
    await_child();
    return child;
}

static void report_memory(bool complete, bool killed, int ending_signal)
{
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"memory\",\"complete\":%s,"
           "\"kind\":\"%s\",\"victim\":\"%s\",\"page_bytes\":%" PRIu64 ",\"target_bytes\":%" PRIu64
           ",\"step_bytes\":%" PRIu64 ",\"own_bytes\":%zu",
           VERSION, json_bool(complete), kind_names[setup.kind], victim_names[setup.victim],
           setup.page_bytes, setup.target_bytes, setup.step_bytes, sizeof *progress);
    printf(",\"oom_score_adj_raised\":%s,\"touched_bytes\":%" PRIu64
           ",\"killed\":%s,\"signal\":%d,\"errno\":%d",
           json_bool(GET(first_for_oom)), GET(touched_bytes), json_bool(killed), ending_signal,
           GET(error));
    print_instant("t_start_ns", GET(t_start_ns));
    print_instant("t_end_ns", GET(t_end_ns));
    print_numbers("step_ns", progress->step_ns,
                  atomic_load_explicit(&progress->steps, memory_order_acquire));
    printf(",\"churn_pages\":%" PRIu64 ",\"churn_ns\":%" PRIu64 ",\"churn_max_ns\":%" PRIu64 "}\n",
           GET(churn_pages), GET(churn_ns), GET(churn_max_ns));
    flush_output();
}

static uint64_t round_up(uint64_t number, uint64_t unit)
{
    return (number + unit - 1) / unit * unit;
}

static void read_options(int count, char **arguments)
{
    static const struct option options[] = {
        {"target", required_argument, NULL, 't'},
        {"deadline", required_argument, NULL, 'd'},
        {"step", required_argument, NULL, 's'},
        {"kind", required_argument, NULL, 'k'},
        {"path", required_argument, NULL, 'p'},
        {"victim", required_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const uint64_t most_bytes = UINT64_C(1) << 46; /* what can be mapped on any 64-bit CPU */
    setup.step_bytes = 262144;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 't')
            setup.target_bytes = option_number("target", optarg, 1, most_bytes);
        else if (option == 'd')
            setup.deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
        else if (option == 's')
            setup.step_bytes = option_number("step", optarg, 1, most_bytes);
        else if (option == 'k')
            setup.kind = (enum kind)option_choice("kind", optarg, kind_names);
        else if (option == 'p')
            setup.path = optarg;
        else
            setup.victim = (enum victim)option_choice("victim", optarg, victim_names);
    }
    if (setup.target_bytes == 0 || setup.deadline_s == 0)
        misuse("--target and --deadline are needed");
    if (setup.kind == ANON && setup.path != NULL)
        misuse("--path is for --kind file and --kind tmpfs");
    if ((setup.kind == ON_DISK || setup.kind == MIXED) && setup.path == NULL)
        misuse("--kind %s needs --path", kind_names[setup.kind]);
    if (setup.path == NULL)
        setup.path = "/dev/shm";

    setup.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (setup.page_bytes > MAX_PAGE_BYTES)
        fail(EXIT_SYSTEM, "pages of %" PRIu64 " bytes", setup.page_bytes);
    uint64_t least = setup.kind == MIXED ? 2 * setup.page_bytes : setup.page_bytes;
    setup.target_bytes = round_up(setup.target_bytes, least);
    uint64_t least_step = (setup.target_bytes + MAX_STEPS - 1) / MAX_STEPS;
    if (setup.step_bytes < least_step)
        setup.step_bytes = least_step;
    setup.step_bytes = round_up(setup.step_bytes, setup.page_bytes);
}

int memory(int count, char **arguments)
{
    read_options(count, arguments);
    install_deadline(setup.deadline_s);
    pid_t child = start_victim();
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"memory\",\"kind\":\"%s\","
           "\"victim\":\"%s\",\"target_bytes\":%" PRIu64 ",\"step_bytes\":%" PRIu64 "}\n",
           VERSION, kind_names[setup.kind], victim_names[setup.victim], setup.target_bytes,
           setup.step_bytes);
    flush_output();

    uint64_t warmup_ns;
    read_go(&warmup_ns, &progress->churn_for_ns);
    progress->start_ns = clock_ns(CLOCK_MONOTONIC) + warmup_ns;
    set_and_wake(&progress->released, 1);

    /* The victim is done, or it is gone, or we are told to stop before either. */
    bool complete = !read_stop(setup.told), killed = false;
    int ending_signal = 0;
    if (complete) {
        if (!was_told()) {
            ending_signal = end_of(child);
            killed = ending_signal != 0;
            child = 0;
            if (GET(t_start_ns) != 0 && GET(t_end_ns) == 0)
                SET(t_end_ns, clock_ns(CLOCK_MONOTONIC));
        }
        printf("{\"probe\":\"done\",\"killed\":%s}\n", json_bool(killed));
        flush_output();
        read_stop(-1);
    }

    if (child > 0) {
        kill(child, SIGTERM);
        ending_signal = end_of(child);
        killed = ending_signal != 0 && ending_signal != SIGTERM;
        if (complete && !killed)
            ending_signal = 0; /* it had done what it should */
        complete = complete || killed;
    }
    if (setup.victim == SELF)
        stop_threads();
    if (GET(t_start_ns) != 0 && GET(t_end_ns) == 0)
        SET(t_end_ns, clock_ns(CLOCK_MONOTONIC));
    report_memory(complete, killed, ending_signal);
    return 0;
}
