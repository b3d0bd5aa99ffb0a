/* SQLite's WAL as its file and its index say it is: what is no WAL has no frames, what does not agree is refused, what cannot be read is an error. The file is a real one; where SQLite
 * would have to be at fault, or the disk, its handle's methods are others. */
#include <fcntl.h>
#include <unistd.h>

#include "../../ext/connection.h"
#include "../../ext/journal.h"
#include "../../ext/wal_file.h"
#include "database.h"

enum { PAGE_BYTES = 4096, FRAME_BYTES = PAGE_BYTES + 24, HEADER_BYTES = 32 };

static struct vt_space *space;

static int set_up(void **unused) {
    (void)unused;
    scratch_make();
    open_file();
    must("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; CREATE VIRTUAL TABLE l USING lsm(v); CREATE TABLE o(v);"
         "INSERT INTO o VALUES ('first'); INSERT INTO o VALUES ('second row')");
    struct vt_connection *connection = vt_connection_ref(db);
    space = connection->spaces;
    vt_connection_unref(connection);
    return 0;
}

static struct vt_wal_file look(void) {
    struct vt_wal_file wal;
    assert_int_equal(vt_wal_file_look(space, &wal, NULL), SQLITE_OK);
    return wal;
}

/* ---- the file ---------------------------------------------------------------------------------------------------------------------- */

/* Other bytes in the header of the log, and back. */
static void exchange(uint8_t *bytes, size_t size, off_t offset) {
    uint8_t old[8];
    int fd = open(scratch_path("test.db-wal"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, old, size, offset), size);
    assert_int_equal(pwrite(fd, bytes, size, offset), size);
    (void)close(fd);
    memcpy(bytes, old, size);
}

static void a_log_has_the_frames_of_its_pages(void **unused) {
    (void)unused;
    struct vt_wal_file wal = look();
    uint32_t last, frame;
    assert_true(wal.frames > 3);
    assert_int_equal(wal.page_bytes, PAGE_BYTES);
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_OK);
    assert_int_equal(last, wal.frames);
    assert_int_equal(vt_wal_file_find(&wal, "second row", 10, &frame), SQLITE_OK);
    assert_int_equal(frame, wal.frames);
    assert_int_equal(vt_wal_file_find(&wal, "third row", 9, &frame), SQLITE_NOTFOUND);
}

static void a_file_that_does_not_begin_as_one_is_no_log(void **unused) {
    (void)unused;
    static const struct {
        off_t offset;
        uint8_t bytes[4];
    } damages[] = {{0, "\x37\x7f\x06\x80"}, {0, "\0\0\0\0"}, {8, "\0\0\1\0"}, {8, "\0\2\0\0"}, {8, "\0\0\x10\1"}, {8, "\0\0\x30\0"}};
    uint32_t frames = look().frames;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint8_t bytes[4];
        memcpy(bytes, damages[i].bytes, sizeof bytes);
        exchange(bytes, sizeof bytes, damages[i].offset);
        if (look().frames != 0) fail_msg("damage %zu", i);
        exchange(bytes, sizeof bytes, damages[i].offset);
        assert_int_equal(look().frames, frames);
    }
    /* A checksum of the other byte order is as good. */
    uint8_t magic[4] = "\x37\x7f\x06\x83";
    exchange(magic, sizeof magic, 0);
    assert_int_equal(look().frames, frames);
    exchange(magic, sizeof magic, 0);
}

/* ---- the handle -------------------------------------------------------------------------------------------------------------------- */

static int64_t size_told, reads_left; /* of the log: its size if not negative; reads that succeed */

static int tell_size(sqlite3_file *file, sqlite3_int64 *size) {
    (void)file;
    *size = size_told;
    return size_told < 0 ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static const sqlite3_io_methods *real;
static int read_some(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset) {
    return --reads_left < 0 ? SQLITE_IOERR_READ : real->xRead(file, bytes, size, offset);
}

static void what_cannot_be_read_is_an_error(void **unused) {
    (void)unused;
    struct vt_wal_file wal = look();
    char *message = NULL;
    uint32_t frame;
    real = wal.log->pMethods;
    sqlite3_io_methods others = *real;
    others.xFileSize = tell_size;
    wal.log->pMethods = &others;
    size_told = -1;
    assert_int_equal(vt_wal_file_look(space, &wal, &message), SQLITE_IOERR_FSTAT);
    assert_non_null(strstr(message, "the log of the database "));
    assert_non_null(strstr(message, " could not be read"));
    for (size_told = 0; size_told <= HEADER_BYTES; size_told += HEADER_BYTES) assert_int_equal(look().frames, 0);
    size_told = HEADER_BYTES + 3 * FRAME_BYTES - 1; /* the last frame is half written */
    assert_int_equal(look().frames, 2);
    others.xRead = read_some;
    reads_left = 0;
    assert_int_equal(vt_wal_file_look(space, &wal, &message), SQLITE_IOERR_READ);
    sqlite3_free(message);
    reads_left = 1;
    wal = look();
    reads_left = 1;
    assert_int_equal(vt_wal_file_find(&wal, "no such bytes", 13, &frame), SQLITE_IOERR_READ);
    reads_left = 0;
    assert_int_equal(vt_wal_file_cut(&wal, 0), SQLITE_IOERR_READ);
    wal.log->pMethods = real;
}

/* Under a rollback journal there is no log. */
static void without_a_log_there_are_no_frames(void **unused) {
    (void)unused;
    must("PRAGMA journal_mode = DELETE");
    assert_int_equal(look().frames, 0);
}

/* ---- the index --------------------------------------------------------------------------------------------------------------------- */

enum { COPY_BYTES = 48, AT_INITIALISED = 12, AT_LAST_FRAME = 16, AT_SALT = 32 };

static union {
    uint8_t bytes[2 * COPY_BYTES];
    uint32_t words[2 * COPY_BYTES / 4];
} index_header;
static void *index_memory;
static int index_code;

static int map_index(sqlite3_file *file, int region, int size, int extend, void volatile **memory) {
    (void)file;
    assert_int_equal(region, 0);
    assert_int_equal(size, 32768);
    assert_int_equal(extend, 0); /* nobody makes one who only looks */
    *memory = index_memory;
    return index_code;
}

/* Both copies alike, as SQLite leaves them. */
static void fill_index(const struct vt_wal_file *wal, uint32_t last) {
    memset(&index_header, 0, sizeof index_header);
    index_header.words[0] = 3007000;
    index_header.bytes[AT_INITIALISED] = 1;
    memcpy(index_header.bytes + AT_LAST_FRAME, &last, sizeof last);
    memcpy(index_header.bytes + AT_SALT, wal->salt, VT_WAL_SALT_BYTES);
    memcpy(index_header.bytes + COPY_BYTES, index_header.bytes, COPY_BYTES);
}

static void an_index_that_says_nothing_sure_is_not_believed(void **unused) {
    (void)unused;
    struct vt_wal_file wal = look();
    uint32_t last;
    sqlite3_io_methods methods = {.iVersion = 2, .xShmMap = map_index};
    sqlite3_file database = {.pMethods = &methods};
    wal.database = &database;
    index_memory = index_header.bytes;
    for (uint32_t frame = 0; frame <= wal.frames; frame += wal.frames) {
        fill_index(&wal, frame);
        assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_OK);
        assert_int_equal(last, frame);
    }
    fill_index(&wal, wal.frames + 1); /* a frame that the file does not have */
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_PROTOCOL);
    static const int places[] = {0, AT_INITIALISED, AT_LAST_FRAME, COPY_BYTES, COPY_BYTES + AT_LAST_FRAME, AT_SALT};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        fill_index(&wal, 2);
        index_header.bytes[places[i]] ^= 1;
        if (vt_wal_file_committed(&wal, &last) != SQLITE_PROTOCOL) fail_msg("byte %d", places[i]);
    }
    /* Another salt in both copies: of a log that has begun anew, but only while it has no frame. */
    for (uint32_t frame = 0; frame < 2; frame++) {
        fill_index(&wal, frame);
        index_header.bytes[AT_SALT] ^= 1;
        index_header.bytes[COPY_BYTES + AT_SALT] ^= 1;
        assert_int_equal(vt_wal_file_committed(&wal, &last), frame == 0 ? SQLITE_OK : SQLITE_PROTOCOL);
    }
}

static void without_an_index_in_shared_memory_nothing_is_said(void **unused) {
    (void)unused;
    struct vt_wal_file wal = look();
    uint32_t last;
    sqlite3_io_methods methods = {.iVersion = 2, .xShmMap = map_index};
    sqlite3_file database = {.pMethods = &methods};
    wal.database = &database;
    index_memory = NULL; /* it is not there */
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_PROTOCOL);
    index_code = SQLITE_IOERR_SHMMAP;
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_IOERR_SHMMAP);
    index_code = SQLITE_OK;
    methods.xShmMap = NULL;
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_PROTOCOL);
    methods.iVersion = 1;
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_PROTOCOL);
    database.pMethods = NULL;
    assert_int_equal(vt_wal_file_committed(&wal, &last), SQLITE_PROTOCOL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_and_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_log_has_the_frames_of_its_pages),
        TEST(a_file_that_does_not_begin_as_one_is_no_log),
        TEST(what_cannot_be_read_is_an_error),
        TEST(without_a_log_there_are_no_frames),
        TEST(an_index_that_says_nothing_sure_is_not_believed),
        TEST(without_an_index_in_shared_memory_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
