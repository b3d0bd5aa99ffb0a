"""The clock of the machine jumps: to 1970, to 2038 and behind it, to and fro, differently in each process. Nothing but what shows a time may notice.

A small library in front of libc's (LD_PRELOAD) moves the time of day by what stands in a file, which the test changes while processes work.
"""
import os
import random
import shutil
import subprocess
import time

from harness import SLOW, Peer, Skip, expect, expect_equal, host_env

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static int64_t shift(void) {
    static volatile int64_t *seconds;
    if (seconds == NULL) {
        int fd = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
        void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (fd >= 0) close(fd);
        if (map == MAP_FAILED) abort();
        seconds = map;
    }
    return *seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(clock, now);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return rc;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec spec;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &spec);
    now->tv_sec = spec.tv_sec;
    now->tv_usec = spec.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec spec;
    clock_gettime(CLOCK_REALTIME, &spec);
    if (out != NULL) *out = spec.tv_sec;
    return spec.tv_sec;
}
"""
NOW = 1_800_000_000
# 1970 and a moment before it, the ends of 31 and 32 bits, the year 9999, an hour to and fro.
MOMENTS = [0, -5, 2**31 - 2, 2**31 + 5, 2**32 + 5, 253_402_300_000, NOW - 3600, NOW + 3600, NOW]


class Clock:
    """What the processes that are started with it think the time is."""

    def __init__(self, folder, name, library):
        self.path, self.library = os.path.join(folder, name), library
        self.set(NOW)

    def set(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(int(seconds - time.time()).to_bytes(8, "little", signed=True))

    def command(self):
        return ["env", "CLOCK_SHIFT=" + self.path, "LD_PRELOAD=" + " ".join(filter(None, (host_env().get("LD_PRELOAD"), self.library)))]


def build(folder):
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        raise Skip("needs a C compiler")
    source, library = os.path.join(folder, "clock.c"), os.path.join(folder, "clock.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def test_jumps_of_the_clock_change_nothing_but_what_shows_a_time(folder):
    if SLOW:
        raise Skip("one preloaded library at a time")
    library = build(folder)
    seed = int(os.environ.get("LSM_TEST_SEED") or random.randrange(1 << 30))
    print("seed", seed)
    chance = random.Random(seed)
    clocks = [Clock(folder, f"clock{i}", library) for i in range(2)]
    uri = "file:test.db?lsm_write_buffer=65536"
    peers = [Peer(folder, uri, command=clock.command()) for clock in clocks]
    try:
        for sql in ("PRAGMA journal_mode = WAL", "CREATE VIRTUAL TABLE t USING lsm(k INTEGER PRIMARY KEY, v, at DEFAULT (strftime('%Y', 'now')) NOT NULL, INDEX by_v (v))",
                    "CREATE TABLE o(k INTEGER PRIMARY KEY, v)"):
            peers[0].run(sql)
        years = set()
        for step in range(60):
            i = chance.randrange(2)
            clocks[i].set(chance.choice(MOMENTS))
            years.add(peers[i].one("SELECT strftime('%Y', 'now')"))
            k, n = chance.randrange(3000), chance.randrange(1, 600)
            sql = chance.choice((f"WITH RECURSIVE n(i) AS (SELECT {k} UNION ALL SELECT i + 1 FROM n WHERE i < {k + n}) INSERT OR REPLACE INTO $(k, v) SELECT i, hex(zeroblob(i % 90)) FROM n",
                                 f"UPDATE $ SET v = v || k WHERE k BETWEEN {k} AND {k + n // 4}", f"DELETE FROM $ WHERE k BETWEEN {k} AND {k + n // 2}"))
            for statement in ("BEGIN IMMEDIATE", sql.replace("$", "o"), sql.replace("$", "t"), "COMMIT"):
                peers[i].run(statement)
            other = peers[chance.randrange(2)]
            expect_equal(other.one("SELECT (SELECT count(*) FROM (SELECT k, v FROM t EXCEPT SELECT k, v FROM o)) + (SELECT count(*) FROM (SELECT k, v FROM o EXCEPT SELECT k, v FROM t))"), 0)
            if step % 7 == 0:
                peers[i].run(chance.choice(("SELECT lsm_flush()", "SELECT lsm_compact()")))
            if step % 10 == 0:
                expect_equal(other.one("SELECT lsm_check()"), "ok")
                # No time that lies in the future, or before the beginning, makes an age that is not there.
                for (oldest,) in other.run("SELECT oldest_seconds FROM lsm_readers"):
                    expect(oldest is None or oldest >= 0, oldest)
            if step % 13 == 12:
                peers[i].end()
                peers[i] = Peer(folder, uri, command=clocks[i].command())
        expect({"1970", "2038", "9999"} & years and len(years) > 2, f"the clock does not jump: {years}")
        expect_equal(peers[0].one("SELECT lsm_check()"), "ok")
    finally:
        for peer in peers:
            peer.end()


def test_a_commit_is_durable_in_time_while_the_clock_stands_in_the_past(folder):
    """At NORMAL the log is synced about once a second, by a clock that does not jump."""
    if SLOW:
        raise Skip("one preloaded library at a time")
    clock = Clock(folder, "clock", build(folder))
    with Peer(folder, command=clock.command()) as peer:
        for sql in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "CREATE VIRTUAL TABLE t USING lsm(k)", "INSERT INTO t VALUES (1)"):
            peer.run(sql)
        clock.set(0)
        peer.run("INSERT INTO t VALUES (2)")
        clock.set(-5)
        synced = "SELECT max(CASE name WHEN 'position' THEN value END) = max(CASE name WHEN 'synced_position' THEN value END) FROM lsm_stats"
        for _ in range(600):
            if peer.one(synced) == 1:
                return
            clock.set(random.choice(MOMENTS))
            time.sleep(0.1)
        raise AssertionError("the log was not synced within a minute")
