/* A power cut, to be preloaded: the process dies before its CUT_AT-th write to a file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void count(int fd)
{
    static int left = -1;
    struct stat file;
    if (left < 0)
        left = atoi(getenv("CUT_AT"));
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && left-- == 0)
        kill(getpid(), SIGKILL);
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    count(fd);
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    count(fd);
    return real(fd, data, size, at);
}
