#include "fuzz.h"

#include <stdarg.h>

#include "../lsm_core/codec/coding.h"
#include "../lsm_core/codec/hash.h"
#include "../lsm_core/wal/chain.h"

const uint8_t fuzz_store_id[LSM_STORE_ID_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const struct lsm_env_perm fuzz_perm = {.mode = 0644, .uid = -1, .gid = -1};

void fuzz_broken(const char *condition, const char *file, int line, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "%s:%d: %s does not hold: ", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void fuzz_run(const uint8_t *bytes, size_t size) {
    int64_t live = lsm_mem_live();
    fuzz_target.run(bytes, size);
    FUZZ_CHECK(lsm_mem_live() == live, "%lld allocations are left", (long long)(lsm_mem_live() - live));
}

uint64_t fuzz_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct lsm_env *fuzz_disk(void) {
    struct lsm_env *env = lsm_env_mem_new();
    FUZZ_CHECK(env != NULL, "no memory");
    lsm_env_mem_set_clock(env, 1000000);
    FUZZ_CHECK(lsm_env_mkdir(env, "s", &fuzz_perm, NULL) == LSM_OK, "mkdir");
    return env;
}

void fuzz_write(struct lsm_env *env, const char *path, const void *bytes, size_t size) {
    FUZZ_CHECK(lsm_env_mem_write_file(env, path, bytes, size) == LSM_OK, "%s", path);
}

struct lsm_slice fuzz_take(struct fuzz_input *input, size_t size) {
    if (size > input->left) size = input->left;
    struct lsm_slice taken = lsm_slice_of(input->p, size);
    input->p += size;
    input->left -= size;
    return taken;
}

uint8_t fuzz_take8(struct fuzz_input *input) {
    struct lsm_slice taken = fuzz_take(input, 1);
    return taken.size == 0 ? 0 : taken.data[0];
}

uint64_t fuzz_take64(struct fuzz_input *input) {
    uint8_t bytes[8] = {0};
    struct lsm_slice taken = fuzz_take(input, sizeof bytes);
    if (taken.size != 0) memcpy(bytes, taken.data, taken.size);
    return lsm_load_u64(bytes);
}

/* Now and then (`choice`) the records behind the n-th are left as they are, or what a record says was synced. */
size_t fuzz_mend_chain(const struct lsm_chain_type *type, uint64_t number, uint8_t *bytes, size_t size, uint64_t choice) {
    struct lsm_chain_header header = {.number = number};
    struct lsm_chain_record record;
    if (size < LSM_CHAIN_HEADER_BYTES) return size;
    size_t records = choice % 8 == 0 ? (size_t)(choice >> 3) % 8 : SIZE_MAX;
    memcpy(header.store_id, fuzz_store_id, sizeof header.store_id);
    header.start = lsm_load_u64(bytes + 40) % (1u << 20) / LSM_CHAIN_ALIGN * LSM_CHAIN_ALIGN;
    header.prev_check = lsm_load_u64(bytes + 48);
    lsm_chain_header_encode(type, &header, bytes);

    uint64_t seed = lsm_chain_seed(type, fuzz_store_id, number, header.start), position = header.start, prev = header.prev_check;
    for (size_t at = LSM_CHAIN_HEADER_BYTES; size - at >= LSM_CHAIN_RECORD_BYTES && records-- > 0;) {
        uint8_t *p = bytes + at;
        size_t room = size - at - LSM_CHAIN_RECORD_BYTES;
        uint64_t place = lsm_chain_place(seed, position);
        record = (struct lsm_chain_record){.position = position};
        (void)lsm_chain_record_decode(p, place, &record);
        if (record.synced > position) record.synced = position;
        if (record.length > room || lsm_chain_record_bytes(record.length) > size - at)
            record.length = (uint32_t)(room / LSM_CHAIN_ALIGN * LSM_CHAIN_ALIGN);
        if (record.kind >= 32 || (type->kinds >> record.kind & 1u) == 0) record.kind = 1;
        size_t whole = (size_t)lsm_chain_record_bytes(record.length), body = LSM_CHAIN_RECORD_BYTES + record.length;
        lsm_chain_record_encode(&record, place, p);
        memset(p + body, 0, whole - body);
        prev = lsm_chain_check_of(lsm_hash(p + 8, body - 8, place), prev);
        lsm_store_u64(p, prev);
        position += whole;
        at += whole;
    }
    return size;
}
