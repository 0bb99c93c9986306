// Preloaded into a process under test (LD_PRELOAD, see hang.mjs): system calls that do not return, and name servers that do not
// answer, without root and without touching the machine. Whatever is not asked for passes through.
//
// HANG_SWITCH=<file>      while that file exists, the calls that it names hang
// HANG_FOLDER=<folder>    ... if they are about files under this folder
// HANG_RESOLV_CONF=<file> is read in place of /etc/resolv.conf
// HANG_DNS_PORT=<port>    datagrams to port 53 go to this port of 127.0.0.1
//
// A call that begins to hang writes its name into <switch>.hanging. It hangs as one on a dead disk does: no signal and no
// cancellation ends it, only the return of the disk (or the end of the process).

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// Not through open(), which is one of ours.
static int raw_open(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600); }

static int switched_on(const char *call) {
  char names[256];
  const char *file = getenv("HANG_SWITCH");
  int fd = file ? raw_open(file, O_RDONLY) : -1;
  if (fd < 0) return 0;
  ssize_t length = read(fd, names, sizeof names - 1);
  close(fd);
  if (length <= 0) return 0;
  names[length] = 0;
  char *rest = names;
  for (char *name; (name = strsep(&rest, " \n"));)
    if (!strcmp(name, call)) return 1;
  return 0;
}

static void tell(const char *call) {
  char path[4096];
  snprintf(path, sizeof path, "%s.hanging", getenv("HANG_SWITCH"));
  int fd = raw_open(path, O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0) abort();
  if (dprintf(fd, "%s\n", call) < 0) abort();
  close(fd);
}

static void hang(const char *call, const char *path) {
  const char *folder = getenv("HANG_FOLDER");
  int saved = errno;
  if (folder && !strncmp(path, folder, strlen(folder)) && switched_on(call)) {
    tell(call);
    struct timespec pause = {0, 2 * 1000 * 1000};
    while (switched_on(call)) nanosleep(&pause, NULL);
  }
  errno = saved;
}

static void hang_fd(const char *call, int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int saved = errno;
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (length <= 0) return;
  path[length] = 0;
  hang(call, path);
}

int fdatasync(int fd) {
  hang_fd("fdatasync", fd);
  return REAL(fdatasync)(fd);
}

int fsync(int fd) {
  hang_fd("fsync", fd);
  return REAL(fsync)(fd);
}

int flock(int fd, int operation) {
  hang_fd("flock", fd);
  return REAL(flock)(fd, operation);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  hang_fd("pwrite", fd);
  return REAL(pwrite64)(fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  hang_fd("pwrite", fd);
  return REAL(pwrite)(fd, bytes, count, offset);
}

static const char *opened(const char *path) {
  const char *ours = getenv("HANG_RESOLV_CONF");
  if (ours && !strcmp(path, "/etc/resolv.conf")) return ours;
  hang("open", path);
  return path;
}

#define OPEN(name)                                              \
  int name(const char *path, int flags, ...) {                  \
    va_list rest;                                               \
    va_start(rest, flags);                                      \
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                               \
    return REAL(name)(opened(path), flags, mode);               \
  }
OPEN(open)
OPEN(open64)

// The address to use in place of this one.
static const struct sockaddr *instead(const struct sockaddr *to, struct sockaddr_in *ours) {
  const char *port = getenv("HANG_DNS_PORT");
  if (!port || !to || to->sa_family != AF_INET || ((const struct sockaddr_in *)to)->sin_port != htons(53)) return to;
  *ours = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  return (const struct sockaddr *)ours;
}

ssize_t sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to, socklen_t length) {
  struct sockaddr_in ours;
  return REAL(sendto)(fd, bytes, count, flags, instead(to, &ours), length);
}

int connect(int fd, const struct sockaddr *to, socklen_t length) {
  struct sockaddr_in ours;
  return REAL(connect)(fd, instead(to, &ours), length);
}
