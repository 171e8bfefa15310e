#include <nettle/sha1.h>
#include <stddef.h>
#include <stdint.h>

/// SHA-256 of `count` bytes; `output` takes 32.
void cnettle_sha256(const uint8_t *input, size_t count, uint8_t *output);

/// HMAC-SHA-256 of `count` bytes under a key of any length; `output` takes 32.
void cnettle_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *input, size_t count, uint8_t *output);

/// SHA-1 of bytes that come part by part.
typedef struct {
    struct sha1_ctx context;
} cnettle_sha1;

void cnettle_sha1_begin(cnettle_sha1 *state);
void cnettle_sha1_add(cnettle_sha1 *state, const uint8_t *input, size_t count);

/// `output` takes 20.
void cnettle_sha1_end(cnettle_sha1 *state, uint8_t *output);
