/* From the directory to sources: the manifest that CURRENT names; or the newest one, if it is whole; or the table files by what they say of themselves
 * (guess.c); or the manifest up to where it is damaged. Then the log behind that, as far as it is whole. */
#include "guess.h"

#include <stdarg.h>

#include "../../lsm_core/codec/batch.h"
#include "../../lsm_core/version/runs.h"
#include "../../lsm_core/wal/wal.h"

void sources_lose(struct sources *sources, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("lost: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    sources->losses++;
}

struct source *sources_add(struct sources *sources) {
    sources->items = tool_got(lsm_realloc(sources->items, (sources->count + 1) * sizeof *sources->items));
    sources->items[sources->count] = (struct source){0};
    return &sources->items[sources->count++];
}

void source_add_file(struct source *source, struct lsm_file_meta *meta) {
    source->files = tool_got(lsm_realloc(source->files, (source->files_count + 1) * sizeof(struct lsm_file_meta *)));
    lsm_file_meta_ref(meta);
    source->files[source->files_count++] = meta;
}

static void add_run(struct sources *sources, const struct lsm_run *run) {
    if (run->count == 0) return;
    struct source *source = sources_add(sources);
    for (size_t i = 0; i < run->count; i++) source_add_file(source, run->files[i]);
}

static void add_version(struct sources *sources, const struct lsm_version *version) {
    for (int level = LSM_LEVELS - 1; level >= 1; level--) add_run(sources, &version->levels[level]);
    for (size_t i = version->level0_count; i-- > 0;) add_run(sources, &version->level0[i]);
}

/* ---- the manifest ------------------------------------------------------------------------------------------------------------- */

/* An early state that has none of the tables is of no use. */
static bool has_tables(const struct tool_target *target, const struct tool_state *state) {
    bool all = state->version != NULL;
    for (size_t i = 0; i < target->tables_count; i++) all &= tool_state_has_tree(state, target->tables[i].shadow.tree.tree);
    return all;
}

static int gather_state(struct sources *sources) {
    struct tool_state rescued = {0};
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct lsm_error err = {0}, why = {0};
    if (tool_state_read(sources->target, &sources->state, &err) == LSM_OK) {
        add_version(sources, sources->state.version);
        return TOOL_OK;
    }
    sources_lose(sources, "%s", err.text);
    if (tool_list(sources->target, LSM_FILE_MANIFEST, &numbers, &count, &err) != LSM_OK) return tool_fail(TOOL_CANNOT, "%s", err.text);
    uint64_t newest = count == 0 ? 0 : numbers[count - 1];
    int status = count == 0 ? LSM_NOTFOUND : tool_state_rescue(sources->target, newest, &rescued, &why);
    lsm_free(numbers);
    /* A manifest that is whole is as good as one that CURRENT names: an older one is removed when a newer one counts. */
    bool whole = status == LSM_OK, usable = has_tables(sources->target, &rescued);
    bool guessed = !whole && guess_sources(sources, newest);
    if ((guessed && sources->unsure_count == 0) || !usable) {
        tool_state_release(&rescued);
        sources->guessed = guessed;
        if (guessed) return TOOL_OK;
        return tool_fail(TOOL_CANNOT, "%s: no manifest can be read, and without one the table files do not say enough%s", sources->target->dir,
                         sources->target->database == NULL ? ": give the database file, which knows the tables" : "");
    }
    sources_forget(sources);
    sources->state = rescued;
    printf("from MANIFEST-%08" PRIu64 ", %s\n", newest, whole ? "which is whole" : "the part before the damage: an earlier state of the store");
    add_version(sources, sources->state.version);
    return TOOL_OK;
}

/* ---- the log ------------------------------------------------------------------------------------------------------------------- */

struct log {
    struct sources *sources;
    struct lsm_memtable *rows; /* the newest source */
    struct lsm_buf held;       /* the last transaction's batch, until the next record shows that it stands */
    struct lsm_runs runs;      /* its files, if it is a RUNS */
    bool has_txn, has_runs, undecided;
    uint8_t token[LSM_TOKEN_BYTES];
    uint64_t txn_position, txn_end;
};

static void open_rows(struct log *log) {
    log->rows = tool_got(lsm_memtable_new((struct lsm_slice){0}));
    sources_add(log->sources)->rows = log->rows;
}

static void full_key(struct lsm_buf *out, uint32_t tree, struct lsm_slice key) {
    uint8_t prefix[LSM_TREE_BYTES] = {(uint8_t)(tree >> 24), (uint8_t)(tree >> 16), (uint8_t)(tree >> 8), (uint8_t)tree};
    lsm_buf_reset(out);
    tool_append(out, prefix, sizeof prefix);
    if (key.size != 0) tool_append(out, key.data, key.size);
}

static void apply_op(struct log *log, const struct lsm_op *op, struct lsm_buf *low, struct lsm_buf *high) {
    uint64_t sequence = log->txn_position + op->offset;
    int status = LSM_OK;
    full_key(low, op->tree, op->key);
    full_key(high, op->tree, op->value);
    switch (op->kind) {
    case LSM_OP_SELECT: break;
    case LSM_OP_PUT: status = lsm_memtable_put(log->rows, LSM_KIND_PUT, lsm_buf_slice(low), op->value, sequence); break;
    case LSM_OP_DELETE: status = lsm_memtable_put(log->rows, LSM_KIND_DELETE, lsm_buf_slice(low), (struct lsm_slice){0}, sequence); break;
    case LSM_OP_DELETE_RANGE: status = lsm_memtable_delete_range(log->rows, lsm_buf_slice(low), lsm_buf_slice(high), sequence); break;
    case LSM_OP_TREE_CREATE: status = tool_state_add_tree(&log->sources->state, (struct lsm_tree_info){.tree = op->tree, .nonce = op->nonce}); break;
    case LSM_OP_TREE_DROP: tool_state_drop_tree(&log->sources->state, op->tree); break;
    }
    if (status == LSM_NOMEM) (void)tool_got(NULL);
}

/* The files of a RUNS, each run a source: they are numbered by age. */
static void apply_runs(struct log *log) {
    const struct lsm_edit *edit = &log->runs.edit;
    uint64_t last = 0;
    for (bool more = true; more;) {
        uint64_t run = UINT64_MAX;
        for (size_t i = 0; i < edit->added_count; i++)
            if (edit->added[i].run > last && edit->added[i].run < run) run = edit->added[i].run;
        more = run != UINT64_MAX;
        struct source *source = more ? sources_add(log->sources) : NULL;
        for (size_t i = 0; i < edit->added_count && more; i++)
            if (edit->added[i].run == run) source_add_file(source, edit->added[i].meta);
        last = run;
    }
    open_rows(log);
}

/* The transaction held stands. */
static void stand(struct log *log) {
    struct lsm_batch_reader reader = {.batch = lsm_buf_slice(&log->held)};
    struct lsm_buf low = {0}, high = {0};
    struct lsm_op op;
    if (!log->has_txn) return;
    while (lsm_batch_next(&reader, &op) == LSM_OK) apply_op(log, &op, &low, &high);
    if (log->has_runs) apply_runs(log);
    if (log->undecided) {
        log->sources->state.has_token = true;
        memcpy(log->sources->state.token, log->token, sizeof log->token);
    }
    lsm_buf_free(&low);
    lsm_buf_free(&high);
}

static void forget(struct log *log) {
    if (log->has_runs) lsm_runs_release(&log->runs);
    log->has_txn = log->has_runs = log->undecided = false;
}

/* All of a batch makes sense, or none of it is applied. */
static bool is_whole(struct lsm_slice batch) {
    struct lsm_batch_reader reader = {.batch = batch};
    struct lsm_op op;
    int status;
    while ((status = lsm_batch_next(&reader, &op)) == LSM_OK) {}
    return status == LSM_NOTFOUND;
}

static bool hold(struct log *log, const struct lsm_wal_record *record, struct lsm_slice batch) {
    if (!is_whole(batch)) return false;
    tool_set(&log->held, batch);
    log->txn_position = record->position;
    log->txn_end = record->end;
    log->has_txn = true;
    return true;
}

static bool take_prepare(struct log *log, const struct lsm_wal_record *record) {
    struct lsm_slice payload = record->payload;
    if (payload.size < LSM_TOKEN_BYTES || !hold(log, record, lsm_slice_of(payload.data + LSM_TOKEN_BYTES, payload.size - LSM_TOKEN_BYTES)))
        return false;
    memcpy(log->token, payload.data, LSM_TOKEN_BYTES);
    log->undecided = true;
    return true;
}

static bool take_runs(struct log *log, const struct lsm_wal_record *record) {
    if (lsm_runs_decode(record->payload, &log->runs, NULL) != LSM_OK) return false;
    log->has_runs = true;
    if (!hold(log, record, log->runs.batch)) return false;
    log->undecided = log->runs.has_token;
    memcpy(log->token, log->runs.token, sizeof log->token);
    return true;
}

/* False: the record makes no sense. */
static bool take_record(struct log *log, const struct lsm_wal_record *record) {
    bool ends = record->kind == LSM_WAL_COMMIT || record->kind == LSM_WAL_ABORT;
    if (ends) {
        if (!log->has_txn || record->position != log->txn_end) return false;
        if (record->kind == LSM_WAL_COMMIT) stand(log);
        forget(log);
        return true;
    }
    if (log->undecided) return false;
    stand(log);
    forget(log);
    switch (record->kind) {
    case LSM_WAL_TXN: return hold(log, record, record->payload);
    case LSM_WAL_PREPARE: return take_prepare(log, record);
    case LSM_WAL_RUNS: return take_runs(log, record);
    case LSM_WAL_ROLL: return true;
    case LSM_WAL_COMMIT:
    case LSM_WAL_ABORT: break;
    }
    return false;
}

/* What is left at the end stands, if it decides itself, or the database says so. */
static void settle_last(struct log *log) {
    const struct tool_target *target = log->sources->target;
    bool known = !log->undecided;
    if (!log->has_txn) return;
    for (size_t i = 0; i < target->tables_count; i++) known |= memcmp(target->tables[i].shadow.token, log->token, LSM_TOKEN_BYTES) == 0;
    if (known)
        stand(log);
    else if (target->database == NULL)
        sources_lose(log->sources, "%s: the transaction at log position %" PRIu64 ", of which only the database file says whether it was committed",
                     target->dir, log->txn_position);
    forget(log);
}

struct logs {
    uint64_t *numbers;
    struct lsm_wal_reader **readers; /* NULL: damaged or never finished */
    size_t count;
};

static void open_logs(struct sources *sources, struct logs *logs) {
    struct lsm_error err = {0};
    if (tool_list(sources->target, LSM_FILE_WAL, &logs->numbers, &logs->count, &err) != LSM_OK) {
        sources_lose(sources, "%s", err.text);
        logs->count = 0;
    }
    logs->readers = tool_got(lsm_calloc(logs->count + 1, sizeof(struct lsm_wal_reader *)));
    for (size_t i = 0; i < logs->count; i++) {
        if (logs->numbers[i] >= sources->next_generation) sources->next_generation = logs->numbers[i] + 1;
        if (logs->numbers[i] < sources->state.log_generation) continue;
        int status = lsm_wal_reader_open(lsm_env_posix(), sources->target->dir, sources->target->store_id, logs->numbers[i], &logs->readers[i], &err);
        if (status != LSM_OK) sources_lose(sources, "%s", err.text);
    }
}

/* The newest file that goes on at this position. check 0: not known. */
static size_t find_log(const struct logs *logs, uint64_t position, uint64_t check, size_t from) {
    for (size_t i = logs->count; i-- > from;) {
        const struct lsm_wal_reader *reader = logs->readers[i];
        if (reader == NULL || lsm_wal_reader_start(reader) != position) continue;
        if (check == 0 || lsm_wal_reader_prev_check(reader) == check) return i;
    }
    return SIZE_MAX;
}

/* Read one file to its end, or to where a newer one goes on; false: to damage. A file that was cut off by a recovery may hold more than belongs to the log. */
static bool read_log(struct log *log, const struct logs *logs, size_t at, uint64_t *check) {
    struct sources *sources = log->sources;
    struct lsm_wal_reader *reader = logs->readers[at];
    struct lsm_wal_record record;
    struct lsm_error err = {0};
    int status = LSM_OK;
    *check = lsm_wal_reader_prev_check(reader);
    while (find_log(logs, sources->position, *check, at + 1) == SIZE_MAX && (status = lsm_wal_reader_next(reader, 0, &record, &err)) == LSM_OK) {
        *check = record.check;
        if (!take_record(log, &record)) {
            sources_lose(sources, "%s/%08" PRIu64 ".wal: the record at log position %" PRIu64 " makes no sense: the log ends before it for us",
                         sources->target->dir, logs->numbers[at], record.position);
            return false;
        }
        sources->position = record.end;
    }
    if (status == LSM_OK || status == LSM_NOTFOUND) return true;
    sources_lose(sources, "%s", err.text);
    return false;
}

/* How far any record, of whatever file, knew the log to be durable. */
static uint64_t known_durable(const struct logs *logs, uint64_t durable) {
    struct lsm_wal_record record;
    for (size_t i = 0; i < logs->count; i++) {
        while (logs->readers[i] != NULL && lsm_wal_reader_next(logs->readers[i], 0, &record, NULL) == LSM_OK) {}
        if (logs->readers[i] != NULL && lsm_wal_reader_synced(logs->readers[i]) > durable) durable = lsm_wal_reader_synced(logs->readers[i]);
    }
    return durable;
}

static void gather_log(struct sources *sources) {
    struct log log = {.sources = sources};
    struct logs logs = {0};
    uint64_t check = 0;
    bool whole = true;
    sources->position = sources->state.log_position;
    sources->next_generation = sources->state.log_generation;
    open_logs(sources, &logs);
    open_rows(&log);
    for (size_t at = find_log(&logs, sources->position, 0, 0); at != SIZE_MAX && whole; at = find_log(&logs, sources->position, check, at + 1))
        whole = read_log(&log, &logs, at, &check);
    settle_last(&log);
    uint64_t durable = known_durable(&logs, sources->state.log_durable);
    sources->log_gap = durable > sources->position;
    if (sources->log_gap)
        sources_lose(sources,
                     "%s: the log from position %" PRIu64 " on, which was durable up to %" PRIu64
                     " at least: a log file is damaged or missing, or MANIFEST-%08" PRIu64 " has lost its end; the state before is saved",
                     sources->target->dir, sources->position, durable, sources->state.number);
    for (size_t i = 0; i < logs.count; i++) lsm_wal_reader_close(logs.readers[i]);
    lsm_free(logs.readers);
    lsm_free(logs.numbers);
    lsm_buf_free(&log.held);
}

int sources_gather(struct sources *sources, const struct tool_target *target) {
    *sources = (struct sources){.target = target};
    int code = gather_state(sources);
    if (code == TOOL_OK) gather_log(sources);
    if (code != TOOL_OK || !sources->log_gap || sources->guessed) return code;
    /* A manifest that has lost its end looks like that, too: then the log is in table files that it does not name. */
    uint64_t position = sources->position, manifest = sources->state.number;
    bool usable = has_tables(target, &sources->state);
    sources_forget(sources);
    sources->guessed = guess_sources(sources, manifest);
    if (sources->guessed) gather_log(sources);
    if (sources->guessed && (sources->unsure_count == 0 || !usable) && sources->position > position) return TOOL_OK;
    printf("the manifest is better than that\n");
    sources_forget(sources);
    code = gather_state(sources);
    if (code == TOOL_OK) gather_log(sources);
    return code;
}

void sources_forget(struct sources *sources) {
    for (size_t i = 0; i < sources->count; i++) {
        struct source *source = &sources->items[i];
        if (source->rows != NULL) lsm_memtable_free(source->rows);
        for (size_t k = 0; k < source->files_count; k++) lsm_file_meta_unref(source->files[k]);
        lsm_free(source->files);
    }
    for (size_t i = 0; i < sources->unsure_count; i++) {
        lsm_buf_free(&sources->unsure[i].low);
        lsm_buf_free(&sources->unsure[i].high);
    }
    lsm_free(sources->unsure);
    lsm_free(sources->items);
    sources->unsure = NULL;
    sources->items = NULL;
    sources->count = sources->unsure_count = 0;
    tool_state_release(&sources->state);
}

void sources_release(struct sources *sources) {
    sources_forget(sources);
    *sources = (struct sources){0};
}
