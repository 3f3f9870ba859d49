/* What ask.c, which sends requests and times them, shares with answers.c, which reads answers. */
#ifndef ASK_H
#define ASK_H

#include "probe.h"

enum {
    MOST_REQUEST = 8192,
    HELD_BYTES = 16384 /* of an answer: its head must fit, its body need not */
};

struct connection {
    int socket; /* -1: none */
    enum { CLOSED, CONNECTING, IDLE, ASKED } state;
    uint64_t free_ns; /* since when it could be asked */
    uint64_t due_ns;
    size_t to_send, sent;
    size_t held;
    uint64_t body_left;
    enum { HEAD, BODY, CHUNKS, TO_THE_END } part;
    size_t chunk_tail; /* how much of the end of a chunked body was seen */
    bool closes, failed;
    char request[MOST_REQUEST];
    char answer[HELD_BYTES];
};

enum answer { PART_OF_IT, WHOLE };

/* Of what a connection holds of an answer; an answer that is an error is noted, and has failed. */
enum answer http_answer(struct connection *one);
enum answer redis_answer(struct connection *one);

size_t get_request(char *to, const char *path);

/* Keeps the first error's words, as they can stand in a report. */
void note_error(const char *what);
extern char first_error[96];

#endif
