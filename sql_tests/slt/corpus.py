"""The sqllogictest corpus on LSM tables, each record held against ordinary tables too. As a test it runs a slice; as a program the whole folder,
in memory and then from files that are flushed, compacted and reopened (`make slt`). SLT_DIR: where the corpus is (default: ../shared/slt beside the checkout)."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402

RUNNER = os.path.join(harness.ROOT, "build", "sql_tests", "slt")
CORPUS = os.environ.get("SLT_DIR") or os.path.join(os.path.dirname(harness.ROOT), "shared", "slt")
SLICE = ["evidence", "select1.test", "select3.test", "index/delete/10", "index/in/10", "index/orderby/10/slt_good_0.test", "random/groupby/slt_good_0.test"]
# Not multiples of each other: what is read lies in memory, in table files and in both.
FILES = ["--reopen", "701", "--flush", "53", "--compact", "997"]


def runner(*arguments):
    return [RUNNER, "--extension", harness.EXTENSION[:-3], *arguments]


def run_slice(names, *arguments):
    if not os.path.isdir(CORPUS):
        raise harness.Skip(f"{CORPUS} is not there")
    if not os.path.exists(RUNNER):
        raise harness.Skip(f"{RUNNER} is not there: run make check")
    paths = [os.path.join(CORPUS, name) for name in names]
    done = subprocess.run(runner(*arguments, *filter(os.path.exists, paths)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=10 * harness.TIMEOUT, env=harness.host_env())
    text = done.stdout.decode(errors="replace")
    harness.expect(done.returncode == 0 and " queries, " in text, f"exit {done.returncode}\n" + text[-4000:])


def test_a_slice_of_the_corpus_agrees_in_memory(folder):
    run_slice(SLICE[:1] if harness.SLOW else SLICE)


def test_a_slice_of_the_corpus_agrees_in_files(folder):
    run_slice(SLICE[:1] if harness.SLOW else SLICE[:5], "--folder", folder, *FILES)


def main():
    if not os.path.isdir(CORPUS):
        print(f"skipped: {CORPUS} is not there (SLT_DIR says where the corpus is)")
        return 0
    print("in memory:", flush=True)
    wrong = subprocess.run(runner("--verbose", CORPUS)).returncode != 0
    with tempfile.TemporaryDirectory() as folder:
        print("in files that are flushed, compacted and reopened:", flush=True)
        wrong |= subprocess.run(runner("--verbose", "--folder", folder, *FILES, CORPUS)).returncode != 0
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
