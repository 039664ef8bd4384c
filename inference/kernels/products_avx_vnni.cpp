#include "instruction_sets.h"

#if defined(__x86_64__) && defined(__linux__) && (__GNUC__ >= 11 || __clang_major__ >= 12)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,avxvnni,f16c,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,avxvnni,f16c,fma")
#endif

#include "isa_avx_vnni.h"
#include "products.h"

const InstructionSet kernel_avx_vnni = {takes<AvxVnni>, attends<AvxVnni>, compute<AvxVnni>};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
const InstructionSet kernel_avx_vnni = {nullptr, nullptr, nullptr};
#endif
