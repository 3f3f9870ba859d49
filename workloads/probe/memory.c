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
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

enum {
    MAX_STEPS = 4096,
    MAX_PAGE_BYTES = 65536,
    MAX_PATH_BYTES = 4096
};

enum kind { ANON, ON_DISK, TMPFS };
static const char *const kind_names[] = {"anon", "file", "tmpfs", NULL};

enum victim { CHILD, SELF };
static const char *const victim_names[] = {"child", "self", NULL};

static struct {
    enum kind kind;
    enum victim victim;
    const char *path;
    uint64_t deadline_s;
    uint64_t page_bytes, target_bytes, step_bytes; /* whole pages */
    char *pages; /* anon */
    int file;    /* the other kinds */
    int told, tells; /* the two ends of a pipe: a byte when the victim is ready, one when it is
                      * done; the end where it is gone */
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

/* Takes the page at the offset: 0, or errno. Each page is of its own content and none is all one
 * value, which zswap would not have to store. */
static int take_page(uint64_t offset)
{
    if (setup.kind == ANON) {
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

/* Changes pages of the working set, one after the other in an order that looks like chance, each
 * once before any comes twice.
 *
 * The order is that of a linear congruential generator of full period, less the numbers that are
 * no page's. It is another in each round: in the same one, pages would lie in the swap in the
 * order in which they are needed next, and the kernel's reading ahead would hide what swap costs.
 * The clock is read after every page. */
static void churn(void)
{
    uint64_t pages = setup.target_bytes / setup.page_bytes, mask = 1;
    while (mask < pages)
        mask = mask * 2;
    mask--;

    uint64_t page = 0, increment = 1, changed = 0, longest_ns = 0;
    uint64_t start = GET(t_end_ns), now = start;
    while (now - start < progress->churn_for_ns && !must_stop()) {
        do
            page = (page * UINT64_C(6364136223846793005) + increment) & mask;
        while (page >= pages);
        *(volatile uint64_t *)(setup.pages + page * setup.page_bytes) += 1;
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

static void tell(void)
{
    while (write(setup.tells, "", 1) < 0 && errno == EINTR)
        ;
}

static void be_victim(void)
{
    while (atomic_load_explicit(&progress->released, memory_order_acquire) == 0 && !must_stop())
        sleep_while(&progress->released, 0, FOREVER);
    while (clock_ns(CLOCK_MONOTONIC) < progress->start_ns && !must_stop())
        sleep_while(&stopped, 0, progress->start_ns);
    if (must_stop())
        return;
    if (grow() && setup.kind == ANON)
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

/* The child's life. It ends with its parent, by the deadline, by the OOM killer, which is made to
 * choose it, or by SIGTERM from the parent: of default action, and no other signal of ours, so
 * that how it ended says who ended it. */
__attribute__((noreturn)) static void be_child(pid_t parent)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    start_deadline_timer(setup.deadline_s);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_NO_GO);
    close(setup.told);

    /* To raise one's own takes no privilege. Of two processes the OOM killer would take the
     * larger, but file and tmpfs pages make neither of them large. */
    int adjustment = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (adjustment >= 0) {
        SET(first_for_oom, write(adjustment, "1000", 4) == 4);
        close(adjustment);
    }
    touch_stack();
    memset(progress->step_ns, 0, sizeof progress->step_ns); /* maps it here as well */
    tell();
    be_victim();
    for (;;) /* and holds what it took */
        pause();
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
    if (setup.kind == ANON)
        reserve_pages();
    else
        open_file();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail(EXIT_SYSTEM, "no pipe: %s", strerror(errno));
    setup.told = ends[0];
    setup.tells = ends[1];
    touch_stack();

    if (setup.victim == SELF) {
        start_threads(1, victim_thread, NULL, 0);
        release_threads();
        return 0;
    }
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        fail(EXIT_SYSTEM, "no child: %s", strerror(errno));
    if (child == 0)
        be_child(parent);
    close(setup.tells);
    if (setup.kind != ANON)
        close(setup.file); /* its pages go with the child */
    char byte;
    ssize_t got;
    while ((got = read(setup.told, &byte, 1)) < 0 && errno == EINTR)
        ;
    if (got != 1)
        fail(EXIT_SYSTEM, "the child was gone before it was ready");
    return child;
}

/* Waits for the child's end, and returns the signal that brought it, or 0. */
static int end_of(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void print_instant(const char *name, uint64_t ns)
{
    if (ns == 0)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRIu64, name, ns);
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
    if (setup.kind == ON_DISK && setup.path == NULL)
        misuse("--kind file needs --path");
    if (setup.path == NULL)
        setup.path = "/dev/shm";

    setup.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (setup.page_bytes > MAX_PAGE_BYTES)
        fail(EXIT_SYSTEM, "pages of %" PRIu64 " bytes", setup.page_bytes);
    setup.target_bytes = round_up(setup.target_bytes, setup.page_bytes);
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
        char byte;
        if (read(setup.told, &byte, 1) != 1) {
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
