/* sample: reads the counters of other containers, for an engine whose cgroup files are not at hand.
 *
 * It knows no counter: which files there are and what stands in them is the reader's business. It
 * finds the containers' folders, keeps the files open, reads them at fixed deadlines into memory,
 * and tells the bytes once it is over. A file that fills its room is told as none, since a number
 * that is cut off is a wrong one. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MAX_IDS = 64,
    MAX_NAMES = 64,     /* of each list of files */
    MAX_DEPTH = 16,     /* of a container's folder below its hierarchy's root */
    MAX_PATH_BYTES = 4096,
    TICK_BYTES = 1024,         /* of a file that is read at every tick */
    FILE_BYTES = 16384,        /* of any other of a container */
    MOST_HOST_BYTES = 1 << 24, /* of one of the host's */
    ID_LEAST = 12,
    MOST_CPU = 1 << 20 /* those beyond CPU_SETSIZE cannot be kept off: CPU_SET does nothing */
};
#define POOL_BYTES (UINT64_C(1) << 28)
static const uint64_t edge_span_ns = 100 * NS_PER_US; /* longer: interrupted, so read again */

/* HIERARCHY:NAME; the hierarchy is a folder of the root, empty on cgroup v2. */
struct name {
    const char *hierarchy;
    size_t hierarchy_length;
    const char *file;
};

struct names {
    struct name of[MAX_NAMES];
    size_t count;
};

static struct {
    const char *root, *inner;
    const char *ids[MAX_IDS];
    size_t id_count;
    struct names tick, detail, up;
    const char *host[MAX_NAMES];
    size_t host_count;
    uint64_t rate_hz, detail_every;
    cpu_set_t measured;
} setup;

/* A container's folder that a file of `up` is in; NULL where it has none. Found once: after the
 * window the container may be gone, and those above it are told all the same. */
static char *up_paths[MAX_IDS][MAX_NAMES];
static int tick_files[MAX_IDS][MAX_NAMES], detail_files[MAX_IDS][MAX_NAMES];

/* --- what was read, one after the other in memory that is there before "go" --- */

static char *pool;
static uint64_t pooled;

struct moment {
    uint64_t t_ns, span_ns, late_ns;
    uint32_t id;
    bool detailed;
};

static bool has_room(uint64_t bytes) { return pooled + bytes <= POOL_BYTES; }

/* How many bytes the file has, which are then there; -1 where it cannot be read, or not whole. */
static int32_t read_whole(int file, char *bytes, size_t room)
{
    ssize_t got = file < 0 ? -1 : pread(file, bytes, room, 0);
    return got < 0 || (size_t)got == room ? -1 : (int32_t)got;
}

/* The file's length and its bytes. */
static void pool_file(int file, size_t room)
{
    int32_t length = read_whole(file, pool + pooled + sizeof length, room);
    memcpy(pool + pooled, &length, sizeof length);
    pooled += sizeof length + (length > 0 ? (uint64_t)length : 0);
}

/* One container's files; false where there is no room for them. */
static bool pool_moment(size_t id, uint64_t late_ns, bool detailed, bool edge)
{
    uint64_t most = sizeof(struct moment) + setup.tick.count * (TICK_BYTES + sizeof(int32_t)) +
                    setup.detail.count * (FILE_BYTES + sizeof(int32_t));
    if (!has_room(most))
        return false;
    struct moment moment = {.late_ns = late_ns, .id = (uint32_t)id, .detailed = detailed};
    uint64_t start = pooled;
    for (int tries = 0; tries < 8; tries++) {
        pooled = start + sizeof moment;
        uint64_t before = clock_ns(CLOCK_MONOTONIC);
        pool_file(tick_files[id][0], TICK_BYTES);
        uint64_t after = clock_ns(CLOCK_MONOTONIC);
        moment.t_ns = before + (after - before) / 2;
        moment.span_ns = after - before;
        if (!edge || moment.span_ns <= edge_span_ns)
            break;
    }
    for (size_t i = 1; i < setup.tick.count; i++)
        pool_file(tick_files[id][i], TICK_BYTES);
    for (size_t i = 0; detailed && i < setup.detail.count; i++)
        pool_file(detail_files[id][i], FILE_BYTES);
    memcpy(pool + start, &moment, sizeof moment);
    return true;
}

/* --- text --- */

static void print_text(const char *bytes, int32_t length)
{
    if (length < 0) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (int32_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c == '"' || c == '\\' || c < ' ' || c > '~')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_file(int folder, const char *path)
{
    static char bytes[FILE_BYTES];
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
    print_text(bytes, read_whole(file, bytes, sizeof bytes));
    if (file >= 0)
        close(file);
}

/* --- where the containers' folders are --- */

static size_t hierarchy_path(const struct name *name, char path[MAX_PATH_BYTES])
{
    int length = snprintf(path, MAX_PATH_BYTES, "%s/%.*s", setup.root, (int)name->hierarchy_length,
                          name->hierarchy);
    if (length < 0 || length >= MAX_PATH_BYTES)
        fail(EXIT_USAGE, "a path of more than %d bytes", MAX_PATH_BYTES - 1);
    return (size_t)length;
}

/* Whether a folder of this name is the container's: ID, docker-ID.scope, libpod-ID.scope. systemd's
 * folders for its mounts hold the id too, and Podman's for the container's monitor ends with it
 * (libpod-conmon-ID.scope). */
static bool is_of(const char *name, const char *id)
{
    const char *found = strstr(name, id);
    if (found == NULL || strstr(name, "conmon") != NULL)
        return false;
    const char *behind = found + strspn(found, "0123456789abcdef");
    return *behind == '\0' || strcmp(behind, ".scope") == 0;
}

/* The container's folder below the path, which is extended to it: the first one on the way down,
 * since what an init makes inside it does not matter. */
static bool find_below(char *path, size_t length, const char *id, int depth)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int more = snprintf(path + length, MAX_PATH_BYTES - length, "/%s", entry->d_name);
        if (more < 0 || (size_t)more >= MAX_PATH_BYTES - length)
            continue;
        found = is_of(entry->d_name, id) ||
                (depth > 0 && find_below(path, length + (size_t)more, id, depth - 1));
    }
    closedir(folder);
    if (!found)
        path[length] = '\0';
    return found;
}

static bool container_path(const struct name *name, const char *id, char path[MAX_PATH_BYTES])
{
    if (!find_below(path, hierarchy_path(name, path), id, MAX_DEPTH))
        return false;
    if (setup.inner == NULL)
        return true;
    size_t length = strlen(path);
    int more = snprintf(path + length, MAX_PATH_BYTES - length, "/%s", setup.inner);
    if (more < 0 || (size_t)more >= MAX_PATH_BYTES - length || access(path, F_OK) != 0)
        path[length] = '\0';
    else
        *strrchr(path, '/') = '\0'; /* the folder, without the file */
    return true;
}

static void find_upward(void)
{
    for (size_t id = 0; id < setup.id_count; id++)
        for (size_t i = 0; i < setup.up.count; i++) {
            char path[MAX_PATH_BYTES];
            if (container_path(&setup.up.of[i], setup.ids[id], path) &&
                (up_paths[id][i] = strdup(path)) == NULL)
                fail(EXIT_SYSTEM, "no memory for a path: %s", strerror(errno));
        }
}

static int open_file(const struct name *name, const char *id)
{
    char path[MAX_PATH_BYTES];
    if (!container_path(name, id, path))
        return -1;
    size_t length = strlen(path);
    int more = snprintf(path + length, sizeof path - length, "/%s", name->file);
    if (more < 0 || (size_t)more >= sizeof path - length)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* "files":[…]: each of the files that limits stand in, in the container's folder and in all above
 * it, by its path below the root. */
static void print_upward(void)
{
    const char *separator = "";
    printf(",\"files\":[");
    for (size_t id = 0; id < setup.id_count; id++)
        for (size_t i = 0; i < setup.up.count; i++) {
            const struct name *name = &setup.up.of[i];
            if (up_paths[id][i] == NULL)
                continue;
            char path[MAX_PATH_BYTES], top[MAX_PATH_BYTES];
            strcpy(path, up_paths[id][i]);
            for (size_t least = hierarchy_path(name, top); strlen(path) >= least;) {
                int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                printf("%s{\"id\":%zu,\"path\":", separator, id);
                const char *below = path + strlen(setup.root);
                print_text(below, (int32_t)strlen(below));
                printf(",\"name\":");
                print_text(name->file, (int32_t)strlen(name->file));
                printf(",\"text\":");
                print_file(folder, name->file);
                printf("}");
                separator = ",";
                if (folder >= 0)
                    close(folder);
                *strrchr(path, '/') = '\0';
            }
        }
    printf("]");
}

/* --- the host's files at an edge: read into memory too, told later --- */

struct host_edge {
    uint64_t t_ns;
    int32_t lengths[MAX_NAMES];
    char *texts[MAX_NAMES];
};
static struct host_edge host_edges[2];
static int host_files[MAX_NAMES];
static size_t host_room[MAX_NAMES];

/* Room for twice of what the file holds now: /proc/stat has a line for each CPU and a number for
 * each interrupt, and no length that could be asked for. */
static void make_host_room(size_t i)
{
    char *bytes = NULL;
    size_t room = FILE_BYTES / 2;
    int32_t length;
    do {
        room *= 2;
        bytes = realloc(bytes, room);
        if (bytes == NULL)
            fail(EXIT_SYSTEM, "no memory for %s: %s", setup.host[i], strerror(errno));
        length = read_whole(host_files[i], bytes, room);
    } while (host_files[i] >= 0 && length < 0 && room < MOST_HOST_BYTES);
    free(bytes);
    host_room[i] = 2 * room;
    for (int edge = 0; edge < 2; edge++) {
        char *text = malloc(host_room[i]);
        if (text == NULL)
            fail(EXIT_SYSTEM, "no memory for %s: %s", setup.host[i], strerror(errno));
        host_edges[edge].texts[i] = text;
    }
}

static void read_host(struct host_edge *edge)
{
    for (size_t i = 0; i < setup.host_count; i++) {
        edge->lengths[i] = read_whole(host_files[i], edge->texts[i], host_room[i]);
        if (i == 0)
            edge->t_ns = clock_ns(CLOCK_MONOTONIC);
    }
}

static void print_host_edge(const char *key, const struct host_edge *edge)
{
    printf(",\"%s\":{\"t_ns\":%" PRIu64 ",\"texts\":[", key, edge->t_ns);
    for (size_t i = 0; i < setup.host_count; i++) {
        if (i > 0)
            putchar(',');
        print_text(edge->texts[i], edge->lengths[i]);
    }
    printf("]}");
}

/* --- the window --- */

/* Sleeps until the moment; true where standard input has something to say before it. Whether that
 * is "stop" is seen when it is read. */
static bool sleep_until(uint64_t until_ns)
{
    for (uint64_t now; (now = clock_ns(CLOCK_MONOTONIC)) < until_ns;) {
        struct timespec left = {.tv_sec = (time_t)((until_ns - now) / NS_PER_S),
                                .tv_nsec = (long)((until_ns - now) % NS_PER_S)};
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(&input, 1, &left, NULL) > 0)
            return true;
    }
    return false;
}

struct outcome {
    uint64_t ticks, missed, cpu_ns;
    bool full, stopped;
};

static bool pool_all(uint64_t late_ns, bool detailed, bool edge)
{
    for (size_t id = 0; id < setup.id_count; id++)
        if (!pool_moment(id, late_ns, detailed, edge))
            return false;
    return true;
}

/* Deadlines are absolute: a tick that comes later than a whole interval is missed, and skipped. */
static struct outcome sample_window(uint64_t start_ns, uint64_t duration_ns)
{
    struct outcome outcome = {0};
    uint64_t interval_ns = NS_PER_S / setup.rate_hz, end_ns = start_ns + duration_ns;
    outcome.stopped = sleep_until(start_ns);
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    read_host(&host_edges[0]);
    outcome.full = !pool_all(0, true, true);
    for (uint64_t number = 1; !outcome.stopped && !outcome.full; number++) {
        uint64_t deadline = start_ns + number * NS_PER_S / setup.rate_hz;
        if (deadline >= end_ns)
            break;
        outcome.stopped = sleep_until(deadline);
        if (outcome.stopped)
            break;
        uint64_t late_ns = clock_ns(CLOCK_MONOTONIC) - deadline;
        if (late_ns >= interval_ns) {
            outcome.missed += late_ns / interval_ns;
            number += late_ns / interval_ns - 1;
            continue;
        }
        outcome.ticks++;
        outcome.full = !pool_all(late_ns, number % setup.detail_every == 0, false);
    }
    if (!outcome.stopped)
        outcome.stopped = sleep_until(end_ns);
    outcome.full = !pool_all(0, true, true) || outcome.full;
    read_host(&host_edges[1]);
    outcome.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    return outcome;
}

static void print_files(const char **at, size_t count)
{
    putchar('[');
    for (size_t i = 0; i < count; i++) {
        int32_t length;
        memcpy(&length, *at, sizeof length);
        *at += sizeof length;
        if (i > 0)
            putchar(',');
        print_text(*at, length);
        *at += length > 0 ? length : 0;
    }
    putchar(']');
}

static void report_sample(const struct outcome *outcome, uint64_t start_ns, uint64_t end_ns)
{
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"sample\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"ticks\":%" PRIu64
           ",\"missed\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"samples\":[",
           VERSION, json_bool(!outcome->full), start_ns, end_ns, outcome->ticks, outcome->missed,
           outcome->cpu_ns);
    for (const char *at = pool; at < pool + pooled;) {
        struct moment moment;
        memcpy(&moment, at, sizeof moment);
        printf("%s[%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", at > pool ? "," : "",
               moment.id, moment.t_ns, moment.span_ns, moment.late_ns);
        at += sizeof moment;
        print_files(&at, setup.tick.count);
        putchar(',');
        print_files(&at, moment.detailed ? setup.detail.count : 0);
        putchar(']');
    }
    printf("]");
    print_host_edge("host_first", &host_edges[0]);
    print_host_edge("host_last", &host_edges[1]);
    print_upward();
    printf("}\n");
    flush_output();
}

/* --- the command line --- */

static void add_name(struct names *names, const char *option, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon[1] == '\0' || strchr(text, '/') != NULL)
        misuse("--%s takes HIERARCHY:FILE, without a slash", option);
    if (names->count == MAX_NAMES)
        misuse("more than %d times --%s", MAX_NAMES, option);
    names->of[names->count++] = (struct name){text, (size_t)(colon - text), colon + 1};
}

static uint64_t read_options(int count, char **arguments)
{
    static const struct option options[] = {
        {"deadline", required_argument, NULL, 'D'},
        {"root", required_argument, NULL, 'r'},
        {"id", required_argument, NULL, 'i'},
        {"inner", required_argument, NULL, 'I'},
        {"rate", required_argument, NULL, 'R'},
        {"detail-every", required_argument, NULL, 'e'},
        {"tick", required_argument, NULL, 't'},
        {"detail", required_argument, NULL, 'd'},
        {"up", required_argument, NULL, 'u'},
        {"host", required_argument, NULL, 'h'},
        {"keep-off", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    uint64_t deadline_s = 0;
    setup.detail_every = 1;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        switch (option) {
        case 'D': deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S); break;
        case 'r': setup.root = optarg; break;
        case 'I':
            if (*optarg == '/' || strchr(optarg, '/') == NULL || strstr(optarg, "..") != NULL)
                misuse("--inner takes FOLDER/FILE");
            setup.inner = optarg;
            break;
        case 'R': setup.rate_hz = option_number("rate", optarg, 1, 10000); break;
        case 'e': setup.detail_every = option_number("detail-every", optarg, 1, 1000000); break;
        case 't': add_name(&setup.tick, "tick", optarg); break;
        case 'd': add_name(&setup.detail, "detail", optarg); break;
        case 'u': add_name(&setup.up, "up", optarg); break;
        case 'k': CPU_SET(option_number("keep-off", optarg, 0, MOST_CPU), &setup.measured); break;
        case 'h':
            if (setup.host_count == MAX_NAMES)
                misuse("more than %d times --host", MAX_NAMES);
            setup.host[setup.host_count++] = optarg;
            break;
        default:
            if (strlen(optarg) < ID_LEAST || strchr(optarg, '/') != NULL)
                misuse("--id takes at least %d characters of a container's id", ID_LEAST);
            if (setup.id_count == MAX_IDS)
                misuse("more than %d times --id", MAX_IDS);
            setup.ids[setup.id_count++] = optarg;
        }
    }
    if (deadline_s == 0 || setup.root == NULL || setup.id_count == 0 || setup.rate_hz == 0 ||
        setup.tick.count == 0)
        misuse("--deadline, --root, --id, --rate and --tick are needed");
    return deadline_s;
}

/* Leaves the measured CPUs to the containers; where that leaves it none, or none were named, it
 * stays where it is: false. */
static bool keep_off(cpu_set_t *kept)
{
    if (CPU_COUNT(&setup.measured) == 0 || sched_getaffinity(0, sizeof *kept, kept) != 0)
        return false;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &setup.measured))
            CPU_CLR(cpu, kept);
    return CPU_COUNT(kept) > 0 && sched_setaffinity(0, sizeof *kept, kept) == 0;
}

static void print_cpus(const cpu_set_t *cpus)
{
    const char *separator = "[";
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cpus)) {
            printf("%s%zu", separator, cpu);
            separator = ",";
        }
    printf("]");
}

/* Pages that are touched for the first time in the window would cost time there. */
static void make_pool(void)
{
    pool = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool == MAP_FAILED)
        fail(EXIT_SYSTEM, "no memory for the samples: %s", strerror(errno));
}

/* By what the first read took. */
static void touch_pool(uint64_t duration_ns)
{
    pooled = 0;
    pool_all(0, true, false);
    uint64_t detailed = pooled;
    pooled = 0;
    pool_all(0, false, false);
    uint64_t ticks = duration_ns / NS_PER_S * setup.rate_hz + setup.rate_hz + 2;
    uint64_t wanted = ticks * pooled + (ticks / setup.detail_every + 3) * detailed;
    pooled = 0;
    memset(pool, 0, wanted < POOL_BYTES ? wanted : POOL_BYTES);
}

int sample(int count, char **arguments)
{
    install_deadline(read_options(count, arguments));
    prctl(PR_SET_TIMERSLACK, 1); /* ns: else each deadline is met up to 50 us late */
    /* Where that is allowed. By the system call itself: musl's function does nothing but refuse. */
    int priority = 1; /* all that the kernel's struct sched_param has */
    bool realtime = syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &priority) == 0;
    cpu_set_t kept;
    bool apart = keep_off(&kept);
    make_pool();
    find_upward();
    for (size_t id = 0; id < setup.id_count; id++) {
        for (size_t i = 0; i < setup.tick.count; i++)
            tick_files[id][i] = open_file(&setup.tick.of[i], setup.ids[id]);
        for (size_t i = 0; i < setup.detail.count; i++)
            detail_files[id][i] = open_file(&setup.detail.of[i], setup.ids[id]);
    }
    for (size_t i = 0; i < setup.host_count; i++) {
        host_files[i] = open(setup.host[i], O_RDONLY | O_CLOEXEC);
        make_host_room(i);
    }
    for (int edge = 0; edge < 2; edge++)
        read_host(&host_edges[edge]); /* touches their memory */

    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"sample\",\"realtime\":%s", VERSION,
           json_bool(realtime));
    printf(",\"cpus\":");
    if (apart)
        print_cpus(&kept);
    else
        printf("null");
    print_upward();
    printf("}\n");
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    uint64_t start_ns = clock_ns(CLOCK_MONOTONIC) + warmup_ns;
    touch_pool(duration_ns);
    struct outcome outcome = sample_window(start_ns, duration_ns);
    read_stop(-1);
    report_sample(&outcome, start_ns, start_ns + duration_ns);
    return 0;
}
