#pragma once

// Linux calls that need _GNU_SOURCE, which Swift's Glibc module does not define. No system header is included here:
// it would become part of this module, and its types would no longer be Glibc's.

int csystem_sync_file_range(int fd);
int csystem_syncfs(int fd);
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
/// fcntl with O_NONBLOCK.
int csystem_do_not_block(int fd);
/// Makes a descriptor refer to nothing, so that the other end of its pipe sees the end; the number stays taken.
int csystem_shut(int fd);

/// Starts a program that a keeper of its own waits for. The keeper is a process of this one's code that ends what is left
/// of the program: when the program has ended, or when `life` (the write end of a pipe, given back here) is closed, by
/// whatever end of this process. It adopts what the program's children leave behind (prctl(2), PR_SET_CHILD_SUBREAPER), so
/// that a new session is no way out.
///
/// `words` and `variables` end with NULL; `directory` may be NULL; `streams` are the program's first three descriptors.
/// Returns the keeper's process id, whose exit status is the program's (128 and the signal's number), or -1 with errno.
int csystem_start_kept(const char *program, char *const *words, char *const *variables, const char *directory,
                       const int streams[3], int *life);
