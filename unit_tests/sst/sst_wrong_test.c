/* Table files whose every checksum is right and which are wrong all the same, as a fault in whoever wrote them would leave them: opening or verifying says what is wrong. */
#include "table_kit.h"

#include "../../lsm_core/codec/coding.h"
#include "../../lsm_core/codec/hash.h"
#include "../../lsm_core/sst/sst_format.h"
#include "../../lsm_core/sst/block.h"

static const struct lsm_sst_ident ident = {.path = KIT_PATH, .number = 7, .store_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

/* A file as bytes, with all that is needed to change it. */
struct forged {
    struct lsm_env *env;
    struct lsm_file_meta *meta;
    uint8_t *bytes;
    size_t size;
    struct lsm_sst_footer footer;
    struct lsm_sst_handle data[2]; /* the first blocks */
};

static int set_up(void **state) {
    static struct forged forged;
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(100, LSM_COMPRESS_NONE);
    struct lsm_block index;
    uint64_t data_end, before;
    forged = (struct forged){.env = lsm_env_mem_new()};
    for (uint8_t i = 0; i < 40; i++) {
        uint8_t key[] = {0, 0, 0, 5, 'k', (uint8_t)(2 * i)};
        kit_add(&rows, i % 5 == 4 ? LSM_KIND_DELETE : LSM_KIND_PUT, lsm_slice_of(key, sizeof key), lsm_slice_of("value", 5));
    }
    rows.ranges[rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("\0\0\0\6a", 5), .high = lsm_slice_of("\0\0\0\6b", 5)};
    rows.ranges[rows.range_count++] = (struct lsm_sst_range){.low = lsm_slice_of("\0\0\0\6c", 5), .high = lsm_slice_of("\0\0\0\6d", 5)};
    forged.meta = kit_write(forged.env, KIT_PATH, 7, &rows, &options);
    kit_free(&rows);
    if (lsm_env_mem_read_file(forged.env, KIT_PATH, &forged.bytes, &forged.size) != LSM_OK) return -1;
    if (lsm_sst_footer_decode(&ident, forged.bytes + forged.size - LSM_SST_FOOTER_BYTES, forged.size, &forged.footer, &data_end, NULL) != LSM_OK)
        return -1;
    if (lsm_block_open(&index, lsm_slice_of(forged.bytes + forged.footer.index.offset, (size_t)forged.footer.index.stored)) != NULL) return -1;
    for (size_t i = 0; i < 2; i++) forged.data[i] = lsm_sst_index_value_decode(lsm_block_entry(&index, i).value.data, &before);
    *state = &forged;
    return index.count >= 3 ? 0 : -1;
}

static int tear_down(void **state) {
    struct forged *forged = *state;
    lsm_file_meta_unref(forged->meta);
    lsm_free(forged->bytes);
    lsm_env_mem_free(forged->env);
    return lsm_mem_live() == 0 ? 0 : -1;
}

/* The block gets the checksum of what it is now. */
static void seal(struct forged *forged, const struct lsm_sst_handle *handle) {
    struct lsm_buf block = {0};
    assert_int_equal(lsm_buf_append(&block, forged->bytes + handle->offset, (size_t)handle->stored), LSM_OK);
    assert_int_equal(lsm_sst_trailer_append(&ident, handle->offset, LSM_COMPRESS_NONE, handle->stored, 0, &block), LSM_OK);
    memcpy(forged->bytes + handle->offset, block.data, block.size);
    lsm_buf_free(&block);
}

/* Opened, and if that succeeds verified against a checksum that fits: what is wrong in these words. */
static void expect(struct forged *forged, bool opens, int status, const char *words) {
    struct lsm_error err = {0};
    struct lsm_sst *sst;
    forged->meta->checksum = lsm_hash(forged->bytes, forged->size, 0);
    assert_int_equal(lsm_env_mem_write_file(forged->env, KIT_PATH, forged->bytes, forged->size), LSM_OK);
    int found = lsm_sst_open(forged->env, KIT_PATH, kit_store_id, forged->meta, NULL, &sst, &err);
    if ((found == LSM_OK) != opens) fail_msg("%s: %s", lsm_status_name(found), err.text);
    if (opens) found = lsm_sst_verify(sst, NULL, NULL, &err);
    if (opens) lsm_sst_close(sst);
    if (found != status || (words != NULL && strstr(err.text, words) == NULL)) fail_msg("%s: %s", lsm_status_name(found), err.text);
}

static void as_it_is_it_is_right(void **state) { expect(*state, true, LSM_OK, NULL); }

static void a_file_of_a_later_format_is_left_to_its_release(void **state) {
    struct forged *forged = *state;
    lsm_store_u32(forged->bytes + 8, LSM_SST_VERSION + 1);
    lsm_store_u64(forged->bytes + 40, lsm_hash(forged->bytes, 40, 0));
    expect(forged, false, LSM_UNSUPPORTED, "table file format 2, this release reads 1");
}

static void entries_out_of_order_are_found(void **state) {
    struct forged *forged = *state;
    uint8_t *columns = forged->bytes + forged->data[0].offset + LSM_BLOCK_HEAD_BYTES, swap[LSM_BLOCK_COLUMN_BYTES];
    memcpy(swap, columns + LSM_BLOCK_COLUMN_BYTES, sizeof swap);
    memcpy(columns + LSM_BLOCK_COLUMN_BYTES, columns + 2 * LSM_BLOCK_COLUMN_BYTES, sizeof swap);
    memcpy(columns + 2 * LSM_BLOCK_COLUMN_BYTES, swap, sizeof swap);
    seal(forged, &forged->data[0]);
    expect(forged, true, LSM_CORRUPT, "keys are not in ascending order");
}

static void a_filter_that_hides_a_key_is_found(void **state) {
    struct forged *forged = *state;
    memset(forged->bytes + forged->footer.filter.offset, 0, (size_t)forged->footer.filter.stored - 1);
    seal(forged, &forged->footer.filter);
    expect(forged, true, LSM_CORRUPT, "the filter does not know a key");
}

/* The separator of the second block: too small, it follows on a key of the first one; too large, it hides the block's own first key. */
static void an_index_that_leads_elsewhere_is_found(void **state) {
    struct forged *forged = *state;
    uint8_t *column = forged->bytes + forged->footer.index.offset + LSM_BLOCK_HEAD_BYTES + LSM_BLOCK_COLUMN_BYTES;
    for (size_t at = 0; at < LSM_BLOCK_COLUMN_BYTES; at++) {
        if (column[at] == 0) continue;
        for (int by = -2; by <= 1; by += 3) { /* every other key is there */
            column[at] = (uint8_t)(column[at] + by);
            seal(forged, &forged->footer.index);
            expect(forged, true, LSM_CORRUPT, "the index leads to it for the wrong keys");
            column[at] = (uint8_t)(column[at] - by);
        }
        return;
    }
    fail();
}

/* A separator in the middle that is smaller than all: whoever looks for an earlier block is led behind it. */
static void an_index_out_of_order_is_found_by_the_blocks_before(void **state) {
    struct forged *forged = *state;
    uint8_t *payload = forged->bytes + forged->footer.index.offset;
    size_t count = lsm_load_u32(payload);
    assert_true(count >= 4);
    for (size_t i = count / 2; i >= 2; i--) {
        uint8_t *column = payload + LSM_BLOCK_HEAD_BYTES + i * LSM_BLOCK_COLUMN_BYTES, was[LSM_BLOCK_COLUMN_BYTES];
        memcpy(was, column, sizeof was);
        memset(column, 0, sizeof was);
        column[LSM_BLOCK_COLUMN_BYTES - 1] = 1;
        seal(forged, &forged->footer.index);
        expect(forged, true, LSM_CORRUPT, "the index leads to it for the wrong keys");
        memcpy(column, was, sizeof was);
    }
}

/* The properties are the manifest's; the entries are others. */
static void counts_and_bounds_that_differ_from_the_entries_are_found(void **state) {
    struct forged *forged = *state;
    struct lsm_sst *sst;
    struct lsm_file_meta *meta = forged->meta;
    assert_int_equal(lsm_sst_open(forged->env, KIT_PATH, kit_store_id, meta, NULL, &sst, NULL), LSM_OK);
    uint64_t *const numbers[] = {&meta->tombstones, &meta->raw_bytes};
    for (size_t i = 0; i < 2; i++) {
        struct lsm_error err = {0};
        (*numbers[i])++;
        assert_int_equal(lsm_sst_verify(sst, NULL, NULL, &err), LSM_CORRUPT);
        assert_non_null(strstr(err.text, "counts or key range differ"));
        (*numbers[i])--;
    }
    meta->largest_exclusive = !meta->largest_exclusive;
    assert_int_equal(lsm_sst_verify(sst, NULL, NULL, NULL), LSM_CORRUPT);
    meta->largest_exclusive = !meta->largest_exclusive;
    struct lsm_buf *const bounds[] = {&meta->smallest, &meta->largest};
    for (size_t i = 0; i < 2; i++) {
        bounds[i]->data[4] ^= 1;
        assert_int_equal(lsm_sst_verify(sst, NULL, NULL, NULL), LSM_CORRUPT);
        bounds[i]->data[4] ^= 1;
    }
    meta->entries++;
    assert_int_equal(lsm_sst_verify(sst, NULL, NULL, NULL), LSM_CORRUPT);
    meta->entries--;
    assert_int_equal(lsm_sst_verify(sst, NULL, NULL, NULL), LSM_OK);
    lsm_sst_close(sst);
}

/* Properties with another number of ranges, as many bytes long. */
static void say_ranges(struct forged *forged, uint8_t count) {
    const struct lsm_sst_handle *handle = &forged->footer.properties;
    struct lsm_sst_properties properties;
    struct lsm_buf out = {0};
    assert_int_equal(
        lsm_sst_properties_decode(&ident, handle, lsm_slice_of(forged->bytes + handle->offset, (size_t)handle->stored), &properties, NULL), LSM_OK);
    properties.range_tombstones = forged->meta->range_tombstones = count;
    assert_int_equal(lsm_sst_properties_encode(&properties, &out), LSM_OK);
    assert_int_equal(out.size, handle->stored);
    memcpy(forged->bytes + handle->offset, out.data, out.size);
    lsm_buf_free(&out);
    seal(forged, handle);
}

static void ranges_that_are_not_those_of_the_manifest_are_refused(void **state) {
    struct forged *forged = *state;
    say_ranges(forged, 1);
    expect(forged, false, LSM_CORRUPT, "wrong number of range tombstones");
    /* More than so many bytes can hold: nothing is allocated for them. */
    say_ranges(forged, 100);
    forged->bytes[forged->footer.ranges.offset] = 100;
    seal(forged, &forged->footer.ranges);
    expect(forged, false, LSM_CORRUPT, "wrong number of range tombstones");
}

static void ranges_out_of_order_are_refused(void **state) {
    struct forged *forged = *state;
    uint8_t *payload = forged->bytes + forged->footer.ranges.offset, was[25];
    assert_int_equal(forged->footer.ranges.stored, sizeof was); /* a count, and four times a length and five bytes */
    memcpy(was, payload, sizeof was);
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {{6, 'b'}, {6, 'x'}, {18, 'a'}, {13, 200}, {1, 4}, {0, 1}};
    for (size_t i = 0; i + 1 < sizeof changes / sizeof changes[0]; i++) {
        payload[changes[i].at] = changes[i].byte;
        seal(forged, &forged->footer.ranges);
        expect(forged, false, LSM_CORRUPT, "malformed range tombstones");
        memcpy(payload, was, sizeof was);
    }
    /* One fewer is there than bytes are. */
    say_ranges(forged, 1);
    payload[0] = 1;
    seal(forged, &forged->footer.ranges);
    expect(forged, false, LSM_CORRUPT, "malformed range tombstones");
}

/* The footer leads past them; what it leads to instead lies where it must. */
static void ranges_that_are_missing_are_missed(void **state) {
    struct forged *forged = *state;
    struct kit_rows rows = {0};
    struct lsm_sst_options options = kit_options(256, LSM_COMPRESS_NONE);
    uint64_t data_end;
    kit_add_text(&rows, "abcde", "x");
    assert_int_equal(lsm_env_unlink(forged->env, KIT_PATH, NULL), LSM_OK);
    lsm_file_meta_unref(forged->meta);
    forged->meta = kit_write(forged->env, KIT_PATH, 7, &rows, &options);
    kit_free(&rows);
    lsm_free(forged->bytes);
    assert_int_equal(lsm_env_mem_read_file(forged->env, KIT_PATH, &forged->bytes, &forged->size), LSM_OK);
    assert_int_equal(
        lsm_sst_footer_decode(&ident, forged->bytes + forged->size - LSM_SST_FOOTER_BYTES, forged->size, &forged->footer, &data_end, NULL), LSM_OK);
    say_ranges(forged, 1);
    expect(forged, false, LSM_CORRUPT, "range tombstones missing");
}

static void a_file_shorter_than_any_table_is_refused(void **state) {
    struct forged *forged = *state;
    forged->size = forged->meta->bytes = LSM_SST_BLOCKS_BYTES_MIN - 1;
    expect(forged, false, LSM_CORRUPT, "the file has 167 bytes, expected 167");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(as_it_is_it_is_right),
        TEST(a_file_of_a_later_format_is_left_to_its_release),
        TEST(entries_out_of_order_are_found),
        TEST(a_filter_that_hides_a_key_is_found),
        TEST(an_index_that_leads_elsewhere_is_found),
        TEST(an_index_out_of_order_is_found_by_the_blocks_before),
        TEST(counts_and_bounds_that_differ_from_the_entries_are_found),
        TEST(ranges_that_are_not_those_of_the_manifest_are_refused),
        TEST(ranges_out_of_order_are_refused),
        TEST(ranges_that_are_missing_are_missed),
        TEST(a_file_shorter_than_any_table_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
