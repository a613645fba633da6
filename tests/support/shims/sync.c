/* For tests only: comes between a program and the C library's fsync and fdatasync (LD_PRELOAD).
 *
 * The folder that SYNC_SHIM names rules it. A sync appends a byte to `calls`, waits while `hold` is there, takes 50 ms
 * longer while `slow` is there, and fails with EIO while `fail` is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int there(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void count(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/calls", folder);
    int calls = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (calls < 0)
        abort();
    if (write(calls, ".", 1) != 1)
        abort();
    close(calls);
}

static int sync_through(const char *name, int file)
{
    const char *folder = getenv("SYNC_SHIM");
    if (folder) {
        count(folder);
        while (there(folder, "hold"))
            usleep(2000);
        if (there(folder, "slow"))
            usleep(50000);
        if (there(folder, "fail")) {
            errno = EIO;
            return -1;
        }
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file)
{
    return sync_through("fsync", file);
}

int fdatasync(int file)
{
    return sync_through("fdatasync", file);
}
