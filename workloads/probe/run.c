/* run: a program that runs to its end, timed from its first instruction on.
 *
 * We stay behind when it has ended, or was killed: so its cgroup is still there, and the kernel's
 * counters can be read at leisure. What it says goes to our standard error, since our standard
 * output is the protocol's. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct option options[] = {
    {"deadline", required_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

static uint64_t ns_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_usec * NS_PER_US;
}

/* The OOM killer is to take the program first: we are to tell of it. Where that is refused, the
 * larger one goes, and that is not us. */
__attribute__((noreturn)) static void become(char **command)
{
    be_first_for_oom();
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0); /* that was for us: the program is to find its usual */
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execvp(command[0], command);
    fprintf(stderr, "probe: %s cannot be run: %s\n", command[0], strerror(errno));
    _exit(127);
}

int run(int count, char **arguments)
{
    /* Ours end at "--": getopt would take those of the program for its own. */
    int own = 1;
    while (own < count && strcmp(arguments[own], "--") != 0)
        own++;
    uint64_t deadline_s = 0;
    while (next_option(own, arguments, options) != -1)
        deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
    if (deadline_s == 0 || own + 1 >= count)
        misuse("--deadline and a program behind -- are needed");

    install_deadline(deadline_s);
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"run\"}\n", VERSION);
    flush_output();
    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    struct timespec warmup = {.tv_sec = (time_t)(warmup_ns / NS_PER_S),
                              .tv_nsec = (long)(warmup_ns % NS_PER_S)};
    while (nanosleep(&warmup, &warmup) != 0 && errno == EINTR)
        ;

    /* Whoever the program leaves behind is ours to wait for, so that its CPU time counts. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    pid_t child = fork();
    if (child < 0)
        fail(EXIT_SYSTEM, "no process: %s", strerror(errno));
    if (child == 0)
        become(arguments + own + 1);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    uint64_t end_ns = clock_ns(CLOCK_MONOTONIC);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    printf("{\"probe\":\"done\"}\n");
    flush_output();
    read_stop(-1);
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"run\",\"complete\":true"
           ",\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
           ",\"exit_code\":%d,\"signal\":%d}\n",
           VERSION, start_ns, end_ns, ns_of(used.ru_utime) + ns_of(used.ru_stime),
           WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    flush_output();
    return 0;
}
