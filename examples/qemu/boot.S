/* SPDX-License-Identifier: ISC */
/*
 * From the PVH entry (32-bit protected mode, paging off, ebx: start info) to
 * long mode with the first 4 GiB mapped as they are, SSE on, and a stack.
 */
        .section .note.pvh, "a", @note
        .align  4
        .long   4                       /* "Xen\0" */
        .long   4                       /* an address */
        .long   18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   boot_start

        .code32
        .section .text.boot, "ax"
        .globl  boot_start
boot_start:
        cld
        movl    %ebx, %ebp
        xorl    %eax, %eax
        movl    $__bss_start, %edi
        movl    $__bss_end, %ecx
        subl    %edi, %ecx
        rep stosb

        movl    $0xa5a5a5a5, %eax       /* the stack, so that use of it shows */
        movl    $boot_stack, %edi
        movl    $(GUEST_STACK_LEN / 4), %ecx
        rep stosl

        /* Four tables of 512 pages of 2 MiB: present, writable, large. */
        movl    $(boot_pml4 + 0x1003), boot_pml4
        movl    $boot_pdpt, %edi
        movl    $(boot_pd + 0x3), %eax
        movl    $4, %ecx
1:      movl    %eax, (%edi)
        addl    $0x1000, %eax
        addl    $8, %edi
        loop    1b
        movl    $boot_pd, %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
2:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    2b

        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       /* EFER: long mode enable */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80010003, %eax       /* PG, WP, MP, PE */
        movl    %eax, %cr0
        lgdt    boot_gdt_pointer
        ljmp    $8, $3f

        .code64
3:      movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $boot_stack_end, %esp
        movl    %ebp, %edi              /* zero-extends */
        call    guest_main
        /* It does not return; if it does, there is nothing left to do. */
4:      cli
        hlt
        jmp     4b

        .section .rodata
        .align  8
boot_gdt:
        .quad   0
        .quad   0x00209a0000000000      /* code, 64 bits */
        .quad   0x0000920000000000      /* data */
boot_gdt_pointer:
        .word   . - boot_gdt - 1
        .long   boot_gdt

        .bss
        .align  4096
boot_pml4:
        .skip   4096
boot_pdpt:
        .skip   4096
boot_pd:
        .skip   4 * 4096
        .globl  boot_stack, boot_stack_end
boot_stack:
        .skip   GUEST_STACK_LEN
boot_stack_end:

        .section .note.GNU-stack, "", @progbits
