// Loaded into a program with LD_PRELOAD: makes the nth call to the file system the last one, or fail.
//
//   FAULT_AT=n         which call, counted from 1; 0 counts only
//   FAULT_MODE=kill    the process dies before the call, as with kill -9
//   FAULT_MODE=stop    the process stops before the call, until it gets SIGCONT
//   FAULT_MODE=full    that call and every later one that needs room fails with ENOSPC
//   FAULT_MODE=fail    that call fails with FAULT_ERRNO, a number; a write may also be cut with FAULT_ERRNO=short
//   FAULT_LASTS=1      fails from that call on
//   FAULT_CALLS=kinds  which calls count, with commas: room write link rename remove folder sync mode, which are all that
//                      change the file system, and open read look, which do not; without it those that change it
//   FAULT_PROGRAM=name only in programs of that name: others are started by the one that is looked at
//   FAULT_TOLD=f       adds a line to the file f before it happens: the call and its path
//   FAULT_COUNT=f      writes how many calls there were into the file f
//
// Standard streams are not counted, and with `full` and `fail` no pipes and sockets: no disk is behind them.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static atomic_int calls;

static int at(void) {
  static int value = -1;
  if (value < 0) value = getenv("FAULT_AT") ? atoi(getenv("FAULT_AT")) : 0;
  return value;
}

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

// Whether there is a file system behind a descriptor.
static int is_file(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

static int counts(const char *kind, int fd) {
  const char *mode = setting("FAULT_MODE");
  if (fd >= 0 && mode[0] == 'f' && !is_file(fd)) return 0;
  const char *program = getenv("FAULT_PROGRAM");
  if (program && strcmp(program, program_invocation_short_name) != 0) return 0;
  const char *kinds = getenv("FAULT_CALLS");
  if (!kinds) return strcmp(kind, "open") != 0 && strcmp(kind, "read") != 0 && strcmp(kind, "look") != 0;
  const char *found = strstr(kinds, kind);
  size_t length = strlen(kind);
  return found && (found == kinds || found[-1] == ',') && (found[length] == 0 || found[length] == ',');
}

static void tell(const char *call, const char *path, int fd) {
  const char *file = getenv("FAULT_TOLD");
  if (!file) return;
  char name[64], place[512] = "", line[640];
  if (!path) {
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = REAL(readlink)(name, place, sizeof place - 1);
    if (length > 0) place[length] = 0;
    path = place;
  }
  int length = snprintf(line, sizeof line, "%s %s\n", call, path);
  int told = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (told < 0) return;
  if (length > 0) REAL(write)(told, line, length < (int)sizeof line ? length : (int)sizeof line - 1);
  REAL(close)(told);
}

// What the call that is about to be made must fail with; 0: it is made. -1: a write is cut.
static int fault(const char *kind, const char *call, const char *path, int fd, int needs_room) {
  if (!counts(kind, fd)) return 0;
  int number = ++calls;
  if (at() == 0 || number < at()) return 0;
  const char *mode = setting("FAULT_MODE");
  if (strcmp(mode, "full") == 0) {
    if (needs_room && number == at()) tell(call, path, fd);
    return needs_room ? ENOSPC : 0;
  }
  if (number > at() && !getenv("FAULT_LASTS")) return 0;
  if (number == at()) tell(call, path, fd);
  if (strcmp(mode, "fail") == 0)
    return strcmp(setting("FAULT_ERRNO"), "short") == 0 ? -1 : atoi(setting("FAULT_ERRNO"));
  kill(getpid(), strcmp(mode, "stop") == 0 ? SIGSTOP : SIGKILL);
  return 0;
}

__attribute__((destructor)) static void report(void) {
  const char *path = getenv("FAULT_COUNT");
  const char *program = getenv("FAULT_PROGRAM");
  if (!path || (program && strcmp(program, program_invocation_short_name) != 0)) return;
  FILE *file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "%d\n", calls);
  fclose(file);
}

#define FAIL(kind, path, fd, room, failed)                               \
  {                                                                      \
    int error = fault(kind, __func__, path, fd, room);                   \
    if (error > 0) return errno = error, failed;                         \
  }

int rename(const char *from, const char *to) {
  FAIL("rename", to, -1, 1, -1)
  return REAL(rename)(from, to);
}
int renameat(int folder, const char *from, int other, const char *to) {
  FAIL("rename", to, -1, 1, -1)
  return REAL(renameat)(folder, from, other, to);
}
int renameat2(int folder, const char *from, int other, const char *to, unsigned flags) {
  FAIL("rename", to, -1, 1, -1)
  return REAL(renameat2)(folder, from, other, to, flags);
}
int unlink(const char *path) {
  FAIL("remove", path, -1, 0, -1)
  return REAL(unlink)(path);
}
int unlinkat(int folder, const char *path, int flags) {
  FAIL("remove", path, -1, 0, -1)
  return REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) {
  FAIL("remove", path, -1, 0, -1)
  return REAL(rmdir)(path);
}
int mkdir(const char *path, mode_t mode) {
  FAIL("folder", path, -1, 1, -1)
  return REAL(mkdir)(path, mode);
}
int link(const char *from, const char *to) {
  FAIL("link", to, -1, 1, -1)
  return REAL(link)(from, to);
}
int chmod(const char *path, mode_t mode) {
  FAIL("mode", path, -1, 0, -1)
  return REAL(chmod)(path, mode);
}
int fchmod(int fd, mode_t mode) {
  FAIL("mode", NULL, fd, 0, -1)
  return REAL(fchmod)(fd, mode);
}
int fsync(int fd) {
  FAIL("sync", NULL, fd, 0, -1)
  return REAL(fsync)(fd);
}
int fdatasync(int fd) {
  FAIL("sync", NULL, fd, 0, -1)
  return REAL(fdatasync)(fd);
}
int syncfs(int fd) {
  FAIL("sync", NULL, fd, 0, -1)
  return REAL(syncfs)(fd);
}

// What is written over needs no room.
#define WRITE(name, needs_room, parameters, ...)                                             \
  ssize_t name parameters {                                                                  \
    if (fd <= 2) return REAL(name)(fd, bytes, count, ##__VA_ARGS__);                         \
    int error = fault("write", #name, NULL, fd, needs_room);                                 \
    if (error > 0) return errno = error, -1;                                                 \
    return REAL(name)(fd, bytes, error < 0 && count > 1 ? count / 2 : count, ##__VA_ARGS__); \
  }
WRITE(write, 1, (int fd, const void *bytes, size_t count))
WRITE(pwrite, 0, (int fd, const void *bytes, size_t count, off_t offset), offset)

ssize_t read(int fd, void *bytes, size_t count) {
  if (fd > 2) FAIL("read", NULL, fd, 0, -1)
  return REAL(read)(fd, bytes, count);
}
ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
  FAIL("read", NULL, fd, 0, -1)
  return REAL(pread)(fd, bytes, count, offset);
}

static mode_t mode_of(int flags, va_list arguments) { return flags & O_CREAT ? va_arg(arguments, mode_t) : 0; }

#define MODE                                  \
  va_list arguments;                          \
  va_start(arguments, flags);                 \
  mode_t mode = mode_of(flags, arguments);    \
  va_end(arguments);                          \
  FAIL(flags &O_CREAT ? "room" : "open", path, -1, (flags & O_CREAT) != 0, -1)

#define OPEN(name)                                                                        \
  int name(const char *path, int flags, ...) {                                            \
    MODE                                                                                  \
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode);   \
  }
OPEN(open)
OPEN(open64)

int openat(int folder, const char *path, int flags, ...) {
  MODE
  return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat"))(folder, path, flags, mode);
}

DIR *opendir(const char *path) {
  FAIL("open", path, -1, 0, NULL)
  return REAL(opendir)(path);
}
int lstat(const char *path, struct stat *info) {
  FAIL("look", path, -1, 0, -1)
  return REAL(lstat)(path, info);
}
int stat(const char *path, struct stat *info) {
  FAIL("look", path, -1, 0, -1)
  return REAL(stat)(path, info);
}
