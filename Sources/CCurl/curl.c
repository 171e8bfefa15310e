#include "CCurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is used of libcurl.
static struct {
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    void (*easy_reset)(CURL *);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_perform)(CURLM *, int *);
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned, int, int *);
    CURLMcode (*multi_wakeup)(CURLM *);
    CURLMsg *(*multi_info_read)(CURLM *, int *);
    CURLMcode (*multi_cleanup)(CURLM *);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
} lib;

static int is_loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    // Never closed: libcurl keeps global state.
    void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) return;
    int found = 1;
#define FIND(member) found &= (*(void **)&lib.member = dlsym(handle, "curl_" #member)) != NULL
    FIND(global_init);
    FIND(easy_init);
    FIND(easy_reset);
    FIND(easy_setopt);
    FIND(easy_getinfo);
    FIND(easy_cleanup);
    FIND(easy_strerror);
    FIND(multi_init);
    FIND(multi_add_handle);
    FIND(multi_remove_handle);
    FIND(multi_perform);
    FIND(multi_poll);
    FIND(multi_wakeup);
    FIND(multi_info_read);
    FIND(multi_cleanup);
    FIND(slist_append);
    FIND(slist_free_all);
#undef FIND
    is_loaded = found && lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct ccurl_line {
    CURL *easy;
    // Holds the connections.
    CURLM *multi;
    atomic_int is_cancelled;
};

ccurl_line *ccurl_open(void)
{
    pthread_once(&once, load);
    if (!is_loaded) return NULL;
    struct ccurl_line *line = calloc(1, sizeof *line);
    if (line == NULL) return NULL;
    line->easy = lib.easy_init();
    line->multi = lib.multi_init();
    if (line->easy != NULL && line->multi != NULL) return line;
    ccurl_close(line);
    return NULL;
}

void ccurl_close(ccurl_line *line)
{
    if (line->easy != NULL) lib.easy_cleanup(line->easy);
    if (line->multi != NULL) lib.multi_cleanup(line->multi);
    free(line);
}

void ccurl_cancel(ccurl_line *line)
{
    atomic_store(&line->is_cancelled, 1);
    lib.multi_wakeup(line->multi);
}

void ccurl_renew(ccurl_line *line)
{
    atomic_store(&line->is_cancelled, 0);
}

struct transfer {
    const ccurl_request *request;
    size_t sent;
    int was_stopped;
    int was_withdrawn;
};

static size_t give_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (transfer->sent == 0 && transfer->request->is_withdrawn(transfer->request->context)) {
        transfer->was_withdrawn = 1;
        return CURL_READFUNC_ABORT;
    }
    const size_t left = transfer->request->count - transfer->sent;
    const size_t piece = size * count < left ? size * count : left;
    if (piece > 0) memcpy(bytes, transfer->request->body + transfer->sent, piece);
    transfer->sent += piece;
    return piece;
}

static size_t take_head(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (transfer->request->head(transfer->request->context, (const uint8_t *)bytes, size * count) == 0) return size * count;
    transfer->was_stopped = 1;
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (size * count == 0) return 0;
    if (transfer->request->reader(transfer->request->context, (const uint8_t *)bytes, size * count) == 0) {
        return size * count;
    }
    transfer->was_stopped = 1;
    return 0;
}

static void set_options(CURL *curl, const ccurl_request *request, struct transfer *transfer, struct curl_slist *lines)
{
    lib.easy_setopt(curl, CURLOPT_URL, request->url);
    // Numbers, not names: CURLOPT_PROTOCOLS_STR is newer than some installed libraries.
    lib.easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    lib.easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    lib.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (request->direct) lib.easy_setopt(curl, CURLOPT_NOPROXY, "*");
    lib.easy_setopt(curl, CURLOPT_TIMEOUT_MS, request->timeout);
    lib.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, request->timeout < 10000 ? request->timeout : 10000L);
    // Many servers close what is idle for five seconds; a request must not meet that.
    lib.easy_setopt(curl, CURLOPT_MAXAGE_CONN, 4L);
    lib.easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    if (request->is_get) {
        lib.easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    } else {
        lib.easy_setopt(curl, CURLOPT_POST, 1L);
        lib.easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->count);
    }
    if (request->method != NULL) lib.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    // Not as POSTFIELDS: those are sent again by the library when a kept connection dies. What cannot be read from its start
    // again is not.
    lib.easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    lib.easy_setopt(curl, CURLOPT_READDATA, transfer);
    lib.easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
    lib.easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    lib.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    lib.easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
}

// Runs a transfer that has been added to its end. Returns whether it was cancelled.
static int run(ccurl_line *line, CURLcode *code)
{
    for (;;) {
        int running = 0, left = 0;
        if (lib.multi_perform(line->multi, &running) != CURLM_OK) return 0;
        for (CURLMsg *message; (message = lib.multi_info_read(line->multi, &left)) != NULL;) {
            if (message->msg != CURLMSG_DONE) continue;
            *code = message->data.result;
            return 0;
        }
        if (atomic_load(&line->is_cancelled)) return 1;
        if (running == 0 || lib.multi_poll(line->multi, NULL, 0, 1000, NULL) != CURLM_OK) return 0;
    }
}

int32_t ccurl_send(ccurl_line *line, const ccurl_request *request, ccurl_answer *answer)
{
    answer->status = 0;
    answer->was_sent = 0;
    answer->message[0] = 0;
    struct transfer transfer = {request, 0, 0, 0};
    struct curl_slist *lines = NULL;
    for (size_t i = 0; request->headers[i] != NULL; i++) {
        struct curl_slist *more = lib.slist_append(lines, request->headers[i]);
        if (more != NULL) lines = more;
    }
    // Keeps the connections.
    lib.easy_reset(line->easy);
    set_options(line->easy, request, &transfer, lines);
    CURLcode code = CURLE_FAILED_INIT;
    int was_cancelled = 0;
    if (lib.multi_add_handle(line->multi, line->easy) == CURLM_OK) {
        was_cancelled = run(line, &code);
        lib.easy_getinfo(line->easy, CURLINFO_RESPONSE_CODE, &answer->status);
        // Breaks the connection if the transfer is not over.
        lib.multi_remove_handle(line->multi, line->easy);
    }
    lib.slist_free_all(lines);
    answer->was_sent = transfer.sent > 0;
    if (was_cancelled) return CCURL_CANCELLED;
    if (transfer.was_withdrawn) return CCURL_WITHDRAWN;
    if (code == CURLE_OK) return CCURL_DONE;
    if (transfer.was_stopped) return CCURL_STOPPED;
    snprintf(answer->message, sizeof answer->message, "%s", lib.easy_strerror(code));
    return code == CURLE_OPERATION_TIMEDOUT ? CCURL_TIMED_OUT : CCURL_FAILED;
}
