/* A child that takes what may end it, and leaves us to tell.
 *
 * It tells by a pipe: a byte when it is ready, one when it is done, and the end where it is gone.
 * It ends with its parent, by the deadline, by what it meets, or by SIGTERM from its parent: of
 * default action, and no other signal of ours, so that how it ended says who ended it. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int told, tells;

int open_tells(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail(EXIT_SYSTEM, "no pipe: %s", strerror(errno));
    told = ends[0];
    tells = ends[1];
    return told;
}

void tell(void)
{
    while (write(tells, "", 1) < 0 && errno == EINTR)
        ;
}

bool was_told(void)
{
    char byte;
    ssize_t got;
    while ((got = read(told, &byte, 1)) < 0 && errno == EINTR)
        ;
    return got == 1;
}

pid_t start_child(uint64_t deadline_s, void (*life)(void))
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        fail(EXIT_SYSTEM, "no child: %s", strerror(errno));
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        start_deadline_timer(deadline_s);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EXIT_NO_GO);
        close(told);
        life();
        for (;;) /* and holds what it took */
            pause();
    }
    close(tells);
    return child;
}

void await_child(void)
{
    if (!was_told())
        fail(EXIT_SYSTEM, "the child was gone before it was ready");
}

/* To raise one's own takes no privilege. Of two processes the OOM killer would take the larger,
 * but file and tmpfs pages make neither of them large. */
bool be_first_for_oom(void)
{
    int adjustment = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (adjustment < 0)
        return false;
    bool raised = write(adjustment, "1000", 4) == 4;
    close(adjustment);
    return raised;
}

int end_of(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
