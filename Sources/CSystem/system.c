#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CSystem.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
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

int csystem_open_nameless(const char *folder) { return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); }

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

long long csystem_peer_account(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -1 : (long long)peer.uid;
}

static int tcp_place(const struct sockaddr_storage *address, void *place, __be16 *port) {
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *old = (const struct sockaddr_in *)address;
    memcpy(place, &old->sin_addr, sizeof old->sin_addr);
    *port = old->sin_port;
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *new = (const struct sockaddr_in6 *)address;
    memcpy(place, &new->sin6_addr, sizeof new->sin6_addr);
    *port = new->sin6_port;
  } else {
    return -1;
  }
  return 0;
}

long long csystem_tcp_peer_account(int fd) {
  struct sockaddr_storage own = {0}, peer = {0};
  socklen_t own_size = sizeof own, peer_size = sizeof peer;
  if (getsockname(fd, (struct sockaddr *)&own, &own_size) < 0 || getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0) {
    return -1;
  }
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
  } request = {0};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = (__u8)own.ss_family;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0u;
  // The socket that is asked for is the other one: its source is our peer.
  if (tcp_place(&peer, request.body.id.idiag_src, &request.body.id.idiag_sport) < 0
      || tcp_place(&own, request.body.id.idiag_dst, &request.body.id.idiag_dport) < 0) {
    return -1;
  }
  request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  const int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (link < 0) return -1;
  long long account = -1;
  union {
    struct nlmsghdr header;
    char bytes[4096];
  } answer;
  // The kernel answers within send(2).
  if (send(link, &request, sizeof request, 0) == (ssize_t)sizeof request) {
    const ssize_t size = recv(link, &answer, sizeof answer, MSG_DONTWAIT);
    if (size >= (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) && answer.header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
      const struct inet_diag_msg *found = (const struct inet_diag_msg *)(answer.bytes + NLMSG_HDRLEN);
      // Without an inode it is what is left of a socket that was closed, and belongs to nobody.
      if (found->idiag_inode != 0) account = (long long)found->idiag_uid;
    }
  }
  close(link);
  return account;
}
