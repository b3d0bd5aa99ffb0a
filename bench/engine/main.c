/* engine_<name>: the workloads named on the command line, one after the other, on the engine that is linked in. bench/compare runs several of these programs. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "usage.h"
#include "workload.h"

static struct engine_settings settings;
static struct scale scale = {.rows = 1000000, .batch = 1, .value_bytes = 100};
static bool csv, keep, opened;
static char dir_room[64];

void engine_die(const char *what, const char *why) {
    (void)fprintf(stderr, "engine_%s: %s: %s\n", engine_name(), what, why);
    exit(2);
}

static void remove_store(void) {
    char command[4400];
    (void)snprintf(command, sizeof command, "rm -rf '%.4000s'", settings.dir);
    if (system(command) != 0) engine_die(settings.dir, "cannot be removed");
}

static void fresh_store(const struct workload *w) {
    if (opened) engine_close();
    remove_store();
    if (mkdir(settings.dir, 0755) != 0) engine_die(settings.dir, "cannot be made");
    settings.durable = w->sync || scale.sync;
    settings.reopened = false;
    engine_open(&settings);
    opened = true;
}

static void report(const struct workload *w, const struct result *result, uint64_t ns, const struct usage *used) {
    const struct histogram *h = &result->latencies;
    double rate = (double)result->operations * 1e9 / (double)(ns == 0 ? 1 : ns), cpu_us = (double)used->cpu_ns / 1e3 / (double)result->operations;
    double quantiles[] = {(double)histogram_quantile(h, 0.5) / 1e3, (double)histogram_quantile(h, 0.99) / 1e3,
                          (double)histogram_quantile(h, 0.999) / 1e3, (double)h->max / 1e3};
    if (csv) {
        (void)printf("%s,%s,%lu,%.0f,%.4f,", w->name, engine_name(), (unsigned long)result->operations, rate, cpu_us);
        for (int q = 0; q < 4; q++) {
            if (h->total != 0) (void)printf("%.3f", quantiles[q]);
            (void)printf(",");
        }
        (void)printf("%lu,%lu,%lu,%lu,%lu,%lu\n", (unsigned long)used->read_bytes, (unsigned long)used->write_bytes, (unsigned long)used->asked_bytes,
                     (unsigned long)usage_space(settings.dir), (unsigned long)usage_peak(), (unsigned long)result->side_operations);
    } else {
        char number[32];
        (void)printf("%-16s %12s ops/s  %7.3f us CPU", w->name, thousands(rate, number), cpu_us);
        if (h->total != 0) (void)printf("  p50 %.2f  p99 %.2f  p99.9 %.2f  max %.1f us", quantiles[0], quantiles[1], quantiles[2], quantiles[3]);
        if (used->asked_bytes >> 20 != 0) (void)printf("  wrote %.1f MB", (double)used->asked_bytes / 1e6);
        (void)printf("\n");
    }
    (void)fflush(stdout);
}

/* The rate is the caller's; CPU and bytes include the background work that follows. */
static void run_workload(const struct workload *w) {
    static struct result result;
    struct usage before, after;
    if (w->fresh || !opened) fresh_store(w);
    memset(&result, 0, sizeof result);
    usage_reset_peak();
    usage_now(&before);
    uint64_t start = now_ns();
    w->run(w, &scale, &result);
    uint64_t ns = now_ns() - start;
    usage_wait_quiet();
    usage_now(&after);
    struct usage used = {.cpu_ns = after.cpu_ns - before.cpu_ns,
                         .read_bytes = after.read_bytes - before.read_bytes,
                         .write_bytes = after.write_bytes - before.write_bytes,
                         .asked_bytes = after.asked_bytes - before.asked_bytes};
    if (used.asked_bytes < used.write_bytes) used.asked_bytes = used.write_bytes;
    if (result.operations != 0) report(w, &result, ns, &used);
}

/* As after a start of the machine: neither the engine nor the system remembers anything of the store. */
static void evict(void) {
    if (!opened) engine_die("evict", "nothing has been filled");
    engine_close();
    usage_evict(settings.dir);
    settings.reopened = true;
    engine_open(&settings);
}

static void run_named(const char *name) {
    if (strcmp(name, "evict") == 0) {
        evict();
        return;
    }
    for (size_t i = 0; i < workloads_count; i++)
        if (strcmp(workloads[i].name, name) == 0) {
            run_workload(&workloads[i]);
            return;
        }
    engine_die(name, "no such workload");
}

static _Noreturn void usage_text(void) {
    (void)fprintf(stderr,
                  "usage: engine_%s [--rows N] [--operations N] [--batch N] [--value-bytes N] [--sync] [--compress] [--buffer-mib N] [--cache-mib N] "
                  "[--map-mib N]\n"
                  "       [--filter-bits N] [--threads N] [--dir D] [--keep] [--csv] [--describe] WORKLOAD...\nworkloads:",
                  engine_name());
    for (size_t i = 0; i < workloads_count; i++) (void)fprintf(stderr, " %s", workloads[i].name);
    (void)fprintf(stderr, "\nevict: closes the store, puts its files out of the system's page cache, and opens it again\n");
    exit(2);
}

static uint64_t number_of(int argc, char **argv, int *i) {
    if (*i + 1 >= argc) usage_text();
    return strtoull(argv[++*i], NULL, 10);
}

static void describe(void) {
    char text[256];
    engine_describe(text, sizeof text);
    (void)printf("%s\n", text);
    exit(0);
}

/* Where the names of workloads begin. */
static int parse(int argc, char **argv) {
    int i = 1;
    settings = (struct engine_settings){.write_buffer_bytes = (size_t)64 << 20, .cache_bytes = (size_t)64 << 20, .filter_bits = 10, .threads = 2};
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--csv") == 0)
            csv = true;
        else if (strcmp(a, "--keep") == 0)
            keep = true;
        else if (strcmp(a, "--sync") == 0)
            scale.sync = true;
        else if (strcmp(a, "--compress") == 0)
            settings.compress = true;
        else if (strcmp(a, "--describe") == 0)
            describe();
        else if (strcmp(a, "--rows") == 0)
            scale.rows = number_of(argc, argv, &i);
        else if (strcmp(a, "--operations") == 0)
            scale.operations = number_of(argc, argv, &i);
        else if (strcmp(a, "--batch") == 0)
            scale.batch = number_of(argc, argv, &i);
        else if (strcmp(a, "--value-bytes") == 0)
            scale.value_bytes = number_of(argc, argv, &i);
        else if (strcmp(a, "--buffer-mib") == 0)
            settings.write_buffer_bytes = (size_t)number_of(argc, argv, &i) << 20;
        else if (strcmp(a, "--cache-mib") == 0)
            settings.cache_bytes = (size_t)number_of(argc, argv, &i) << 20;
        else if (strcmp(a, "--map-mib") == 0)
            settings.map_bytes = number_of(argc, argv, &i) << 20;
        else if (strcmp(a, "--filter-bits") == 0)
            settings.filter_bits = (int)number_of(argc, argv, &i);
        else if (strcmp(a, "--threads") == 0)
            settings.threads = (int)number_of(argc, argv, &i);
        else if (strcmp(a, "--dir") == 0 && i + 1 < argc)
            settings.dir = argv[++i];
        else
            usage_text();
    }
    if (scale.operations == 0) scale.operations = scale.rows;
    if (i == argc || scale.batch < 1 || scale.rows < 1 || scale.value_bytes > 65536) usage_text();
    return i;
}

int main(int argc, char **argv) {
    static char made[] = "/tmp/lsm-engine-XXXXXX";
    int first = parse(argc, argv);
    if (settings.dir == NULL) {
        if (mkdtemp(made) == NULL) engine_die(made, "cannot be made");
        (void)snprintf(dir_room, sizeof dir_room, "%s/store", made);
        settings.dir = dir_room;
    }
    for (int i = first; i < argc; i++) run_named(argv[i]);
    if (opened) engine_close();
    if (!keep) remove_store();
    if (settings.dir == dir_room && !keep) (void)rmdir(made);
    return 0;
}
