#!/usr/bin/env python3
"""Does the fuzzer find bugs? Each of these is planted into a copy of the library, one at a time: `planted.py [--rounds N] [NAME...]`. How many
rounds the fuzzer has for each does not depend on what else the machine is doing.

A plant is one line of ext/ and what stands there instead. The line must be found exactly once: when the code moves on, the plant has to follow."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "planted")

PLANTS = {
    "an affinity is not applied": ("if (affinity == VT_AFFINITY_TEXT && (type == SQLITE_INTEGER || type == SQLITE_FLOAT)) return text_of(in, out);",
                                   "if (affinity == VT_AFFINITY_TEXT && type == SQLITE_INTEGER) return text_of(in, out);"),
    "a collation is ignored": ("case VT_COLLATE_RTRIM: return append_binary(out, value->bytes, trimmed(value->bytes, value->size), raw);",
                               "case VT_COLLATE_RTRIM: return append_binary(out, value->bytes, value->size, raw);"),
    "a bound is off by one": (".inclusive = plan->lower == SQLITE_INDEX_CONSTRAINT_GE}", ".inclusive = plan->lower != SQLITE_INDEX_CONSTRAINT_GE}"),
    "a savepoint is lost": ("int rc = vt_txn_undo(space, mark, message);", "int rc = first > 1 ? SQLITE_OK : vt_txn_undo(space, mark, message);"),
    "a mixed order is taken for the key's": ("if (directed && down != *desc && !question->grouped) return false;", "if (directed && down != *desc && at < 1) return false;"),
    "the declared conflict mode is ignored": ("return declared != 0 ? declared : SQLITE_ABORT;", "return declared == 99 ? declared : SQLITE_ABORT;"),
    "a moved row stays where it was": (re.compile(r"rc == SQLITE_OK\) rc = delete_(key|row)\(w->table"), r"rc == SQLITE_OK && w->table->schema->key_count != 2) rc = delete_\1(w->table"),
    "what follows a NULL in a list is lost": ("if (sqlite3_value_type(value) == SQLITE_NULL) continue;", "if (sqlite3_value_type(value) == SQLITE_NULL) break;"),
    "an error has another code": ("int rc = vt_fail(message, SQLITE_CONSTRAINT_PRIMARYKEY,", "int rc = vt_fail(message, SQLITE_CONSTRAINT_UNIQUE,"),
    "a default replaces NULL in an UPDATE too": ("if (column->has_default && (!w->update || ", "if (column->has_default && (true || "),
    "a real comes back as an integer": ("*out = vt_value_real((double)out->i);", "if (out->i < 50) *out = vt_value_real((double)out->i);"),
    "a rowid is not the next one": ("*rowid = rowids->any ? rowids->max + 1 : 1;", "*rowid = rowids->any ? rowids->max + 1 + (rowids->max == 60) : 1;"),
    "a lookup does not overlook case": ("static uint64_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c + 32u : c; }", "static uint64_t lower(uint8_t c) { return c; }"),
    "a list behind another one loses its order": ("if (ranges->count < 2) return;", "if (ranges->count < 8) return;"),
    "a number that begins like another one is passed over": ("== 0 && (key.size == size || ((const uint8_t *)key.data)[size] != 0xff);", "== 0;"),
    "rows that differ in letters only are passed over": ("if (key[i].collation == VT_COLLATE_BINARY && (affinity >=", "if ((affinity >="),
    "a number behind constant columns is searched as a text": ("if (vt_plan_affinity(schema, &key[i]) == VT_AFFINITY_BLOB) break;", "(void)key;"),
    "a column that stands twice under two collations gives no order": ("&& (key[i].collation == key[at].collation || key[i].collation == VT_COLLATE_BINARY)) return true;", ") return true;"),
    "the least integer passes over its real": ("value.type == SQLITE_INTEGER && value.i == INT64_MIN) return true;", "value.type == SQLITE_INTEGER && value.i == INT64_MAX) return true;"),
    "IS NOT NULL in the ON of an outer join leaves rows out": ("term->usable = term->usable && vt_sqlite_at_least(NOT_NULL_SINCE); break;", "break;"),
    "a statement is taken for the one that failed before it": ("if (table->statement.epoch != txn->epoch || table->statement.rollbacks != txn->rollbacks) table->statement.caller = NULL;", "(void)txn;"),
    "an upper bound reads texts as numbers": ('*out = vt_value_bytes(SQLITE_TEXT, ":", 1);', "(void)plan;"),
}


def plant(name, number):
    """Builds the library with one bug; returns its path without .so."""
    before, after = PLANTS[name]
    pattern, replacement = (before, after) if isinstance(before, re.Pattern) else (re.compile(re.escape(before)), lambda _: after)
    place = os.path.join(WORK, str(number))
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(os.path.join(place, "build", "release"))
    shutil.copy2(os.path.join(ROOT, "Makefile"), place)
    for folder in ("ext", "lsm_core", "build/release/ext", "build/release/lsm_core"):
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(place, folder))
    found = []
    for path in glob.glob(os.path.join(place, "ext", "*.c")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        changed, count = pattern.subn(replacement, text)
        if count > 0:
            found.append((path, changed, count))
    if len(found) != 1 or found[0][2] != 1:
        raise LookupError(f"the line does not stand in ext/ exactly once: {before}")
    with open(found[0][0], "w", encoding="utf-8") as file:
        file.write(found[0][1])
    done = subprocess.run(["make", "-s", "WARN=-w", "build/release/lsm.so"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(done.stdout.decode(errors="replace")[-2000:])
    return os.path.join(place, "build", "release", "lsm")


def fuzz(library, *options):
    """(exit code, output)"""
    done = subprocess.run(["/usr/bin/python3", os.path.join(HERE, "fuzz.py"), "--extension", library, "--seconds", "86400", "--shrink", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=1000, help="for each bug at most")
    arguments = parser.parse_args()
    found = failed = 0
    began = time.monotonic()
    for number, name in enumerate(PLANTS):
        if arguments.names and not any(word in name for word in arguments.names):
            continue
        try:
            library = plant(name, number)
            started = time.monotonic()
            code, text = fuzz(library, "--rounds", str(arguments.rounds), "--first")
            at = re.search(r"^DIFFERENCE: seed (\d+), round (\d+), ", text, re.M)
            # The same round on the library as it is: else the difference says nothing about the plant.
            caught = code == 1 and at is not None and fuzz(os.path.join(ROOT, "lsm"), "--seed", at[1], "--round", at[2])[0] == 0
            rounds = f"{int(at[2]) + 1} rounds, seed {at[1]}" if caught else text[-500:] if at is None else "found without the plant, too: " + at[0]
            print(f"{'found ' if caught else 'MISSED'} {name}: {time.monotonic() - started:.1f} s, {rounds}", flush=True)
        except (LookupError, RuntimeError) as error:
            caught = False
            print(f"FAIL   {name}: {error}", flush=True)
        found += caught
        failed += not caught
        shutil.rmtree(os.path.join(WORK, str(number)), ignore_errors=True)
    print(f"{time.monotonic() - began:.0f} s\n{found} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
