/* lsmtool: looks at stores that no process has open, and saves what is whole of damaged ones. */
#include "tool.h"

#include <stdarg.h>

static const char help[] = "lsmtool " LSM_VERSION " - looks after the stores of SQLite databases with LSM tables,\n"
                           "while no process has them open\n"
                           "\n"
                           "  lsmtool show SOURCE          what the store consists of: trees, levels, files, log\n"
                           "  lsmtool verify SOURCE        reads and verifies every byte and every row\n"
                           "  lsmtool dump DATABASE [TABLE ...]\n"
                           "                               LSM tables as SQL, for the sqlite3 shell\n"
                           "  lsmtool salvage SOURCE DEST  saves what is whole of a damaged store to a new place\n"
                           "  lsmtool --help | --version\n"
                           "\n"
                           "SOURCE is a database file, whose store lies beside it in <file>-lsm/, or the\n"
                           "directory of a store itself. With the database file lsmtool knows the tables: it\n"
                           "verifies rows and indexes too, names tables in its reports, and makes indexes anew\n"
                           "when it salvages.\n"
                           "\n"
                           "Nothing is ever changed in SOURCE. A store that a living process has open is\n"
                           "refused: close the database everywhere first (for a store in use there is\n"
                           "SELECT lsm_check()). While lsmtool runs, nobody else gets in: opening the database\n"
                           "then waits, or fails with \"database is locked\".\n"
                           "\n"
                           "show      One line for each tree, level and file. It reads the manifest and the log\n"
                           "          only.\n"
                           "\n"
                           "verify    One line for each problem: file, offset, what is wrong. The last line is\n"
                           "          \"ok\", or how many problems there are.\n"
                           "\n"
                           "dump      CREATE VIRTUAL TABLE, INSERT and lsm_create_index() statements in one\n"
                           "          transaction, on the standard output: .read them in a shell that has the\n"
                           "          extension loaded. Rows keep their rowids. Ordinary tables are not in it:\n"
                           "          the shell's own .dump has them. The store must be readable: if dump\n"
                           "          reports damage, salvage it first and dump what was saved.\n"
                           "\n"
                           "salvage   If SOURCE is a database file, DEST is a new one: a copy of it, with a new\n"
                           "          store beside it. If SOURCE is a store's directory, DEST is a new\n"
                           "          directory. DEST must not exist. A row is saved if it is certain to be the\n"
                           "          row's last value: what stands in a whole block of a table file, or a\n"
                           "          whole record of the log, and cannot have been changed by anything that is\n"
                           "          damaged or missing. Where the log is damaged the state before that place\n"
                           "          is saved. What is lost is listed, by file, offset and range of keys, with\n"
                           "          the number of rows left out because of it. Verify the result, and say\n"
                           "          SELECT lsm_accept() if the database then finds that it and its store are\n"
                           "          of different age.\n"
                           "\n"
                           "Exit status: 0 all is well; 1 damage was found, or something could not be saved;\n"
                           "2 wrong use; 3 it could not be done: the store is in use, is not there, an error of\n"
                           "the operating system.\n"
                           "\n"
                           "Examples:\n"
                           "  lsmtool verify backup/app.db && echo good\n"
                           "  (echo .load ./lsm; lsmtool dump app.db) | sqlite3 new.db\n"
                           "  lsmtool salvage app.db saved.db >lost.txt; lsmtool verify saved.db\n";

int tool_fail(int code, const char *format, ...) {
    va_list arguments;
    fflush(stdout);
    fputs("lsmtool: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return code;
}

void *tool_got(void *memory) {
    if (memory == NULL) exit(tool_fail(TOOL_CANNOT, "out of memory"));
    return memory;
}

void tool_append(struct lsm_buf *buf, const void *bytes, size_t size) {
    if (lsm_buf_append(buf, bytes, size) != LSM_OK) (void)tool_got(NULL);
}

void tool_set(struct lsm_buf *buf, struct lsm_slice bytes) {
    if (lsm_buf_set(buf, bytes) != LSM_OK) (void)tool_got(NULL);
}

static int usage(void) {
    fputs("usage: lsmtool show|verify SOURCE, lsmtool dump DATABASE [TABLE ...], lsmtool salvage SOURCE DEST; lsmtool --help says more\n", stderr);
    return TOOL_USAGE;
}

static int run(const char *command, int argc, char **argv) {
    struct tool_target target;
    bool show = strcmp(command, "show") == 0, verify = strcmp(command, "verify") == 0, dump = strcmp(command, "dump") == 0;
    bool salvage = strcmp(command, "salvage") == 0;
    if (!(show || verify || dump || salvage) || argc < 1 || ((show || verify) && argc != 1) || (salvage && argc != 2)) return usage();
    int code = tool_open(argv[0], &target);
    if (code != TOOL_OK) return code;
    if (show) code = tool_show(&target);
    if (verify) code = tool_verify(&target);
    if (dump) code = tool_dump(&target, argv + 1, argc - 1);
    if (salvage) code = tool_salvage(&target, argv[1]);
    tool_close(&target);
    if (fflush(stdout) != 0 || ferror(stdout)) code = tool_fail(TOOL_CANNOT, "the output could not be written");
    return code;
}

static bool is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) return puts("lsmtool " LSM_VERSION) < 0 ? TOOL_CANNOT : TOOL_OK;
    if (argc >= 2 && (is_help(argv[1]) || (argc == 3 && is_help(argv[2])))) return fputs(help, stdout) < 0 ? TOOL_CANNOT : TOOL_OK;
    return argc < 2 ? usage() : run(argv[1], argc - 2, argv + 2);
}
