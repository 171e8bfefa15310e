#include "CNettle.h"

#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

// Since its version 4 digests have one length.
#if NETTLE_VERSION_MAJOR >= 4
#define LENGTH
#else
#define LENGTH SHA256_DIGEST_SIZE,
#endif

void cnettle_sha256(const uint8_t *input, size_t count, uint8_t *output) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, count, input);
    sha256_digest(&context, LENGTH output);
}

void cnettle_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *input, size_t count, uint8_t *output) {
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, key_count, key);
    hmac_sha256_update(&context, count, input);
    hmac_sha256_digest(&context, LENGTH output);
}
