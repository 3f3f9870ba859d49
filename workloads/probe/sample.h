/* What the parts of the mode `sample` share: sample.c is its command line and what it tells,
 * find.c where the files of a container are that was named by its id, window.c the reads at their
 * deadlines. None of them knows a counter: which files there are and what stands in them is the
 * business of who asked. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "probe.h"

enum { MAX_NAMES = 64 }; /* of each list of files */

/* --- sample.c: bytes as they were read --- */

/* A string of JSON, each byte a character of its own; null for a negative length. */
void print_text(const char *bytes, int32_t length);

/* ,"name":"…" in base64 (RFC 4648) */
void print_block(const char *name, const unsigned char *bytes, uint64_t length);

/* --- find.c --- */

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

enum { MAX_IDS = 64 };

/* Which containers, below which root; `up` are the files that limits stand in. */
struct sought {
    const char *root, *inner;
    const char *ids[MAX_IDS];
    size_t id_count;
    struct names up;
};

/* Finds each container's folders, once: after the window it may be gone, and those above it are
 * told all the same. */
void find_upward(const struct sought *sought);

/* A descriptor of a container's file, -1 where there is none. */
int open_named(const struct sought *sought, const struct name *name, const char *id);

/* ,"files":[…]: each of `up` in the container's folder and in all above it, by its path below the
 * root, as it is now. */
void print_upward(const struct sought *sought);

/* --- window.c --- */

/* A container's files by their descriptors: those of every tick, those of the details, those of
 * the edges; -1 where there is none. */
struct files {
    size_t ticks, details, edges;
    int of[3 * MAX_NAMES];
};

struct watch {
    size_t containers;
    struct files *files; /* of each */
    const char *host[MAX_NAMES];
    size_t host_count;
    uint64_t rate_mhz, detail_every, room_bytes;
};

struct outcome {
    uint64_t start_ns, end_ns, ticks, missed, cpu_ns;
    bool stopped; /* before its end */
    bool full;    /* there was no room for all samples */
};

/* Opens the host's files, and makes room for them. */
void prepare_window(const struct watch *watch);

/* Samples from the moment on, or from now on where that is past, until the duration is over or
 * standard input has something to say. A start that is told in time is kept to, however late the
 * first read is: what is missed then is counted. */
struct outcome sample_window(const struct watch *watch, uint64_t start_ns, uint64_t duration_ns);

/* ,"block":"…","host_first":{…},"host_last":{…} */
void print_samples(const struct watch *watch);

#endif
