/* take: a child that takes units of one kind, one after the other, until one is refused.
 *
 * How many it got stands in memory that it shares with us, before it asks for the next: so it is
 * exact also where the refusal is the child's end. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MAX_PATH_BYTES = 4096,
    MAX_PAGE_BYTES = 65536,
    TASK_STACK_BYTES = 4096,
    FRAME_BYTES = 512, /* less than a page, so that no page is passed over */
    MOST_INHERITED = 4096
};

enum kind { PROCESS, THREAD, DESCRIPTOR, LOCK, STACK, ON_FILE, CPU };
static const char *const kind_names[] = {"process", "thread", "descriptor", "lock",
                                         "stack",   "file",   "cpu",        NULL};

static struct {
    enum kind kind;
    const char *path;
    uint64_t deadline_s;
    uint64_t most;
    uint64_t page_bytes;
    int file;
    char *pages;          /* lock */
    uintptr_t stack_ends; /* stack */
} setup;

static struct progress {
    _Atomic uint32_t released;
    uint64_t start_ns; /* read after the release */
    _Atomic uint64_t taken;
    _Atomic uint64_t t_start_ns, t_end_ns; /* 0: not yet */
    _Atomic int error;
} *progress;

#define SET(field, value) atomic_store_explicit(&progress->field, value, memory_order_relaxed)
#define GET(field) atomic_load_explicit(&progress->field, memory_order_relaxed)

/* --- the kinds: each takes one unit more, and returns 0 or errno --- */

static pid_t taker;

/* A task that is there, and no more. It shares the memory of its maker, the thread's own data with
 * it: so it calls nothing that could fail and leave an errno. */
static int be_there(void *unused)
{
    (void)unused;
    if (setup.kind == PROCESS) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != taker)
            _exit(0);
    }
    for (;;)
        pause();
}

static int take_task(void)
{
    const int own = SIGCHLD;
    const int shared = CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    char *stack = mmap(NULL, TASK_STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return errno;
    int flags = CLONE_VM | (setup.kind == THREAD ? shared : own);
    if (clone(be_there, stack + TASK_STACK_BYTES, flags, NULL) < 0) {
        int error = errno;
        munmap(stack, TASK_STACK_BYTES);
        return error;
    }
    SET(taken, GET(taken) + 1);
    return 0;
}

static int take_descriptor(void)
{
    if (dup(STDIN_FILENO) < 0)
        return errno;
    SET(taken, GET(taken) + 1);
    return 0;
}

static int take_locked_page(void)
{
    if (mlock(setup.pages + GET(taken), setup.page_bytes) != 0)
        return errno;
    SET(taken, GET(taken) + setup.page_bytes);
    return 0;
}

static int take_file_page(void)
{
    static const char page[MAX_PAGE_BYTES];
    uint64_t left = setup.most - GET(taken);
    ssize_t got = write(setup.file, page, left < setup.page_bytes ? left : setup.page_bytes);
    if (got < 0)
        return errno == EINTR ? 0 : errno;
    SET(taken, GET(taken) + (uint64_t)got);
    return 0;
}

static int take_cpu(void)
{
    work_steps(GET(taken), 1024);
    SET(taken, clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}

/* Deeper by less than a page at a time, so that each page is touched in its turn. The stack has
 * what lies from the page that was touched last to its end (mm/mmap.c, acct_stack_growth). */
__attribute__((noinline)) static void take_stack(void)
{
    volatile char frame[FRAME_BYTES];
    frame[0] = 1;
    uintptr_t page = (uintptr_t)frame & ~(uintptr_t)(setup.page_bytes - 1);
    SET(taken, setup.stack_ends - page);
    if (GET(taken) < setup.most)
        take_stack();
    __asm__ volatile("" : : "r"(frame) : "memory"); /* no tail call: the frame is still needed */
}

static int (*const takes[])(void) = {
    [PROCESS] = take_task,         [THREAD] = take_task,       [DESCRIPTOR] = take_descriptor,
    [LOCK] = take_locked_page,     [ON_FILE] = take_file_page, [CPU] = take_cpu,
};

/* --- the child --- */

/* Those that the limit counts: it is one more than the highest number that it allows. */
static uint64_t open_descriptors(void)
{
    struct rlimit limit;
    uint64_t count = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < MOST_INHERITED && (rlim_t)i < limit.rlim_cur; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void be_taker(void)
{
    be_first_for_oom();
    /* What is refused by a signal would leave a core: of no use, and perhaps outside. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    signal(SIGXFSZ, SIG_DFL);
    signal(SIGXCPU, SIG_DFL);
    taker = getpid();
    if (setup.kind == PROCESS || setup.kind == THREAD)
        SET(taken, 2); /* the parent and this one */
    if (setup.kind == DESCRIPTOR)
        SET(taken, open_descriptors());
    touch_stack();
    tell();
    while (atomic_load_explicit(&progress->released, memory_order_acquire) == 0)
        sleep_while(&progress->released, 0, FOREVER);
    while (clock_ns(CLOCK_MONOTONIC) < progress->start_ns)
        sleep_while(&progress->released, 1, progress->start_ns);

    SET(t_start_ns, clock_ns(CLOCK_MONOTONIC));
    if (setup.kind == STACK)
        take_stack();
    else
        while (GET(taken) < setup.most && GET(error) == 0)
            SET(error, takes[setup.kind]());
    SET(t_end_ns, clock_ns(CLOCK_MONOTONIC));
    tell();
}

/* --- the parent --- */

static void open_file(void)
{
    static char name[MAX_PATH_BYTES];
    if (snprintf(name, sizeof name, "%s/probe-XXXXXX", setup.path) >= (int)sizeof name)
        misuse("--path is too long");
    setup.file = mkstemp(name);
    if (setup.file < 0)
        fail(EXIT_SYSTEM, "no file in %s: %s", setup.path, strerror(errno));
    unlink(name); /* so that nothing is left, however we end */
}

static void reserve_pages(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    setup.pages = mmap(NULL, setup.most + setup.page_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (setup.pages == MAP_FAILED)
        fail(EXIT_SYSTEM, "no room for %" PRIu64 " bytes: %s", setup.most, strerror(errno));
}

/* The end of the stack, which lies above what the program was started with (proc(5)). */
static void find_stack(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[MAX_PATH_BYTES];
    while (maps != NULL && setup.stack_ends == 0 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[stack]") != NULL)
            setup.stack_ends = (uintptr_t)strtoull(strchr(line, '-') + 1, NULL, 16);
    if (setup.stack_ends == 0)
        fail(EXIT_SYSTEM, "/proc/self/maps does not tell where the stack is");
    fclose(maps);
}

static void read_options(int count, char **arguments)
{
    static const struct option options[] = {
        {"kind", required_argument, NULL, 'k'},
        {"most", required_argument, NULL, 'm'},
        {"deadline", required_argument, NULL, 'd'},
        {"path", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    bool has_kind = false;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 'k') {
            setup.kind = (enum kind)option_choice("kind", optarg, kind_names);
            has_kind = true;
        } else if (option == 'm')
            setup.most = option_number("most", optarg, 1, UINT64_C(1) << 46);
        else if (option == 'd')
            setup.deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
        else
            setup.path = optarg;
    }
    if (!has_kind || setup.most == 0 || setup.deadline_s == 0)
        misuse("--kind, --most and --deadline are needed");
    if ((setup.kind == ON_FILE) != (setup.path != NULL))
        misuse("--path is needed for --kind file, and for no other");
    setup.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (setup.page_bytes > MAX_PAGE_BYTES)
        fail(EXIT_SYSTEM, "pages of %" PRIu64 " bytes", setup.page_bytes);
}

static void report_taken(bool complete, int ending_signal)
{
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"take\",\"complete\":%s,\"kind\":\"%s\","
           "\"page_bytes\":%" PRIu64 ",\"most\":%" PRIu64 ",\"taken\":%" PRIu64
           ",\"errno\":%d,\"signal\":%d",
           VERSION, json_bool(complete), kind_names[setup.kind], setup.page_bytes, setup.most,
           GET(taken), GET(error), ending_signal);
    print_instant("t_start_ns", GET(t_start_ns));
    print_instant("t_end_ns", GET(t_end_ns));
    printf("}\n");
    flush_output();
}

int take(int count, char **arguments)
{
    read_options(count, arguments);
    install_deadline(setup.deadline_s);
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    if (progress == MAP_FAILED)
        fail(EXIT_SYSTEM, "no shared memory: %s", strerror(errno));
    memset(progress, 0, sizeof *progress); /* touches it */
    if (setup.kind == ON_FILE)
        open_file();
    if (setup.kind == LOCK)
        reserve_pages();
    if (setup.kind == STACK)
        find_stack();
    int told = open_tells();
    pid_t child = start_child(setup.deadline_s, be_taker);
    if (setup.kind == ON_FILE)
        close(setup.file); /* its pages go with the child */
    await_child();
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"take\",\"kind\":\"%s\",\"most\":%" PRIu64
           "}\n",
           VERSION, kind_names[setup.kind], setup.most);
    flush_output();

    uint64_t warmup_ns, unused_ns;
    read_go(&warmup_ns, &unused_ns);
    progress->start_ns = clock_ns(CLOCK_MONOTONIC) + warmup_ns;
    set_and_wake(&progress->released, 1);

    /* It has met its end or what it was to take, or we are told to stop before either. */
    bool complete = !read_stop(told);
    int ending_signal = 0;
    if (complete) {
        bool gone = !was_told();
        if (gone)
            ending_signal = end_of(child);
        printf("{\"probe\":\"done\",\"killed\":%s}\n", json_bool(gone));
        flush_output();
        read_stop(-1);
        if (gone)
            child = 0;
    }
    if (child > 0) {
        kill(child, SIGTERM);
        end_of(child);
    }
    if (GET(t_start_ns) != 0 && GET(t_end_ns) == 0)
        SET(t_end_ns, clock_ns(CLOCK_MONOTONIC));
    report_taken(complete, ending_signal);
    return 0;
}
