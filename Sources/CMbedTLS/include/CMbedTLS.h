// Signatures of the kinds that identity providers make, through Mbed TLS. Nothing keeps a pointer that it was given.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Whether an RSASSA-PKCS1-v1_5 signature (RFC 8017, section 8.2) of a SHA-256 digest is good. Keys of fewer than 2048 or
// more than 8192 bits never verify anything.
int cmbed_rsa_verifies(
    const uint8_t *_Nonnull modulus, size_t modulus_count, const uint8_t *_Nonnull exponent, size_t exponent_count,
    const uint8_t *_Nonnull digest, const uint8_t *_Nonnull signature, size_t signature_count);

// Whether an ECDSA signature (FIPS 186-4, section 6.4) on P-256 of a SHA-256 digest is good. `point` is x and y, `signature`
// r and s, each number of 32 bytes.
int cmbed_p256_verifies(
    const uint8_t *_Nonnull point, const uint8_t *_Nonnull digest, const uint8_t *_Nonnull signature);

#ifdef __cplusplus
}
#endif
