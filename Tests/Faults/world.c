// Loaded into a program with LD_PRELOAD: a world in which something is missing, or the clock shows another time.
//
//   WORLD_NO_PROC=1      nothing below /proc can be opened, as in a chroot without it
//   WORLD_NO_FILES=1     no file can be opened: all handles are used up
//   WORLD_NO_INOTIFY=1   the account has no inotify instance left
//   WORLD_CLOCK=seconds  what the wall clock shows, since 1970
//   WORLD_AHEAD=seconds  so much more time has passed, by the wall clock and since the machine started
//   WORLD_FILES_AHEAD=seconds  files are older by so much: by the clock that they are stamped with

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// Whether the path must not be opened; sets errno.
static int lacks(const char *path) {
  if (getenv("WORLD_NO_PROC") && strncmp(path, "/proc", 5) == 0) return errno = ENOENT, 1;
  if (getenv("WORLD_NO_FILES") && strcmp(path, "/dev/null") != 0) return errno = EMFILE, 1;
  return 0;
}

#define MODE(flags, last) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, last); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) {
  MODE(flags, flags)
  return lacks(path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, flags)
  return lacks(path) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  MODE(flags, flags)
  return lacks(path) ? -1 : REAL(openat)(folder, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) { return lacks(path) ? NULL : REAL(fopen)(path, mode); }
FILE *fopen64(const char *path, const char *mode) { return lacks(path) ? NULL : REAL(fopen64)(path, mode); }
DIR *opendir(const char *path) { return lacks(path) ? NULL : REAL(opendir)(path); }

ssize_t readlink(const char *path, char *text, size_t size) {
  return getenv("WORLD_NO_PROC") && lacks(path) ? -1 : REAL(readlink)(path, text, size);
}

char *realpath(const char *path, char *resolved) {
  return getenv("WORLD_NO_PROC") && lacks(path) ? NULL : REAL(realpath)(path, resolved);
}

int inotify_init1(int flags) {
  if (getenv("WORLD_NO_INOTIFY")) return errno = EMFILE, -1;
  return ((int (*)(int))dlsym(RTLD_NEXT, "inotify_init1"))(flags);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int status = REAL(clock_gettime)(clock, time);
  const char *seconds = getenv("WORLD_CLOCK");
  if (seconds && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec = atoll(seconds);
  const char *ahead = getenv("WORLD_AHEAD");
  // Neither the clock that waits go by, nor the one that files are stamped with.
  if (ahead && (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME)) time->tv_sec += atoll(ahead);
  const char *files = getenv("WORLD_FILES_AHEAD");
  if (files && clock == CLOCK_REALTIME_COARSE) time->tv_sec += atoll(files);
  return status;
}
