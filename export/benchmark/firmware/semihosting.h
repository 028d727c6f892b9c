/* Arm semihosting (Arm's public document "Semihosting for AArch32 and AArch64"): files of the host and the end. */
#ifndef KWS_SEMIHOSTING_H
#define KWS_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

enum { SEMIHOSTING_READ_BINARY = 1, SEMIHOSTING_WRITE_BINARY = 5 };

int semihosting_open(const char *name, int mode); /* a handle, or -1 */
size_t semihosting_read(int handle, void *data, size_t bytes); /* bytes that were read */
size_t semihosting_write(int handle, const void *data, size_t bytes); /* bytes that were written */
void semihosting_close(int handle);
_Noreturn void semihosting_exit(int status);

#endif
