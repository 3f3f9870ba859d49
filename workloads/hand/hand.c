/* The hand: small things done inside a container, each told in one line, for `bench claims`.
 *
 *     hand VERB ARGUMENT... [+ VERB ARGUMENT...]...
 *
 * The verbs are carried out one after the other; the first that fails ends all with its exit code.
 * As the probe it is linked statically, since its image holds nothing else. It ends by itself after
 * five minutes, whatever happens to who started it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_S = 300, EXIT_SYSTEM = 1, EXIT_USAGE = 2, EXIT_DEADLINE = 124 };

static const char usage[] =
    "usage: hand VERB ARGUMENT... [+ VERB ARGUMENT...]...\n"
    "  say TEXT...            print a line\n"
    "  complain TEXT...       print a line on standard error\n"
    "  sleep SECONDS          with no handler for any signal\n"
    "  heed SECONDS [CODE]    the same; SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 are told, then CODE\n"
    "                         (default: 128 + the signal's number)\n"
    "  exit CODE\n"
    "  spin SECONDS [THREADS] use CPU\n"
    "  take BYTES             have so much anonymous memory, touched, until the end\n"
    "  child BYTES            a child takes so much and ends; tells how it ended\n"
    "  fork COUNT             have so many children that sleep; tells how many there are\n"
    "  write PATH TEXT        make or replace a file\n"
    "  append PATH TEXT\n"
    "  fill PATH BYTES        write so many zeros to a file; tells how many were taken\n"
    "  sync PATH              until it is on its disk\n"
    "  read PATH              print it\n"
    "  list PATH              names in a folder, a line each, sorted\n"
    "  stat PATH              uid, gid, mode, size, device and inode\n"
    "  remove PATH\n"
    "  see                    what a program sees of its host, a line each\n"
    "  listen PORT TEXT       answer one TCP client on 127.0.0.1 with the text\n"
    "  ask PORT               print what 127.0.0.1:PORT answers\n";


__attribute__((noreturn)) static void fail(const char *verb, const char *what)
{
    int number = errno;
    fflush(stdout);
    fprintf(stderr, "hand: %s %s: %s [errno %d]\n", verb, what, strerror(number), number);
    _exit(EXIT_SYSTEM);
}

__attribute__((noreturn)) static void misuse(const char *what)
{
    fprintf(stderr, "hand: %s\n%s", what, usage);
    _exit(EXIT_USAGE);
}

static void end_at_deadline(int signal)
{
    (void)signal;
    _exit(EXIT_DEADLINE);
}

/* As PID 1, a process gets no signal without a handler, not even that of its own alarm. */
static void install_deadline(void)
{
    struct sigaction action = {.sa_handler = end_at_deadline};
    sigaction(SIGALRM, &action, NULL);
    alarm(DEADLINE_S);
}

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-')
        misuse("a whole number is needed");
    return value;
}

static void sleep_s(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static double seconds_of(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0))
        misuse("a number of seconds is needed");
    return value;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- signals --- */

static int heeded_code = -1;

static void heed_signal(int signal)
{
    char line[32] = "got signal ";
    size_t length = strlen(line);
    if (signal >= 10)
        line[length++] = (char)('0' + signal / 10);
    line[length++] = (char)('0' + signal % 10);
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, length) < 0)
        _exit(EXIT_SYSTEM);
    _exit(heeded_code < 0 ? 128 + signal : heeded_code);
}

static void heed(int count, char **words)
{
    struct sigaction action = {.sa_handler = heed_signal};
    int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1};
    heeded_code = count > 1 ? (int)number(words[1]) : -1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    puts("heeding");
    fflush(stdout);
    sleep_s(seconds_of(words[0]));
}

/* --- CPU, memory, tasks --- */

static double spin_until_s;

static void *spin_thread(void *unused)
{
    volatile uint64_t x = 1;
    while (now_s() < spin_until_s)
        for (int i = 0; i < 10000; i++)
            x = x * 3 + 1;
    return unused;
}

static void spin(int count, char **words)
{
    uint64_t threads = count > 1 ? number(words[1]) : 1;
    static pthread_t others[1024];
    struct timespec used;
    if (threads < 1 || threads > 1024)
        misuse("spin takes 1 to 1024 threads");
    spin_until_s = now_s() + seconds_of(words[0]);
    for (uint64_t i = 1; i < threads; i++)
        if ((errno = pthread_create(&others[i], NULL, spin_thread, NULL)))
            fail("spin", "pthread_create");
    spin_thread(NULL);
    for (uint64_t i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("spun %.6f\n", (double)used.tv_sec + (double)used.tv_nsec / 1e9);
}

static void take(int count, char **words)
{
    (void)count;
    size_t bytes = number(words[0]);
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("take", "mmap");
    for (size_t at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    printf("took %zu\n", bytes);
}

static void fork_children(int count, char **words)
{
    (void)count;
    uint64_t wanted = number(words[0]), made = 0;
    for (; made < wanted; made++) {
        pid_t child = fork();
        if (child < 0)
            break;
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the parent is not PID 1, nothing else ends it */
            install_deadline();
            pause();
            _exit(0);
        }
    }
    printf("forked %llu errno %d\n", (unsigned long long)made, made < wanted ? errno : 0);
}

/* The child has nearly all of the memory, so that it is who an OOM kill is for. */
static void child(int count, char **words)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        fail("child", "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        install_deadline();
        take(count, words);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        fail("child", "waitpid");
    if (WIFSIGNALED(status))
        printf("child got signal %d\n", WTERMSIG(status));
    else
        printf("child ended with %d\n", WEXITSTATUS(status));
}

/* --- files --- */

static void put(const char *verb, int flags, char **words)
{
    int file = open(words[0], O_WRONLY | O_CREAT | flags, 0644);
    if (file < 0)
        fail(verb, words[0]);
    size_t length = strlen(words[1]);
    if (write(file, words[1], length) != (ssize_t)length || close(file))
        fail(verb, words[0]);
}

static void write_file(int count, char **words) { (void)count; put("write", O_TRUNC, words); }
static void append_file(int count, char **words) { (void)count; put("append", O_APPEND, words); }

static void fill(int count, char **words)
{
    (void)count;
    static char zeros[1 << 16];
    uint64_t wanted = number(words[1]), done = 0;
    int number_of_error = 0, file = open(words[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0)
        fail("fill", words[0]);
    while (done < wanted) {
        size_t next = wanted - done < sizeof zeros ? wanted - done : sizeof zeros;
        ssize_t taken = write(file, zeros, next);
        if (taken < 0) {
            number_of_error = errno;
            break;
        }
        done += (uint64_t)taken;
    }
    close(file);
    printf("filled %llu errno %d\n", (unsigned long long)done, number_of_error);
}

static void sync_file(int count, char **words)
{
    (void)count;
    int file = open(words[0], O_RDONLY);
    if (file < 0 || fsync(file))
        fail("sync", words[0]);
    close(file);
}

static void read_file(int count, char **words)
{
    (void)count;
    char piece[4096];
    ssize_t length;
    int file = open(words[0], O_RDONLY);
    if (file < 0)
        fail("read", words[0]);
    while ((length = read(file, piece, sizeof piece)) > 0)
        fwrite(piece, 1, (size_t)length, stdout);
    if (length < 0)
        fail("read", words[0]);
    close(file);
}

static int named(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static void list_folder(int count, char **words)
{
    (void)count;
    struct dirent **entries;
    int found = scandir(words[0], &entries, named, alphasort);
    if (found < 0)
        fail("list", words[0]);
    for (int i = 0; i < found; i++)
        puts(entries[i]->d_name);
}

static void stat_file(int count, char **words)
{
    (void)count;
    struct stat told;
    if (stat(words[0], &told))
        fail("stat", words[0]);
    printf("uid %u gid %u mode %o size %lld device %llu inode %llu\n", told.st_uid, told.st_gid,
           told.st_mode & 07777, (long long)told.st_size, (unsigned long long)told.st_dev,
           (unsigned long long)told.st_ino);
}

static void remove_file(int count, char **words)
{
    (void)count;
    if (remove(words[0]))
        fail("remove", words[0]);
}

/* --- what is seen --- */

static void see(int count, char **words)
{
    (void)count, (void)words;
    char host[256] = "";
    cpu_set_t affinity;
    struct sysinfo memory;
    gethostname(host, sizeof host - 1);
    CPU_ZERO(&affinity);
    sched_getaffinity(0, sizeof affinity, &affinity);
    sysinfo(&memory);
    printf("pid %d\nuid %u\ngid %u\nhost %s\naffinity %d\nonline %ld\nmemory %llu\n", getpid(),
           getuid(), getgid(), host, CPU_COUNT(&affinity), sysconf(_SC_NPROCESSORS_ONLN),
           (unsigned long long)memory.totalram * memory.mem_unit);
}

/* --- network --- */

static struct sockaddr_in local(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void listen_once(int count, char **words)
{
    (void)count;
    int yes = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = local(words[0]);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof address) ||
        listen(listening, 8))
        fail("listen", words[0]);
    puts("listening");
    fflush(stdout);
    int client = accept(listening, NULL, NULL);
    if (client < 0 || write(client, words[1], strlen(words[1])) < 0)
        fail("listen", words[0]);
    close(client);
    close(listening);
}

static void ask(int count, char **words)
{
    (void)count;
    char piece[4096];
    ssize_t length;
    int asking = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = local(words[0]);
    if (asking < 0 || connect(asking, (struct sockaddr *)&address, sizeof address))
        fail("ask", words[0]);
    while ((length = read(asking, piece, sizeof piece)) > 0)
        fwrite(piece, 1, (size_t)length, stdout);
    puts("");
    close(asking);
}

/* --- the command line --- */

static void tell(FILE *to, int count, char **words)
{
    for (int i = 0; i < count; i++)
        fprintf(to, "%s%s", i ? " " : "", words[i]);
    fprintf(to, "\n");
}

static void say(int count, char **words) { tell(stdout, count, words); }
static void complain(int count, char **words) { tell(stderr, count, words); }
static void rest(int count, char **words) { (void)count; sleep_s(seconds_of(words[0])); }

static void leave(int count, char **words)
{
    (void)count;
    fflush(stdout);
    _exit((int)number(words[0]));
}

static const struct {
    const char *name;
    int least, most;
    void (*act)(int count, char **words);
} verbs[] = {
    {"say", 1, 1000, say},         {"complain", 1, 1000, complain},
    {"sleep", 1, 1, rest},         {"heed", 1, 2, heed},
    {"exit", 1, 1, leave},         {"spin", 1, 2, spin},
    {"take", 1, 1, take},          {"child", 1, 1, child},
    {"fork", 1, 1, fork_children},
    {"write", 2, 2, write_file},   {"append", 2, 2, append_file},
    {"fill", 2, 2, fill},          {"sync", 1, 1, sync_file},
    {"read", 1, 1, read_file},     {"list", 1, 1, list_folder},
    {"stat", 1, 1, stat_file},     {"remove", 1, 1, remove_file},
    {"see", 0, 0, see},            {"listen", 2, 2, listen_once},
    {"ask", 1, 1, ask},
};

static void act(int count, char **words)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(words[0], verbs[i].name) != 0)
            continue;
        if (count - 1 < verbs[i].least || count - 1 > verbs[i].most)
            misuse("too few or too many words for a verb");
        verbs[i].act(count - 1, words + 1);
        fflush(stdout);
        return;
    }
    misuse("there is no such verb");
}

int main(int count, char **words)
{
    /* As the probe: huge pages would be charged for what nobody asked. Children inherit it. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    install_deadline();
    if (count < 2)
        misuse("a verb is needed");
    if (strcmp(words[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    for (int first = 1; first < count;) {
        int end = first;
        while (end < count && strcmp(words[end], "+") != 0)
            end++;
        if (end == first)
            misuse("a verb is needed before each +");
        act(end - first, words + first);
        first = end + 1;
    }
    return 0;
}
