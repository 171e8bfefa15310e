/* A server of MCP that costs next to nothing, so that what is measured is what stands before it. It looks for the method
 * and the id of each message as text, which is right for clients that write the id first, and answers every call the same.
 *
 *     mcpserver TOOL...              over standard input and output
 *     mcpserver --http TOOL...       over HTTP on 127.0.0.1, keep-alive; the first line of its output is the port
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most = 1 << 20, connections = 256 };

struct client {
    char *bytes;
    size_t count;
};

static char **tools;

static void give(int to, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t part = write(to, bytes, count);
        if (part <= 0) return;
        bytes += part;
        count -= (size_t)part;
    }
}

/* Writes the answer to a message into `answer`; 0 where none is due. */
static size_t respond(const char *message, char *answer)
{
    const char *id = strstr(message, "\"id\":");
    if (!id) return 0;
    id += 5;
    const char *end = id + strcspn(id, ",}");
    size_t size = (size_t)sprintf(answer, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,", (int)(end - id), id);
    if (strstr(message, "\"tools/call\"")) {
        size += (size_t)sprintf(
            answer + size,
            "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"paid, 12.50 EUR, on 2026-11-29\"}],"
            "\"structuredContent\":{}}}");
    } else if (strstr(message, "\"tools/list\"")) {
        size += (size_t)sprintf(answer + size, "\"result\":{\"tools\":[");
        for (char **tool = tools; *tool; tool++)
            size += (size_t)sprintf(answer + size, "%s{\"name\":\"%s\",\"inputSchema\":{\"type\":\"object\"}}",
                                    tool == tools ? "" : ",", *tool);
        size += (size_t)sprintf(answer + size, "]}}");
    } else if (strstr(message, "\"initialize\"")) {
        size += (size_t)sprintf(
            answer + size,
            "\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"bench\",\"version\":\"1.0.0\"}}}");
    } else {
        size += (size_t)sprintf(answer + size, "\"error\":{\"code\":-32601,\"message\":\"not here\"}}");
    }
    return size;
}

static int serve_lines(void)
{
    static char bytes[most + 1], answer[most];
    size_t count = 0;
    ssize_t more;

    while ((more = read(0, bytes + count, most - count)) > 0) {
        count += (size_t)more;
        char *line = bytes, *end;
        while ((end = memchr(line, '\n', count - (size_t)(line - bytes)))) {
            *end = 0;
            size_t size = respond(line, answer);
            if (size > 0) {
                answer[size] = '\n';
                give(1, answer, size + 1);
            }
            line = end + 1;
        }
        count -= (size_t)(line - bytes);
        memmove(bytes, line, count);
    }
    return 0;
}

/* Answers one request if it is whole; the bytes that it took, 0 for none. */
static size_t serve_request(int to, struct client *client)
{
    static char answer[most], reply[most];

    client->bytes[client->count] = 0;
    char *head = strstr(client->bytes, "\r\n\r\n");
    if (!head) return 0;
    size_t start = (size_t)(head + 4 - client->bytes), length = 0;
    char *field = strcasestr(client->bytes, "\r\ncontent-length:");
    if (field && field < head) length = strtoul(field + 17, NULL, 10);
    if (client->count < start + length) return 0;
    char kept = client->bytes[start + length];
    client->bytes[start + length] = 0;
    size_t size = respond(client->bytes + start, answer);
    client->bytes[start + length] = kept;
    int head_size = size == 0
        ? sprintf(reply, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        : sprintf(reply, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", size);
    memcpy(reply + head_size, answer, size);
    give(to, reply, (size_t)head_size + size);
    return start + length;
}

static int serve_web(void)
{
    static struct client clients[connections];
    static struct pollfd files[connections];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int one = 1, count = 1;

    files[0] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
    if (bind(files[0].fd, (struct sockaddr *)&address, size) || listen(files[0].fd, 64)) return 2;
    getsockname(files[0].fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (poll(files, (nfds_t)count, -1) > 0) {
        for (int index = count - 1; index > 0; index--) {
            struct client *client = &clients[index];
            if (!files[index].revents) continue;
            ssize_t more = read(files[index].fd, client->bytes + client->count, most - client->count);
            size_t used = 0;
            if (more > 0) {
                client->count += (size_t)more;
                while ((used = serve_request(files[index].fd, client)) > 0) {
                    client->count -= used;
                    memmove(client->bytes, client->bytes + used, client->count);
                }
                continue;
            }
            close(files[index].fd);
            free(client->bytes);
            count--;
            files[index] = files[count];
            clients[index] = clients[count];
        }
        if (files[0].revents && count < connections) {
            int file = accept(files[0].fd, NULL, NULL);
            if (file < 0) continue;
            setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            files[count] = (struct pollfd){.fd = file, .events = POLLIN};
            clients[count++] = (struct client){.bytes = malloc(most + 1)};
        }
    }
    return 1;
}

int main(int count, char **words)
{
    int web = count > 1 && strcmp(words[1], "--http") == 0;
    tools = words + 1 + web;
    return web ? serve_web() : serve_lines();
}
