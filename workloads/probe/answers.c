/* Answers by HTTP/1.1 and RESP, as far as it takes to know where one ends and whether it is an error. */
#include "ask.h"

#include <string.h>
#include <strings.h>

char first_error[96];

void note_error(const char *what)
{
    if (first_error[0] != '\0')
        return;
    for (size_t i = 0; what[i] >= ' ' && i + 1 < sizeof first_error; i++)
        first_error[i] = what[i] == '"' || what[i] == '\\' || what[i] > '~' ? '\'' : what[i];
}

size_t get_request(char *to, const char *path)
{
    int length = snprintf(to, MOST_REQUEST, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (length >= MOST_REQUEST)
        misuse("--path is too long");
    return (size_t)length;
}

/* Digits up to the end of what is there; 0 where there are none. */
static uint64_t number_at(const char *text)
{
    uint64_t number = 0;
    while (*text == ' ')
        text++;
    for (; *text >= '0' && *text <= '9' && number < UINT64_MAX / 100; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return number;
}

static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1;
    }
    return NULL;
}

static bool says(const char *value, const char *word)
{
    while (value != NULL && *value == ' ')
        value++;
    return value != NULL && strncasecmp(value, word, strlen(word)) == 0;
}

/* A chunked body ends with its first chunk of no bytes; no trailer is sent unasked (RFC 9112, 7.1).
 * That those five bytes may stand in a chunk of data, too, is borne: it is our own server. */
static enum answer pass_chunks(struct connection *one, const char *bytes, size_t count)
{
    static const char end[] = "0\r\n\r\n";
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == end[one->chunk_tail])
            one->chunk_tail++;
        else
            one->chunk_tail = bytes[i] == end[0];
        if (end[one->chunk_tail] == '\0')
            return WHOLE;
    }
    return PART_OF_IT;
}

static enum answer pass_body(struct connection *one, const char *bytes, size_t count)
{
    if (one->part == CHUNKS)
        return pass_chunks(one, bytes, count);
    if (one->part == TO_THE_END)
        return PART_OF_IT;
    one->body_left -= count < one->body_left ? count : one->body_left;
    return one->body_left == 0 ? WHOLE : PART_OF_IT;
}

enum answer http_answer(struct connection *one)
{
    if (one->part != HEAD) {
        size_t count = one->held;
        one->held = 0;
        return pass_body(one, one->answer, count);
    }
    one->answer[one->held] = '\0';
    char *end = strstr(one->answer, "\r\n\r\n");
    if (end == NULL) {
        if (one->held + 1 >= HELD_BYTES) {
            note_error("an answer without an end of its head");
            one->failed = one->closes = true;
            return WHOLE;
        }
        return PART_OF_IT;
    }
    end[2] = '\0';
    uint64_t status = one->held > 12 ? number_at(one->answer + 9) : 0;
    if (strncmp(one->answer, "HTTP/1.", 7) != 0 || status < 200 || status >= 400) {
        one->failed = true;
        note_error(one->answer);
    }
    const char *length = header(one->answer, "Content-Length");
    one->closes = says(header(one->answer, "Connection"), "close") ||
                  (strncmp(one->answer, "HTTP/1.0", 8) == 0 &&
                   !says(header(one->answer, "Connection"), "keep-alive"));
    one->part = BODY;
    one->body_left = length != NULL ? number_at(length) : 0;
    one->chunk_tail = 0;
    if (says(header(one->answer, "Transfer-Encoding"), "chunked"))
        one->part = CHUNKS;
    else if (length == NULL && status != 204 && status != 304) {
        one->part = TO_THE_END;
        one->closes = true;
    }
    const char *body = end + 4;
    size_t count = one->held - (size_t)(body - one->answer);
    one->held = 0;
    if (one->part == BODY && one->body_left == 0)
        return WHOLE;
    return pass_body(one, body, count);
}

/* +OK, -ERR …, $length and so many bytes, or $-1: all that GET, SET and PING are answered by. */
enum answer redis_answer(struct connection *one)
{
    if (one->part == BODY) {
        size_t count = one->held;
        one->held = 0;
        return pass_body(one, one->answer, count);
    }
    one->answer[one->held] = '\0';
    char *end = strstr(one->answer, "\r\n");
    if (end == NULL)
        return PART_OF_IT;
    if (one->answer[0] == '-' || strchr("+$:", one->answer[0]) == NULL) {
        one->failed = true;
        note_error(one->answer);
    }
    if (one->answer[0] != '$' || one->answer[1] == '-') {
        one->held = 0;
        return WHOLE;
    }
    size_t count = one->held - (size_t)(end + 2 - one->answer);
    one->body_left = number_at(one->answer + 1) + 2;
    one->part = BODY;
    one->held = 0;
    return pass_body(one, end + 2, count);
}
