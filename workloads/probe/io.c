/* io: reads or writes of one file, or the lives of many, and how long each of them took.
 *
 * So many threads as the queue is deep, each with one synchronous call under way. At a rate, the
 * latency runs from the moment an I/O was due, not from when a thread got to it: else a disk that
 * stands still would not count those that had to wait (coordinated omission). */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    MOST_DEPTH = 256,
    LEAST_BLOCK = 512,
    MOST_BLOCK = 16 << 20,
    MOST_PATH = 4096,
    MOST_BUFFERS = 256 << 20 /* of all threads together: they are charged to the container */
};

#define MOST_FILE_BYTES (UINT64_C(1) << 46)

enum operation { WRITE, READ, FILES };
static const char *const operation_names[] = {"write", "read", "files", NULL};
enum way { DIRECT, BUFFERED, FSYNC };
static const char *const way_names[] = {"direct", "buffered", "fsync", NULL};
enum order { SEQUENTIAL, RANDOM };
static const char *const order_names[] = {"sequential", "random", NULL};

struct issuer {
    OWN_LINES char *block;
    uint64_t ended;       /* in the window */
    uint64_t completed;   /* of those that were due in it */
    uint64_t left_due_ns; /* of the one that "stop" came before; 0: none */
    int error;
    struct latencies took; /* of those that were due in the window */
};

static struct issuer *issuers;

/* Written before the threads are released and only read after. */
static struct {
    OWN_LINES uint64_t go_ns, start_ns, end_ns;
    enum operation operation;
    enum way way;
    enum order order;
    uint64_t block_bytes, file_bytes, blocks, depth, rate_hz, seed;
    const char *folder, *existing;
    int file; /* of FILES their folder */
    uint64_t filesystem; /* f_type of statfs(2) */
    uint64_t open_ns;
    const char *refused; /* the call that failed before "go"; NULL: none */
    int refused_errno;
    struct scale scale;
} load;

static OWN_LINES _Atomic uint64_t next_io;
static OWN_LINES _Atomic uint64_t first_ns; /* how long the first one took; 0: it did not end */

/* --- where each goes, and what it writes --- */

/* The last step of splitmix64: any seed will do. */
static uint64_t mixed(uint64_t z)
{
    z *= UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Of the number of the I/O alone, so that the threads need not agree on anything but numbers. */
static uint64_t offset_of(uint64_t number)
{
    uint64_t block = load.order == SEQUENTIAL ? number : mixed(load.seed + number);
    return block % load.blocks * load.block_bytes;
}

/* What neither a file system that compresses nor one that finds equal blocks can make less of. */
static void fill(char *block, uint64_t seed)
{
    for (uint64_t i = 0; i < load.block_bytes / 8; i++) {
        uint64_t word = mixed(seed + (i << 32));
        memcpy(block + i * 8, &word, 8);
    }
}

/* 0, or the errno. A call may do a part: the rest is asked for, and says why it was not done. */
static int transfer(int file, char *block, uint64_t offset, bool writes)
{
    for (uint64_t done = 0; done < load.block_bytes;) {
        uint64_t left = load.block_bytes - done;
        ssize_t got = writes ? pwrite(file, block + done, left, (off_t)(offset + done))
                             : pread(file, block + done, left, (off_t)(offset + done));
        if (got == 0)
            return ENODATA; /* the file was cut by somebody else */
        if (got > 0)
            done += (uint64_t)got;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* Whether what was done in the folder is on its disk; only asked for with fsync. */
static bool kept(bool done) { return done && (load.way != FSYNC || fsync(load.file) == 0); }

/* A file's whole life but for what is in it: made, renamed, removed. */
static int live(uint64_t number)
{
    char made[32], renamed[32];
    snprintf(made, sizeof made, "a%" PRIu64, number);
    snprintf(renamed, sizeof renamed, "b%" PRIu64, number);
    int file = openat(load.file, made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return errno;
    bool well = kept(close(file) == 0) &&
                kept(renameat(load.file, made, load.file, renamed) == 0) &&
                kept(unlinkat(load.file, renamed, 0) == 0);
    int error = errno;
    if (well)
        return 0;
    unlinkat(load.file, made, 0); /* whichever it was called by then */
    unlinkat(load.file, renamed, 0);
    return error;
}

static int do_io(struct issuer *self, uint64_t number)
{
    if (load.operation == FILES)
        return live(number);
    bool writes = load.operation == WRITE;
    if (writes)
        memcpy(self->block, &number, sizeof number);
    int error = transfer(load.file, self->block, offset_of(number), writes);
    if (error == 0 && load.way == FSYNC && fsync(load.file) != 0)
        error = errno;
    return error;
}

/* --- the threads --- */

static uint64_t due_ns(uint64_t number)
{
    return load.go_ns + number / load.rate_hz * NS_PER_S +
           number % load.rate_hz * NS_PER_S / load.rate_hz;
}

static bool in_window(uint64_t ns) { return ns >= load.start_ns && ns < load.end_ns; }

/* A thread that meets an error stops: what comes after it is no measurement. */
static void *issue_thread(void *argument)
{
    struct issuer *self = argument;
    park();
    for (;;) {
        uint64_t number = atomic_fetch_add_explicit(&next_io, 1, memory_order_relaxed);
        uint64_t due = load.rate_hz > 0 ? due_ns(number) : clock_ns(CLOCK_MONOTONIC);
        while (clock_ns(CLOCK_MONOTONIC) < due && !must_stop())
            sleep_while(&stopped, 0, due);
        if (must_stop()) {
            self->left_due_ns = load.rate_hz > 0 ? due : 0;
            break;
        }
        self->error = do_io(self, number);
        if (self->error != 0)
            break;
        uint64_t done = clock_ns(CLOCK_MONOTONIC);
        if (number == 0)
            atomic_store(&first_ns, done - due);
        if (in_window(done))
            self->ended++;
        if (in_window(due)) {
            self->completed++;
            count_latency(&self->took, &load.scale, done - due);
        }
    }
    return NULL;
}

/* --- the file --- */

static void refuse(const char *what)
{
    load.refused = what;
    load.refused_errno = errno;
}

static void lay_out(int file)
{
    for (uint64_t at = 0; at < load.file_bytes; at += load.block_bytes) {
        fill(issuers[0].block, load.seed + at);
        errno = transfer(file, issuers[0].block, at, true);
        if (errno != 0) {
            refuse("layout");
            return;
        }
    }
    if (fsync(file) != 0)
        refuse("layout");
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* each begins alike, without a page cache */
}

static void open_file(const char *name, int access)
{
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    load.file = open(name, access | O_CLOEXEC | (load.way == DIRECT ? O_DIRECT : 0));
    load.open_ns = clock_ns(CLOCK_MONOTONIC) - before;
    struct statfs about;
    if (load.file < 0)
        refuse("open");
    else if (fstatfs(load.file, &about) == 0)
        load.filesystem = (uint32_t)about.f_type;
}

static char folder[MOST_PATH]; /* of FILES; empty: none was made */

/* A folder of our own, so that nobody else's names make it slow. It goes with us. */
static void make_folder(void)
{
    if (snprintf(folder, sizeof folder, "%s/probe-XXXXXX", load.folder) >= MOST_PATH)
        misuse("--path is too long");
    if (mkdtemp(folder) == NULL)
        fail(EXIT_SYSTEM, "no folder in %s: %s", load.folder, strerror(errno));
    open_file(folder, O_RDONLY | O_DIRECTORY);
}

/* A file of our own, written once, so that later writes meet blocks that are there; without a name
 * from then on, so that nothing is left, however we end. */
static void make_file(void)
{
    static char name[MOST_PATH];
    if (snprintf(name, sizeof name, "%s/probe-XXXXXX", load.folder) >= MOST_PATH)
        misuse("--path is too long");
    int plain = mkstemp(name);
    if (plain < 0)
        fail(EXIT_SYSTEM, "no file in %s: %s", load.folder, strerror(errno));
    open_file(name, O_RDWR);
    unlink(name);
    if (load.refused == NULL)
        lay_out(plain);
    close(plain);
}

/* A file that is there is used as it is. To open one of the image's for writing copies it up. */
static void open_existing(void)
{
    static char name[MOST_PATH];
    if (snprintf(name, sizeof name, "%s/%s", load.folder, load.existing) >= MOST_PATH)
        misuse("--path is too long");
    struct stat about;
    if (stat(name, &about) != 0)
        fail(EXIT_SYSTEM, "no %s: %s", name, strerror(errno));
    if ((uint64_t)about.st_size < load.file_bytes)
        fail(EXIT_SYSTEM, "%s has less than %" PRIu64 " bytes", name, load.file_bytes);
    open_file(name, load.operation == WRITE ? O_WRONLY : O_RDONLY);
}

/* --- the report --- */

static struct {
    uint64_t ended, completed, unfinished, errors;
    int error;
    struct latencies took;
} all;

/* What was due and not done counts with the time that it had waited: an overload must not look
 * quick. */
static void count_unfinished(uint64_t due, uint64_t stop_ns)
{
    if (!in_window(due) || due > stop_ns)
        return;
    all.unfinished++;
    count_latency(&all.took, &load.scale, stop_ns - due);
}

static void add_up(uint64_t stop_ns)
{
    for (size_t i = 0; i < load.depth; i++) {
        const struct issuer *one = &issuers[i];
        all.ended += one->ended;
        all.completed += one->completed;
        all.errors += one->error != 0;
        if (all.error == 0)
            all.error = one->error;
        add_latencies(&all.took, &one->took);
        if (one->left_due_ns > 0)
            count_unfinished(one->left_due_ns, stop_ns);
    }
    if (load.rate_hz == 0 || load.refused != NULL)
        return;
    for (uint64_t number = atomic_load(&next_io);; number++) { /* what no thread had taken */
        uint64_t due = due_ns(number);
        if (due > stop_ns || due >= load.end_ns)
            break;
        count_unfinished(due, stop_ns);
    }
}

static void print_or_null(const char *name, uint64_t number)
{
    if (number > 0)
        printf(",\"%s\":%" PRIu64, name, number);
    else
        printf(",\"%s\":null", name);
}

static void report_io(uint64_t stop_ns)
{
    add_up(stop_ns);
    const char *refused = load.refused != NULL ? load.refused : all.error != 0 ? "io" : NULL;
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"io\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64
           ",\"operation\":\"%s\",\"way\":\"%s\",\"order\":\"%s\",\"block_bytes\":%" PRIu64
           ",\"file_bytes\":%" PRIu64 ",\"depth\":%" PRIu64,
           VERSION, json_bool(stop_ns >= load.end_ns), load.start_ns, load.end_ns,
           operation_names[load.operation], way_names[load.way], order_names[load.order],
           load.block_bytes, load.file_bytes, load.depth);
    print_or_null("rate_hz", load.rate_hz);
    print_or_null("filesystem", load.filesystem);
    printf(",\"open_ns\":%" PRIu64, load.open_ns);
    print_or_null("first_ns", atomic_load(&first_ns));
    if (refused != NULL)
        printf(",\"refused\":\"%s\"", refused);
    else
        printf(",\"refused\":null");
    printf(",\"errno\":%d,\"errors\":%" PRIu64 ",\"ios\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"offered\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"unfinished\":%" PRIu64,
           load.refused != NULL ? load.refused_errno : all.error, all.errors, all.ended,
           all.ended * load.block_bytes, all.completed + all.unfinished, all.completed,
           all.unfinished);
    print_latencies(&all.took, &load.scale);
    printf("}\n");
    flush_output();
}

/* --- the mode --- */

static void read_options(int count, char **arguments, uint64_t *deadline_s)
{
    static const struct option options[] = {
        {"operation", required_argument, NULL, 'o'},
        {"way", required_argument, NULL, 'w'},
        {"order", required_argument, NULL, 'O'},
        {"block", required_argument, NULL, 'b'},
        {"file", required_argument, NULL, 'f'},
        {"depth", required_argument, NULL, 'q'},
        {"rate", required_argument, NULL, 'r'},
        {"path", required_argument, NULL, 'p'},
        {"existing", required_argument, NULL, 'e'},
        {"seed", required_argument, NULL, 's'},
        {"deadline", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    load.depth = 1;
    load.seed = 1;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 'o')
            load.operation = (enum operation)option_choice("operation", optarg, operation_names);
        else if (option == 'w')
            load.way = (enum way)option_choice("way", optarg, way_names);
        else if (option == 'O')
            load.order = (enum order)option_choice("order", optarg, order_names);
        else if (option == 'b')
            load.block_bytes = option_number("block", optarg, LEAST_BLOCK, MOST_BLOCK);
        else if (option == 'f')
            load.file_bytes = option_number("file", optarg, LEAST_BLOCK, MOST_FILE_BYTES);
        else if (option == 'q')
            load.depth = option_number("depth", optarg, 1, MOST_DEPTH);
        else if (option == 'r')
            load.rate_hz = option_number("rate", optarg, 1, 100000);
        else if (option == 'p')
            load.folder = optarg;
        else if (option == 'e')
            load.existing = optarg;
        else if (option == 's')
            load.seed = option_number("seed", optarg, 0, UINT32_MAX);
        else
            *deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
    }
    if (load.folder == NULL || *deadline_s == 0)
        misuse("--path and --deadline are needed");
    if (load.operation == FILES) {
        if (load.way == DIRECT || load.existing != NULL)
            misuse("--operation files is of new ones, --way buffered or fsync");
        load.block_bytes = load.file_bytes = 0; /* there is nothing in them */
        return;
    }
    if (load.block_bytes == 0 || load.file_bytes == 0)
        misuse("--block and --file are needed");
    load.blocks = load.file_bytes / load.block_bytes;
    if (load.blocks == 0)
        misuse("--file is smaller than --block");
    load.file_bytes = load.blocks * load.block_bytes;
    if (load.operation == READ && load.way == FSYNC)
        misuse("--way fsync is of writes");
    if (load.depth * load.block_bytes > MOST_BUFFERS)
        misuse("--depth times --block is more than %d bytes", MOST_BUFFERS);
}

int io(int count, char **arguments)
{
    uint64_t deadline_s = 0;
    read_options(count, arguments, &deadline_s);
    install_deadline(deadline_s);
    make_scale(&load.scale, NS_PER_US);
    prctl(PR_SET_TIMERSLACK, 1); /* ns, of the threads too: else they sleep up to 50 us too long */
    signal(SIGXFSZ, SIG_IGN);    /* a limit on the size of files is an errno like the others */
    issuers = own_memory(load.depth * sizeof *issuers);
    for (size_t i = 0; i < load.depth; i++) {
        memset(&issuers[i], 0, sizeof issuers[i]); /* touches it */
        if (load.operation == FILES)
            continue;
        /* O_DIRECT asks for memory that is aligned as the device's blocks are: a page's is. */
        issuers[i].block = own_memory(load.block_bytes);
        fill(issuers[i].block, load.seed + i);
    }
    if (load.operation == FILES)
        make_folder();
    else if (load.existing != NULL)
        open_existing();
    else
        make_file();
    if (load.refused == NULL)
        start_threads(load.depth, issue_thread, issuers, sizeof issuers[0]);
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"io\",\"depth\":%" PRIu64
           ",\"file_bytes\":%" PRIu64 "}\n",
           VERSION, load.depth, load.file_bytes);
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    load.go_ns = clock_ns(CLOCK_MONOTONIC);
    load.start_ns = load.go_ns + warmup_ns;
    load.end_ns = load.start_ns + duration_ns;
    release_threads();

    uint64_t stop_ns = await_stop(load.end_ns, DRAIN_NS);
    stop_threads();
    if (folder[0] != '\0')
        rmdir(folder);
    report_io(stop_ns);
    return 0;
}
