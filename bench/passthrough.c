/* The floor for `ensign-gateway stdio`: starts a server and passes bytes on, both ways, without looking at them.
 *
 *     passthrough COMMAND [ARGUMENT...]
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Passes on what can be read; 0 at the end. */
static int pass(int from, int to)
{
    static char buffer[1 << 16];
    ssize_t count = read(from, buffer, sizeof buffer);
    if (count <= 0) return count < 0 && errno == EINTR;
    for (ssize_t done = 0; done < count;) {
        ssize_t part = write(to, buffer + done, (size_t)(count - done));
        if (part < 0 && errno != EINTR) return 0;
        if (part > 0) done += part;
    }
    return 1;
}

int main(int count, char **words)
{
    int down[2], up[2];

    if (count < 2 || pipe(down) || pipe(up)) return 2;
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child < 0) return 2;
    if (child == 0) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        close(down[0]), close(down[1]), close(up[0]), close(up[1]);
        execvp(words[1], words + 1);
        _exit(127);
    }
    close(down[0]), close(up[1]);
    struct pollfd ends[2] = {{.fd = 0, .events = POLLIN}, {.fd = up[0], .events = POLLIN}};
    while (ends[1].fd >= 0) {
        if (poll(ends, 2, -1) < 0) continue;
        if (ends[0].revents && !pass(0, down[1])) {
            close(down[1]);
            ends[0].fd = -1;
        }
        if (ends[1].revents && !pass(up[0], 1)) ends[1].fd = -1;
    }
    waitpid(child, NULL, 0);
    return 0;
}
