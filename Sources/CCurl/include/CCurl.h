// POST and GET through libcurl, which is loaded when it is first needed: most commands never speak HTTP, and linking it would
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
    CCURL_CANCELLED,
    // The body was not to be sent any more.
    CCURL_WITHDRAWN,
};

typedef struct ccurl_answer {
    // The status of HTTP; 0 if no answer came.
    long status;
    // Whether anything of the body was written.
    int32_t was_sent;
    // Why it failed; empty otherwise.
    char message[256];
} ccurl_answer;

// Takes a piece of the body, or a line of the head. Anything but 0 ends the transfer.
typedef int32_t (*_Nonnull ccurl_reader)(void *_Nullable context, const uint8_t *_Nonnull bytes, size_t count);

// A connection that is kept from one transfer to the next, as long as it is used. For one transfer at a time.
typedef struct ccurl_line ccurl_line;

// NULL where libcurl is not installed.
ccurl_line *_Nullable ccurl_open(void);
void ccurl_close(ccurl_line *_Nonnull line);
// Ends the transfer that is under way, and those that come, until the line is renewed. From any thread.
void ccurl_cancel(ccurl_line *_Nonnull line);
// Forgets that it was cancelled. For a new owner, before anybody can cancel what that one does: whoever cancels the transfer
// before may be late.
void ccurl_renew(ccurl_line *_Nonnull line);

typedef struct ccurl_request {
    const char *_Nonnull url;
    // NULL for POST.
    const char *_Nullable method;
    // Whole lines, ending with NULL.
    const char *_Nullable const *_Nonnull headers;
    const uint8_t *_Nullable body;
    size_t count;
    // Whether it is a GET, which has no body.
    int32_t is_get;
    // In milliseconds, from here to the end of the answer.
    long timeout;
    // Whether no proxy is used, whatever the environment says.
    int32_t direct;
    // Asked before the first byte of the body, when there is a connection: 0 where it may be sent.
    int32_t (*_Nonnull is_withdrawn)(void *_Nullable context);
    ccurl_reader head;
    ccurl_reader reader;
    void *_Nullable context;
} ccurl_request;

// Sends a body once, and reads the answer: where a kept connection turns out to be dead after something was written, it fails. A
// GET may be sent again by the library.
int32_t ccurl_send(
    ccurl_line *_Nonnull line, const ccurl_request *_Nonnull request, ccurl_answer *_Nonnull answer);

#ifdef __cplusplus
}
#endif
