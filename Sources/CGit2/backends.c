// libgit2 without its network.
//
// Ensign never lets libgit2 fetch or push (git itself does that), but the library's start-up initialises TLS and SSH,
// which parses the system's CA bundle (5 ms) and loads some twenty shared libraries. The linker takes an object out of
// libgit2.a only for a symbol that nothing has defined yet: defining the network's entry points here keeps those
// objects, and with them mbedTLS, libssh2 and GSSAPI, out of the binary. Each reports "not available".

#include <stdbool.h>

int git_mbedtls_stream_global_init(void) { return 0; }
int git_mbedtls__set_cert_location(const char *file, const char *path) { return -1; }
int git_mbedtls_stream_new(void *out, const char *host, const char *port) { return -1; }
int git_mbedtls_stream_wrap(void *out, void *in, const char *host) { return -1; }
int git_transport_ssh_global_init(void) { return 0; }
int git_smart_subtransport_ssh(void *out, void *owner, void *param) { return -1; }
int git_smart_subtransport_http(void *out, void *owner, void *param) { return -1; }
int git_smart_subtransport_git(void *out, void *owner, void *param) { return -1; }
int git_transport_local(void *out, void *owner, void *param) { return -1; }
int git_http_auth_negotiate(void *out, const void *url) { return -1; }
int git_http_auth_ntlm(void *out, const void *url) { return -1; }
bool git_http__expect_continue = false;
