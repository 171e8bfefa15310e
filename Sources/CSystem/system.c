#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CSystem.h"
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

/// Starts writing a file's pages out without waiting for the disk's cache: one fsync afterwards pays for all.
int csystem_sync_file_range(int fd) {
  return sync_file_range(fd, 0, 0,
                         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

int csystem_syncfs(int fd) { return syncfs(fd); }

int csystem_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

char **csystem_environment(void) { return environ; }

int csystem_spawn_in(void *actions, const char *directory) {
  return posix_spawn_file_actions_addchdir_np(actions, directory);
}

int csystem_spawn_closing(void *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}
