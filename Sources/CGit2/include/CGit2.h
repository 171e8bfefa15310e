#pragma once

#include <git2.h>
#include <git2/sys/commit.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <zlib.h>

// Swift does not import variadic C functions: each one that Ensign needs has a wrapper with fixed arguments here.

/// Makes libgit2 accept repositories that another user owns: git itself has checked before it ran a hook.
static inline int cgit2_set_owner_validation(int enabled) {
  return git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, enabled);
}

/// Makes libgit2 check the name of every object that it reads (1, the default) or not (0).
static inline int cgit2_set_strict_hash_verification(int enabled) {
  return git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, enabled);
}

/// Makes libgit2 fsync each file that it writes in the git directory.
static inline int cgit2_set_fsync_gitdir(int enabled) {
  return git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, enabled);
}

/// Bounds what libgit2 maps of packs at a time, in bytes: each window, and all of them.
static inline int cgit2_set_windows(size_t each, size_t all) {
  int status = git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, each);
  return status != 0 ? status : git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, all);
}

/// Makes libgit2 open repositories of format 1 that have the extension `worktreeConfig`. It does not read what that brings.
static inline int cgit2_allow_worktree_config(void) {
  const char *names[] = {"worktreeconfig"};
  return git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, names, (size_t)1);
}

/// Makes libgit2 keep objects that it has read (1, the default) or not (0).
static inline int cgit2_set_caching(int enabled) {
  return git_libgit2_opts(GIT_OPT_ENABLE_CACHING, enabled);
}
