/* sources.h: what a store consists of, damaged or not, by age: stretches of the log in memory, runs of table files. */
#ifndef LSMTOOL_SOURCES_H
#define LSMTOOL_SOURCES_H

#include "../../lsm_core/mem/memtable.h"
#include "table_file.h"

/* Either rows of the log, or a run: files that do not overlap, ascending. */
struct source {
    struct lsm_memtable *rows;
    struct lsm_file_meta **files; /* one reference each */
    size_t files_count;
};

struct sources {
    const struct tool_target *target;
    struct tool_state state; /* of the manifest; trees as the log leaves them */
    struct source *items;    /* oldest first */
    size_t count;
    struct key_range *unsure; /* keys for which the order of files is not known */
    size_t unsure_count;
    uint64_t position;        /* the log was read up to here */
    uint64_t next_generation; /* behind every log file there is */
    bool guessed;             /* without a manifest (guess.h) */
    bool log_gap;             /* more of the log was durable once than can be read */
    uint64_t losses;          /* things said to be lost */
};

/* Gather what can be found, and print what cannot. TOOL_OK, or TOOL_CANNOT if there is nothing to begin with (why was said). Release in any case. */
int sources_gather(struct sources *sources, const struct tool_target *target);
void sources_release(struct sources *sources);
/* As if nothing had been gathered, but for what was said. */
void sources_forget(struct sources *sources);
/* A new one, newer than all others; the pointer is valid until the next. */
struct source *sources_add(struct sources *sources);
void source_add_file(struct source *source, struct lsm_file_meta *meta); /* takes a reference of its own */
/* "lost: ..." on stdout, counted. */
void sources_lose(struct sources *sources, const char *format, ...) LSM_PRINTF(2, 3);

#endif
