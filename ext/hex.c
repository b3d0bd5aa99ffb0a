#include "hex.h"

void vt_hex_write(const uint8_t *bytes, size_t size, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool vt_hex_read(const char *text, size_t text_size, uint8_t *bytes, size_t size) {
    if (text_size != 2 * size) return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void vt_nonce_write(uint64_t nonce, char *out) {
    uint8_t bytes[sizeof nonce];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(nonce >> (56 - 8 * i));
    vt_hex_write(bytes, sizeof bytes, out);
}

bool vt_nonce_read(const char *text, size_t text_size, uint64_t *nonce) {
    uint8_t bytes[sizeof *nonce];
    if (!vt_hex_read(text, text_size, bytes, sizeof bytes)) return false;
    *nonce = 0;
    for (size_t i = 0; i < sizeof bytes; i++) *nonce = *nonce << 8 | bytes[i];
    return true;
}
