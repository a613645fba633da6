/* Runs a program that cannot ask the kernel for its auxiliary vector (PR_GET_AUXV, since Linux 6.4): it then reads
   /proc/self/auxv, or asks libc. To a program under Valgrind the kernel's answer is Valgrind's own: it names a vDSO that Valgrind
   has taken away, and what looks into that, as the crate rustix does, crashes. */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GET_AUXV 0x41555856

int main(int argc, char **argv) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GET_AUXV, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (argc < 2) {
        fprintf(stderr, "usage: without_auxv PROGRAM [ARGUMENT]…\n");
        return 2;
    }
    /* Where this is forbidden it may do without: older kernels have no such question. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        perror("without_auxv: no filter");
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
