// AM_CLONES before a function: one copy of it per instruction set, picked when the program is loaded.
// Contraction to fused multiply-add is off for the whole program, so the copies give the same bits.
// Sanitizers cannot instrument the resolvers, so there is one copy under them.
#ifndef AM_BASE_CLONES_H
#define AM_BASE_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(AM_INVARIANTS)
#define AM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AM_CLONES
#endif
// What a cloned function calls must become part of each copy.
#define AM_INLINE static inline __attribute__((always_inline))

#endif
