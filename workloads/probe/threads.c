/* The threads of a load: made and parked before "go", released at once, stopped at once. */
#include "probe.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>

enum {
    STACK_BYTES = 65536,
    TOUCHED_BYTES = 16384 /* of each stack: many times what a thread of ours uses */
};

OWN_LINES _Atomic uint32_t stopped;

static OWN_LINES _Atomic uint32_t released;
static OWN_LINES sem_t parked;
static pthread_t threads[MAX_THREADS];
static size_t started;

__attribute__((noinline)) void touch_stack(void)
{
    volatile char bytes[TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof bytes; i += 1024)
        bytes[i] = 0;
}

void start_threads(size_t count, void *(*run)(void *), void *elements, size_t element_bytes)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sem_init(&parked, 0, 0);
    for (; started < count; started++) {
        void *element = (char *)elements + started * element_bytes;
        int error = pthread_create(&threads[started], &attributes, run, element);
        if (error != 0)
            fail(EXIT_SYSTEM, "no thread %zu of %zu: %s", started + 1, count, strerror(error));
    }
    for (size_t i = 0; i < count; i++)
        while (sem_wait(&parked) != 0)
            ;
}

void park(void)
{
    touch_stack();
    sem_post(&parked);
    while (atomic_load_explicit(&released, memory_order_acquire) == 0)
        sleep_while(&released, 0, FOREVER);
}

void release_threads(void) { set_and_wake(&released, 1); }

void stop_threads(void)
{
    set_and_wake(&stopped, 1);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
