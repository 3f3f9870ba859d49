/* Reads files at fixed deadlines into memory, and tells their bytes once it is over. A file that
 * fills its room is told as none, since a number that is cut off is a wrong one. */
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TICK_BYTES = 1024,         /* of a file that is read at every tick */
    FILE_BYTES = 16384,        /* of one of the details */
    EDGE_BYTES = 1 << 18,      /* of one that is read at the edges: 8192 CPUs, a number each */
    MOST_HOST_BYTES = 1 << 24, /* of one of the host's */
    MOST_TOUCHED = 1 << 22
};
static const uint64_t edge_span_ns = 100 * NS_PER_US; /* longer: interrupted, so read again */

/* --- the block: moment after moment, each followed by its files --- */

enum kind { TICK, DETAIL, EDGE };

/* As it stands in the block, little-endian; then of each file its length in 4 bytes, -1 for none,
 * and its bytes. A tick has those of `ticks`, a detail those of `details` too, an edge all. */
struct moment {
    uint64_t t_ns, span_ns, late_ns;
    uint32_t container, kind;
};
_Static_assert(sizeof(struct moment) == 32, "no padding in what is told");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what is told is little-endian");

static char *pool;
static uint64_t pooled, pool_bytes;

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

static uint64_t most_bytes(const struct files *files, enum kind kind)
{
    uint64_t head = sizeof(int32_t);
    return sizeof(struct moment) + files->ticks * (head + TICK_BYTES) +
           (kind >= DETAIL ? files->details * (head + FILE_BYTES) : 0) +
           (kind == EDGE ? files->edges * (head + EDGE_BYTES) : 0);
}

/* One container's files; false where there is no room for them. */
static bool pool_moment(const struct watch *watch, size_t container, uint64_t late_ns,
                        enum kind kind)
{
    const struct files *files = watch->files + container;
    if (pooled + most_bytes(files, kind) > pool_bytes)
        return false;
    const int *file = files->of;
    struct moment moment = {.late_ns = late_ns, .container = (uint32_t)container, .kind = kind};
    uint64_t start = pooled;
    for (int tries = 0; tries < 8; tries++) {
        pooled = start + sizeof moment;
        uint64_t before = clock_ns(CLOCK_MONOTONIC);
        pool_file(file[0], TICK_BYTES);
        uint64_t after = clock_ns(CLOCK_MONOTONIC);
        moment.t_ns = before + (after - before) / 2;
        moment.span_ns = after - before;
        if (kind != EDGE || moment.span_ns <= edge_span_ns)
            break;
    }
    file++;
    for (size_t i = 1; i < files->ticks; i++)
        pool_file(*file++, TICK_BYTES);
    for (size_t i = 0; kind >= DETAIL && i < files->details; i++)
        pool_file(*file++, FILE_BYTES);
    for (size_t i = 0; kind == EDGE && i < files->edges; i++)
        pool_file(*file++, EDGE_BYTES);
    memcpy(pool + start, &moment, sizeof moment);
    return true;
}

static bool pool_all(const struct watch *watch, uint64_t late_ns, enum kind kind)
{
    for (size_t container = 0; container < watch->containers; container++)
        if (!pool_moment(watch, container, late_ns, kind))
            return false;
    return true;
}

static void map_pool(uint64_t bytes)
{
    pooled = 0;
    pool_bytes = bytes;
    pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
    if (pool == MAP_FAILED)
        fail(EXIT_SYSTEM, "no memory for the samples: %s", strerror(errno));
}

/* What a moment of each kind takes of one container: the first that is there, as they are alike. */
static void measure_moments(const struct watch *watch, uint64_t each[EDGE + 1])
{
    memset(each, 0, (EDGE + 1) * sizeof *each);
    for (size_t container = 0; container < watch->containers; container++) {
        map_pool(most_bytes(watch->files + container, EDGE));
        for (enum kind kind = TICK; kind <= EDGE; kind++) {
            pooled = 0;
            pool_moment(watch, container, 0, kind);
            each[kind] = pooled;
        }
        munmap(pool, pool_bytes);
        if (each[TICK] > sizeof(struct moment) + watch->files[container].ticks * sizeof(int32_t))
            return;
    }
}

/* Room by what one container's first reads take, twice over, since numbers grow, and with some more
 * for files that were empty there. The first of its pages are touched here, as a touch in the window
 * costs time there; of all of them it would take longer than there may be until the start. */
static void make_pool(const struct watch *watch, uint64_t duration_ns)
{
    const uint64_t more = 4096;
    uint64_t each[EDGE + 1], edges = 1;
    measure_moments(watch, each);
    for (size_t container = 0; container < watch->containers; container++)
        edges += most_bytes(watch->files + container, EDGE);
    uint64_t ticks = (duration_ns / NS_PER_S + 1) * watch->rate_mhz / 1000 + 1;
    uint64_t wanted = watch->containers * (ticks * each[TICK] +
                                           (ticks / watch->detail_every + 1) * (each[DETAIL] + more) +
                                           2 * each[EDGE]);
    map_pool(2 * edges + (wanted < watch->room_bytes / 2 ? 2 * wanted : watch->room_bytes));
    uint64_t touched = wanted < pool_bytes ? wanted : pool_bytes;
    memset(pool, 0, touched < MOST_TOUCHED ? touched : MOST_TOUCHED);
}

/* --- the host's files at an edge: read into memory too, told later --- */

struct host_edge {
    uint64_t t_ns, t_real_ns, t_boot_ns;
    int32_t lengths[MAX_NAMES];
    char *texts[MAX_NAMES];
};
static struct host_edge host_edges[2];
static int host_files[MAX_NAMES];
static size_t host_room[MAX_NAMES];

/* Room for twice of what the file holds now: /proc/stat has a line for each CPU and a number for
 * each interrupt, and no length that could be asked for. */
static void make_host_room(const char *path, size_t i)
{
    char *bytes = NULL;
    size_t room = FILE_BYTES / 2;
    int32_t length;
    do {
        room *= 2;
        bytes = realloc(bytes, room);
        if (bytes == NULL)
            fail(EXIT_SYSTEM, "no memory for %s: %s", path, strerror(errno));
        length = read_whole(host_files[i], bytes, room);
    } while (host_files[i] >= 0 && length < 0 && room < MOST_HOST_BYTES);
    free(bytes);
    host_room[i] = 2 * room;
    for (int edge = 0; edge < 2; edge++) {
        char *text = malloc(host_room[i]);
        if (text == NULL)
            fail(EXIT_SYSTEM, "no memory for %s: %s", path, strerror(errno));
        host_edges[edge].texts[i] = text;
    }
}

static void read_host(const struct watch *watch, struct host_edge *edge)
{
    for (size_t i = 0; i < watch->host_count; i++) {
        edge->lengths[i] = read_whole(host_files[i], edge->texts[i], host_room[i]);
        if (i == 0)
            edge->t_ns = clock_ns(CLOCK_MONOTONIC);
    }
    edge->t_real_ns = clock_ns(CLOCK_REALTIME);
    edge->t_boot_ns = clock_ns(CLOCK_BOOTTIME);
}

static void print_host_edge(const struct watch *watch, const char *key,
                            const struct host_edge *edge)
{
    printf(",\"%s\":{\"t_ns\":%" PRIu64 ",\"t_real_ns\":%" PRIu64 ",\"t_boot_ns\":%" PRIu64
           ",\"texts\":[",
           key, edge->t_ns, edge->t_real_ns, edge->t_boot_ns);
    for (size_t i = 0; i < watch->host_count; i++) {
        if (i > 0)
            putchar(',');
        print_text(edge->texts[i], edge->lengths[i]);
    }
    printf("]}");
}

void prepare_window(const struct watch *watch)
{
    for (size_t i = 0; i < watch->host_count; i++) {
        host_files[i] = open(watch->host[i], O_RDONLY | O_CLOEXEC);
        make_host_room(watch->host[i], i);
    }
    for (int edge = 0; edge < 2; edge++)
        read_host(watch, &host_edges[edge]); /* touches their memory */
}

/* --- the window --- */

/* Sleeps until the moment; true where standard input has something to say before it. */
static bool sleep_until(uint64_t until_ns)
{
    if (heard_more())
        return true;
    for (uint64_t now; (now = clock_ns(CLOCK_MONOTONIC)) < until_ns;) {
        struct timespec left = {.tv_sec = (time_t)((until_ns - now) / NS_PER_S),
                                .tv_nsec = (long)((until_ns - now) % NS_PER_S)};
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(&input, 1, &left, NULL) > 0)
            return true;
    }
    return false;
}

/* From the start and never from the tick before: at 3 Hz an interval is no whole number of ns, and
 * a sum of them drifts away. Whole seconds apart, so that no product comes near 64 bits. */
static uint64_t ticks_ns(uint64_t number, uint64_t rate_mhz)
{
    const uint64_t scale = 1000 * NS_PER_S;
    return number / rate_mhz * scale + number % rate_mhz * scale / rate_mhz;
}

struct outcome sample_window(const struct watch *watch, uint64_t start_ns, uint64_t duration_ns)
{
    struct outcome outcome = {0};
    make_pool(watch, duration_ns);
    uint64_t now = clock_ns(CLOCK_MONOTONIC), interval_ns = ticks_ns(1, watch->rate_mhz);
    if (start_ns < now)
        start_ns = now;
    outcome.stopped = sleep_until(start_ns);
    outcome.start_ns = start_ns;
    outcome.end_ns = start_ns + duration_ns;
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    read_host(watch, &host_edges[0]);
    outcome.full = !pool_all(watch, 0, EDGE);
    for (uint64_t number = 1; !outcome.stopped && !outcome.full; number++) {
        uint64_t deadline = start_ns + ticks_ns(number, watch->rate_mhz);
        if (deadline >= outcome.end_ns || (outcome.stopped = sleep_until(deadline)))
            break;
        uint64_t late_ns = clock_ns(CLOCK_MONOTONIC) - deadline;
        if (late_ns >= interval_ns) { /* missed, and never made up for: deadlines are absolute */
            uint64_t late = late_ns / interval_ns;
            uint64_t left = (outcome.end_ns - deadline - 1) / interval_ns + 1;
            outcome.missed += late < left ? late : left;
            number += late - 1;
            continue;
        }
        outcome.ticks++;
        outcome.full =
            !pool_all(watch, late_ns, number % watch->detail_every == 0 ? DETAIL : TICK);
    }
    if (!outcome.stopped)
        outcome.stopped = sleep_until(outcome.end_ns);
    outcome.full = !pool_all(watch, 0, EDGE) || outcome.full;
    read_host(watch, &host_edges[1]);
    outcome.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    return outcome;
}

void print_samples(const struct watch *watch)
{
    print_block("block", (const unsigned char *)pool, pooled);
    print_host_edge(watch, "host_first", &host_edges[0]);
    print_host_edge(watch, "host_last", &host_edges[1]);
}
