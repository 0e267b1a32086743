/*
 * metrics_scale.c: the bounds of the histograms on the page.
 *
 * A request to a cache ends within 100 us, one to a backend of the same rack within 1 ms, one to a busy
 * backend in some 100 ms: so the bounds go from 100 us to a minute, three for each power of ten, and a
 * quantile that is read off them is off by a factor of 2.5 at most. The overhead is the gateway's own work:
 * some 10 us, and what is above 10 ms is a queue. What is counted inside (lib/histogram.h) is finer than
 * both, four for each power of two, so that other bounds can be chosen here without touching what counts.
 *
 * They are written as OpenMetrics wants the numbers of `le`, in both formats: `le="1"` and `le="1.0"` would
 * be two series to Prometheus, and a quantile over a change of format would be wrong.
 */
#include "gateway/metrics_table.h"

const struct metrics_scale metrics_scale_requests = {
    18,
    {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
    {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
     "1.0", "2.5", "5.0", "10.0", "30.0", "60.0"},
};

const struct metrics_scale metrics_scale_overhead = {
    13,
    {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1},
    {"1e-05", "2.5e-05", "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
     "0.1", "1.0"},
};

size_t metrics_scale_bucket(const struct metrics_scale *scale, uint64_t ns)
{
    double seconds = (double)ns / 1e9;
    size_t i = 0;
    while (i < scale->n && seconds > scale->bounds[i])
        i++;
    return i;
}
