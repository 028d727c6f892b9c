/* Reset of an Armv7-M or Armv8-M core in the emulator (Armv7-M and Armv8-M Architecture Reference Manuals: vector
   table, CPACR at 0xE000ED88 for the FPU and Helium). Faults end the run with status 99. */
#include <stdint.h>

#include "semihosting.h"

extern uint32_t kws_data_load[], kws_data_start[], kws_data_end[], kws_bss_start[], kws_bss_end[], kws_stack_top[];
extern int main(void);
void SysTick_Handler(void);

static void fault(void) {
    semihosting_exit(99);
}

__attribute__((weak)) void SysTick_Handler(void) {
    semihosting_exit(98);
}

__attribute__((used)) void kws_start(void) {
    const uint32_t *from = kws_data_load;
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (uint32_t *to = kws_data_start; to < kws_data_end; ++to) {
        *to = *from++;
    }
    for (uint32_t *to = kws_bss_start; to < kws_bss_end; ++to) {
        *to = 0;
    }
    semihosting_exit(main());
}

/* Before the FPU is on, no compiled code may run that could touch it. */
__attribute__((naked, used)) void kws_reset(void) {
    __asm__("b kws_start");
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    vector handlers[15];
} kws_vectors = {kws_stack_top,
                 {kws_reset, fault, fault, fault, fault, fault, fault, 0, 0, 0, fault, fault, 0, fault, SysTick_Handler}};
