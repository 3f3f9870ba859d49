/* Where the files of a container are that is known by its id alone, below a root that holds every
 * cgroup of its host. */
#include "sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_DEPTH = 16, /* of a container's folder below its hierarchy's root */
    MAX_PATH_BYTES = 4096,
    STATE_BYTES = 16384 /* of a file that limits stand in */
};

/* A container's folder that a file of `up` is in; NULL where it has none. */
static char *up_paths[MAX_IDS][MAX_NAMES];

static size_t hierarchy_path(const struct sought *sought, const struct name *name,
                             char path[MAX_PATH_BYTES])
{
    int length = snprintf(path, MAX_PATH_BYTES, "%s/%.*s", sought->root,
                          (int)name->hierarchy_length, name->hierarchy);
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

static bool container_path(const struct sought *sought, const struct name *name, const char *id,
                           char path[MAX_PATH_BYTES])
{
    if (!find_below(path, hierarchy_path(sought, name, path), id, MAX_DEPTH))
        return false;
    if (sought->inner == NULL)
        return true;
    size_t length = strlen(path);
    int more = snprintf(path + length, MAX_PATH_BYTES - length, "/%s", sought->inner);
    if (more < 0 || (size_t)more >= MAX_PATH_BYTES - length || access(path, F_OK) != 0)
        path[length] = '\0';
    else
        *strrchr(path, '/') = '\0'; /* the folder, without the file */
    return true;
}

void find_upward(const struct sought *sought)
{
    for (size_t id = 0; id < sought->id_count; id++)
        for (size_t i = 0; i < sought->up.count; i++) {
            char path[MAX_PATH_BYTES];
            if (container_path(sought, &sought->up.of[i], sought->ids[id], path) &&
                (up_paths[id][i] = strdup(path)) == NULL)
                fail(EXIT_SYSTEM, "no memory for a path: %s", strerror(errno));
        }
}

int open_named(const struct sought *sought, const struct name *name, const char *id)
{
    char path[MAX_PATH_BYTES];
    if (!container_path(sought, name, id, path))
        return -1;
    size_t length = strlen(path);
    int more = snprintf(path + length, sizeof path - length, "/%s", name->file);
    if (more < 0 || (size_t)more >= sizeof path - length)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void print_file(int folder, const char *path)
{
    static char bytes[STATE_BYTES];
    int file = openat(folder, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : pread(file, bytes, sizeof bytes, 0);
    print_text(bytes, got == (ssize_t)sizeof bytes ? -1 : (int32_t)got);
    if (file >= 0)
        close(file);
}

void print_upward(const struct sought *sought)
{
    const char *separator = "";
    printf(",\"files\":[");
    for (size_t id = 0; id < sought->id_count; id++)
        for (size_t i = 0; i < sought->up.count; i++) {
            const struct name *name = &sought->up.of[i];
            if (up_paths[id][i] == NULL)
                continue;
            char path[MAX_PATH_BYTES], top[MAX_PATH_BYTES];
            strcpy(path, up_paths[id][i]);
            for (size_t least = hierarchy_path(sought, name, top); strlen(path) >= least;) {
                int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                printf("%s{\"id\":%zu,\"path\":", separator, id);
                const char *below = path + strlen(sought->root);
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
