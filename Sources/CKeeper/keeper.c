#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CKeeper.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
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
  const ckeeper_program *program;
  // What the program gets as its descriptors 0 to 2.
  int streams[3];
};

// Of this process alone, which has no other threads: the library's functions would look for some.
static int change_account(const ckeeper_program *program) {
  if (!program->has_account) return 0;
  return syscall(SYS_setgroups, program->group_count, program->groups) == 0
             && syscall(SYS_setresgid, program->gid, program->gid, program->gid) == 0
             && syscall(SYS_setresuid, program->uid, program->uid, program->uid) == 0
           ? 0
           : -1;
}

// Puts a descriptor where the program looks for it. What it replaces was moved out of the way before.
static int place(int from, int to) { return from < 0 || dup2(from, to) == to ? 0 : -1; }

static void become_program(const struct kept *kept, int failure) {
  const ckeeper_program *program = kept->program;
  setpgid(0, 0);
  struct sigaction usual = {.sa_handler = SIG_DFL};
  for (int number = 1; number < 65; number++) sigaction(number, &usual, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // Above what is replaced: the ends may have any numbers.
  const int input = fcntl(kept->streams[0], F_DUPFD, 10), output = fcntl(kept->streams[1], F_DUPFD, 10);
  const int errors = fcntl(kept->streams[2], F_DUPFD, 10), said = fcntl(failure, F_DUPFD_CLOEXEC, 10);
  const int third = program->third < 0 ? -1 : fcntl(program->third, F_DUPFD, 10);
  // After all others, so that what is closed lies on both sides of it.
  const int file = program->file < 0 ? -1 : fcntl(program->file, F_DUPFD_CLOEXEC, 10);
  int is_ready = input >= 0 && output >= 0 && errors >= 0 && said >= 0 && (program->third < 0 || third >= 0)
    && (program->file < 0 || file >= 0);
  is_ready = is_ready && place(input, 0) == 0 && place(output, 1) == 0 && place(errors, 2) == 0 && place(third, 3) == 0;
  if (is_ready && change_account(program) == 0) {
    // Should somebody end the keeper by force. Forgotten when the account changes (prctl(2)).
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (program->directory == NULL || chdir(program->directory) == 0) {
      // What other code has left open here; the report of a failure and the file close themselves.
      const unsigned first = program->third < 0 ? 3 : 4;
      const unsigned low = (unsigned)(file >= 0 && file < said ? file : said), high = (unsigned)(file > said ? file : said);
      close_from(first, low - 1);
      close_from(low + 1, high == low ? ~0u : high - 1);
      if (high != low) close_from(high + 1, ~0u);
      if (file >= 0) {
        syscall(SYS_execveat, file, "", program->words, program->variables, AT_EMPTY_PATH);
      } else {
        execve(program->path, program->words, program->variables);
      }
    }
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
  if (kept->program->passes_signals) {
    sigaddset(&child, SIGHUP);
    sigaddset(&child, SIGTERM);
  }
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
    while (read(watch, &said, sizeof said) > 0) {
      // To the program alone: what it has started is its own business.
      if (said.ssi_signo != SIGCHLD && status == -1) kill(program, (int)said.ssi_signo);
    }
    const int is_done = take_ended(program, &status);
    // What a program has left running may go on until nobody listens any more: some only start the server.
    if (is_done || polls[0].revents != 0) break;
  }
  if (status == -1) end_all(program, &status, SIGTERM, 1000);
  end_all(program, &status, SIGKILL, 2000);
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

// MARK: For whoever starts a program

static void close_all(const int *numbers, size_t count) {
  const int number = errno;
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] >= 0) close(numbers[i]);
  }
  errno = number;
}

// Waits until the program has been started, or not.
static int outcome_of(int failure) {
  int number = 0;
  ssize_t count;
  // Ends when the program has been started: the other end closes itself.
  while ((count = read(failure, &number, sizeof number)) < 0 && errno == EINTR) continue;
  return count == (ssize_t)sizeof number ? number : 0;
}

int ckeeper_start(const ckeeper_program *program, ckeeper_started *started) {
  // Input, output, errors, life, failure: each the end that is read, and the one that is written.
  int ends[10] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  for (int i = 0; i < 5; i++) {
    if (pipe2(ends + 2 * i, O_CLOEXEC) < 0) {
      close_all(ends, 10);
      return errno;
    }
  }
  const struct kept kept = {program, {ends[0], ends[3], ends[5]}};
  const int keeper = fork();
  if (keeper == 0) {
    close(ends[7]);
    close(ends[8]);
    keep(&kept, ends[6], ends[9]);
  }
  int number = keeper < 0 ? errno : 0;
  close_all((int[]){ends[0], ends[3], ends[5], ends[6], ends[9]}, 5);
  if (keeper > 0) number = outcome_of(ends[8]);
  close(ends[8]);
  if (number != 0) {
    close_all((int[]){ends[1], ends[2], ends[4], ends[7]}, 4);
    if (keeper > 0) {
      while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR) continue;
    }
    return number;
  }
  const int own[3] = {ends[1], ends[2], ends[4]};
  for (int i = 0; i < 3; i++) fcntl(own[i], F_SETFL, fcntl(own[i], F_GETFL) | O_NONBLOCK);
  *started = (ckeeper_started){keeper, ends[7], ends[1], ends[2], ends[4]};
  return 0;
}

int ckeeper_groups(uint32_t uid, uint32_t *gid, uint32_t *groups, int most) {
  struct passwd entry, *found = NULL;
  char buffer[16384];
  if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) != 0 || found == NULL) return -1;
  *gid = found->pw_gid;
  int count = most;
  return getgrouplist(found->pw_name, found->pw_gid, groups, &count) < 0 ? -1 : count;
}

int ckeeper_sealed(const uint8_t *bytes, size_t count) {
  const int file = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  size_t done = 0;
  while (done < count) {
    const ssize_t written = write(file, bytes + done, count - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += (size_t)written;
  }
  if (done == count && lseek(file, 0, SEEK_SET) == 0 && fchmod(file, 0555) == 0
      && fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0) {
    return file;
  }
  close_all(&file, 1);
  return -1;
}

int ckeeper_shut(int descriptor) {
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return -1;
  const int status = dup3(nothing, descriptor, O_CLOEXEC);
  close(nothing);
  return status;
}
