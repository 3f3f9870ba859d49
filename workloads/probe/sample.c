/* sample: reads the counters of other containers at fixed deadlines, and tells the bytes as one
 * block once it is over. Its files are descriptors that it was given, or those of containers that
 * are known by their ids, where it runs on an engine's host whose files are not at hand elsewhere. */
#include "sample.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ID_LEAST = 12,
    MOST_CPU = 1 << 20, /* those beyond CPU_SETSIZE cannot be kept off: CPU_SET does nothing */
    MOST_FILE = 1 << 30,
    MOST_RATE_MHZ = 10000000, /* 10 kHz */
    MOST_ROOM_MIB = 1 << 20
};
static const uint64_t mib = 1 << 20;

static struct {
    struct sought sought;
    struct names tick, detail, edge;
    struct watch watch;
    cpu_set_t measured;
} setup;

/* --- bytes as text --- */

void print_text(const char *bytes, int32_t length)
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

void print_block(const char *name, const unsigned char *bytes, uint64_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[1 << 12];
    size_t held = 0;
    printf(",\"%s\":\"", name);
    for (uint64_t i = 0; i < length; i += 3) {
        uint32_t left = length - i < 3 ? (uint32_t)(length - i) : 3;
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        out[held++] = digits[three >> 18];
        out[held++] = digits[three >> 12 & 63];
        out[held++] = left > 1 ? digits[three >> 6 & 63] : '=';
        out[held++] = left > 2 ? digits[three & 63] : '=';
        if (held == sizeof out) {
            fwrite(out, 1, held, stdout);
            held = 0;
        }
    }
    fwrite(out, 1, held, stdout);
    putchar('"');
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

static struct files *more_files(size_t count)
{
    struct watch *watch = &setup.watch;
    watch->files = realloc(watch->files, (watch->containers + count) * sizeof *watch->files);
    if (watch->files == NULL)
        fail(EXIT_SYSTEM, "no memory for the files' numbers: %s", strerror(errno));
    struct files *first = watch->files + watch->containers;
    watch->containers += count;
    return first;
}

/* "3,-,5:7,8:9": a container's descriptors, of every tick, of the details and of the edges. */
static void add_files(char *text)
{
    struct files *files = more_files(1);
    size_t *counts[] = {&files->ticks, &files->details, &files->edges}, list = 0, count = 0;
    *files = (struct files){0};
    for (bool more = *text != '\0'; more;) {
        size_t length = strcspn(text, ",:");
        char end = text[length];
        text[length] = '\0';
        if (length > 0) {
            if ((*counts[list])++ == MAX_NAMES)
                misuse("more than %d files in a list of --files", MAX_NAMES);
            files->of[count++] = strcmp(text, "-") == 0
                                     ? -1
                                     : (int)option_number("files", text, 0, MOST_FILE);
        }
        if (end == ':' && ++list == 3)
            misuse("--files takes TICK,…:DETAIL,…:EDGE,…");
        text += length + 1;
        more = end != '\0';
    }
    if (list != 2 || files->ticks == 0)
        misuse("--files takes TICK,…:DETAIL,…:EDGE,…");
}

static void add_id(const char *id)
{
    if (strlen(id) < ID_LEAST || strchr(id, '/') != NULL)
        misuse("--id takes at least %d characters of a container's id", ID_LEAST);
    if (setup.sought.id_count == MAX_IDS)
        misuse("more than %d times --id", MAX_IDS);
    setup.sought.ids[setup.sought.id_count++] = id;
}

static void add_host(const char *path)
{
    if (setup.watch.host_count == MAX_NAMES)
        misuse("more than %d times --host", MAX_NAMES);
    setup.watch.host[setup.watch.host_count++] = path;
}

static void set_inner(const char *text)
{
    if (*text == '/' || strchr(text, '/') == NULL || strstr(text, "..") != NULL)
        misuse("--inner takes FOLDER/FILE");
    setup.sought.inner = text;
}

static uint64_t read_options(int count, char **arguments)
{
    static const struct option options[] = {
        {"deadline", required_argument, NULL, 'D'}, {"files", required_argument, NULL, 'f'},
        {"root", required_argument, NULL, 'r'},     {"id", required_argument, NULL, 'i'},
        {"inner", required_argument, NULL, 'I'},    {"rate-mhz", required_argument, NULL, 'R'},
        {"room-mib", required_argument, NULL, 'm'}, {"detail-every", required_argument, NULL, 'n'},
        {"tick", required_argument, NULL, 't'},     {"detail", required_argument, NULL, 'd'},
        {"edge", required_argument, NULL, 'e'},     {"up", required_argument, NULL, 'u'},
        {"host", required_argument, NULL, 'h'},     {"keep-off", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    struct watch *watch = &setup.watch;
    uint64_t deadline_s = 0;
    watch->detail_every = 1;
    watch->room_bytes = 256 * mib;
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        switch (option) {
        case 'D': deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S); break;
        case 'f': add_files(optarg); break;
        case 'r': setup.sought.root = optarg; break;
        case 'I': set_inner(optarg); break;
        case 'R': watch->rate_mhz = option_number("rate-mhz", optarg, 1, MOST_RATE_MHZ); break;
        case 'm':
            watch->room_bytes = mib * option_number("room-mib", optarg, 1, MOST_ROOM_MIB);
            break;
        case 'n': watch->detail_every = option_number("detail-every", optarg, 1, 1000000); break;
        case 't': add_name(&setup.tick, "tick", optarg); break;
        case 'd': add_name(&setup.detail, "detail", optarg); break;
        case 'e': add_name(&setup.edge, "edge", optarg); break;
        case 'u': add_name(&setup.sought.up, "up", optarg); break;
        case 'k': CPU_SET(option_number("keep-off", optarg, 0, MOST_CPU), &setup.measured); break;
        case 'h': add_host(optarg); break;
        default: add_id(optarg);
        }
    }
    if (deadline_s == 0 || watch->rate_mhz == 0)
        misuse("--deadline and --rate-mhz are needed");
    size_t by_id = setup.sought.id_count + setup.tick.count + setup.detail.count +
                   setup.edge.count + setup.sought.up.count;
    if (setup.sought.root == NULL && (by_id > 0 || setup.sought.inner != NULL))
        misuse("--id, --inner, --tick, --detail, --edge and --up need --root");
    if (setup.sought.root != NULL &&
        (setup.sought.id_count == 0 || setup.tick.count == 0 || watch->containers > 0))
        misuse("--root needs --id and --tick, and takes no --files");
    return deadline_s;
}

/* The files of the containers that are known by their ids. */
static void open_all(void)
{
    struct files *files = more_files(setup.sought.id_count);
    const struct names *lists[] = {&setup.tick, &setup.detail, &setup.edge};
    for (size_t id = 0; id < setup.sought.id_count; id++, files++) {
        files->ticks = setup.tick.count;
        files->details = setup.detail.count;
        files->edges = setup.edge.count;
        int *file = files->of;
        for (size_t list = 0; list < 3; list++)
            for (size_t i = 0; i < lists[list]->count; i++)
                *file++ = open_named(&setup.sought, &lists[list]->of[i], setup.sought.ids[id]);
    }
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

int sample(int count, char **arguments)
{
    install_deadline(read_options(count, arguments));
    prctl(PR_SET_TIMERSLACK, 1); /* ns: else each deadline is met up to 50 us late */
    /* Where that is allowed. By the system call itself: musl's function does nothing but refuse. */
    int priority = 1; /* all that the kernel's struct sched_param has */
    bool realtime = syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &priority) == 0;
    cpu_set_t kept;
    bool apart = keep_off(&kept);
    if (setup.sought.root != NULL) {
        find_upward(&setup.sought);
        open_all();
    }
    prepare_window(&setup.watch);

    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"sample\",\"realtime\":%s", VERSION,
           json_bool(realtime));
    printf(",\"cpus\":");
    if (apart)
        print_cpus(&kept);
    else
        printf("null");
    print_upward(&setup.sought);
    printf("}\n");
    flush_output();

    uint64_t start_ns, duration_ns;
    if (!read_begin(&start_ns, &duration_ns))
        start_ns += clock_ns(CLOCK_MONOTONIC);
    struct outcome outcome = sample_window(&setup.watch, start_ns, duration_ns);
    priority = 0; /* what is told keeps nobody from a CPU */
    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &priority);
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"sample\",\"complete\":%s,"
           "\"stopped\":%s,\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"ticks\":%" PRIu64
           ",\"missed\":%" PRIu64 ",\"cpu_ns\":%" PRIu64,
           VERSION, json_bool(!outcome.full), json_bool(outcome.stopped), outcome.start_ns, outcome.end_ns, outcome.ticks,
           outcome.missed, outcome.cpu_ns);
    print_samples(&setup.watch);
    print_upward(&setup.sought);
    printf("}\n");
    flush_output();
    return 0;
}
