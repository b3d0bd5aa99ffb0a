#include "machine_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite3_lsm_init(sqlite3 *db, char **message, const void *api);

/* ---- machines and processes -------------------------------------------------------------------------------------------- */

static struct process *all; /* of every machine */

static const struct vt_environment *environment_of(const char *vfs) {
    for (struct process *process = all; process != NULL; process = process->next)
        if (strcmp(process->name, vfs) == 0) return &process->environment;
    return NULL;
}

struct machine *machine_new(struct lsm_env *disk) {
    struct machine *machine = calloc(1, sizeof *machine);
    if (machine != NULL) machine->disk = disk;
    vt_environment_ask(environment_of);
    return machine;
}

void machine_free(struct machine *machine) {
    assert(machine->processes == 0);
    while (machine->nodes != NULL) {
        struct machine_node *node = machine->nodes;
        machine->nodes = node->next;
        for (int i = 0; i < SHM_REGIONS_MAX; i++) free(node->regions[i]);
        free(node->path);
        free(node);
    }
    free(machine);
}

struct lsm_env *machine_disk(const struct machine *machine) {
    return machine->disk;
}

static bool sync_directory(struct lsm_env *env, const char *file) {
    char parent[512];
    const char *slash = strrchr(file, '/');
    (void)snprintf(parent, sizeof parent, "%.*s", slash == NULL || slash == file ? 1 : (int)(slash - file), slash == NULL ? "." : file);
    return lsm_env_sync_dir(env, parent, NULL) == LSM_OK;
}

struct process *process_new(struct machine *machine) {
    static unsigned long long number;
    struct process *process = calloc(1, sizeof *process);
    if (process == NULL) return NULL;
    (void)snprintf(process->name, sizeof process->name, "process-%llu", ++number);
    process->machine = machine;
    process->env = lsm_env_mem_process(machine->disk);
    process->environment = (struct vt_environment){.env = process->env, .sync_directory = sync_directory};
    disk_vfs_init(process);
    if (process->env == NULL || sqlite3_vfs_register(&process->vfs, 0) != SQLITE_OK) {
        lsm_env_mem_free(process->env);
        free(process);
        return NULL;
    }
    process->next = all;
    all = process;
    machine->processes++;
    return process;
}

void process_free(struct process *process) {
    struct process **link = &all;
    assert(process->sqlite_files == NULL);
    while (*link != process) link = &(*link)->next;
    *link = process->next;
    process->machine->processes--;
    (void)sqlite3_vfs_unregister(&process->vfs);
    lsm_env_mem_free(process->env);
    free(process);
}

void process_kill(struct process *process) {
    lsm_env_mem_kill(process->env);
    disk_vfs_drop_locks(process);
}

struct lsm_env *process_env(struct process *process) {
    return process->env;
}
void process_set_write_buffer(struct process *process, size_t write_buffer_bytes) { process->environment.write_buffer_bytes = write_buffer_bytes; }
const char *process_vfs(const struct process *process) { return process->name; }

int process_open(struct process *process, const char *path, sqlite3 **db) {
    int rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, process->name);
    if (*db != NULL) sqlite3_extended_result_codes(*db, 1);
    return rc == SQLITE_OK ? sqlite3_lsm_init(*db, NULL, NULL) : rc;
}

int computer_start(struct computer *computer, struct lsm_env *disk) {
    *computer = (struct computer){.disk = disk, .machine = machine_new(disk)};
    if (computer->machine != NULL) computer->process = process_new(computer->machine);
    return computer->process == NULL ? SQLITE_NOMEM : process_open(computer->process, MACHINE_DATABASE, &computer->db);
}

void computer_stop(struct computer *computer) {
    int rc = sqlite3_close(computer->db);
    assert(rc == SQLITE_OK);
    (void)rc;
    computer->db = NULL;
    if (computer->process != NULL) process_free(computer->process);
    if (computer->machine != NULL) machine_free(computer->machine);
}
