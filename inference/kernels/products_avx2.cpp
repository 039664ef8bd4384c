#include "instruction_sets.h"

#if defined(__x86_64__) && defined(__linux__) && (__GNUC__ >= 9 || __clang_major__ >= 8)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,f16c,fma")
#endif

#include "isa_avx2.h"
#include "products.h"

const InstructionSet kernel_avx2 = {takes<Avx2>, attends<Avx2>, compute<Avx2>};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
const InstructionSet kernel_avx2 = {nullptr, nullptr, nullptr};
#endif
