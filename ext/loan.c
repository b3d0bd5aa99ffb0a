#include "loan.h"

#define LOAN_BYTES_MAX 256

struct vt_loan {
    int holders; /* 1: the lender alone; 0 never stands here */
    uint8_t bytes[LOAN_BYTES_MAX];
};

void vt_loan_release(struct vt_loan *loan) {
    if (loan != NULL && --loan->holders == 0) sqlite3_free(loan);
}

static void give_back(void *bytes) { vt_loan_release((struct vt_loan *)((uint8_t *)bytes - offsetof(struct vt_loan, bytes))); }

/* A place to copy to; NULL if there is none, which is no failure. */
static struct vt_loan *free_place(struct vt_loan **loan, size_t size) {
    if (size > LOAN_BYTES_MAX) return NULL;
    if (*loan != NULL) return (*loan)->holders == 1 ? *loan : NULL;
    *loan = sqlite3_malloc64(sizeof **loan);
    if (*loan != NULL) (*loan)->holders = 1;
    return *loan;
}

void vt_loan_result(struct vt_loan **loan, bool text, struct lsm_slice bytes, sqlite3_context *context) {
    struct vt_loan *place = free_place(loan, bytes.size);
    struct vt_value value = vt_value_bytes(text ? SQLITE_TEXT : SQLITE_BLOB, bytes.data, bytes.size);
    if (place != NULL) {
        if (bytes.size != 0) memcpy(place->bytes, bytes.data, bytes.size);
        value.bytes = place->bytes;
        place->holders++;
    }
    vt_value_result(context, &value, place != NULL ? give_back : SQLITE_TRANSIENT);
}
