/* lsmtool salvage: what is whole, and sure, merged into one run of a new store.
 *
 * A key is looked at in its sources from the newest on. The first that has it decides, unless a newer one may have had it in a block that is damaged, or may
 * have deleted it by a range tombstone that cannot be read: then what older ones say may be out of date, and is left out.
 */
#include "rebuild.h"
#include "sources.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../../ext/place.h"
#include "../../lsm_core/sst/sst.h"

enum { FILTER_BITS_PER_KEY = 10, BLOCK_BYTES = 4096, BOTTOM = LSM_LEVELS - 1, FILES_AIMED_AT = 256 };
#define FILE_BYTES_MIN ((uint64_t)16 << 20)

/* ---- reading a source in order of keys ------------------------------------------------------------------------------------ */

struct stream {
    const struct source *source;
    bool valid;
    enum lsm_kind kind;
    struct lsm_slice key, value;
    uint64_t sequence; /* of rows of the log */
    struct lsm_memtable_iter rows;
    struct table_file *files; /* what was found out about each, without its bytes but for the one at hand */
    size_t file, block, entry;
    struct lsm_buf payload, key_memory;
    struct lsm_block view;
    bool has_view;
};

struct salvage {
    struct sources sources;
    struct stream *streams; /* as the sources: oldest first */
    bool (*skip)(const struct tool_target *target, uint32_t tree);

    /* The new store. */
    const char *dir;
    struct lsm_sst_writer *writer;
    struct lsm_edit edit;
    uint64_t next_file, file_bytes;
    struct lsm_error err;

    uint64_t rows, unsure;         /* saved; left out */
    uint64_t *rows_of, *unsure_of; /* of each tree of the state */
};

static void say_lost(void *arg, const struct table_file *file, uint64_t offset, const char *what, const struct key_range *range) {
    struct sources *sources = arg;
    sources_lose(sources, "%s: offset %" PRIu64 ": %s", file->path, offset, what);
    printf("      from %s\n", tool_key_text(sources->target, lsm_buf_slice(&range->low)));
    printf("      to   %s%s\n", tool_key_text(sources->target, lsm_buf_slice(&range->high)), range->inclusive ? "" : " (not included)");
}

/* The bytes of a file take memory only while it is read. */
static void drop_bytes(struct table_file *file) {
    lsm_free(file->bytes);
    lsm_free(file->blocks);
    file->bytes = NULL;
    file->blocks = NULL;
}

static void load_bytes(struct salvage *salvage, struct stream *stream) {
    const struct lsm_file_meta *meta = stream->source->files[stream->file];
    struct table_file *file = &stream->files[stream->file];
    table_file_release(file);
    table_file_open(file, salvage->sources.target, meta, NULL, NULL);
    stream->block = stream->entry = 0;
    stream->has_view = false;
}

static void show_entry(struct stream *stream) {
    struct lsm_block_entry entry = lsm_block_entry(&stream->view, stream->entry);
    if (lsm_block_key_copy(&stream->view, stream->entry, &stream->key_memory) != LSM_OK) (void)tool_got(NULL);
    stream->valid = true;
    stream->kind = entry.kind;
    stream->key = lsm_buf_slice(&stream->key_memory);
    stream->value = entry.value;
}

/* The next entry of the files, from where the stream stands. */
static void find_entry(struct salvage *salvage, struct stream *stream) {
    stream->valid = false;
    while (stream->file < stream->source->files_count) {
        struct table_file *file = &stream->files[stream->file];
        if (file->bytes == NULL) load_bytes(salvage, stream);
        for (; stream->block < file->blocks_count; stream->block++, stream->entry = 0, stream->has_view = false) {
            if (!stream->has_view) stream->has_view = table_file_block(file, stream->block, &stream->payload, &stream->view);
            if (!stream->has_view || stream->entry >= stream->view.count) continue;
            show_entry(stream);
            return;
        }
        drop_bytes(file);
        stream->file++;
    }
}

static void show_row(struct stream *stream) {
    const struct lsm_iter *iter = &stream->rows.base;
    stream->valid = iter->valid;
    if (!iter->valid) return;
    stream->kind = iter->kind;
    stream->key = iter->key;
    stream->value = iter->value;
    stream->sequence = stream->rows.sequence;
}

static void step(struct salvage *salvage, struct stream *stream) {
    if (stream->source->rows != NULL) {
        lsm_iter_next(&stream->rows.base);
        show_row(stream);
        return;
    }
    stream->entry++;
    find_entry(salvage, stream);
}

static void open_stream(struct salvage *salvage, struct stream *stream, const struct source *source) {
    *stream = (struct stream){.source = source};
    if (source->rows != NULL) {
        lsm_memtable_iter_init(&stream->rows, source->rows, UINT64_MAX);
        lsm_iter_first(&stream->rows.base);
        show_row(stream);
        return;
    }
    stream->files = tool_got(lsm_calloc(source->files_count, sizeof *stream->files));
    for (size_t i = 0; i < source->files_count; i++) {
        table_file_open(&stream->files[i], salvage->sources.target, source->files[i], say_lost, &salvage->sources);
        drop_bytes(&stream->files[i]);
        salvage->file_bytes += source->files[i]->bytes / FILES_AIMED_AT;
    }
    find_entry(salvage, stream);
}

static void close_stream(struct stream *stream) {
    for (size_t i = 0; stream->files != NULL && i < stream->source->files_count; i++) table_file_release(&stream->files[i]);
    lsm_free(stream->files);
    lsm_buf_free(&stream->payload);
    lsm_buf_free(&stream->key_memory);
}

/* ---- what a source does to a key ------------------------------------------------------------------------------------------- */

/* The only file of a run that can have to do with the key: the first one that ends at or behind it. Damage at a bound belongs to the file it is in. */
static const struct table_file *file_for(const struct stream *stream, struct lsm_slice key) {
    size_t low = 0, high = stream->source->files_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct lsm_file_meta *meta = stream->source->files[middle];
        int order = lsm_slice_compare(lsm_buf_slice(&meta->largest), key);
        if (order < 0 || (order == 0 && meta->largest_exclusive))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == stream->source->files_count || lsm_slice_compare(lsm_buf_slice(&stream->source->files[low]->smallest), key) > 0) return NULL;
    return &stream->files[low];
}

static bool rows_delete(const struct stream *stream, struct lsm_slice key, uint64_t since) {
    for (const struct lsm_mem_range *range = lsm_memtable_ranges(stream->source->rows, UINT64_MAX); range != NULL;
         range = lsm_memtable_range_next(range))
        if (range->sequence > since && lsm_slice_compare(range->low, key) <= 0 && lsm_slice_compare(key, range->high) < 0) return true;
    return false;
}

enum verdict { GOES_ON, IS_THERE, IS_GONE, IS_UNSURE };

static enum verdict ask_stream(const struct stream *stream, struct lsm_slice key, bool has_key) {
    if (stream->source->rows != NULL) {
        if (rows_delete(stream, key, has_key ? stream->sequence : 0)) return IS_GONE;
        if (!has_key) return GOES_ON;
        return stream->kind == LSM_KIND_PUT ? IS_THERE : IS_GONE;
    }
    if (has_key) return stream->kind == LSM_KIND_PUT ? IS_THERE : IS_GONE;
    const struct table_file *file = file_for(stream, key);
    if (file == NULL) return GOES_ON;
    if (table_file_may_hide(file, key) || file->deletes_unknown) return IS_UNSURE;
    return key_ranges_cover(&file->deletes, key) ? IS_GONE : GOES_ON;
}

static bool is_in(const struct key_range *range, struct lsm_slice key) {
    int order = lsm_slice_compare(key, lsm_buf_slice(&range->high));
    return lsm_slice_compare(lsm_buf_slice(&range->low), key) <= 0 && (order < 0 || (order == 0 && range->inclusive));
}

/* By the newest source that says something. *at: which. */
static enum verdict judge(const struct salvage *salvage, struct lsm_slice key, const bool *has_key, size_t *at) {
    for (size_t i = salvage->sources.count; i-- > 0;) {
        const struct stream *stream = &salvage->streams[i];
        for (size_t u = 0; stream->source->rows == NULL && u < salvage->sources.unsure_count; u++)
            if (is_in(&salvage->sources.unsure[u], key)) return IS_UNSURE;
        enum verdict verdict = ask_stream(stream, key, has_key[i]);
        *at = i;
        if (verdict != GOES_ON) return verdict;
    }
    return IS_GONE;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

static const struct lsm_env_perm *permissions(void) {
    static const struct lsm_env_perm perm = {.mode = 0600, .uid = -1, .gid = -1};
    return &perm;
}

static int finish_file(struct salvage *salvage) {
    if (salvage->writer == NULL) return LSM_OK;
    struct lsm_file_meta *meta = tool_got(lsm_file_meta_new());
    int status = lsm_sst_writer_finish(salvage->writer, 0, salvage->sources.position, meta, &salvage->err);
    salvage->writer = NULL;
    if (status == LSM_OK) status = lsm_edit_add_file(&salvage->edit, BOTTOM, 0, meta);
    lsm_file_meta_unref(meta);
    return status;
}

static int write_row(struct salvage *salvage, struct lsm_slice key, struct lsm_slice value) {
    static const struct lsm_sst_options options = {
        .block_bytes = BLOCK_BYTES, .compression = LSM_COMPRESS_LZ4, .filter_bits_per_key = FILTER_BITS_PER_KEY};
    int status = LSM_OK;
    if (salvage->writer != NULL && lsm_sst_writer_bytes(salvage->writer) >= salvage->file_bytes) status = finish_file(salvage);
    if (status == LSM_OK && salvage->writer == NULL) {
        char *path = tool_got(lsm_file_path(salvage->dir, LSM_FILE_TABLE, salvage->next_file));
        status = lsm_sst_writer_open(lsm_env_posix(), path, permissions(), salvage->sources.target->store_id, salvage->next_file++, &options,
                                     &salvage->writer, &salvage->err);
        lsm_free(path);
    }
    return status == LSM_OK ? lsm_sst_writer_add(salvage->writer, LSM_KIND_PUT, key, value, &salvage->err) : status;
}

/* Which tree of the state, SIZE_MAX: it is not there any more. */
static size_t tree_at(const struct salvage *salvage, struct lsm_slice key) {
    const struct tool_state *state = &salvage->sources.state;
    if (key.size < LSM_TREE_BYTES) return SIZE_MAX;
    uint32_t tree = (uint32_t)key.data[0] << 24 | (uint32_t)key.data[1] << 16 | (uint32_t)key.data[2] << 8 | key.data[3];
    for (size_t i = 0; i < state->trees_count; i++)
        if (state->trees[i].tree == tree) return i;
    return SIZE_MAX;
}

static int take_key(struct salvage *salvage, struct lsm_slice key, const bool *has_key) {
    size_t at = 0, tree = tree_at(salvage, key);
    if (tree == SIZE_MAX || rebuild_makes(salvage->sources.target, salvage->sources.state.trees[tree].tree)) return LSM_OK;
    switch (judge(salvage, key, has_key, &at)) {
    case IS_THERE: salvage->rows_of[tree]++; return write_row(salvage, key, salvage->streams[at].value);
    case IS_UNSURE: salvage->unsure_of[tree]++; return LSM_OK;
    case IS_GONE:
    case GOES_ON: break;
    }
    return LSM_OK;
}

static int merge(struct salvage *salvage) {
    bool *has_key = tool_got(lsm_calloc(salvage->sources.count + 1, sizeof *has_key));
    struct lsm_buf key = {0};
    int status = LSM_OK;
    for (bool more = true; more && status == LSM_OK;) {
        const struct stream *least = NULL;
        for (size_t i = 0; i < salvage->sources.count; i++) {
            const struct stream *stream = &salvage->streams[i];
            if (stream->valid && (least == NULL || lsm_slice_compare(stream->key, least->key) < 0)) least = stream;
        }
        more = least != NULL;
        if (!more) break;
        tool_set(&key, least->key);
        for (size_t i = 0; i < salvage->sources.count; i++)
            has_key[i] = salvage->streams[i].valid && lsm_slice_equal(salvage->streams[i].key, lsm_buf_slice(&key));
        status = take_key(salvage, lsm_buf_slice(&key), has_key);
        for (size_t i = 0; i < salvage->sources.count; i++)
            if (has_key[i]) step(salvage, &salvage->streams[i]);
    }
    lsm_buf_free(&key);
    lsm_free(has_key);
    return status == LSM_OK ? finish_file(salvage) : status;
}

static int write_manifest(struct salvage *salvage) {
    const struct tool_state *state = &salvage->sources.state;
    struct lsm_edit *edit = &salvage->edit;
    struct lsm_manifest *manifest = NULL;
    int status = LSM_OK;
    edit->full = true;
    edit->log_position = salvage->sources.position;
    edit->log_generation = salvage->sources.next_generation == 0 ? 1 : salvage->sources.next_generation;
    edit->next_tree = state->next_tree;
    edit->time_us = lsm_env_now_us(lsm_env_posix());
    edit->has_token = state->has_token;
    memcpy(edit->token, state->token, sizeof edit->token);
    for (size_t i = 0; i < state->trees_count && status == LSM_OK; i++) status = lsm_edit_add_tree(edit, state->trees[i]);
    uint64_t number = salvage->next_file++;
    edit->next_file = salvage->next_file;
    if (status == LSM_OK) status = lsm_env_sync_dir(lsm_env_posix(), salvage->dir, &salvage->err);
    if (status == LSM_OK)
        status = lsm_manifest_create(lsm_env_posix(), salvage->dir, permissions(), salvage->sources.target->store_id, number, edit, NULL, &manifest,
                                     &salvage->err);
    lsm_manifest_close(manifest);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------ */

static void report(const struct salvage *salvage) {
    const struct tool_state *state = &salvage->sources.state;
    for (size_t i = 0; i < state->trees_count; i++) {
        uint32_t tree = state->trees[i].tree;
        if (rebuild_makes(salvage->sources.target, tree)) continue;
        printf("saved: %s: %" PRIu64 " rows", tool_tree_name(salvage->sources.target, tree), salvage->rows_of[i]);
        if (salvage->unsure_of[i] != 0) printf("; left out: %" PRIu64 " that may be out of date because of what is lost", salvage->unsure_of[i]);
        putchar('\n');
    }
}

/* Everything into the directory, which exists and is empty. */
static int salvage_store(const struct tool_target *target, const char *dir) {
    struct salvage salvage = {.dir = dir, .next_file = 1, .file_bytes = FILE_BYTES_MIN};
    int code = sources_gather(&salvage.sources, target), status = LSM_OK;
    if (code == TOOL_OK) {
        size_t trees = salvage.sources.state.trees_count;
        salvage.rows_of = tool_got(lsm_calloc(trees + 1, sizeof *salvage.rows_of));
        salvage.unsure_of = tool_got(lsm_calloc(trees + 1, sizeof *salvage.unsure_of));
        salvage.streams = tool_got(lsm_calloc(salvage.sources.count + 1, sizeof *salvage.streams));
        for (size_t i = 0; i < salvage.sources.count; i++) open_stream(&salvage, &salvage.streams[i], &salvage.sources.items[i]);
        status = merge(&salvage);
        if (status == LSM_OK) status = write_manifest(&salvage);
        if (status != LSM_OK) code = tool_fail(TOOL_CANNOT, "%s", salvage.err.text);
    }
    if (code == TOOL_OK) report(&salvage);
    if (code == TOOL_OK && !rebuild_indexes(target, dir, &salvage.sources.state)) code = TOOL_CANNOT;
    if (code == TOOL_OK && salvage.sources.losses != 0) code = TOOL_DAMAGE;
    lsm_sst_writer_abandon(salvage.writer);
    lsm_edit_release(&salvage.edit);
    for (size_t i = 0; salvage.streams != NULL && i < salvage.sources.count; i++) close_stream(&salvage.streams[i]);
    lsm_free(salvage.streams);
    lsm_free(salvage.rows_of);
    lsm_free(salvage.unsure_of);
    sources_release(&salvage.sources);
    return code;
}

static bool is_free(const char *path) {
    struct stat info;
    return lstat(path, &info) != 0;
}

static int copy_database(const struct tool_target *target, const char *destination) {
    sqlite3 *copy = NULL;
    int rc = sqlite3_open(destination, &copy);
    sqlite3_backup *backup = rc == SQLITE_OK ? sqlite3_backup_init(copy, "main", target->db, "main") : NULL;
    if (backup != NULL) {
        (void)sqlite3_backup_step(backup, -1);
        rc = sqlite3_backup_finish(backup);
    }
    int code = rc == SQLITE_OK && backup != NULL
                   ? TOOL_OK
                   : tool_fail(TOOL_CANNOT, "%s: the database file could not be copied: %s", destination, sqlite3_errmsg(copy));
    sqlite3_close(copy);
    return code;
}

static int make_dir(const char *dir) {
    struct lsm_error err = {0};
    if (lsm_env_mkdir(lsm_env_posix(), dir, permissions(), &err) == LSM_OK) return TOOL_OK;
    return tool_fail(TOOL_CANNOT, "%s", err.text);
}

/* What was made in a directory of ours, and the directory. */
static void remove_dir(const char *dir) {
    struct lsm_env *env = lsm_env_posix();
    struct lsm_names names = {0};
    int status = lsm_env_list(env, dir, &names, NULL);
    for (size_t i = 0; i < names.count; i++) {
        char *path = tool_got(sqlite3_mprintf("%s/%s", dir, names.names[i]));
        status = lsm_env_unlink(env, path, NULL);
        sqlite3_free(path);
    }
    lsm_names_free(&names);
    status = lsm_env_rmdir(env, dir, NULL);
    (void)status; /* what stays is seen */
}

int tool_salvage(const struct tool_target *target, const char *destination) {
    char id[2 * LSM_STORE_ID_BYTES + 1];
    if (!is_free(destination)) return tool_fail(TOOL_CANNOT, "%s: it is there already; salvage writes to a new place only", destination);
    if (target->database == NULL) {
        int code = make_dir(destination);
        if (code == TOOL_OK) code = salvage_store(target, destination);
        if (code == TOOL_CANNOT) remove_dir(destination); /* half a store is none */
        return code;
    }
    vt_hex_write(target->store_id, LSM_STORE_ID_BYTES, id);
    char *stores = tool_got(sqlite3_mprintf("%s-lsm", destination)), *dir = tool_got(sqlite3_mprintf("%s/%s", stores, id));
    bool may = is_free(stores);
    int code = may ? TOOL_OK : tool_fail(TOOL_CANNOT, "%s: it is there already; salvage writes to a new place only", stores);
    if (code == TOOL_OK) code = copy_database(target, destination);
    if (code == TOOL_OK) code = make_dir(stores);
    if (code == TOOL_OK) code = make_dir(dir);
    if (code == TOOL_OK) code = salvage_store(target, dir);
    if (code == TOOL_CANNOT && may) {
        remove_dir(dir);
        remove_dir(stores);
        (void)unlink(destination);
    }
    sqlite3_free(dir);
    sqlite3_free(stores);
    return code;
}
