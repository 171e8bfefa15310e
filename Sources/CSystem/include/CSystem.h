#pragma once

// Linux calls that need _GNU_SOURCE, which Swift's Glibc module does not define. No system header is included here:
// it would become part of this module, and its types would no longer be Glibc's.

int csystem_sync_file_range(int fd);
int csystem_syncfs(int fd);
/// 1 for a file system of this machine alone, 0 for others and for those that are not known here.
int csystem_is_local_file_system(int fd);
/// Opens a new file without a name in a folder (O_TMPFILE), for reading and writing.
int csystem_open_nameless(const char *folder);
int csystem_pipe(int ends[2]);
char **csystem_environment(void);
/// The arguments of this process, as the kernel handed them over. Kept before main runs, so that they do not depend on
/// /proc being there, or on a free file handle.
int csystem_argument_count(void);
char **csystem_arguments(void);
/// The path that was executed, by the kernel's auxiliary vector; it may be relative. NULL where the kernel does not say.
const char *csystem_program(void);
/// posix_spawn_file_actions_addchdir_np; `actions` is a posix_spawn_file_actions_t.
int csystem_spawn_in(void *actions, const char *directory);
/// posix_spawn_file_actions_addclosefrom_np: closes every descriptor from `first` on in the child.
int csystem_spawn_closing(void *actions, int first);
/// renameat2 with RENAME_NOREPLACE: fails with EEXIST when `to` exists, with EINVAL where the file system cannot do it.
int csystem_rename_new(const char *from, const char *to);
/// The account of the process at the other end of a Unix socket, when it connected (SO_PEERCRED); -1 for other descriptors.
long long csystem_peer_account(int fd);
/// The account that owns the other end of a TCP connection within this machine (sock_diag(7)); -1 where that is another
/// machine's, or nobody's any more.
long long csystem_tcp_peer_account(int fd);
