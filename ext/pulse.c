#include "pulse.h"

#include <time.h>

/* About 3000 instructions, for less than a hundredth of the time. */
#define BEAT          "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 250) SELECT count(*) FROM n"
#define BEAT_EVERY_MS 4

static int64_t now_ms(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) return 0; /* LCOV_EXCL_BR_LINE: Linux always has it */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_interrupted(sqlite3 *db) {
#if SQLITE_VERSION_NUMBER >= 3041000
    return vt_sqlite_at_least(3041000) && sqlite3_is_interrupted(db) != 0;
#else
    (void)db;
    return false;
#endif
}

bool vt_pulse_stops(void *arg) {
    struct vt_pulse *pulse = arg;
    int64_t now = now_ms();
    if (now - pulse->at_ms < BEAT_EVERY_MS) return false;
    pulse->at_ms = now;
    if (!pulse->tried) (void)sqlite3_prepare_v3(pulse->db, BEAT, -1, SQLITE_PREPARE_NO_VTAB, &pulse->statement, NULL);
    pulse->tried = true;
    if (pulse->statement == NULL) return is_interrupted(pulse->db);
    (void)sqlite3_step(pulse->statement);
    return sqlite3_reset(pulse->statement) == SQLITE_INTERRUPT;
}

void vt_pulse_release(struct vt_pulse *pulse) { sqlite3_finalize(pulse->statement); }
