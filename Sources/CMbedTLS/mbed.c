#include "CMbedTLS.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>

int cmbed_rsa_verifies(
    const uint8_t *modulus, size_t modulus_count, const uint8_t *exponent, size_t exponent_count,
    const uint8_t *digest, const uint8_t *signature, size_t signature_count)
{
    mbedtls_rsa_context key;
    mbedtls_rsa_init(&key, MBEDTLS_RSA_PKCS_V15, MBEDTLS_MD_SHA256);
    int good =
        mbedtls_rsa_import_raw(
            &key, modulus, modulus_count, NULL, 0, NULL, 0, NULL, 0, exponent, exponent_count) == 0 &&
        mbedtls_rsa_complete(&key) == 0 && mbedtls_rsa_check_pubkey(&key) == 0 &&
        mbedtls_rsa_get_len(&key) >= 256 && mbedtls_rsa_get_len(&key) <= 1024 &&
        signature_count == mbedtls_rsa_get_len(&key) &&
        mbedtls_rsa_pkcs1_verify(
            &key, NULL, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256, 32, digest, signature) == 0;
    mbedtls_rsa_free(&key);
    return good;
}

int cmbed_p256_verifies(const uint8_t *point, const uint8_t *digest, const uint8_t *signature)
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point key;
    mbedtls_mpi r, s;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&key);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    uint8_t uncompressed[65] = {4};
    for (size_t index = 0; index < 64; index++) uncompressed[index + 1] = point[index];
    int good =
        mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
        mbedtls_ecp_point_read_binary(&group, &key, uncompressed, sizeof uncompressed) == 0 &&
        mbedtls_ecp_check_pubkey(&group, &key) == 0 && mbedtls_mpi_read_binary(&r, signature, 32) == 0 &&
        mbedtls_mpi_read_binary(&s, signature + 32, 32) == 0 &&
        mbedtls_ecdsa_verify(&group, digest, 32, &key, &r, &s) == 0;
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&key);
    mbedtls_ecp_group_free(&group);
    return good;
}
