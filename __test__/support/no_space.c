// A disk that is full, for LD_PRELOAD: writes to files in the folder NO_SPACE_IN fail with ENOSPC while the file NO_SPACE_WHILE
// exists. A small file system of its own would need root.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_full(int fd) {
  const char *folder = getenv("NO_SPACE_IN"), *while_there = getenv("NO_SPACE_WHILE");
  if (!folder || !while_there || access(while_there, F_OK) != 0) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strncmp(path, folder, strlen(folder)) != 0) return 0;
  errno = ENOSPC;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) { return is_full(fd) ? -1 : REAL(write)(fd, bytes, count); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  return is_full(fd) ? -1 : REAL(pwrite)(fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return is_full(fd) ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}
int fallocate(int fd, int mode, off_t at, off_t count) { return is_full(fd) ? -1 : REAL(fallocate)(fd, mode, at, count); }
