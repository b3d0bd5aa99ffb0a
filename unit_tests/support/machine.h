/* machine.h: a simulated computer: one disk (env_mem.h, strict), and processes on it that run SQLite with the extension.
 *
 * SQLite's files (database, journal, WAL, super-journal) and the stores are on the same disk, so that one numbered operation loses power for both.
 * Locks and WAL-index memory are the machine's: they bind all connections of all processes, and are gone when the machine is.
 *
 *   machine --- disk (struct lsm_env)
 *      |
 *      +--- process --- its own environment (lsm_env_mem_process()), its own VFS of SQLite, its own stores
 *
 * A killed process does nothing any more: what it still tries fails, its locks are free, what it wrote stays. Its connections are then closed as
 * usual. To see what a crash of the whole machine leaves, take a crashed clone of the disk and put another machine on it.
 *
 * Threads: one at a time, SQLite's calls included. Stores have no background threads.
 */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H

#include <sqlite3.h>

#include "../../lsm_core/env/env_mem.h"

struct machine;
struct process;

/* The disk stays the caller's and outlives the machine. NULL: out of memory. */
struct machine *machine_new(struct lsm_env *disk);
/* Every process must be gone. */
void machine_free(struct machine *machine);
struct lsm_env *machine_disk(const struct machine *machine);

struct process *process_new(struct machine *machine);
/* Every connection must be closed. */
void process_free(struct process *process);
void process_kill(struct process *process);
/* What stores of this process use: its environment. write_buffer_bytes: of stores it opens from now on, 0: the default. */
struct lsm_env *process_env(struct process *process);
void process_set_write_buffer(struct process *process, size_t write_buffer_bytes);

/* A connection with the extension, extended result codes on. SQLite's code; *db is to be closed in any case. The path's directory must be there. */
int process_open(struct process *process, const char *path, sqlite3 **db);
/* The name of the process's VFS. Attached files use that of main. */
const char *process_vfs(const struct process *process);

/* A machine on a disk with one process, and its connection to MACHINE_DATABASE. */
#define MACHINE_DATABASE "/app.db"
struct computer {
    struct lsm_env *disk; /* stays the caller's */
    struct machine *machine;
    struct process *process;
    sqlite3 *db;
};
/* SQLite's code, also if there is no memory; computer_stop() in any case. */
int computer_start(struct computer *computer, struct lsm_env *disk);
/* The connection can be NULL, and its statements must be finalized. */
void computer_stop(struct computer *computer);

#endif
