// Loaded into a program with LD_PRELOAD: makes the nth call that changes the file system the last one, or fail.
//
//   FAULT_AT=n      which call, counted from 1; 0 counts only
//   FAULT_MODE=kill the process dies before the call, as with kill -9
//   FAULT_MODE=stop the process stops before the call, until it gets SIGCONT
//   FAULT_MODE=full that call and every later one that needs room fails with ENOSPC
//   FAULT_COUNT=f   writes how many calls there were into the file f
//
// Standard streams are not counted.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls;

static int at(void) {
  static int value = -1;
  if (value < 0) value = getenv("FAULT_AT") ? atoi(getenv("FAULT_AT")) : 0;
  return value;
}

// Whether the call that is about to be made must fail for lack of room.
static int fault(int needs_room) {
  calls++;
  if (at() == 0) return 0;
  const char *mode = getenv("FAULT_MODE");
  if (mode && strcmp(mode, "full") == 0) return needs_room && calls >= at();
  if (calls == at()) kill(getpid(), mode && strcmp(mode, "stop") == 0 ? SIGSTOP : SIGKILL);
  return 0;
}

__attribute__((destructor)) static void report(void) {
  const char *path = getenv("FAULT_COUNT");
  if (!path) return;
  FILE *file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "%d\n", calls);
  fclose(file);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FULL (errno = ENOSPC, -1)

int rename(const char *from, const char *to) { return fault(1) ? FULL : REAL(rename)(from, to); }
int renameat2(int folder, const char *from, int other, const char *to, unsigned flags) {
  return fault(1) ? FULL : REAL(renameat2)(folder, from, other, to, flags);
}
int unlink(const char *path) { return fault(0) ? FULL : REAL(unlink)(path); }
int rmdir(const char *path) { return fault(0) ? FULL : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return fault(1) ? FULL : REAL(mkdir)(path, mode); }
int link(const char *from, const char *to) { return fault(1) ? FULL : REAL(link)(from, to); }
int fsync(int fd) { return fault(0) ? FULL : REAL(fsync)(fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
  if (fd > 2 && fault(1)) return FULL;
  return REAL(write)(fd, bytes, count);
}

static mode_t mode_of(int flags, va_list arguments) { return flags & O_CREAT ? va_arg(arguments, mode_t) : 0; }

#define OPEN(name)                                            \
  int name(const char *path, int flags, ...) {                \
    va_list arguments;                                        \
    va_start(arguments, flags);                               \
    mode_t mode = mode_of(flags, arguments);                  \
    va_end(arguments);                                        \
    if (flags & O_CREAT && fault(1)) return FULL;             \
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
