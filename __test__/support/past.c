// The past, for LD_PRELOAD: the wall clock is PAST_BY_SECONDS behind. Timers, which run on the monotonic clock, are not.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  const char *by = getenv("PAST_BY_SECONDS");
  if (result == 0 && clock == CLOCK_REALTIME && by) now->tv_sec -= atol(by);
  return result;
}
