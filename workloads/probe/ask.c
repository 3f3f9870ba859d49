/* ask: requests to a server on loopback, and how long each answer took.
 *
 * At a rate, a request's latency runs from the moment it was due, not from when it could be sent:
 * else a server that stands still would not count those that had to wait (coordinated omission).
 * Without a rate, each connection asks again as soon as it was answered.
 *
 * One thread, which sleeps in epoll: a request costs it some 10 us of CPU. How late it was itself,
 * while a connection was free, is told with the rest: it must not be taken for the server's. */
#include "ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    MOST_CONNECTIONS = 1024,
    MOST_VALUE = 4096,
    RETRY_MS = 10,           /* between two looks whether the server is ready */
    ANSWER_MS = 1000,        /* that one such look may take */
    MOST_EVENTS = 64
};
#define ANSWERS_NS (2 * NS_PER_S) /* what is under way at the end may take so long */

enum protocol { HTTP, REDIS };
static const char *const protocol_names[] = {"http", "redis", NULL};
enum arrivals { FIXED, POISSON };
static const char *const arrivals_names[] = {"fixed", "poisson", NULL};

static struct connection *connections;

static struct {
    uint64_t go_ns, start_ns, end_ns, stop_ns;
    enum protocol protocol;
    enum arrivals arrivals;
    uint64_t port, rate_hz, to_rate_hz, seed, ready_s, keys, value_bytes, writes, count;
    const char *path, *ready_path;
    bool ready_tcp;
    struct scale scale;
    int epoll, timer;
    uint64_t due_ns, random; /* of the next request */
} load;

static struct {
    uint64_t offered, completed, errors, unfinished, done; /* done: answered within the window */
    struct latencies took, late;
} seen;

static bool in_window(uint64_t ns) { return ns >= load.start_ns && ns < load.end_ns; }

/* --- what is asked --- */

/* A GET, or so often of a hundred a SET, of keys at random. */
static size_t redis_request(char *to)
{
    uint64_t key = random_bits(&load.random) % load.keys;
    char name[32];
    int length = snprintf(name, sizeof name, "limitbench:%" PRIu64, key);
    if (random_bits(&load.random) % 100 >= load.writes)
        return (size_t)snprintf(to, MOST_REQUEST, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", length, name);
    int head = snprintf(to, MOST_REQUEST, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%" PRIu64 "\r\n", length,
                        name, load.value_bytes);
    memset(to + head, 'x', load.value_bytes);
    memcpy(to + head + load.value_bytes, "\r\n", 2);
    return (size_t)head + load.value_bytes + 2;
}

static enum answer look_at(struct connection *one)
{
    return load.protocol == HTTP ? http_answer(one) : redis_answer(one);
}

/* --- a connection --- */

static void close_connection(struct connection *one)
{
    if (one->socket >= 0)
        close(one->socket);
    one->socket = -1;
    one->state = CLOSED;
}

static int new_socket(void)
{
    int made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (made < 0)
        fail(EXIT_SYSTEM, "no socket: %s", strerror(errno));
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}

/* 0 where it is connected, or EINPROGRESS, or why not. */
static int begin_to_connect(int made)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)load.port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    return connect(made, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno;
}

static void watch(struct connection *one, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data = {.ptr = one}};
    if (epoll_ctl(load.epoll, how, one->socket, &event) != 0)
        fail(EXIT_SYSTEM, "epoll: %s", strerror(errno));
}

static void open_connection(struct connection *one)
{
    one->socket = new_socket();
    int error = begin_to_connect(one->socket);
    if (error != 0 && error != EINPROGRESS) {
        close_connection(one);
        return;
    }
    one->state = error == 0 ? IDLE : CONNECTING;
    one->free_ns = clock_ns(CLOCK_MONOTONIC);
    watch(one, one->state == IDLE ? EPOLLIN : EPOLLOUT, EPOLL_CTL_ADD);
}

static void finish(struct connection *one, uint64_t now, bool whole)
{
    bool counts = one->state == ASKED && in_window(one->due_ns);
    if (one->state == ASKED && whole && !one->failed && in_window(now))
        seen.done++;
    if (counts && whole && !one->failed) {
        seen.completed++;
        count_latency(&seen.took, &load.scale, now - one->due_ns);
    } else if (counts) {
        seen.errors++;
    }
    if (!whole || one->closes) {
        close_connection(one);
        return;
    }
    one->state = IDLE;
    one->free_ns = now;
}

static void lose(struct connection *one, const char *why)
{
    if (one->state == ASKED && in_window(one->due_ns))
        note_error(why);
    finish(one, clock_ns(CLOCK_MONOTONIC), false);
}

static void send_rest(struct connection *one)
{
    while (one->sent < one->to_send) {
        ssize_t got =
            send(one->socket, one->request + one->sent, one->to_send - one->sent, MSG_NOSIGNAL);
        if (got >= 0)
            one->sent += (size_t)got;
        else if (errno == EAGAIN) {
            watch(one, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        } else if (errno != EINTR) {
            lose(one, strerror(errno));
            return;
        }
    }
}

static void ask_now(struct connection *one, uint64_t due, uint64_t now)
{
    if (in_window(due)) {
        seen.offered++;
        uint64_t could = one->free_ns > due ? one->free_ns : due;
        count_latency(&seen.late, &load.scale, now > could ? now - could : 0);
    }
    one->state = ASKED;
    one->due_ns = due;
    one->sent = one->held = 0;
    one->part = HEAD;
    one->closes = one->failed = false;
    if (load.protocol == REDIS)
        one->to_send = redis_request(one->request);
    send_rest(one);
}

static void hear_answer(struct connection *one)
{
    for (;;) {
        ssize_t got =
            recv(one->socket, one->answer + one->held, HELD_BYTES - 1 - one->held, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            if (got == 0 && one->state == ASKED && one->part == TO_THE_END)
                finish(one, clock_ns(CLOCK_MONOTONIC), true);
            else
                lose(one, got == 0 ? "the server closed the connection" : strerror(errno));
            return;
        }
        if (one->state != ASKED)
            continue; /* what nobody asked for */
        one->held += (size_t)got;
        if (look_at(one) == WHOLE) {
            finish(one, clock_ns(CLOCK_MONOTONIC), true);
            return;
        }
    }
}

static void attend(struct connection *one, uint32_t events)
{
    if (one->socket < 0)
        return;
    if (one->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(one->socket, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error != 0) {
            note_error(strerror(error));
            close_connection(one);
            return;
        }
        one->state = IDLE;
        one->free_ns = clock_ns(CLOCK_MONOTONIC);
        watch(one, EPOLLIN, EPOLL_CTL_MOD);
        return;
    }
    if ((events & EPOLLOUT) != 0 && one->state == ASKED) {
        watch(one, EPOLLIN, EPOLL_CTL_MOD);
        send_rest(one);
    }
    if (one->socket >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        hear_answer(one);
}

/* --- the load --- */

/* In requests a second at a moment: through the window it may go from one to another. */
static uint64_t rate_at(uint64_t ns)
{
    if (load.to_rate_hz == 0 || ns <= load.start_ns)
        return load.rate_hz;
    if (ns >= load.end_ns)
        return load.to_rate_hz;
    double part = (double)(ns - load.start_ns) / (double)(load.end_ns - load.start_ns);
    double rate = (double)load.rate_hz + part * ((double)load.to_rate_hz - (double)load.rate_hz);
    return rate < 1 ? 1 : (uint64_t)rate;
}

static void next_due(void)
{
    uint64_t rate = rate_at(load.due_ns);
    load.due_ns += load.arrivals == POISSON ? random_interval_ns(&load.random, rate)
                                            : NS_PER_S / rate;
}

/* Those that could be asked longest ago come first: the lag of each is then its own. */
static struct connection *free_connection(void)
{
    struct connection *found = NULL, *closed = NULL;
    for (uint64_t i = 0; i < load.count; i++) {
        struct connection *one = &connections[i];
        if (one->state == IDLE && (found == NULL || one->free_ns < found->free_ns))
            found = one;
        if (one->state == CLOSED)
            closed = one;
    }
    if (closed != NULL)
        open_connection(closed);
    return found;
}

/* Asks what is due, as far as connections are free. */
static void ask_what_is_due(void)
{
    for (;;) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (load.rate_hz > 0 && load.due_ns > now)
            return;
        struct connection *one = free_connection();
        if (one == NULL)
            return;
        ask_now(one, load.rate_hz > 0 ? load.due_ns : now, now);
        if (load.rate_hz > 0)
            next_due();
    }
}

static void set_timer(uint64_t ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(ns / NS_PER_S),
                                         .tv_nsec = (long)(ns % NS_PER_S)}};
    timerfd_settime(load.timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Whether something of the window is still under way, or was never asked. */
static bool window_is_open(void)
{
    if (load.rate_hz > 0 && load.due_ns < load.end_ns)
        return true;
    for (uint64_t i = 0; i < load.count; i++)
        if (connections[i].state == ASKED && in_window(connections[i].due_ns))
            return true;
    return false;
}

/* Until "stop", and then until the window's requests are answered: the load goes on meanwhile, as
 * the last of them would else be answered quicker than the others. */
static void go_on(void)
{
    static struct connection input, timer;
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &input}};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        fail(EXIT_SYSTEM, "standard input cannot be waited for: %s", strerror(errno));
    event.data.ptr = &timer;
    epoll_ctl(load.epoll, EPOLL_CTL_ADD, load.timer, &event);

    uint64_t until_ns = FOREVER;
    for (;;) {
        ask_what_is_due();
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (until_ns != FOREVER &&
            (now >= until_ns || (now >= load.stop_ns && !window_is_open())))
            return;
        /* What is due and finds no connection waits for an answer, or for a new connection. */
        uint64_t look_ns = now + 10 * NS_PER_S / 1000;
        set_timer(load.rate_hz > 0 && load.due_ns > now && load.due_ns < look_ns ? load.due_ns
                                                                                 : look_ns);
        struct epoll_event found[MOST_EVENTS];
        int count = epoll_wait(load.epoll, found, MOST_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *one = found[i].data.ptr;
            if (one == &input) {
                read_stop(-1);
                load.stop_ns = stop_at(load.end_ns, 0);
                until_ns = load.stop_ns + ANSWERS_NS;
                epoll_ctl(load.epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            } else if (one == &timer) {
                uint64_t times;
                while (read(load.timer, &times, sizeof times) < 0 && errno == EINTR)
                    ;
            } else {
                attend(one, found[i].events);
            }
        }
    }
}

/* --- whether the server is ready --- */

/* True once the socket is so; false where that takes too long. */
static bool await(int on, short events)
{
    struct pollfd one = {.fd = on, .events = events};
    return poll(&one, 1, ANSWER_MS) > 0;
}

static bool answers(struct connection *one)
{
    one->to_send = load.protocol == HTTP
                       ? get_request(one->request, load.ready_path)
                       : (size_t)snprintf(one->request, MOST_REQUEST, "*1\r\n$4\r\nPING\r\n");
    one->held = 0;
    one->part = HEAD;
    one->failed = one->closes = false;
    if (send(one->socket, one->request, one->to_send, MSG_NOSIGNAL) != (ssize_t)one->to_send)
        return false;
    while (await(one->socket, POLLIN)) {
        ssize_t got = recv(one->socket, one->answer + one->held, HELD_BYTES - 1 - one->held, 0);
        if (got == 0 && one->part == TO_THE_END)
            return !one->failed;
        if (got <= 0)
            return false;
        one->held += (size_t)got;
        if (look_at(one) == WHOLE)
            return !one->failed;
    }
    return false;
}

static bool is_ready(void)
{
    struct connection *one = &connections[0];
    one->socket = new_socket();
    int error = begin_to_connect(one->socket);
    if (error == EINPROGRESS && await(one->socket, POLLOUT)) {
        socklen_t length = sizeof error;
        getsockopt(one->socket, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    bool found = error == 0 && (load.ready_tcp || answers(one));
    if (!found) {
        first_error[0] = one->failed ? first_error[0] : '\0';
        note_error(error != 0 ? strerror(error) : "it was connected to, and did not answer");
    }
    close_connection(one);
    return found;
}

static void await_server(void)
{
    uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + load.ready_s * NS_PER_S;
    while (!is_ready()) {
        if (clock_ns(CLOCK_MONOTONIC) >= until_ns)
            fail(EXIT_SYSTEM, "port %" PRIu64 " gave no answer within %" PRIu64 " s: %s", load.port,
                 load.ready_s, first_error);
        first_error[0] = '\0';
        poll(NULL, 0, RETRY_MS);
    }
    first_error[0] = '\0';
}

/* --- the report --- */

/* What was due and not answered counts with the time that it had waited: an overload must not look
 * quick. Without a rate nothing is due that was not asked. */
static void count_unfinished(uint64_t now)
{
    for (uint64_t i = 0; i < load.count; i++)
        if (connections[i].state == ASKED && in_window(connections[i].due_ns)) {
            seen.unfinished++;
            count_latency(&seen.took, &load.scale, now - connections[i].due_ns);
        }
    if (load.rate_hz == 0)
        return;
    for (; load.due_ns < load.end_ns && load.due_ns <= load.stop_ns; next_due()) {
        seen.offered++;
        seen.unfinished++;
        count_latency(&seen.took, &load.scale, now - load.due_ns);
    }
}

static void report(uint64_t cpu_ns, uint64_t ran_ns)
{
    printf("{\"probe\":\"report\",\"version\":%d,\"mode\":\"ask\",\"complete\":%s,"
           "\"t_start_ns\":%" PRIu64 ",\"t_end_ns\":%" PRIu64,
           VERSION, json_bool(load.stop_ns >= load.end_ns), load.start_ns, load.end_ns);
    printf(",\"offered\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"errors\":%" PRIu64
           ",\"unfinished\":%" PRIu64 ",\"done\":%" PRIu64,
           seen.offered, seen.completed, seen.errors, seen.unfinished, seen.done);
    if (first_error[0] != '\0' && seen.errors > 0)
        printf(",\"first_error\":\"%s\"", first_error);
    else
        printf(",\"first_error\":null");
    print_latencies(&seen.took, &load.scale);
    printf(",\"late_p99_ns\":%" PRIu64 ",\"late_max_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
           ",\"ran_ns\":%" PRIu64 "}\n",
           latency_quantile(&seen.late, 990), seen.late.max_ns, cpu_ns, ran_ns);
    flush_output();
}

/* --- the mode --- */

static void read_options(int count, char **arguments, uint64_t *deadline_s)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"protocol", required_argument, NULL, 'P'},
        {"path", required_argument, NULL, 'u'},
        {"ready-path", required_argument, NULL, 'U'},
        {"ready-tcp", no_argument, NULL, 'T'},
        {"ready-s", required_argument, NULL, 'R'},
        {"rate", required_argument, NULL, 'r'},
        {"to-rate", required_argument, NULL, 't'},
        {"arrivals", required_argument, NULL, 'a'},
        {"connections", required_argument, NULL, 'c'},
        {"seed", required_argument, NULL, 's'},
        {"keys", required_argument, NULL, 'k'},
        {"value-bytes", required_argument, NULL, 'v'},
        {"writes", required_argument, NULL, 'w'},
        {"deadline", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = next_option(count, arguments, options)) != -1;) {
        if (option == 'p')
            load.port = option_number("port", optarg, 1, 65535);
        else if (option == 'P')
            load.protocol = (enum protocol)option_choice("protocol", optarg, protocol_names);
        else if (option == 'u')
            load.path = optarg;
        else if (option == 'U')
            load.ready_path = optarg;
        else if (option == 'T')
            load.ready_tcp = true;
        else if (option == 'R')
            load.ready_s = option_number("ready-s", optarg, 1, MOST_DEADLINE_S);
        else if (option == 'r')
            load.rate_hz = option_number("rate", optarg, 1, 100000);
        else if (option == 't')
            load.to_rate_hz = option_number("to-rate", optarg, 1, 100000);
        else if (option == 'a')
            load.arrivals = (enum arrivals)option_choice("arrivals", optarg, arrivals_names);
        else if (option == 'c')
            load.count = option_number("connections", optarg, 1, MOST_CONNECTIONS);
        else if (option == 's')
            load.seed = option_number("seed", optarg, 0, UINT32_MAX);
        else if (option == 'k')
            load.keys = option_number("keys", optarg, 1, UINT32_MAX);
        else if (option == 'v')
            load.value_bytes = option_number("value-bytes", optarg, 1, MOST_VALUE);
        else if (option == 'w')
            load.writes = option_number("writes", optarg, 0, 100);
        else
            *deadline_s = option_number("deadline", optarg, 1, MOST_DEADLINE_S);
    }
    if (load.port == 0 || *deadline_s == 0)
        misuse("--port and --deadline are needed");
    if (load.to_rate_hz > 0 && load.rate_hz == 0)
        misuse("--to-rate needs --rate");
    if (load.ready_path == NULL)
        load.ready_path = load.path;
}

int ask(int count, char **arguments)
{
    load.path = "/";
    load.count = 64;
    load.seed = 1;
    load.ready_s = 20;
    load.keys = 1000;
    load.value_bytes = 64;
    load.writes = 10;
    uint64_t deadline_s = 0;
    read_options(count, arguments, &deadline_s);
    install_deadline(deadline_s);
    make_scale(&load.scale, 10 * NS_PER_US);
    prctl(PR_SET_TIMERSLACK, 1); /* ns: else it sleeps up to 50 us too long */
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load.epoll < 0 || load.timer < 0)
        fail(EXIT_SYSTEM, "no epoll: %s", strerror(errno));
    connections = own_memory(load.count * sizeof *connections);
    for (uint64_t i = 0; i < load.count; i++) {
        connections[i].socket = -1;
        connections[i].state = CLOSED;
    }
    await_server();
    printf("{\"probe\":\"ready\",\"version\":%d,\"mode\":\"ask\"}\n", VERSION);
    flush_output();

    uint64_t warmup_ns, duration_ns;
    read_go(&warmup_ns, &duration_ns);
    for (uint64_t i = 0; load.protocol == HTTP && i < load.count; i++)
        connections[i].to_send = get_request(connections[i].request, load.path);
    load.random = load.seed;
    load.go_ns = clock_ns(CLOCK_MONOTONIC);
    load.start_ns = load.go_ns + warmup_ns;
    load.end_ns = load.start_ns + duration_ns;
    load.due_ns = load.go_ns;
    uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    go_on();
    cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    count_unfinished(now);
    report(cpu_ns, now - load.go_ns); /* both of all that it did, not of the window alone */
    return 0;
}
