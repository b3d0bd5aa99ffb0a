/* Lookups: rows are found by their number in the order in which they came, from memory and from a file; and hashes are the same where SQLite may hold values equal. */
#include "../../ext/lookup.h"
#include "../../ext/lookups.h"
#include "../../ext/value_hash.h"
#include "../support/sqlite_memory.h"
#include "database.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Row i has the hash i % groups; every seventh record is too long to be copied. */
static int fill(struct vt_lookup *lookup, int rows, int groups, char **message) {
    uint8_t record[VT_LOOKUP_RECORD_MAX + 1];
    memset(record, 'r', sizeof record);
    int rc = SQLITE_OK;
    for (int i = 0; i < rows && rc == SQLITE_OK; i++) {
        struct lsm_slice key = {.data = (const uint8_t *)&i, .size = sizeof i};
        struct lsm_slice value = {.data = record, .size = i % 7 == 0 ? sizeof record : (size_t)(i % 60)};
        rc = vt_lookup_add(lookup, (uint64_t)(i % groups) << 40, key, value, message);
    }
    return rc == SQLITE_OK ? vt_lookup_finish(lookup, message) : rc;
}

static struct vt_lookup *filled(int rows, int groups, size_t bytes_max) {
    struct vt_lookup *lookup = vt_lookup_new(bytes_max);
    assert_int_equal(fill(lookup, rows, groups, NULL), SQLITE_OK);
    return lookup;
}

static void expect_group(struct vt_found *found, struct vt_lookup *lookup, int rows, int groups, int group) {
    assert_int_equal(vt_found_seek(found, lookup, (uint64_t)group << 40, NULL), SQLITE_OK);
    for (int i = group; i < rows && group < groups; i += groups) {
        int key;
        assert_int_equal(vt_found_next(found, NULL), SQLITE_OK);
        assert_true(found->on);
        assert_int_equal(found->key.size, sizeof key);
        memcpy(&key, found->key.data, sizeof key);
        assert_int_equal(key, i);
        assert_int_equal(found->has_record, i % 7 != 0);
        if (found->has_record) assert_int_equal(found->record.size, i % 60);
        if (found->has_record && i % 60 > 0) assert_int_equal(found->record.data[i % 60 - 1], 'r');
    }
    assert_int_equal(vt_found_next(found, NULL), SQLITE_OK);
    assert_false(found->on);
}

static void expect_all(int rows, int groups, size_t bytes_max, bool filed) {
    struct vt_lookup *lookup = filled(rows, groups, bytes_max);
    struct vt_found one = {0}, other = {0};
    assert_int_equal(lookup->file != NULL, filed);
    assert_true(lookup->bytes <= bytes_max + ((size_t)2 << 20));
    for (int group = 0; group <= groups; group++) {
        expect_group(&one, lookup, rows, groups, group);
        expect_group(&other, lookup, rows, groups, groups - group);
    }
    vt_lookup_unref(lookup); /* the walks hold it */
    expect_group(&one, lookup, rows, groups, 0);
    vt_found_release(&one);
    vt_found_release(&other);
}

static void rows_come_back_in_the_order_they_were_added(void **unused) {
    (void)unused;
    expect_all(0, 1, 1 << 20, false);
    expect_all(1, 1, 1 << 20, false);
    expect_all(3000, 100, 1 << 20, false);
    expect_all(3000, 1, 1 << 20, false);
}

static void what_is_too_much_for_memory_goes_to_a_file(void **unused) {
    (void)unused;
    expect_all(3000, 100, 4096, true);
    expect_all(3000, 7, 4096, true); /* several of one hash go there at a time */
    expect_all(3000, 2, 1, true);
    expect_all(60000, 30000, 1 << 20, true);
}

static void a_walk_that_was_asked_for_before_is_known(void **unused) {
    (void)unused;
    struct vt_lookups lookups = {0};
    struct lsm_slice a = {.data = (const uint8_t *)"one walk", .size = 8}, b = {.data = (const uint8_t *)"other one", .size = 9};
    assert_false(vt_lookups_seen(&lookups, a));
    assert_true(vt_lookups_seen(&lookups, a));
    assert_false(vt_lookups_seen(&lookups, b));
    assert_null(vt_lookups_find(&lookups, a));
    for (int i = 0; i < 200; i++) { /* more than are kept */
        struct vt_lookup *lookup = filled(i, 7, 1 << 20);
        assert_int_equal(vt_bytes_set(&lookup->name, (struct lsm_slice){.data = (const uint8_t *)&i, .size = sizeof i}), SQLITE_OK);
        vt_lookups_add(&lookups, lookup);
        vt_lookup_unref(lookup);
    }
    int last = 199, first = 0;
    struct vt_lookup *found = vt_lookups_find(&lookups, (struct lsm_slice){.data = (const uint8_t *)&last, .size = sizeof last});
    assert_non_null(found);
    assert_int_equal(found->count, 199);
    assert_null(vt_lookups_find(&lookups, (struct lsm_slice){.data = (const uint8_t *)&first, .size = sizeof first}));
    assert_true(vt_lookups_room(&lookups) > 1 << 20);
    vt_lookups_clear(&lookups);
    assert_false(vt_lookups_seen(&lookups, a));
    assert_int_equal(lookups.count, 0);
}

static void walks_that_take_turns_are_all_known(void **unused) {
    (void)unused;
    static struct vt_lookups lookups;
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < VT_LOOKUPS_SEEN; i++) {
            bool fresh;
            assert_int_equal(vt_lookups_seen(&lookups, (struct lsm_slice){.data = (const uint8_t *)&i, .size = sizeof i}), turn);
            struct vt_lookups_kind *kind = vt_lookups_kind(&lookups, (uint64_t)i << 1, &fresh);
            assert_int_equal(fresh, !turn);
            assert_int_equal(kind->rows, turn * i);
            kind->rows += i;
        }
    }
    vt_lookups_clear(&lookups);
    bool fresh;
    (void)vt_lookups_kind(&lookups, 2, &fresh);
    assert_true(fresh);
}

/* Fill one and read a group of it; *rows: how many there were. */
static int make_and_read(size_t bytes_max, int *rows) {
    struct vt_found found = {0};
    char *message = NULL;
    struct vt_lookup *lookup = vt_lookup_new(bytes_max);
    int rc = lookup == NULL ? SQLITE_NOMEM : fill(lookup, 300, 5, &message);
    *rows = 0;
    if (rc == SQLITE_OK) rc = vt_found_seek(&found, lookup, (uint64_t)3 << 40, &message);
    while (rc == SQLITE_OK && (rc = vt_found_next(&found, &message)) == SQLITE_OK && found.on) ++*rows;
    if (rc == SQLITE_OK) rc = vt_found_seek(&found, lookup, (uint64_t)2 << 40, &message);
    if (rc == SQLITE_OK) assert_null(message);
    vt_found_release(&found);
    vt_lookup_unref(lookup);
    sqlite3_free(message);
    return rc;
}

static void a_lookup_without_memory_says_so_and_leaks_nothing(void **unused) {
    (void)unused;
    static const size_t bytes_max[] = {1 << 20, 4096};
    int rows;
    for (int i = 0; i < COUNT(bytes_max); i++) {
        assert_int_equal(make_and_read(bytes_max[i], &rows), SQLITE_OK);
        sqlite3_int64 used = sqlite3_memory_used();
        bool hit = true;
        for (int64_t n = 1; hit; n++) {
            sqlite_memory_fail_after(n, false);
            int rc = make_and_read(bytes_max[i], &rows);
            sqlite_memory_fail_after(0, false);
            hit = sqlite_memory_failed();
            if (rc == SQLITE_OK) assert_int_equal(rows, 60); /* SQLite can do without some */
            if (rc != SQLITE_OK) assert_true(hit && (rc == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM || rc == SQLITE_CANTOPEN));
            assert_int_equal(sqlite3_memory_used(), used);
        }
    }
}

static void those_that_nobody_holds_make_room_for_others_the_oldest_first(void **unused) {
    (void)unused;
    struct vt_lookups lookups = {0};
    for (int i = 0; i < 6; i++) {
        struct vt_lookup *lookup = filled(i, 7, 1 << 20);
        assert_int_equal(vt_bytes_set(&lookup->name, (struct lsm_slice){.data = (const uint8_t *)&i, .size = sizeof i}), SQLITE_OK);
        lookup->bytes = (size_t)1 << 30; /* more than all may have */
        vt_lookups_add(&lookups, lookup);
        if (i != 1 && i != 4) vt_lookup_unref(lookup);
    }
    struct vt_lookup *held[] = {lookups.first->next, lookups.first->next->next->next->next};
    size_t least = vt_lookups_room(&lookups); /* though there is none */
    assert_true(least > 0);
    assert_int_equal(lookups.count, 2);
    assert_ptr_equal(lookups.first, held[0]);
    assert_ptr_equal(lookups.first->next, held[1]);
    assert_int_equal(held[1]->count, 1);
    held[0]->bytes = held[1]->bytes = 0;
    assert_true(vt_lookups_room(&lookups) > least);
    assert_int_equal(lookups.count, 2);
    for (int i = 0; i < 2; i++) vt_lookup_unref(held[i]);
    vt_lookups_clear(&lookups);
    assert_int_equal(lookups.count, 0);
}

static uint64_t hash_of(const struct vt_value *value) {
    struct vt_hasher hasher = {.db = db};
    uint64_t hash = 0;
    assert_int_equal(vt_hash_value(&hasher, value, &hash), SQLITE_OK);
    vt_hasher_release(&hasher);
    return hash;
}

/* Whatever SQLite's comparison, with any affinity and built-in collation on either side: equal values have equal hashes. SQLite is asked. */
static void values_that_sqlite_holds_equal_have_the_same_hash(void **unused) {
    (void)unused;
    static const char *const values[] = {"NULL",
                                         "0",
                                         "-0.0",
                                         "0.0",
                                         "1",
                                         "1.0",
                                         "-1",
                                         "2.5",
                                         "'2.5'",
                                         "'2.50'",
                                         "' 2.5'",
                                         "'+2.5'",
                                         "'25e-1'",
                                         "'1'",
                                         "'01'",
                                         "'+1'",
                                         "' 1 '",
                                         "'1.0'",
                                         "'1e0'",
                                         "'a'",
                                         "'A'",
                                         "'a  '",
                                         "'A '",
                                         "'aB'",
                                         "'Ab'",
                                         "''",
                                         "' '",
                                         "'  '",
                                         "x''",
                                         "x'61'",
                                         "x'6161'",
                                         "9007199254740993",
                                         "9007199254740992.0",
                                         "'9007199254740993'",
                                         "'9007199254740993.0'",
                                         "9223372036854775807",
                                         "'9223372036854775807'",
                                         "9223372036854775808.0",
                                         "'9223372036854775808'",
                                         "-9223372036854775808",
                                         "'-9223372036854775808'",
                                         "1e300",
                                         "'1e300'",
                                         "'1E300'",
                                         "9e999",
                                         "'9e999'",
                                         "'0.1'",
                                         "0.1",
                                         "'.1'",
                                         "'1.'",
                                         "1e18",
                                         "'1000000000000000000'",
                                         "'1e18'",
                                         "'longer than eight bytes'",
                                         "'LONGER than eight BYTES   '",
                                         "'longer than eight byteS.'",
                                         "'0x10'",
                                         "16",
                                         "'-'",
                                         "'1 2'"};
    static const char *const types[] = {"TEXT",    "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "", "COLLATE NOCASE", "INTEGER", "REAL",
                                        "NUMERIC", "BLOB COLLATE RTRIM"};
    int equal = 0;
    for (int i = 0; i < COUNT(types); i++) {
        char *sql = sqlite3_mprintf("CREATE TABLE v%d(c %s)", i, types[i]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_free(sql);
        for (int k = 0; k < COUNT(values); k++) {
            sql = sqlite3_mprintf("INSERT INTO v%d VALUES (%s)", i, values[k]);
            assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
            sqlite3_free(sql);
        }
    }
    for (int pair = 0; pair < COUNT(types) * COUNT(types); pair++) {
        int left = pair % COUNT(types), right = pair / COUNT(types);
        char *sql = sqlite3_mprintf("SELECT l.c, r.c, typeof(r.c), quote(l.c), quote(r.c) FROM v%d AS l JOIN v%d AS r ON l.c IS r.c", left, right);
        sqlite3_stmt *statement;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            struct vt_value a, b;
            if (left < 3 && sqlite3_column_type(statement, 1) == SQLITE_FLOAT) continue; /* what is not covered */
            assert_int_equal(vt_value_of(sqlite3_column_value(statement, 0), &a), SQLITE_OK);
            assert_int_equal(vt_affinity_apply(sqlite3_column_value(statement, 1), VT_AFFINITY_NUMERIC, &b), SQLITE_OK); /* as a right-hand side is */
            if (hash_of(&a) != hash_of(&b)) {
                fail_msg("%s (%s) and %s (%s) are equal", sqlite3_column_text(statement, 3), types[left], sqlite3_column_text(statement, 4),
                         types[right]);
            }
            equal++;
        }
        sqlite3_finalize(statement);
        sqlite3_free(sql);
    }
    assert_true(equal > COUNT(types) * COUNT(types) * COUNT(values) / 2);
}

static void other_values_mostly_have_other_hashes(void **unused) {
    (void)unused;
    enum { VALUES = 20000 };
    static uint32_t buckets[1 << 15];
    int crowded = 0;
    for (int i = 0; i < VALUES; i++) {
        char text[32];
        struct vt_value number = vt_value_int(i),
                        named = vt_value_bytes(SQLITE_TEXT, text, strlen(sqlite3_snprintf(sizeof text, text, "name %d", i)));
        assert_int_not_equal(hash_of(&number), hash_of(&named));
        if (++buckets[hash_of(&number) & 0x7fff] > 8) crowded++;
        if (++buckets[hash_of(&named) & 0x7fff] > 8) crowded++;
    }
    assert_true(crowded < 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_in_the_order_they_were_added),
        cmocka_unit_test(what_is_too_much_for_memory_goes_to_a_file),
        cmocka_unit_test(a_walk_that_was_asked_for_before_is_known),
        cmocka_unit_test(walks_that_take_turns_are_all_known),
        cmocka_unit_test(a_lookup_without_memory_says_so_and_leaks_nothing),
        cmocka_unit_test(those_that_nobody_holds_make_room_for_others_the_oldest_first),
        cmocka_unit_test(values_that_sqlite_holds_equal_have_the_same_hash),
        cmocka_unit_test(other_values_mostly_have_other_hashes),
    };
    sqlite_memory_take();
    return cmocka_run_group_tests(tests, open_plain, close_database);
}
