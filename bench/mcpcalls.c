/* Makes calls of MCP over open descriptors, and says how long each took: no handshake, no thread, next to no cost.
 *
 *     mcpcalls turns ROUNDS BATCH PATH...        BATCH calls by each path in turn, ROUNDS times
 *     mcpcalls together SECONDS PATH...          on all paths at once, one call after another on each
 *
 * PATH is `lines:IN:OUT:NAME` or `web:SOCKET:HOST:TOKEN:RUN:NAME`, with numbers of descriptors that it inherits and the name
 * of the tool to call (`web:7:127.0.0.1%8000:...`: a colon in the host is written as `%`). Every call has another argument.
 * Prints a line for each call: the path's number, and nanoseconds. Ends with status 1 at the first answer that is an error.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { most_paths = 64, most_bytes = 1 << 20 };

struct path {
    int web, in, out, number;
    char *host, *token, *run, *name;
    char *bytes;
    size_t count;
    uint64_t start;
};

static struct path paths[most_paths];
static uint64_t made;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "mcpcalls: %s: %.2000s\n", what, text);
    exit(1);
}

static void open_path(struct path *path, char *text, int number)
{
    char *kind = strsep(&text, ":");
    path->web = strcmp(kind, "web") == 0;
    path->number = number;
    path->in = atoi(strsep(&text, ":"));
    path->out = path->in;
    if (path->web) {
        path->host = strsep(&text, ":");
        for (char *place = path->host; *place; place++)
            if (*place == '%') *place = ':';
        path->token = strsep(&text, ":");
        path->run = strsep(&text, ":");
    } else {
        path->out = atoi(strsep(&text, ":"));
    }
    path->name = text;
    path->bytes = malloc(most_bytes + 1);
}

static void send_call(struct path *path)
{
    char body[1024], message[4096];
    uint64_t id = ++made;
    int size = snprintf(
        body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"arguments\":"
        "{\"payment\":\"pay_%012llu\",\"amount\":12.5,\"currency\":\"EUR\"}}}",
        (unsigned long long)id, path->name, (unsigned long long)id);
    if (path->web)
        size = snprintf(
            message, sizeof message,
            "POST /mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nEnsign-Run: %s\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            "MCP-Protocol-Version: 2025-11-25\r\nContent-Length: %d\r\n\r\n%s",
            path->host, path->token, path->run, size, body);
    else
        size = snprintf(message, sizeof message, "%s\n", body);
    path->count = 0;
    path->start = now();
    if (write(path->out, message, (size_t)size) != size) fail("cannot write to", path->name);
}

/* Whether the answer is whole. */
static int is_whole(struct path *path)
{
    if (!path->web) return path->count > 0 && path->bytes[path->count - 1] == '\n';
    char *head = strstr(path->bytes, "\r\n\r\n");
    if (!head) return 0;
    char *field = strcasestr(path->bytes, "\r\ncontent-length:");
    if (!field || field > head) return 0;
    return path->count >= (size_t)(head + 4 - path->bytes) + strtoul(field + 17, NULL, 10);
}

/* Reads on; nanoseconds once the answer is there, else 0. */
static uint64_t receive(struct path *path)
{
    ssize_t more = read(path->in, path->bytes + path->count, most_bytes - path->count);
    if (more <= 0) fail("no answer from", path->name);
    path->count += (size_t)more;
    path->bytes[path->count] = 0;
    if (!is_whole(path)) return 0;
    uint64_t took = now() - path->start;
    if (!strstr(path->bytes, "\"result\"") || strstr(path->bytes, "\"isError\":true")) fail(path->name, path->bytes);
    return took;
}

static void take_turns(int count, long rounds, long batch)
{
    for (long round = 0; round < rounds; round++)
        for (int index = 0; index < count; index++)
            for (long call = 0; call < batch; call++) {
                uint64_t took = 0;
                send_call(&paths[index]);
                while (!took) took = receive(&paths[index]);
                printf("%d %llu\n", index, (unsigned long long)took);
            }
}

static void call_together(int count, double seconds)
{
    struct pollfd files[most_paths];
    uint64_t end = now() + (uint64_t)(seconds * 1e9);

    for (int index = 0; index < count; index++) {
        files[index] = (struct pollfd){.fd = paths[index].in, .events = POLLIN};
        send_call(&paths[index]);
    }
    for (int left = count; left > 0;) {
        if (poll(files, (nfds_t)count, -1) < 0) continue;
        for (int index = 0; index < count; index++) {
            if (!files[index].revents) continue;
            uint64_t took = receive(&paths[index]);
            if (!took) continue;
            printf("%d %llu\n", index, (unsigned long long)took);
            if (now() < end) {
                send_call(&paths[index]);
            } else {
                files[index].fd = -1;
                left--;
            }
        }
    }
}

int main(int count, char **words)
{
    int turns = count > 3 && strcmp(words[1], "turns") == 0, first = turns ? 4 : 3;

    if (count <= first || count - first > most_paths) return 2;
    for (int index = first; index < count; index++) open_path(&paths[index - first], words[index], index - first);
    if (turns)
        take_turns(count - first, atol(words[2]), atol(words[3]));
    else
        call_together(count - first, atof(words[2]));
    return 0;
}
