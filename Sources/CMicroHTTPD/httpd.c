#include "CMicroHTTPD.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// From 0.9.77 on the library itself refuses heads that two readers could read as two things.
#define CHTTPD_IS_STRICT (MHD_VERSION >= 0x00097701)

// Who a server is to its clients. Shared by the connections that began with it.
struct identity {
    gnutls_certificate_credentials_t credentials;
    size_t users;
};

struct chttpd {
    chttpd_handlers handlers;
    struct MHD_Daemon *daemon;
    // That of connections that begin, and the users of each; NULL for http.
    struct identity *identity;
    pthread_mutex_t mutex;
    // The socket that it listened on, once it does so no more; else -1.
    int socket;
};

// A connection as the library's callbacks know it.
struct client {
    void *own;
    struct identity *identity;
};

// A request as the library's callbacks know it.
struct request {
    void *own;
    int must_hang_up;
};

static gnutls_datum_t datum_of(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

static struct identity *identity_make(const char *certificate, const char *key, const char *authorities)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) return NULL;
    identity->users = 1;
    if (gnutls_certificate_allocate_credentials(&identity->credentials) != GNUTLS_E_SUCCESS) {
        free(identity);
        return NULL;
    }
    const gnutls_datum_t chain = datum_of(certificate), secret = datum_of(key);
    int is_good
        = gnutls_certificate_set_x509_key_mem(identity->credentials, &chain, &secret, GNUTLS_X509_FMT_PEM) >= 0;
    if (is_good && authorities != NULL) {
        const gnutls_datum_t trust = datum_of(authorities);
        is_good = gnutls_certificate_set_x509_trust_mem(identity->credentials, &trust, GNUTLS_X509_FMT_PEM) > 0;
    }
    if (is_good) return identity;
    gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
    return NULL;
}

static struct identity *identity_use(chttpd *server)
{
    pthread_mutex_lock(&server->mutex);
    struct identity *identity = server->identity;
    if (identity != NULL) identity->users++;
    pthread_mutex_unlock(&server->mutex);
    return identity;
}

static void identity_release(chttpd *server, struct identity *identity)
{
    if (identity == NULL) return;
    pthread_mutex_lock(&server->mutex);
    const int is_last = --identity->users == 0;
    pthread_mutex_unlock(&server->mutex);
    if (!is_last) return;
    gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
}

static void server_free(chttpd *server)
{
    identity_release(server, server->identity);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

static struct MHD_Connection *connection_of(chttpd_exchange *exchange) { return (struct MHD_Connection *)exchange; }

static enum MHD_Result handle(
    void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version, const char *data,
    size_t *count, void **state)
{
    struct chttpd *server = cls;
    const chttpd_handlers *handlers = &server->handlers;
    chttpd_exchange *exchange = (chttpd_exchange *)connection;
    struct request *request = *state;
    if (request == NULL) {
        request = calloc(1, sizeof *request);
        if (request == NULL) return MHD_NO;
        *state = request;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        const struct client *client = info == NULL ? NULL : info->socket_context;
        if (client == NULL) return MHD_NO;
        switch (handlers->begun(handlers->context, client->own, exchange, method, url, version, &request->own)) {
        case CHTTPD_READ: return MHD_YES;
        case CHTTPD_ANSWER: return handlers->finished(request->own, exchange) == 0 ? MHD_YES : MHD_NO;
        default: return MHD_NO;
        }
    }
    if (*count > 0) {
        const int32_t said = handlers->took(request->own, (const uint8_t *)data, *count);
        *count = 0;
        return said == 0 ? MHD_YES : MHD_NO;
    }
    return handlers->finished(request->own, exchange) == 0 ? MHD_YES : MHD_NO;
}

static void completed(
    void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    (void)connection;
    struct chttpd *server = cls;
    struct request *request = *state;
    if (request == NULL) return;
    if (request->own != NULL) server->handlers.done(request->own, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    free(request);
    *state = NULL;
}

static void notified(
    void *cls, struct MHD_Connection *connection, void **own, enum MHD_ConnectionNotificationCode code)
{
    struct chttpd *server = cls;
    struct client *client = *own;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client = calloc(1, sizeof *client);
        *own = client;
        // Its requests are not taken.
        if (client == NULL) return;
        client->identity = identity_use(server);
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        // In place of the library's own, which never change. Nothing has been said on the connection yet.
        if (client->identity != NULL && info != NULL && info->tls_session != NULL) {
            gnutls_credentials_set(info->tls_session, GNUTLS_CRD_CERTIFICATE, client->identity->credentials);
        }
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        client->own = server->handlers.opened(server->handlers.context, info == NULL ? -1 : info->connect_fd);
    } else if (client != NULL) {
        server->handlers.closed(server->handlers.context, client->own);
        identity_release(server, client->identity);
        free(client);
        *own = NULL;
    }
}

chttpd *chttpd_start(const chttpd_settings *settings, const chttpd_handlers *handlers)
{
    struct chttpd *server = calloc(1, sizeof *server);
    if (server == NULL) return NULL;
    server->handlers = *handlers;
    server->socket = -1;
    pthread_mutex_init(&server->mutex, NULL);
    if (settings->certificate != NULL) {
        server->identity = identity_make(settings->certificate, settings->key, settings->authorities);
        if (server->identity == NULL) {
            server_free(server);
            return NULL;
        }
    }
    struct MHD_OptionItem options[16];
    size_t used = 0;
#define OPTION(name, number, pointer) \
    options[used++] = (struct MHD_OptionItem){name, (intptr_t)(number), (void *)(uintptr_t)(pointer)}
    OPTION(MHD_OPTION_LISTEN_SOCKET, settings->socket, NULL);
    OPTION(MHD_OPTION_CONNECTION_LIMIT, settings->connections, NULL);
    OPTION(MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->memory, NULL);
    OPTION(MHD_OPTION_THREAD_STACK_SIZE, settings->stack, NULL);
#if CHTTPD_IS_STRICT
    // No folded lines, no blanks before a colon, no byte 0, no line that ends without CR.
    OPTION(MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL);
#else
    // Its own strictness is only a page of HTML for what is refused here all the same: see take_header.
    OPTION(MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL);
#endif
    OPTION(MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)completed, server);
    OPTION(MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)notified, server);
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    if (settings->certificate != NULL) {
        flags |= MHD_USE_TLS;
        OPTION(MHD_OPTION_HTTPS_MEM_KEY, 0, settings->key);
        OPTION(MHD_OPTION_HTTPS_MEM_CERT, 0, settings->certificate);
        OPTION(MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
        if (settings->authorities != NULL) OPTION(MHD_OPTION_HTTPS_MEM_TRUST, 0, settings->authorities);
    }
    OPTION(MHD_OPTION_END, 0, NULL);
#undef OPTION
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (server->daemon != NULL) return server;
    server_free(server);
    return NULL;
}

int chttpd_renew(chttpd *server, const char *certificate, const char *key, const char *authorities)
{
    struct identity *identity = identity_make(certificate, key, authorities);
    if (identity == NULL) return 0;
    pthread_mutex_lock(&server->mutex);
    struct identity *old = server->identity;
    server->identity = identity;
    pthread_mutex_unlock(&server->mutex);
    identity_release(server, old);
    return 1;
}

void chttpd_quiesce(chttpd *server)
{
    // The socket is the caller's from here on, and is closed by chttpd_stop.
    server->socket = MHD_quiesce_daemon(server->daemon);
}

void chttpd_stop(chttpd *server)
{
    MHD_stop_daemon(server->daemon);
    if (server->socket >= 0) close(server->socket);
    server_free(server);
}

struct taking {
    void *context;
    void (*take)(void *context, const char *name, const char *value);
    // Where the line after the one before begins; NULL before the first.
    const char *next;
    int is_plain;
};

// Whether a line is as it was received. Earlier versions join a folded line to the *name* of the header before it, and end a
// value at a byte 0; what they do not touch lies where it was received, the colon and CR LF replaced by zeros.
static int is_plain(const struct taking *taking, const char *name, const char *value)
{
    if (taking->next != NULL && taking->next != name) return 0;
    const char *place = name + strlen(name) + 1;
    while (place < value && (*place == ' ' || *place == '\t')) place++;
    return place == value;
}

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct taking *taking = cls;
    if (value == NULL) value = "";
    if (!CHTTPD_IS_STRICT) {
        if (!is_plain(taking, name, value)) taking->is_plain = 0;
        taking->next = value + strlen(value) + 2;
    }
    taking->take(taking->context, name, value);
    return MHD_YES;
}

int chttpd_headers(
    chttpd_exchange *exchange, const char *method, void *context,
    void (*take)(void *context, const char *name, const char *value))
{
    struct taking taking = {context, take, NULL, 1};
    MHD_get_connection_values(connection_of(exchange), MHD_HEADER_KIND, take_header, &taking);
    const size_t size = chttpd_head_size(exchange);
    // The last line is followed by an empty one, and that is the end.
    if (!CHTTPD_IS_STRICT && taking.next != NULL && size > 0 && taking.next + 2 != method + size) taking.is_plain = 0;
    return taking.is_plain;
}

size_t chttpd_head_size(chttpd_exchange *exchange)
{
    const union MHD_ConnectionInfo *info
        = MHD_get_connection_info(connection_of(exchange), MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == NULL ? 0 : info->header_size;
}

int chttpd_client_is_known(chttpd_exchange *exchange)
{
    const union MHD_ConnectionInfo *info
        = MHD_get_connection_info(connection_of(exchange), MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == NULL || info->tls_session == NULL) return 0;
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    unsigned status = ~0u;
    return gnutls_certificate_verify_peers(info->tls_session, &purpose, 1, &status) == GNUTLS_E_SUCCESS && status == 0;
}

int chttpd_answer(
    chttpd_exchange *exchange, unsigned status, const char *const *names, const char *const *values, const uint8_t *body,
    size_t count)
{
    // It is copied: the caller's array lives no longer than this call.
    struct MHD_Response *response = MHD_create_response_from_buffer(count, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return 0;
    for (size_t i = 0; names[i] != NULL; i++) MHD_add_response_header(response, names[i], values[i]);
    const enum MHD_Result queued = MHD_queue_response(connection_of(exchange), status, response);
    MHD_destroy_response(response);
    return queued == MHD_YES;
}

int chttpd_is_for(const char *certificate, const char *host)
{
    gnutls_x509_crt_t parsed;
    if (gnutls_x509_crt_init(&parsed) != GNUTLS_E_SUCCESS) return -1;
    const gnutls_datum_t pem = datum_of(certificate);
    int result = -1;
    if (gnutls_x509_crt_import(parsed, &pem, GNUTLS_X509_FMT_PEM) == GNUTLS_E_SUCCESS) {
        result = gnutls_x509_crt_check_hostname(parsed, host) != 0;
    }
    gnutls_x509_crt_deinit(parsed);
    return result;
}

int chttpd_fits(const char *certificate, const char *key, const char *authorities)
{
    struct identity *identity = identity_make(certificate, key, authorities);
    if (identity == NULL) return 0;
    gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
    return 1;
}
