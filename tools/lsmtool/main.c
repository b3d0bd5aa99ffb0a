/* lsmtool: looks at stores that no process has open, and saves what is whole of damaged ones. */
#include "tool.h"

#include <stdarg.h>

static const char help[] =
    "lsmtool " LSM_VERSION " - looks after the stores of SQLite databases with LSM tables, while no process has them open\n"
    "\n"
    "  lsmtool show SOURCE               what the store consists of: trees, levels, table files, log\n"
    "  lsmtool verify SOURCE             reads and verifies every byte of it, and every row of the tables\n"
    "  lsmtool dump DATABASE [TABLE ...] the LSM tables (or these) as SQL on the standard output, for the sqlite3 shell\n"
    "  lsmtool salvage SOURCE DEST       saves what is whole of a damaged store to a new place, and lists what is lost\n"
    "  lsmtool --help | --version\n"
    "\n"
    "SOURCE is a database file, whose store lies beside it in <file>-lsm/, or the directory of a store itself. With the database file lsmtool knows\n"
    "the tables: it verifies rows and indexes too, names tables in its reports, and salvages indexes by making them anew.\n"
    "\n"
    "Nothing is ever changed in SOURCE. A store that a living process has open is refused: close the database everywhere first (for a store in use\n"
    "there is SELECT lsm_check()). While lsmtool runs, nobody else gets in: opening the database then waits, or fails with \"database is locked\".\n"
    "\n"
    "show      One line for each tree, level and file. It reads the manifest and the log only; 1 if they are damaged.\n"
    "\n"
    "verify    One line for each problem: file, offset, what is wrong. The last line is \"ok\", or how many problems there are.\n"
    "\n"
    "dump      CREATE VIRTUAL TABLE, INSERT and lsm_create_index() statements in one transaction: .read the output in a shell that has the "
    "extension\n"
    "          loaded. Rows keep their rowids. Ordinary tables are not in it: the shell's own .dump has them. The store must be readable: if dump "
    "reports\n"
    "          damage, salvage it first and dump what was saved.\n"
    "\n"
    "salvage   If SOURCE is a database file, DEST is a new one: a copy of it, with a new store beside it. If SOURCE is a store's directory, DEST is "
    "a new\n"
    "          directory. DEST must not exist. A row is saved if it is certain that it is the row's last value: what stands in a whole block of a "
    "table\n"
    "          file, or a whole record of the log, and cannot have been changed by anything that is damaged or missing. Where the log is damaged "
    "the\n"
    "          state before that place is saved. What is lost is listed, by file, offset and range of keys, with the number of rows left out because "
    "of\n"
    "          it. Verify the result, and say SELECT lsm_accept() if the database then finds that it and its store are of different age.\n"
    "\n"
    "Exit status: 0 all is well; 1 damage was found, or something could not be saved; 2 wrong use; 3 it could not be done: the store is in use, is "
    "not\n"
    "there, an error of the operating system.\n";

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

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) return puts("lsmtool " LSM_VERSION) < 0 ? TOOL_CANNOT : TOOL_OK;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) return fputs(help, stdout) < 0 ? TOOL_CANNOT : TOOL_OK;
    return argc < 2 ? usage() : run(argv[1], argc - 2, argv + 2);
}
