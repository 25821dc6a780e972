// A hostile image's loader, which the kernel starts with another program. It needs no library and no loader itself:
// it tries to write to that program, then says that it ran, in /loader-ran.
#include <fcntl.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
#endif
}

static long open_at(const char *path, long flags) { return call(SYS_openat, AT_FDCWD, (long)path, flags, 0644); }

void _start(void) {
    static const char own[] = "/proc/self/exe";
    if (open_at(own, O_WRONLY) >= 0) open_at("/escaped-exe-write", O_CREAT | O_WRONLY);
    if (open_at(own, O_RDWR | O_APPEND) >= 0) open_at("/escaped-exe-append", O_CREAT | O_WRONLY);
    if (call(SYS_fchmodat, AT_FDCWD, (long)own, 0777, 0) >= 0) open_at("/escaped-exe-mode", O_CREAT | O_WRONLY);
    if (call(SYS_fchownat, AT_FDCWD, (long)own, 1001, 1001) >= 0) open_at("/escaped-exe-owner", O_CREAT | O_WRONLY);
    open_at("/loader-ran", O_CREAT | O_WRONLY);
    call(SYS_exit_group, 0, 0, 0, 0);
}
