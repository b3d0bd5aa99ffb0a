#include "edit.h"

#include <assert.h>
#include <inttypes.h>

#include "../codec/coding.h"

/* docs/format.md, "Payload of an EDIT". Never renumber. */
enum { EDIT_VERSION = 1 };
enum edit_tag {
    TAG_FULL = 1,
    TAG_NEXT_FILE = 2,
    TAG_LOG_POSITION = 3,
    TAG_LOG_GENERATION = 4,
    TAG_NEXT_TREE = 5,
    TAG_TIME = 6,
    TAG_ADDED = 7,
    TAG_REMOVED = 8,
    TAG_TREE = 9,
    TAG_DROPPED = 10,
    TAG_LOG_DURABLE = 11,
    TAG_TOKEN = 12,
    TAG_LAST = TAG_TOKEN
};
enum { FLAG_LARGEST_EXCLUSIVE = 1, STORED_KEY_BYTES_MIN = LSM_TREE_BYTES };
#define STORED_KEY_BYTES_MAX (LSM_TREE_BYTES + LSM_KEY_BYTES_MAX)

/* ---- building --------------------------------------------------------------------------------------------------- */

void lsm_edit_release(struct lsm_edit *edit) {
    for (size_t i = 0; i < edit->added_count; i++) lsm_file_meta_unref(edit->added[i].meta);
    lsm_free(edit->added);
    lsm_free(edit->removed);
    lsm_free(edit->trees);
    lsm_free(edit->dropped);
    *edit = (struct lsm_edit){0};
}

/* The array with room for one more element, or NULL, the old one untouched. */
static void *grow(void *array, size_t count, size_t *capacity, size_t element_bytes) {
    if (count < *capacity) return array;
    if (*capacity > SIZE_MAX / 4 / element_bytes) return NULL; /* LCOV_EXCL_BR_LINE: more than any memory */
    size_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *grown = lsm_realloc(array, wanted * element_bytes);
    if (grown != NULL) *capacity = wanted;
    return grown;
}

int lsm_edit_add_file(struct lsm_edit *edit, int level, uint64_t run, struct lsm_file_meta *meta) {
    assert(level >= 0 && level < LSM_LEVELS && (level == 0 || run == 0));
    struct lsm_edit_file *added = grow(edit->added, edit->added_count, &edit->added_capacity, sizeof *added);
    if (added == NULL) return LSM_NOMEM;
    edit->added = added;
    lsm_file_meta_ref(meta);
    added[edit->added_count++] = (struct lsm_edit_file){.level = level, .run = run, .meta = meta};
    return LSM_OK;
}

int lsm_edit_remove_file(struct lsm_edit *edit, uint64_t number) {
    uint64_t *removed = grow(edit->removed, edit->removed_count, &edit->removed_capacity, sizeof *removed);
    if (removed == NULL) return LSM_NOMEM;
    edit->removed = removed;
    removed[edit->removed_count++] = number;
    return LSM_OK;
}

int lsm_edit_add_tree(struct lsm_edit *edit, struct lsm_tree_info tree) {
    struct lsm_tree_info *trees = grow(edit->trees, edit->trees_count, &edit->trees_capacity, sizeof *trees);
    if (trees == NULL) return LSM_NOMEM;
    edit->trees = trees;
    trees[edit->trees_count++] = tree;
    return LSM_OK;
}

int lsm_edit_drop_tree(struct lsm_edit *edit, uint32_t tree) {
    uint32_t *dropped = grow(edit->dropped, edit->dropped_count, &edit->dropped_capacity, sizeof *dropped);
    if (dropped == NULL) return LSM_NOMEM;
    edit->dropped = dropped;
    dropped[edit->dropped_count++] = tree;
    return LSM_OK;
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

static int put_tagged(struct lsm_buf *out, enum edit_tag tag, uint64_t value) {
    int status = lsm_put_u8(out, (uint8_t)tag);
    return status == LSM_OK ? lsm_put_varint(out, value) : status;
}

static int put_file(struct lsm_buf *out, const struct lsm_edit_file *file) {
    const struct lsm_file_meta *meta = file->meta;
    const uint64_t tail[] = {meta->log_low, meta->log_high, meta->entries, meta->tombstones, meta->range_tombstones, meta->raw_bytes};
    int status = lsm_put_u8(out, TAG_ADDED);
    if (status == LSM_OK) status = lsm_put_u8(out, (uint8_t)file->level);
    if (status == LSM_OK) status = lsm_put_varint(out, file->run);
    if (status == LSM_OK) status = lsm_put_varint(out, meta->number);
    if (status == LSM_OK) status = lsm_put_varint(out, meta->bytes);
    if (status == LSM_OK) status = lsm_put_u64(out, meta->checksum);
    for (size_t i = 0; status == LSM_OK && i < sizeof tail / sizeof tail[0]; i++) status = lsm_put_varint(out, tail[i]);
    if (status == LSM_OK) status = lsm_put_u8(out, meta->compression);
    if (status == LSM_OK) status = lsm_put_u8(out, meta->largest_exclusive ? FLAG_LARGEST_EXCLUSIVE : 0);
    if (status == LSM_OK) status = lsm_put_bytes(out, lsm_buf_slice(&meta->smallest));
    if (status == LSM_OK) status = lsm_put_bytes(out, lsm_buf_slice(&meta->largest));
    return status;
}

static int put_all(struct lsm_buf *out, const struct lsm_edit *edit) {
    int status = lsm_put_u8(out, EDIT_VERSION);
    if (status == LSM_OK && edit->full) status = lsm_put_u8(out, TAG_FULL);
    if (status == LSM_OK) status = put_tagged(out, TAG_NEXT_FILE, edit->next_file);
    if (status == LSM_OK) status = put_tagged(out, TAG_LOG_POSITION, edit->log_position);
    if (status == LSM_OK) status = put_tagged(out, TAG_LOG_GENERATION, edit->log_generation);
    if (status == LSM_OK) status = put_tagged(out, TAG_NEXT_TREE, edit->next_tree);
    if (status == LSM_OK) status = put_tagged(out, TAG_TIME, edit->time_us);
    for (size_t i = 0; status == LSM_OK && i < edit->added_count; i++) status = put_file(out, &edit->added[i]);
    for (size_t i = 0; status == LSM_OK && i < edit->removed_count; i++) status = put_tagged(out, TAG_REMOVED, edit->removed[i]);
    for (size_t i = 0; status == LSM_OK && i < edit->trees_count; i++) {
        status = put_tagged(out, TAG_TREE, edit->trees[i].tree);
        if (status == LSM_OK) status = lsm_put_u64(out, edit->trees[i].nonce);
    }
    for (size_t i = 0; status == LSM_OK && i < edit->dropped_count; i++) status = put_tagged(out, TAG_DROPPED, edit->dropped[i]);
    if (status == LSM_OK && edit->log_durable != 0) status = put_tagged(out, TAG_LOG_DURABLE, edit->log_durable);
    if (status == LSM_OK && edit->has_token) status = lsm_put_u8(out, TAG_TOKEN);
    if (status == LSM_OK && edit->has_token) status = lsm_buf_append(out, edit->token, sizeof edit->token);
    return status;
}

int lsm_edit_encode(const struct lsm_edit *edit, struct lsm_buf *out) {
    assert(!edit->full || (edit->removed_count == 0 && edit->dropped_count == 0));
    size_t before = out->size;
    int status = put_all(out, edit);
    if (status != LSM_OK) out->size = before;
    return status;
}

/* ---- decoding --------------------------------------------------------------------------------------------------- */

static int malformed(const char *what, struct lsm_error *err) { return lsm_fail(err, LSM_CORRUPT, "malformed manifest record: %s", what); }
static int newer(const char *what, unsigned value, struct lsm_error *err) {
    return lsm_fail(err, LSM_UNSUPPORTED, "manifest record with unknown %s %u; use a newer release", what, value);
}

static int get_tree(struct lsm_decoder *in, uint32_t *value, struct lsm_error *err) {
    uint64_t wide = lsm_get_varint(in);
    if (in->failed || wide < 1 || wide > LSM_TREE_MAX) return malformed("a tree id out of range", err);
    *value = (uint32_t)wide;
    return LSM_OK;
}

/* Are the numbers of a file's meta possible together? Keys come later. */
static int check_numbers(int level, uint64_t run, const struct lsm_file_meta *meta, struct lsm_error *err) {
    if (level >= LSM_LEVELS) return malformed("a level out of range", err);
    if (level != 0 && run != 0) return malformed("a run number below level 0", err);
    if (meta->number == 0) return malformed("file number 0", err);
    if (meta->log_low > meta->log_high) return malformed("a log interval that ends before it begins", err);
    if (meta->tombstones > meta->entries) return malformed("more tombstones than entries", err);
    if (meta->compression > LSM_COMPRESS_ZSTD) return newer("compression", meta->compression, err);
    return LSM_OK;
}

static int get_keys(struct lsm_decoder *in, struct lsm_file_meta *meta, struct lsm_error *err) {
    struct lsm_slice smallest = lsm_get_bytes(in, STORED_KEY_BYTES_MAX), largest = lsm_get_bytes(in, STORED_KEY_BYTES_MAX);
    if (in->failed || smallest.size < STORED_KEY_BYTES_MIN || largest.size < STORED_KEY_BYTES_MIN) {
        return malformed("a key of impossible length", err);
    }
    int order = lsm_slice_compare(smallest, largest);
    if (order > 0 || (order == 0 && meta->largest_exclusive)) return malformed("a file whose smallest key is above its largest", err);
    if (lsm_buf_set(&meta->smallest, smallest) != LSM_OK || lsm_buf_set(&meta->largest, largest) != LSM_OK) {
        return lsm_fail_nomem(err, smallest.size + largest.size);
    }
    return LSM_OK;
}

static int get_meta(struct lsm_decoder *in, struct lsm_file_meta *meta, int level, uint64_t run, struct lsm_error *err) {
    meta->number = lsm_get_varint(in);
    meta->bytes = lsm_get_varint(in);
    meta->checksum = lsm_get_u64(in);
    meta->log_low = lsm_get_varint(in);
    meta->log_high = lsm_get_varint(in);
    meta->entries = lsm_get_varint(in);
    meta->tombstones = lsm_get_varint(in);
    meta->range_tombstones = lsm_get_varint(in);
    meta->raw_bytes = lsm_get_varint(in);
    meta->compression = lsm_get_u8(in);
    uint8_t flags = lsm_get_u8(in);
    if (in->failed) return malformed("it ends within a file's description", err);
    int status = check_numbers(level, run, meta, err);
    if (status != LSM_OK) return status;
    if ((flags & ~(unsigned)FLAG_LARGEST_EXCLUSIVE) != 0) return newer("file flags", flags, err);
    meta->largest_exclusive = (flags & FLAG_LARGEST_EXCLUSIVE) != 0;
    return get_keys(in, meta, err);
}

static int get_file(struct lsm_decoder *in, struct lsm_edit *edit, struct lsm_error *err) {
    int level = lsm_get_u8(in);
    uint64_t run = lsm_get_varint(in);
    struct lsm_file_meta *meta = lsm_file_meta_new();
    if (meta == NULL) return lsm_fail_nomem(err, sizeof *meta);
    int status = get_meta(in, meta, level, run, err);
    if (status == LSM_OK && lsm_edit_add_file(edit, level, run, meta) != LSM_OK) status = lsm_fail_nomem(err, sizeof *edit->added);
    lsm_file_meta_unref(meta);
    return status;
}

/* Each field that stands exactly once gives the value of its tag; they follow each other, so reading them is checking their order. */
static int get_scalars(struct lsm_decoder *in, struct lsm_edit *edit, struct lsm_error *err) {
    uint64_t next_tree = 0;
    uint64_t *const values[] = {&edit->next_file, &edit->log_position, &edit->log_generation, &next_tree, &edit->time_us};
    uint8_t tag = lsm_get_u8(in);
    if (tag == TAG_FULL) {
        edit->full = true;
        tag = lsm_get_u8(in);
    }
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (i > 0) tag = lsm_get_u8(in);
        if (!in->failed && tag > TAG_LAST) return newer("tag", tag, err);
        if (tag != TAG_NEXT_FILE + i) return malformed("a field is missing, double or out of order", err);
        *values[i] = lsm_get_varint(in);
    }
    if (in->failed) return malformed("it ends too early", err);
    if (next_tree > UINT32_MAX) return malformed("a tree id out of range", err);
    edit->next_tree = (uint32_t)next_tree;
    return LSM_OK;
}

static int get_field(struct lsm_decoder *in, uint8_t tag, struct lsm_edit *edit, struct lsm_error *err) {
    struct lsm_tree_info tree = {0};
    if (edit->full && (tag == TAG_REMOVED || tag == TAG_DROPPED)) return malformed("a full record that takes away", err);
    if (tag == TAG_ADDED) return get_file(in, edit, err);
    if (tag == TAG_REMOVED) {
        uint64_t number = lsm_get_varint(in);
        if (in->failed || number == 0) return malformed("file number 0", err);
        return lsm_edit_remove_file(edit, number) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, sizeof number);
    }
    if (tag == TAG_LOG_DURABLE) {
        if (edit->log_durable != 0) return malformed("a field is double", err);
        edit->log_durable = lsm_get_varint(in);
        return in->failed || edit->log_durable == 0 ? malformed("log position 0", err) : LSM_OK;
    }
    if (tag == TAG_TOKEN) {
        if (edit->has_token) return malformed("a field is double", err);
        struct lsm_slice token = lsm_get_fixed(in, sizeof edit->token);
        if (in->failed) return malformed("it ends within a token", err);
        memcpy(edit->token, token.data, sizeof edit->token);
        edit->has_token = true;
        return LSM_OK;
    }
    int status = get_tree(in, &tree.tree, err);
    if (status != LSM_OK) return status;
    if (tag == TAG_TREE) {
        tree.nonce = lsm_get_u64(in);
        if (in->failed) return malformed("it ends within a tree's description", err);
        return lsm_edit_add_tree(edit, tree) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, sizeof tree);
    }
    return lsm_edit_drop_tree(edit, tree.tree) == LSM_OK ? LSM_OK : lsm_fail_nomem(err, sizeof tree.tree);
}

/* ---- no number twice ---- */

static void sift(uint64_t *heap, size_t i, size_t count) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count) return;
        if (child + 1 < count && heap[child + 1] > heap[child]) child++;
        if (heap[i] >= heap[child]) return;
        uint64_t moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
        i = child;
    }
}

/* Heap sort: in place, never quadratic, and unlike qsort() it allocates nothing behind our back. */
static bool has_duplicates(uint64_t *numbers, size_t count) {
    for (size_t i = count / 2; i-- > 0;) sift(numbers, i, count);
    for (size_t left = count; left > 1; left--) {
        uint64_t greatest = numbers[0];
        numbers[0] = numbers[left - 1];
        numbers[left - 1] = greatest;
        sift(numbers, 0, left - 1);
    }
    for (size_t i = 1; i < count; i++) {
        if (numbers[i] == numbers[i - 1]) return true;
    }
    return false;
}

static int check_unique(const struct lsm_edit *edit, struct lsm_error *err) {
    size_t most = edit->added_count;
    if (edit->removed_count > most) most = edit->removed_count;
    if (edit->trees_count > most) most = edit->trees_count;
    if (edit->dropped_count > most) most = edit->dropped_count;
    if (most < 2) return LSM_OK;
    uint64_t *numbers = lsm_malloc(most * sizeof *numbers);
    if (numbers == NULL) return lsm_fail_nomem(err, most * sizeof *numbers);

    int status = LSM_OK;
    for (size_t i = 0; i < edit->added_count; i++) numbers[i] = edit->added[i].meta->number;
    if (has_duplicates(numbers, edit->added_count)) status = malformed("a file added twice", err);
    for (size_t i = 0; i < edit->removed_count; i++) numbers[i] = edit->removed[i];
    if (has_duplicates(numbers, edit->removed_count)) status = malformed("a file removed twice", err);
    for (size_t i = 0; i < edit->trees_count; i++) numbers[i] = edit->trees[i].tree;
    if (has_duplicates(numbers, edit->trees_count)) status = malformed("a tree created twice", err);
    for (size_t i = 0; i < edit->dropped_count; i++) numbers[i] = edit->dropped[i];
    if (has_duplicates(numbers, edit->dropped_count)) status = malformed("a tree dropped twice", err);
    lsm_free(numbers);
    return status;
}

static int decode(struct lsm_decoder *in, struct lsm_edit *edit, struct lsm_error *err) {
    uint8_t version = lsm_get_u8(in);
    if (in->failed) return malformed("it is empty", err);
    if (version != EDIT_VERSION) return newer("encoding version", version, err);
    int status = get_scalars(in, edit, err);
    uint8_t last = TAG_ADDED;
    while (status == LSM_OK && lsm_decoder_left(in) > 0) {
        uint8_t tag = lsm_get_u8(in);
        if (tag == 0 || tag > TAG_LAST) return newer("tag", tag, err);
        if (tag < last) return malformed("a field is double or out of order", err);
        last = tag;
        status = get_field(in, tag, edit, err);
    }
    return status == LSM_OK ? check_unique(edit, err) : status;
}

int lsm_edit_decode(struct lsm_slice bytes, struct lsm_edit *edit, struct lsm_error *err) {
    struct lsm_decoder in = lsm_decoder_of(bytes);
    *edit = (struct lsm_edit){0};
    int status = decode(&in, edit, err);
    if (status != LSM_OK) lsm_edit_release(edit);
    return status;
}
