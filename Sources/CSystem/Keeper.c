#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CSystem.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The keeper is forked from a process that may have threads: until it ends it calls only what is async-signal-safe
// (signal-safety(7)) and system calls. Nothing is allocated.

// MARK: Who is left

struct entry {
  unsigned long long ino;
  long long off;
  unsigned short length;
  unsigned char type;
  char name[];
};

// The parent of a process by /proc/PID/stat, whose second field is in parentheses and may have any characters; 0 if gone.
static int parent_of(const char *pid) {
  char path[64] = "/proc/";
  const size_t length = strlen(pid);
  if (length > 20) return 0;
  memcpy(path + 6, pid, length);
  memcpy(path + 6 + length, "/stat", 6);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[512];
  const ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0) return 0;
  text[count] = 0;
  const char *rest = strrchr(text, ')');
  // ") S 123 "
  if (rest == NULL || rest[1] != ' ' || rest[2] == 0 || rest[3] != ' ') return 0;
  int parent = 0;
  for (rest += 4; *rest >= '0' && *rest <= '9'; rest++) parent = parent * 10 + (*rest - '0');
  return parent;
}

// Sends a signal to every child of this process but one. None of them can be another process by then: only this one takes
// them when they have ended.
static void signal_children(int number, int except) {
  const int folder = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const int own = getpid();
  _Alignas(struct entry) char buffer[16384];
  long count;
  while ((count = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < count;) {
      const struct entry *entry = (const struct entry *)(buffer + at);
      at += entry->length;
      if (entry->name[0] < '1' || entry->name[0] > '9' || parent_of(entry->name) != own) continue;
      int pid = 0;
      for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++) pid = pid * 10 + (*digit - '0');
      if (pid != except) kill(pid, number);
    }
  }
  close(folder);
}

// Takes the children that have ended. Returns whether none is left.
static int take_ended(int program, int *status) {
  for (;;) {
    int one;
    const int pid = waitpid(-1, &one, WNOHANG);
    if (pid < 0) return errno == ECHILD;
    if (pid == 0) return 0;
    if (pid == program) *status = one;
  }
}

// Sends a signal to all that is left until nothing is, or the time is over. Children of what ends become the keeper's own.
static int end_all(int program, int *status, int number, int milliseconds) {
  const struct timespec pause = {0, 5000000};
  for (int waited = 0;; waited += 5) {
    if (take_ended(program, status)) return 1;
    if (waited > milliseconds) return 0;
    // Politely once, by force as long as there are any.
    if (waited == 0 || number == SIGKILL) {
      if (*status == -1) kill(-program, number);
      signal_children(number, *status == -1 ? program : 0);
    }
    nanosleep(&pause, NULL);
  }
}

// MARK: The two processes

static void close_from(unsigned first, unsigned last) {
  if (first > last || syscall(SYS_close_range, first, last, 0u) == 0) return;
  // Linux before 5.9.
  for (unsigned number = first; number <= last && number < 4096; number++) close((int)number);
}

struct kept {
  const char *program;
  char *const *words;
  char *const *variables;
  const char *directory;
  const int *streams;
};

static void become_program(const struct kept *kept, int failure) {
  setpgid(0, 0);
  // Should somebody end the keeper by force.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction usual = {.sa_handler = SIG_DFL};
  for (int number = 1; number < 65; number++) sigaction(number, &usual, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // Above what is replaced: the ends may have any numbers.
  const int input = fcntl(kept->streams[0], F_DUPFD, 10), output = fcntl(kept->streams[1], F_DUPFD, 10);
  const int errors = fcntl(kept->streams[2], F_DUPFD, 10), said = fcntl(failure, F_DUPFD_CLOEXEC, 10);
  if (input >= 0 && output >= 0 && errors >= 0 && said >= 0 && dup2(input, 0) >= 0 && dup2(output, 1) >= 0
      && dup2(errors, 2) >= 0 && (kept->directory == NULL || chdir(kept->directory) == 0)) {
    // What other code has left open here; the report of a failure closes itself.
    close_from(3, (unsigned)said - 1);
    close_from((unsigned)said + 1, ~0u);
    execvpe(kept->program, kept->words, kept->variables);
  }
  const int number = errno;
  if (write(said >= 0 ? said : failure, &number, sizeof number) < 0) _exit(126);
  _exit(127);
}

static void keep(const struct kept *kept, int life, int failure) {
  setpgid(0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t all, child;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigaction(SIGCHLD, &usual, NULL);
  const int ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  const int program = ended < 0 ? -1 : fork();
  if (program == 0) become_program(kept, failure);
  if (program < 0) {
    const int number = errno;
    if (write(failure, &number, sizeof number) < 0) _exit(126);
    _exit(127);
  }
  setpgid(program, program);
  // Its streams are the program's alone, and other keepers' lives are none of this one's.
  const int own = dup2(life, 0), watch = dup2(ended, 1);
  close_from(2, ~0u);
  struct pollfd polls[2] = {{own, 0, 0}, {watch, POLLIN, 0}};
  int status = -1;
  for (;;) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR) break;
    struct signalfd_siginfo said;
    while (read(watch, &said, sizeof said) > 0) continue;
    const int is_done = take_ended(program, &status);
    // What a program has left running may go on until nobody listens any more: some only start the server.
    if (is_done || polls[0].revents != 0) break;
  }
  if (status == -1) end_all(program, &status, SIGTERM, 1000);
  end_all(program, &status, SIGKILL, 2000);
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

int csystem_start_kept(const char *program, char *const *words, char *const *variables, const char *directory,
                       const int streams[3], int *life) {
  const struct kept kept = {program, words, variables, directory, streams};
  int ends[2], failure[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  if (pipe2(failure, O_CLOEXEC) < 0) {
    const int number = errno;
    close(ends[0]);
    close(ends[1]);
    errno = number;
    return -1;
  }
  const int keeper = fork();
  int number = keeper < 0 ? errno : 0;
  if (keeper == 0) {
    close(ends[1]);
    close(failure[0]);
    keep(&kept, ends[0], failure[1]);
  }
  close(ends[0]);
  close(failure[1]);
  if (keeper > 0) {
    ssize_t count;
    int said = 0;
    // Ends when the program has been started: the other end closes itself.
    while ((count = read(failure[0], &said, sizeof said)) < 0 && errno == EINTR) continue;
    if (count == (ssize_t)sizeof said) number = said;
  }
  close(failure[0]);
  if (number == 0) {
    *life = ends[1];
    return keeper;
  }
  close(ends[1]);
  if (keeper > 0) {
    while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR) continue;
  }
  errno = number;
  return -1;
}
