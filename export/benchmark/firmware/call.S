/* The one place from which measured functions are called, so that a count starts at a function's first instruction and
   ends as it returns: void kws_bench_call(void (*function)(), a, b, c) calls function(a, b, c).
   kws_bench_site is the call itself, kws_bench_return the instruction after it. */
    .syntax unified
    .thumb
    .section .text.kws_bench_call, "ax", %progbits
    .global kws_bench_call, kws_bench_site, kws_bench_return
    .type kws_bench_call, %function
    .thumb_func
kws_bench_call:
    push {r4, lr}
    mov r4, r0
    mov r0, r1
    mov r1, r2
    mov r2, r3
kws_bench_site:
    blx r4
kws_bench_return:
    pop {r4, pc}
    .size kws_bench_call, . - kws_bench_call

/* void kws_bench_loop(uint32_t n): 2 n instructions and the return, to tell how many ticks an instruction takes. */
    .section .text.kws_bench_loop, "ax", %progbits
    .global kws_bench_loop
    .type kws_bench_loop, %function
    .thumb_func
kws_bench_loop:
    subs r0, r0, #1
    bne kws_bench_loop
    bx lr
    .size kws_bench_loop, . - kws_bench_loop
