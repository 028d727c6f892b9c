/* A call is BKPT 0xAB with the operation in r0 and the address of its arguments in r1; the answer comes in r0. */
#include "semihosting.h"

#include <string.h>

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

static uint32_t call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int semihosting_open(const char *name, int mode) {
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, (uint32_t)mode, (uint32_t)strlen(name)};
    return (int)call(SYS_OPEN, arguments);
}

/* SYS_READ and SYS_WRITE answer with the number of bytes that were NOT transferred. */
size_t semihosting_read(int handle, void *data, size_t bytes) {
    const uint32_t arguments[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, (uint32_t)bytes};
    const uint32_t left = call(SYS_READ, arguments);
    return left > bytes ? 0 : bytes - left;
}

size_t semihosting_write(int handle, const void *data, size_t bytes) {
    const uint32_t arguments[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)data, (uint32_t)bytes};
    const uint32_t left = call(SYS_WRITE, arguments);
    return left > bytes ? 0 : bytes - left;
}

void semihosting_close(int handle) {
    const uint32_t arguments[1] = {(uint32_t)handle};
    (void)call(SYS_CLOSE, arguments);
}

_Noreturn void semihosting_exit(int status) {
    const uint32_t arguments[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, arguments);
    }
}
