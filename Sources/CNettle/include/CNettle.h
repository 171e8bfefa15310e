#include <stddef.h>
#include <stdint.h>

/// SHA-256 of `count` bytes; `output` takes 32.
void cnettle_sha256(const uint8_t *input, size_t count, uint8_t *output);

/// HMAC-SHA-256 of `count` bytes under a key of any length; `output` takes 32.
void cnettle_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *input, size_t count, uint8_t *output);
