// What llama.cpp's plug-in interface looks like in memory: the part of it that a device for matrix products needs.
//
// These declarations stand in llama.cpp's ggml/include/ggml.h and ggml/src/ggml-backend-impl.h; the second is not
// installed with it. `inference/kernels/__init__.py` says of which releases it has been checked that they fit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GGML_INTERFACE_VERSION = 2, GGML_STATUS_OK = 0, GGML_STATUS_NO_MEMORY = -2, GGML_TYPE_FLOAT = 0, GGML_TYPE_HALF = 1 };
enum { GGML_DEVICE_ACCELERATOR = 3, GGML_NODE_IS_COMPUTED = 16 };

enum { GGML_OPERATIONS = 101, GGML_UNARY_OPERATIONS = 8 }; // that have a name, at least

struct ggml_tensor {
    int type;
    void * buffer;
    int64_t ne[4];        // elements of each dimension, the fastest first
    size_t nb[4];         // bytes from one to the next
    int op;
    int32_t op_params[16];
    int32_t flags;
    struct ggml_tensor * src[10];
    struct ggml_tensor * view_src;
    size_t view_offs;
    void * data;
    char name[64];
    void * extra;
    char padding[8];
};

typedef void (*ggml_unused)(void); // a function that may be missing

struct ggml_backend_i {
    const char * (*get_name)(struct ggml_backend *);
    void (*free)(struct ggml_backend *);
    ggml_unused asynchronous[5], synchronize, plans[4];
    int (*graph_compute)(struct ggml_backend *, struct ggml_cgraph *);
    ggml_unused events[2], graph_optimize;
};

struct ggml_backend {
    const uint8_t * guid; // 16 bytes
    struct ggml_backend_i iface;
    struct ggml_backend_device * device;
    void * context;
};

struct ggml_backend_dev_caps {
    bool async, host_buffer, buffer_from_host_ptr, events, mmap_support;
};

struct ggml_backend_dev_props {
    const char * name;
    const char * description;
    size_t memory_free, memory_total;
    int type;
    const char * device_id;
    struct ggml_backend_dev_caps caps;
};

struct ggml_backend_device_i {
    const char * (*get_name)(struct ggml_backend_device *);
    const char * (*get_description)(struct ggml_backend_device *);
    void (*get_memory)(struct ggml_backend_device *, size_t * free, size_t * total);
    int (*get_type)(struct ggml_backend_device *);
    void (*get_props)(struct ggml_backend_device *, struct ggml_backend_dev_props *);
    struct ggml_backend * (*init_backend)(struct ggml_backend_device *, const char * params);
    void * (*get_buffer_type)(struct ggml_backend_device *);
    ggml_unused get_host_buffer_type;
    void * (*buffer_from_host_ptr)(struct ggml_backend_device *, void * ptr, size_t size, size_t max_tensor_size);
    bool (*supports_op)(struct ggml_backend_device *, const struct ggml_tensor * op);
    bool (*supports_buft)(struct ggml_backend_device *, void * buffer_type);
    ggml_unused offload_op, events[3];
};

struct ggml_backend_device {
    struct ggml_backend_device_i iface;
    struct ggml_backend_reg * reg;
    void * context;
};

struct ggml_backend_reg_i {
    const char * (*get_name)(struct ggml_backend_reg *);
    size_t (*get_device_count)(struct ggml_backend_reg *);
    struct ggml_backend_device * (*get_device)(struct ggml_backend_reg *, size_t index);
    void * (*get_proc_address)(struct ggml_backend_reg *, const char * name);
};

struct ggml_backend_reg {
    int api_version;
    struct ggml_backend_reg_i iface;
    void * context;
};
