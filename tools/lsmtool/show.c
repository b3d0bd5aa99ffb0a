/* lsmtool show. */
#include "tool.h"

#include "../../ext/place.h"
#include "../../lsm_core/wal/wal.h"

static bool show_file(void *arg, int level, size_t run, struct lsm_file_meta *meta) {
    static const char *const compressions[] = {"none", "lz4", "zstd"};
    const struct tool_target *target = arg;
    printf("  %08" PRIu64 ".sst  level %d", meta->number, level);
    if (level == 0) printf(" run %zu", run);
    printf("  %" PRIu64 " bytes  %" PRIu64 " entries  %" PRIu64 " tombstones  %" PRIu64 " range tombstones  %s  log [%" PRIu64 ", %" PRIu64 ")\n",
           meta->bytes, meta->entries, meta->tombstones, meta->range_tombstones, compressions[meta->compression % 3], meta->log_low, meta->log_high);
    printf("      from %s\n", tool_key_text(target, lsm_buf_slice(&meta->smallest)));
    printf("      to   %s%s\n", tool_key_text(target, lsm_buf_slice(&meta->largest)), meta->largest_exclusive ? " (not included)" : "");
    return true;
}

static void show_levels(const struct lsm_version *version) {
    uint64_t bytes = 0;
    size_t files = 0;
    for (size_t i = 0; i < version->level0_count; i++) {
        bytes += version->level0[i].bytes;
        files += version->level0[i].count;
    }
    printf("levels\n");
    if (files != 0) printf("  0  %zu runs  %zu files  %" PRIu64 " bytes\n", version->level0_count, files, bytes);
    for (int level = 1; level < LSM_LEVELS; level++)
        if (version->levels[level].count != 0)
            printf("  %d  %zu files  %" PRIu64 " bytes\n", level, version->levels[level].count, version->levels[level].bytes);
}

/* 1 if it is damaged. */
static int show_log(const struct tool_target *target, uint64_t number) {
    struct lsm_wal_reader *reader = NULL;
    struct lsm_wal_record record;
    struct lsm_error err = {0};
    size_t records = 0;
    int status = lsm_wal_reader_open(lsm_env_posix(), target->dir, target->store_id, number, &reader, &err);
    printf("  %08" PRIu64 ".wal", number);
    if (status == LSM_OK && reader == NULL) printf("  no header: it was being made\n");
    if (status != LSM_OK || reader == NULL) {
        if (status != LSM_OK) printf("  %s\n", err.text);
        return status != LSM_OK;
    }
    while ((status = lsm_wal_reader_next(reader, 0, &record, &err)) == LSM_OK) records++;
    printf("  positions [%" PRIu64 ", %" PRIu64 ")  %zu records\n", lsm_wal_reader_start(reader), lsm_wal_reader_end(reader), records);
    if (status != LSM_NOTFOUND) printf("      %s\n", err.text);
    lsm_wal_reader_close(reader);
    return status != LSM_NOTFOUND;
}

int tool_show(const struct tool_target *target) {
    struct tool_state state;
    struct lsm_error err = {0};
    uint64_t *logs = NULL;
    size_t logs_count = 0, damaged = 0;
    char id[2 * LSM_STORE_ID_BYTES + 1];
    vt_hex_write(target->store_id, LSM_STORE_ID_BYTES, id);
    printf("store %s\ndirectory %s\n", id, target->dir);
    if (tool_state_read(target, &state, &err) != LSM_OK) return tool_fail(TOOL_DAMAGE, "%s", err.text);
    printf("manifest MANIFEST-%08" PRIu64 "  %" PRIu64 " bytes\n", state.number, state.bytes);
    printf("in table files: the log below position %" PRIu64 "\n", state.log_position);
    printf("trees\n");
    for (size_t i = 0; i < state.trees_count; i++)
        printf("  %" PRIu32 "  nonce %016" PRIx64 "  %s\n", state.trees[i].tree, state.trees[i].nonce, tool_tree_name(target, state.trees[i].tree));
    show_levels(state.version);
    printf("table files\n");
    union {
        const struct tool_target *shown;
        void *arg;
    } target_arg = {.shown = target}; /* show_file() only looks at it */
    lsm_version_each(state.version, show_file, target_arg.arg);
    printf("log\n");
    if (tool_list(target, LSM_FILE_WAL, &logs, &logs_count, &err) != LSM_OK) damaged++;
    for (size_t i = 0; i < logs_count; i++) damaged += (size_t)show_log(target, logs[i]);
    lsm_free(logs);
    tool_state_release(&state);
    return damaged == 0 ? TOOL_OK : TOOL_DAMAGE;
}
