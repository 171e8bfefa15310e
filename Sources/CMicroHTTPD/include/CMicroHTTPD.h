// A server of HTTP by libmicrohttpd, for the gateway alone: one thread for each connection, so that a slow client holds up
// nobody and a call is made where it is read. The library's options are variadic, so this is all that is used of it.
//
// It has no time limits: the library's would also count the time of a call. Who starts it shuts down sockets.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct chttpd chttpd;
// One request under way. Only valid within the functions below.
typedef struct chttpd_exchange chttpd_exchange;

// What to do after the head.
enum {
    // Read the body, and then finish.
    CHTTPD_READ,
    // Answer without reading it; the connection ends with the answer.
    CHTTPD_ANSWER,
    CHTTPD_HANG_UP,
};

// All are called on the connection's thread, but for `opened`, which the thread that takes connections calls. `context` is the
// server's.
typedef struct chttpd_handlers {
    void *_Nullable context;
    // A connection begins. Returns what is given to the others as `connection`. Whoever shuts down the socket ends it.
    void *_Nullable (*_Nonnull opened)(void *_Nullable context, int socket);
    // It ends: its socket is closed after this.
    void (*_Nonnull closed)(void *_Nullable context, void *_Nullable connection);
    // The head of a request has been read. Sets `request`, which `done` gets back.
    int32_t (*_Nonnull begun)(
        void *_Nullable context, void *_Nullable connection, chttpd_exchange *_Nonnull exchange, const char *_Nonnull method,
        const char *_Nonnull path, const char *_Nonnull version, void *_Nullable *_Nonnull request);
    // A piece of the body. Anything but 0 ends the connection.
    int32_t (*_Nonnull took)(void *_Nullable request, const uint8_t *_Nonnull bytes, size_t count);
    // All of it has come: answers, by chttpd_answer. Anything but 0 ends the connection.
    int32_t (*_Nonnull finished)(void *_Nullable request, chttpd_exchange *_Nonnull exchange);
    // The answer is out as a whole (1), or the connection broken.
    void (*_Nonnull done)(void *_Nullable request, int32_t was_sent);
} chttpd_handlers;

typedef struct chttpd_settings {
    // Bound and listening; the server closes it.
    int socket;
    unsigned connections;
    // Of a connection, in bytes: a head that does not fit is answered by the library, with HTML.
    size_t memory;
    // The stack of a connection's thread, in bytes.
    size_t stack;
    // PEM; NULL for http.
    const char *_Nullable key;
    const char *_Nullable certificate;
    // Whose clients' certificates count; NULL if none are asked for.
    const char *_Nullable authorities;
} chttpd_settings;

// NULL if it cannot be started: the certificate and its key do not fit, or there are no threads.
chttpd *_Nullable chttpd_start(const chttpd_settings *_Nonnull settings, const chttpd_handlers *_Nonnull handlers);
// Takes another certificate, key and authorities (NULL if it had none): connections that begin have them, and those that are open
// keep theirs. Returns 0 if they do not fit: then nothing has changed. For https alone.
int chttpd_renew(
    chttpd *_Nonnull server, const char *_Nonnull certificate, const char *_Nonnull key, const char *_Nullable authorities);
// Takes no more connections. Those that are open go on.
void chttpd_quiesce(chttpd *_Nonnull server);
// Breaks all connections and waits for their threads: what they do must end by itself.
void chttpd_stop(chttpd *_Nonnull server);

// Hands over each line of the head. Returns 0 if not all of them were sent like this: a line was folded, had a byte 0 in it or
// did not end with CR LF.
//
// `method` is what `begun` was given. Only valid within it.
int chttpd_headers(
    chttpd_exchange *_Nonnull exchange, const char *_Nonnull method, void *_Nullable context,
    void (*_Nonnull take)(void *_Nullable context, const char *_Nonnull name, const char *_Nonnull value));

// The bytes of the head; 0 where that is not known.
size_t chttpd_head_size(chttpd_exchange *_Nonnull exchange);

// Whether the client has a certificate of one of the authorities, for this purpose and valid now.
int chttpd_client_is_known(chttpd_exchange *_Nonnull exchange);

// Sends an answer. `names` and `values` are its headers, ending with NULL. Returns 0 if it could not be queued.
int chttpd_answer(
    chttpd_exchange *_Nonnull exchange, unsigned status, const char *_Nullable const *_Nonnull names,
    const char *_Nullable const *_Nonnull values, const uint8_t *_Nullable body, size_t count);

// Whether a certificate in PEM is for a host: a name, or an address without brackets. -1 if it cannot be read.
int chttpd_is_for(const char *_Nonnull certificate, const char *_Nonnull host);

// Whether a certificate in PEM, with what it leads to, can be used with a private key in PEM, and these authorities, if any.
int chttpd_fits(const char *_Nonnull certificate, const char *_Nonnull key, const char *_Nullable authorities);

#ifdef __cplusplus
}
#endif
