#include "CCurl.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

// What is used of libcurl.
static struct {
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_perform)(CURL *);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
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
#define FIND(member, name) *(void **)&lib.member = dlsym(handle, name)
    FIND(global_init, "curl_global_init");
    FIND(easy_init, "curl_easy_init");
    FIND(easy_setopt, "curl_easy_setopt");
    FIND(easy_perform, "curl_easy_perform");
    FIND(easy_getinfo, "curl_easy_getinfo");
    FIND(easy_cleanup, "curl_easy_cleanup");
    FIND(easy_strerror, "curl_easy_strerror");
    FIND(slist_append, "curl_slist_append");
    FIND(slist_free_all, "curl_slist_free_all");
#undef FIND
    is_loaded = lib.global_init && lib.easy_init && lib.easy_setopt && lib.easy_perform && lib.easy_getinfo
        && lib.easy_cleanup && lib.easy_strerror && lib.slist_append && lib.slist_free_all
        && lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct transfer {
    ccurl_reader head;
    ccurl_reader reader;
    void *context;
    int was_stopped;
};

static size_t take_head(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (transfer->head(transfer->context, (const uint8_t *)bytes, size * count) == 0) return size * count;
    transfer->was_stopped = 1;
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (size * count == 0) return 0;
    if (transfer->reader(transfer->context, (const uint8_t *)bytes, size * count) == 0) return size * count;
    transfer->was_stopped = 1;
    return 0;
}

int32_t ccurl_post(
    const char *url, const char *const *headers, const uint8_t *body, size_t count, long timeout, ccurl_reader head,
    ccurl_reader reader, void *context, ccurl_answer *answer)
{
    answer->status = 0;
    answer->message[0] = 0;
    pthread_once(&once, load);
    if (!is_loaded) return CCURL_MISSING;
    CURL *curl = lib.easy_init();
    if (curl == NULL) return CCURL_FAILED;

    struct transfer transfer = {head, reader, context, 0};
    struct curl_slist *lines = NULL;
    for (size_t i = 0; headers[i] != NULL; i++) lines = lib.slist_append(lines, headers[i]);
    lib.easy_setopt(curl, CURLOPT_URL, url);
    // Numbers, not names: CURLOPT_PROTOCOLS_STR is newer than some installed libraries.
    lib.easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    lib.easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    lib.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    // In clear only to this machine: no proxy gets to see what is sent there.
    if (strncasecmp(url, "http:", 5) == 0) lib.easy_setopt(curl, CURLOPT_NOPROXY, "*");
    lib.easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
    lib.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout < 10000 ? timeout : 10000L);
    lib.easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    lib.easy_setopt(curl, CURLOPT_POST, 1L);
    lib.easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)count);
    lib.easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    lib.easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
    lib.easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    lib.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    lib.easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    const CURLcode code = lib.easy_perform(curl);
    lib.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    lib.easy_cleanup(curl);
    lib.slist_free_all(lines);
    if (code == CURLE_OK) return CCURL_DONE;
    if (transfer.was_stopped) return CCURL_STOPPED;
    // It was there, and went without a whole answer.
    if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE) return CCURL_CLOSED;
    snprintf(answer->message, sizeof answer->message, "%s", lib.easy_strerror(code));
    return code == CURLE_OPERATION_TIMEDOUT ? CCURL_TIMED_OUT : CCURL_FAILED;
}
