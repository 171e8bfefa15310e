#include "CNettle.h"

#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

// Since its version 4 digests have one length.
#if NETTLE_VERSION_MAJOR >= 4
#define LENGTH(bytes)
#else
#define LENGTH(bytes) bytes,
#endif

void cnettle_sha256(const uint8_t *input, size_t count, uint8_t *output) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, count, input);
    sha256_digest(&context, LENGTH(SHA256_DIGEST_SIZE) output);
}

void cnettle_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *input, size_t count, uint8_t *output) {
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, key_count, key);
    hmac_sha256_update(&context, count, input);
    hmac_sha256_digest(&context, LENGTH(SHA256_DIGEST_SIZE) output);
}

void cnettle_sha1_begin(cnettle_sha1 *state) { sha1_init(&state->context); }

void cnettle_sha1_add(cnettle_sha1 *state, const uint8_t *input, size_t count) {
    sha1_update(&state->context, count, input);
}

void cnettle_sha1_end(cnettle_sha1 *state, uint8_t *output) {
    sha1_digest(&state->context, LENGTH(SHA1_DIGEST_SIZE) output);
}
