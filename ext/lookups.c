#include "lookups.h"

#include "value_hash.h"

/* All of one space together; what is more goes to temporary files. */
#define BYTES_MAX ((size_t)32 << 20)
/* But each has so much. */
#define BYTES_LEAST ((size_t)1 << 20)
/* One for each table of the largest join. */
#define COUNT_MAX 64

void vt_lookups_note_undo(struct vt_lookups *lookups) {
    for (int i = 0; i < VT_LOOKUPS_TREES; i++) lookups->writes[i]++;
}

struct vt_lookup *vt_lookups_find(struct vt_lookups *lookups, struct lsm_slice name) {
    for (struct vt_lookup **link = &lookups->first; *link != NULL; link = &(*link)->next) {
        struct vt_lookup *lookup = *link;
        if (lookup->name.size != name.size || memcmp(lookup->name.data, name.data, name.size) != 0) continue;
        *link = lookup->next;
        lookup->next = lookups->first;
        lookups->first = lookup;
        return lookup;
    }
    return NULL;
}

bool vt_lookups_seen(struct vt_lookups *lookups, struct lsm_slice name) {
    uint64_t hash = vt_hash_bytes(name.data, name.size) | 1;
    for (int i = 0; i < VT_LOOKUPS_SEEN; i++) {
        if (lookups->seen[i] == hash) return true;
    }
    lookups->seen[lookups->seen_next] = hash;
    lookups->seen_next = (lookups->seen_next + 1) % VT_LOOKUPS_SEEN;
    lookups->used = true;
    return false;
}

struct vt_lookups_kind *vt_lookups_kind(struct vt_lookups *lookups, uint64_t hash, bool *fresh) {
    *fresh = false;
    for (int i = 0; i < VT_LOOKUPS_SEEN; i++) {
        if (lookups->kinds[i].hash == (hash | 1)) return &lookups->kinds[i];
    }
    struct vt_lookups_kind *kind = &lookups->kinds[lookups->kinds_next];
    *kind = (struct vt_lookups_kind){.hash = hash | 1};
    lookups->kinds_next = (lookups->kinds_next + 1) % VT_LOOKUPS_SEEN;
    lookups->used = *fresh = true;
    return kind;
}

/* All but the first `kept`. */
static void drop_behind(struct vt_lookups *lookups, int kept) {
    struct vt_lookup **link = &lookups->first;
    for (int i = 0; i < kept && *link != NULL; i++) link = &(*link)->next;
    while (*link != NULL) {
        struct vt_lookup *lookup = *link;
        *link = lookup->next;
        vt_lookup_unref(lookup);
        lookups->count--;
    }
}

void vt_lookups_add(struct vt_lookups *lookups, struct vt_lookup *lookup) {
    drop_behind(lookups, COUNT_MAX - 1);
    lookups->used = true;
    vt_lookup_ref(lookup);
    lookup->next = lookups->first;
    lookups->first = lookup;
    lookups->count++;
}

static size_t bytes_taken(const struct vt_lookups *lookups) {
    size_t taken = 0;
    for (const struct vt_lookup *lookup = lookups->first; lookup != NULL; lookup = lookup->next) taken += lookup->bytes;
    return taken;
}

/* The one that was used longest ago, of those that no cursor holds. */
static bool drop_unused(struct vt_lookups *lookups) {
    struct vt_lookup **found = NULL;
    for (struct vt_lookup **link = &lookups->first; *link != NULL; link = &(*link)->next) {
        if ((*link)->refs == 1) found = link;
    }
    if (found == NULL) return false;
    struct vt_lookup *lookup = *found;
    *found = lookup->next;
    vt_lookup_unref(lookup);
    lookups->count--;
    return true;
}

size_t vt_lookups_room(struct vt_lookups *lookups) {
    while (bytes_taken(lookups) > BYTES_MAX / 2 && drop_unused(lookups)) continue;
    size_t taken = bytes_taken(lookups);
    return taken + BYTES_LEAST < BYTES_MAX ? BYTES_MAX - taken : BYTES_LEAST;
}

void vt_lookups_clear(struct vt_lookups *lookups) {
    if (!lookups->used) return;
    lookups->used = false;
    drop_behind(lookups, 0);
    memset(lookups->seen, 0, sizeof lookups->seen);
    memset(lookups->kinds, 0, sizeof lookups->kinds);
}
