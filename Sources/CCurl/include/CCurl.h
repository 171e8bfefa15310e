// One POST through libcurl, which is loaded when it is first needed: most commands never speak HTTP, and linking it would
// make each of them load thirty libraries first.
//
// Redirects are not followed, and only http and https are spoken. Certificates are checked against the system's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CCURL_DONE,
    // The reader has seen enough: not a failure.
    CCURL_STOPPED,
    CCURL_TIMED_OUT,
    CCURL_FAILED,
    // libcurl.so.4 is not installed.
    CCURL_MISSING,
    // The server closed the connection without a whole answer.
    CCURL_CLOSED,
};

typedef struct ccurl_answer {
    // The status of HTTP; 0 if no answer came.
    long status;
    // Why it failed; empty otherwise.
    char message[256];
} ccurl_answer;

// Takes a piece of the body, or a line of the head. Anything but 0 ends the transfer.
typedef int32_t (*_Nonnull ccurl_reader)(void *_Nullable context, const uint8_t *_Nonnull bytes, size_t count);

// Sends a body and reads the answer.
//
// `headers` are whole lines, ending with NULL. `timeout` is in milliseconds and counts from here to the end of the body.
int32_t ccurl_post(
    const char *_Nonnull url, const char *_Nullable const *_Nonnull headers, const uint8_t *_Nullable body, size_t count,
    long timeout, ccurl_reader head, ccurl_reader reader, void *_Nullable context, ccurl_answer *_Nonnull answer);

#ifdef __cplusplus
}
#endif
