// Scratch memory of one context, which grows with what it is used for.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kernel_pool {
    uint8_t * x;       // rounded activations
    uint8_t * scratch; // of all threads
    size_t x_bytes, scratch_bytes;

    // Whether there is memory for both. Not inline: it is called from code for several processors.
    bool grow(size_t for_x, size_t for_scratch);
};
