#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CSystem.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdio.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

/// Starts writing a file's pages out without waiting for the disk's cache: one fsync afterwards pays for all.
int csystem_sync_file_range(int fd) {
  return sync_file_range(fd, 0, 0,
                         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

int csystem_syncfs(int fd) { return syncfs(fd); }

int csystem_is_local_file_system(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return 0;
  switch ((unsigned)info.f_type) {
  case EXT4_SUPER_MAGIC:
  case XFS_SUPER_MAGIC:
  case BTRFS_SUPER_MAGIC:
  case F2FS_SUPER_MAGIC:
  case TMPFS_MAGIC:
  case OVERLAYFS_SUPER_MAGIC:
  case 0x2FC12FC1: // ZFS is not part of Linux.
    return 1;
  default:
    return 0;
  }
}

int csystem_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

char **csystem_environment(void) { return environ; }

static int argument_count;
static char **arguments;

// glibc calls the functions in .init_array with main's own arguments (csu/libc-start.c, call_init).
__attribute__((constructor)) static void keep_arguments(int count, char **words) {
  argument_count = count;
  arguments = words;
}

int csystem_argument_count(void) { return argument_count; }

char **csystem_arguments(void) { return arguments; }

const char *csystem_program(void) { return (const char *)getauxval(AT_EXECFN); }

int csystem_spawn_in(void *actions, const char *directory) {
  return posix_spawn_file_actions_addchdir_np(actions, directory);
}

int csystem_spawn_closing(void *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int csystem_rename_new(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int csystem_do_not_block(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int csystem_shut(int fd) {
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return -1;
  const int status = dup3(nothing, fd, O_CLOEXEC);
  close(nothing);
  return status;
}

long long csystem_peer_account(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -1 : (long long)peer.uid;
}
