/* Latencies in bins so fine that quantiles come of them, and what becomes due at random. */
#include "probe.h"

/* --- bins --- */

static size_t fine_bin_of(uint64_t ns)
{
    if (ns < 1 << FINE_BITS)
        return (size_t)ns;
    int shift = 63 - __builtin_clzll(ns) - FINE_BITS;
    size_t bin = ((size_t)shift << FINE_BITS) + (size_t)(ns >> shift);
    return bin < FINE_BINS ? bin : FINE_BINS - 1;
}

/* The largest latency that is counted in the bin. */
static uint64_t fine_edge_ns(size_t bin)
{
    if (bin < 2 << FINE_BITS)
        return bin;
    size_t shift = (bin >> FINE_BITS) - 1;
    return ((bin - (shift << FINE_BITS) + 1) << shift) - 1;
}

void count_latency(struct latencies *took, const struct scale *scale, uint64_t ns)
{
    took->count++;
    took->fine[fine_bin_of(ns)]++;
    took->histogram[bin_of(scale, ns)]++;
    if (ns > took->max_ns)
        took->max_ns = ns;
}

void add_latencies(struct latencies *sum, const struct latencies *more)
{
    sum->count += more->count;
    for (size_t bin = 0; bin < FINE_BINS; bin++)
        sum->fine[bin] += more->fine[bin];
    for (size_t bin = 0; bin < MAX_BINS; bin++)
        sum->histogram[bin] += more->histogram[bin];
    if (more->max_ns > sum->max_ns)
        sum->max_ns = more->max_ns;
}

uint64_t latency_quantile(const struct latencies *took, uint64_t per_mille)
{
    uint64_t rank = (took->count * per_mille + 999) / 1000, passed = 0;
    size_t bin = 0;
    if (took->count == 0)
        return 0;
    while ((passed += took->fine[bin]) < rank)
        bin++;
    uint64_t edge_ns = fine_edge_ns(bin);
    return per_mille == 1000 || edge_ns > took->max_ns ? took->max_ns : edge_ns;
}

void print_latencies(const struct latencies *took, const struct scale *scale)
{
    static const struct {
        const char *name;
        uint64_t per_mille;
    } quantiles[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}, {"max", 1000}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        printf(",\"latency_%s_ns\":", quantiles[i].name);
        if (took->count == 0)
            printf("null");
        else
            printf("%" PRIu64, latency_quantile(took, quantiles[i].per_mille));
    }
    print_numbers("latency_edges_ns", scale->edges_ns, scale->bins + 1);
    print_numbers("latency_histogram", took->histogram, scale->bins);
}

/* --- what becomes due at random --- */

/* splitmix64: any seed will do. */
uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* By von Neumann's method, which takes comparisons alone: the same integers whatever the C library.
 * The first number of a run of falling ones is the fraction if the run is of odd length; each run
 * of even length adds 1. */
uint64_t random_interval_ns(uint64_t *state, uint64_t rate_hz)
{
    for (uint64_t whole = 0;; whole++) {
        uint64_t first = random_bits(state) >> 32, last = first, next;
        bool odd = true;
        while ((next = random_bits(state) >> 32) < last) {
            last = next;
            odd = !odd;
        }
        if (odd)
            return (whole * NS_PER_S + (first * NS_PER_S >> 32)) / rate_hz;
    }
}
