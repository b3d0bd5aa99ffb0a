"""writer.py EXTENSION DATABASE MODE SEED: commits transactions of known content for ever and says "n\\n" after each COMMIT. Killed from outside."""
import os
import random
import sqlite3
import sys

import model


def execute(db, operation):
    kind = operation[0]
    if kind == "put":
        db.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", operation[1:])
    elif kind == "delete":
        db.execute("DELETE FROM t WHERE k = ?", operation[1:])
    elif kind == "delete_range":
        db.execute("DELETE FROM t WHERE k >= ? AND k < ?", operation[1:])
    else:
        db.execute("INSERT INTO r(id, v) VALUES (?, ?)", operation[1:])
        db.execute("DELETE FROM r WHERE id = ?", (operation[1] - 50,))


def disturb(db, rng):
    """What a commit must not be hurt by: transactions that are undone, flushes, merges."""
    chance = rng.random()
    if chance < 0.05:
        db.execute("BEGIN")
        db.execute("INSERT OR REPLACE INTO t SELECT 'undone' || id, v FROM r")
        db.execute("DELETE FROM t WHERE k < 'key0100'")
        db.execute("ROLLBACK")
    elif chance < 0.08:
        db.execute("SELECT lsm_flush()").fetchall()
    elif chance < 0.09:
        db.execute("SELECT lsm_compact()").fetchall()


def main():
    extension, database, mode, seed = sys.argv[1:5]
    seed = int(seed)
    db = sqlite3.connect(database, isolation_level=None, timeout=30)
    db.enable_load_extension(True)
    db.load_extension(extension)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute(f"PRAGMA synchronous = {mode}")
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS t USING lsm(k TEXT PRIMARY KEY, v)")
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS r USING lsm(id INTEGER PRIMARY KEY, v)")
    n = db.execute("SELECT coalesce(max(id), 0) FROM r").fetchone()[0]
    rng = random.Random()
    os.write(1, b"start\n")
    while True:
        n += 1
        db.execute("BEGIN")
        for operation in model.operations(seed, n):
            if rng.random() < 0.02:
                db.execute("SAVEPOINT s")
                db.execute("INSERT OR REPLACE INTO t VALUES ('undone', 1)")
                db.execute("ROLLBACK TO s")
                db.execute("RELEASE s")
            execute(db, operation)
        db.execute("COMMIT")
        os.write(1, b"%d\n" % n)
        disturb(db, rng)


main()
