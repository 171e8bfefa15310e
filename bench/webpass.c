/* The floor for the gateway over HTTP: passes each message on by libmicrohttpd and libcurl, as the gateway does, and looks at
 * nothing. A thread and a connection of its own to the server for each client.
 *
 *     webpass PORT        the server's, on 127.0.0.1; the first line of its output is its own
 */
#include <curl/curl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    char *bytes;
    size_t count;
};

static char address[64];
static __thread CURL *server;
static struct curl_slist *headers;

static int add(struct text *text, const char *bytes, size_t count)
{
    char *longer = realloc(text->bytes, text->count + count + 1);
    if (!longer) return 0;
    memcpy(longer + text->count, bytes, count);
    text->bytes = longer;
    text->count += count;
    return 1;
}

static size_t answered(char *bytes, size_t size, size_t count, void *answer)
{
    return add(answer, bytes, size * count) ? size * count : 0;
}

static enum MHD_Result handle(
    void *none, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
    const char *bytes, size_t *count, void **request)
{
    (void)none, (void)path, (void)method, (void)version;
    struct text *body = *request;
    if (!body) {
        *request = calloc(1, sizeof *body);
        return *request ? MHD_YES : MHD_NO;
    }
    if (*count > 0) {
        if (!add(body, bytes, *count)) return MHD_NO;
        *count = 0;
        return MHD_YES;
    }
    if (!server) {
        server = curl_easy_init();
        curl_easy_setopt(server, CURLOPT_URL, address);
        curl_easy_setopt(server, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(server, CURLOPT_WRITEFUNCTION, answered);
        curl_easy_setopt(server, CURLOPT_NOSIGNAL, 1L);
    }
    struct text answer = {0};
    long status = 0;
    curl_easy_setopt(server, CURLOPT_POSTFIELDS, body->bytes);
    curl_easy_setopt(server, CURLOPT_POSTFIELDSIZE, (long)body->count);
    curl_easy_setopt(server, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(server) != CURLE_OK) return MHD_NO;
    curl_easy_getinfo(server, CURLINFO_RESPONSE_CODE, &status);
    struct MHD_Response *response = MHD_create_response_from_buffer(answer.count, answer.bytes, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static void done(void *none, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code)
{
    (void)none, (void)connection, (void)code;
    struct text *body = *request;
    if (body) free(body->bytes);
    free(body);
}

int main(int count, char **words)
{
    if (count != 2) return 2;
    snprintf(address, sizeof address, "http://127.0.0.1:%d/mcp", atoi(words[1]));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Accept: application/json, text/event-stream");
    headers = curl_slist_append(headers, "MCP-Protocol-Version: 2025-11-25");
    headers = curl_slist_append(headers, "Expect:");
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, done, NULL, MHD_OPTION_END);
    if (!daemon) return 2;
    printf("%d\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    for (;;) pause();
}
