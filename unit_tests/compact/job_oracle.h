/* job_oracle.h: what must come out of a job over a world, for every key. Header only. */
#ifndef TEST_JOB_ORACLE_H
#define TEST_JOB_ORACLE_H

#include "job_kit.h"

static inline bool range_covers(const struct range *range, int k) { return range->low <= k && k < range->high; }

/* Which content's value a reader of contents [from, all) sees; -1: none. */
static inline int visible(const struct world *world, size_t from, int k) {
    for (size_t r = from; r < world->all; r++) {
        const struct content *content = &world->contents[r];
        bool covered = false, hidden = false;
        for (int i = 0; i < content->ranges_count; i++) {
            covered |= range_covers(&content->ranges[i], k);
            hidden |= range_covers(&content->ranges[i], k) && content->memory && content->ranges[i].sequence > content->sequences[k];
        }
        if (content->kinds[k] != 0 && !hidden) return content->kinds[k] == LSM_KIND_PUT ? (int)r : -1;
        if (covered) return -1;
    }
    return -1;
}

static inline bool file_may_hold(const struct lsm_file_meta *meta, struct lsm_slice low, struct lsm_slice high_exclusive) {
    int order = lsm_slice_compare(lsm_buf_slice(&meta->largest), low);
    return lsm_slice_compare(lsm_buf_slice(&meta->smallest), high_exclusive) < 0 && (order > 0 || (order == 0 && !meta->largest_exclusive));
}

static inline bool older_may_hold(const struct world *world, struct lsm_slice low, struct lsm_slice high_exclusive) {
    for (size_t r = world->sources; r < world->all; r++)
        for (size_t i = 0; i < world->files_count[r]; i++)
            if (file_may_hold(world->files[r][i], low, high_exclusive)) return true;
    return false;
}

struct expected {
    int kinds[KEYS]; /* 0: no entry */
    size_t from[KEYS];
    bool ranged[KEYS];
};

/* Key by key, as drop.h draws it. */
static inline void expect(const struct world *world, struct expected *expected) {
    memset(expected, 0, sizeof *expected);
    for (int k = 0; k < KEYS; k++) {
        size_t newest = 0;
        while (newest < world->sources && world->contents[newest].kinds[k] == 0) newest++;
        bool covered = false;
        for (size_t r = 0; r < world->sources; r++)
            for (int i = 0; i < world->contents[r].ranges_count; i++) {
                const struct range *range = &world->contents[r].ranges[i];
                if (!range_covers(range, k)) continue;
                covered |= r < newest || (r == newest && world->contents[r].memory && range->sequence > world->contents[r].sequences[k]);
                expected->ranged[k] |= older_may_hold(world, bound(range->low), bound(range->high));
            }
        if (newest == world->sources || covered) continue;
        uint8_t after[KEY_BYTES + 1] = {0};
        memcpy(after, key_bytes[k], KEY_BYTES);
        if (world->contents[newest].kinds[k] == LSM_KIND_DELETE && !older_may_hold(world, key_of(k), lsm_slice_of(after, sizeof after))) continue;
        expected->kinds[k] = world->contents[newest].kinds[k];
        expected->from[k] = newest;
    }
}

/* What the files say. kinds, values and ranges of each key; files must not overlap and verify. */
static inline void read_output(struct world *world, const struct lsm_job *job, int kinds[KEYS], uint8_t marks[KEYS], bool ranged[KEYS]) {
    struct lsm_edit edit = {0};
    struct lsm_version *version;
    int last = -1;
    memset(kinds, 0, KEYS * sizeof kinds[0]);
    memset(ranged, 0, KEYS * sizeof ranged[0]);
    for (size_t i = 0; i < job->files_count; i++) {
        struct lsm_file_meta *meta = job->files[i];
        struct lsm_sst *sst;
        struct lsm_sst_iter iter;
        size_t ranges_count;
        assert_true(meta->log_low == 5 && meta->log_high == 50);
        assert_int_equal(lsm_edit_add_file(&edit, 6, 0, meta), LSM_OK);
        kit_ok(lsm_version_set_table(&world->set, meta, &sst, &err), &err);
        kit_ok(lsm_sst_verify(sst, NULL, NULL, &err), &err);
        lsm_sst_iter_init(&iter, sst, false);
        for (lsm_iter_first(&iter.base); iter.base.valid; lsm_iter_next(&iter.base)) {
            int k = key_number(iter.base.key);
            assert_true(k > last);
            last = k;
            kinds[k] = iter.base.kind;
            marks[k] = iter.base.kind == LSM_KIND_PUT ? iter.base.value.data[0] : 0;
            if (iter.base.kind != LSM_KIND_PUT) continue;
            assert_true(lsm_slice_equal(iter.base.value, value_of(world, &world->contents[marks[k] - 1], k)));
        }
        assert_int_equal(iter.base.status, LSM_OK);
        lsm_iter_release(&iter.base);
        const struct lsm_sst_range *ranges = lsm_sst_ranges(sst, &ranges_count);
        assert_true(meta->entries != 0 || ranges_count != 0);
        for (size_t r = 0; r < ranges_count; r++) {
            assert_true(lsm_slice_compare(lsm_buf_slice(&meta->smallest), ranges[r].low) <= 0);
            assert_true(lsm_slice_compare(ranges[r].high, lsm_buf_slice(&meta->largest)) <= 0);
            for (int k = 0; k < KEYS; k++)
                ranged[k] |= lsm_slice_compare(ranges[r].low, key_of(k)) <= 0 && lsm_slice_compare(key_of(k), ranges[r].high) < 0;
        }
    }
    kit_ok(lsm_version_apply(NULL, &edit, &version, &err), &err); /* refuses overlap */
    for (size_t i = 0; i < job->files_count; i++) assert_ptr_equal(version->levels[6].files[i], job->files[i]);
    assert_true(lsm_version_unref(version));
    lsm_version_destroy(version);
    lsm_edit_release(&edit);
}

static inline void check_output(struct world *world, const struct lsm_job *job) {
    static struct expected expected;
    int kinds[KEYS];
    uint8_t marks[KEYS];
    bool ranged[KEYS];
    expect(world, &expected);
    read_output(world, job, kinds, marks, ranged);
    uint64_t entries = 0, bytes = 0;
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(kinds[k], expected.kinds[k]);
        assert_int_equal(ranged[k], expected.ranged[k]);
        if (kinds[k] == LSM_KIND_PUT) assert_int_equal(marks[k], expected.from[k] + 1);
        /* And what it is all about: a reader sees the same as before. */
        int now = kinds[k] == LSM_KIND_PUT ? marks[k] - 1 : kinds[k] == LSM_KIND_DELETE || ranged[k] ? -1 : visible(world, world->sources, k);
        assert_int_equal(now, visible(world, 0, k));
        entries += kinds[k] != 0;
    }
    assert_int_equal(job->entries_written, entries);
    assert_true(job->entries_read >= entries);
    for (size_t i = 0; i < job->files_count; i++) bytes += job->files[i]->bytes;
    assert_int_equal(job->bytes_written, bytes);
}

#endif
