#include "instruction_sets.h"

#if defined(__x86_64__) && defined(__linux__) && (__GNUC__ >= 9 || __clang_major__ >= 8)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")
#endif

#include "isa_avx512.h"
#include "products.h"

const InstructionSet kernel_avx512 = {takes<Avx512>, attends<Avx512>, compute<Avx512>};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
const InstructionSet kernel_avx512 = {nullptr, nullptr, nullptr};
#endif
