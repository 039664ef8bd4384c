// A device for llama.cpp that computes products with quantised weights and attention by quantized_matmul.cpp, in the memory
// where llama.cpp has them. What it does not take, llama.cpp computes itself.

#include "ggml_interface.h"
#include "quantized_matmul.h"

#include <math.h>
#include <new>
#include <string.h>
#include <vector>

// The functions of llama.cpp's libraries that are needed here. They are handed over: the libraries are not in the
// namespace where a linker would look for them.
struct kernel_host {
    const char * (*ggml_op_name)(int op);
    const char * (*ggml_unary_op_name)(int op);
    size_t (*ggml_tensor_overhead)(void);
    int (*ggml_graph_n_nodes)(struct ggml_cgraph *);
    struct ggml_tensor * (*ggml_graph_node)(struct ggml_cgraph *, int);
    void * (*ggml_backend_cpu_buffer_type)(void);
    void * (*ggml_backend_cpu_buffer_from_ptr)(void * ptr, size_t size);
    bool (*ggml_backend_buft_is_host)(void * buffer_type);
    void (*ggml_backend_register)(struct ggml_backend_reg *);
};

namespace {

constexpr size_t OBJECT_BYTES = 32;          // of ggml.h's GGML_OBJECT_SIZE
constexpr int64_t LEAST_WEIGHTS = 1 << 18;   // smaller products are over before they are handed over
constexpr int64_t MOST_ROWS = 64;            // of logits, in what is drafted
constexpr int64_t LEAST_ELEMENTS = 1 << 16;  // likewise of what takes element by element

kernel_host host;
int instructions = -1;
int attention_op = -1, products_op = -1, scale_op = -1, unary_op = -1, tanh_of_unary = -1;
std::vector<int> views;                      // operations that compute nothing

// Where the rows of logits that this thread computed last are largest: found on the way, while they are in the cache.
struct Logits {
    int64_t computation, computed; // the one that is under way or over, and the one that these are of
    int64_t rows;
    kernel_best best[MOST_ROWS];
};

thread_local Logits logits;

struct Context {
    kernel_pool * pool;
    int n_threads;
    std::vector<kernel_step> steps;
};

const char * name_of_backend(ggml_backend *) { return "kernels"; }

void free_backend(ggml_backend * backend) {
    Context * context = (Context *) backend->context;
    kernel_pool_free(context->pool);
    delete context;
    delete backend;
}

bool is_view(int op) {
    for (int each : views) {
        if (each == op) {
            return true;
        }
    }
    return false;
}

int64_t elements(const ggml_tensor * t) { return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; }

// Whether a tensor is floats of 32 bits without gaps.
bool is_dense(const ggml_tensor * t) {
    size_t bytes = sizeof(float);
    for (int d = 0; d < 4; d++) {
        if (t->nb[d] != bytes) {
            return false;
        }
        bytes *= (size_t) t->ne[d];
    }
    return t->type == GGML_TYPE_FLOAT;
}

// False where it is none that could be computed here.
bool attention_of(const ggml_tensor * node, kernel_attention * a) {
    const ggml_tensor * q = node->src[0], * k = node->src[1], * v = node->src[2], * mask = node->src[3];
    float factors[3]; // of the scores, of positions (ALiBi), and their cap
    memcpy(factors, node->op_params, sizeof(factors));
    if (factors[1] != 0.0f || factors[2] != 0.0f || node->src[4] || q->type != GGML_TYPE_FLOAT || (mask && (mask->type != GGML_TYPE_HALF || mask->ne[2] != 1)) || !is_dense(node)) {
        return false;
    }
    if (q->nb[0] != 4 || (mask && mask->nb[0] != 2) || k->ne[2] != v->ne[2]
        || k->ne[3] != q->ne[3] || v->ne[3] != q->ne[3] || (mask && mask->ne[3] != 1 && mask->ne[3] != q->ne[3])) {
        return false;
    }
    // llama.cpp wants rows of keys and of values without gaps.
    *a = {(kernel_type) k->type, (kernel_type) v->type, k->ne[0], v->ne[0], q->ne[1], k->ne[1], q->ne[2], k->ne[2], q->ne[3],
          (const char *) q->data, (const char *) k->data, (const char *) v->data, mask ? (const char *) mask->data : nullptr,
          q->nb[1], q->nb[2], q->nb[3], k->nb[1], k->nb[2], k->nb[3], v->nb[1], v->nb[2], v->nb[3],
          mask ? mask->nb[1] : 0, mask && mask->ne[3] > 1 ? mask->nb[3] : 0, (float *) node->data, factors[0]};
    return true;
}

kernel_step step_of(const ggml_tensor * node) {
    const ggml_tensor * weights = node->src[0], * x = node->src[1];
    kernel_step step = {};
    if (node->op == products_op) {
        step.kind = KERNEL_PRODUCT;
        step.product = {(kernel_type) weights->type, weights->ne[1], weights->ne[0], x->ne[1],
                        (const uint8_t *) weights->data, weights->nb[1], (const float *) x->data, (float *) node->data};
        return step;
    }
    if (node->op == attention_op) {
        step.kind = KERNEL_ATTENTION;
        attention_of(node, &step.attention);
        return step;
    }
    step.kind = node->op == scale_op ? KERNEL_SCALE : KERNEL_TANH;
    step.from = (const float *) node->src[0]->data;
    step.to = (float *) node->data;
    step.count = elements(node);
    if (step.kind == KERNEL_SCALE) {
        memcpy(&step.factor, node->op_params, sizeof(float));
        memcpy(&step.added, node->op_params + 1, sizeof(float));
    }
    return step;
}

int compute(ggml_backend * backend, ggml_cgraph * graph) {
    Context * context = (Context *) backend->context;
    std::vector<kernel_step> & steps = context->steps;
    const ggml_tensor * last = nullptr;
    steps.clear();
    for (int i = 0; i < host.ggml_graph_n_nodes(graph); i++) {
        const ggml_tensor * node = host.ggml_graph_node(graph, i);
        if (!is_view(node->op) && (node->flags & GGML_NODE_IS_COMPUTED)) {
            steps.push_back(step_of(node));
            last = node;
        }
    }
    if (steps.empty()) {
        return GGML_STATUS_OK;
    }
    // llama.cpp calls the logits so, whatever is done with them before they are.
    const bool are_logits = strcmp(last->name, "result_output") == 0 && last->ne[1] <= MOST_ROWS;
    if (are_logits) {
        logits.computed = logits.computation;
        logits.rows = last->ne[1];
        for (kernel_best & each : logits.best) {
            each = {-1, -INFINITY};
        }
    }
    const int result = kernel_compute(instructions, context->pool, steps.data(), (int) steps.size(), context->n_threads,
                                      are_logits ? logits.best : nullptr);
    return result == 0 ? GGML_STATUS_OK : GGML_STATUS_NO_MEMORY;
}

void set_n_threads(ggml_backend * backend, int n_threads) {
    ((Context *) backend->context)->n_threads = n_threads < 1 ? 1 : n_threads;
}

const char * name_of_device(ggml_backend_device *) { return "kernels"; }
const char * description(ggml_backend_device *) { return "products of quantised weights, and attention"; }
int device_type(ggml_backend_device *) { return GGML_DEVICE_ACCELERATOR; }

void memory(ggml_backend_device *, size_t * free, size_t * total) {
    *free = 0;  // it has none of its own
    *total = 0;
}

void properties(ggml_backend_device * device, ggml_backend_dev_props * props) {
    memset(props, 0, sizeof(*props));
    props->name = name_of_device(device);
    props->description = description(device);
    props->type = GGML_DEVICE_ACCELERATOR;
    props->caps.buffer_from_host_ptr = true;
    props->caps.mmap_support = true;
}

ggml_backend * start(ggml_backend_device * device, const char *) {
    static const uint8_t guid[16] = {0x67, 0x65, 0x6d, 0x6d, 0x61, 0x2d, 0x61, 0x67,
                                     0x65, 0x6e, 0x74, 0x2d, 0x6b, 0x65, 0x72, 0x6e};
    kernel_pool * pool = kernel_pool_new();
    Context * context = new (std::nothrow) Context{pool, 1, {}};
    ggml_backend * backend = new (std::nothrow) ggml_backend();
    if (!pool || !context || !backend) {
        kernel_pool_free(pool);
        delete context;
        delete backend;
        return nullptr;
    }
    backend->guid = guid;
    backend->iface.get_name = name_of_backend;
    backend->iface.free = free_backend;
    backend->iface.graph_compute = compute;
    backend->device = device;
    backend->context = context;
    return backend;
}

void * buffer_type(ggml_backend_device *) { return host.ggml_backend_cpu_buffer_type(); }

void * buffer_from_host_ptr(ggml_backend_device *, void * ptr, size_t size, size_t) {
    return host.ggml_backend_cpu_buffer_from_ptr(ptr, size);
}

bool supports_op(ggml_backend_device *, const ggml_tensor * op) {
    if (op->op == scale_op || (op->op == unary_op && op->op_params[0] == tanh_of_unary)) {
        return elements(op) >= LEAST_ELEMENTS && is_dense(op) && is_dense(op->src[0]);
    }
    if (op->op == attention_op) {
        kernel_attention attention;
        return attention_of(op, &attention) && kernel_attends(instructions, &attention);
    }
    if (op->op != products_op) {
        return is_view(op->op);
    }
    const ggml_tensor * weights = op->src[0], * x = op->src[1];
    const bool flat = weights->ne[2] == 1 && weights->ne[3] == 1 && x->ne[2] == 1 && x->ne[3] == 1;
    return flat && is_dense(x) && is_dense(op) && weights->ne[0] * weights->ne[1] >= LEAST_WEIGHTS
        && kernel_takes(instructions, weights->type, weights->ne[1], weights->ne[0]);
}

bool supports_buft(ggml_backend_device *, void * type) { return host.ggml_backend_buft_is_host(type); }

const char * name_of_reg(ggml_backend_reg *) { return "kernels"; }
size_t device_count(ggml_backend_reg *) { return 1; }

ggml_backend_device * device_at(ggml_backend_reg * reg, size_t) {
    static ggml_backend_device device = {
        {name_of_device, description, memory, device_type, properties, start, buffer_type, nullptr,
         buffer_from_host_ptr, supports_op, supports_buft, nullptr, {nullptr, nullptr, nullptr}},
        reg, nullptr};
    return &device;
}

void * address_of(ggml_backend_reg *, const char * name) {
    return strcmp(name, "ggml_backend_set_n_threads") == 0 ? (void *) set_n_threads : nullptr;
}

int number_of(const char * (*name_of)(int), const char * name, int count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(name_of(i), name) == 0) {
            return i;
        }
    }
    return -1;
}

int op_called(const char * name) { return number_of(host.ggml_op_name, name, GGML_OPERATIONS); }

} // namespace

// A computation of logits begins on this thread; its number.
extern "C" int64_t kernel_begin(void) { return ++logits.computation; }

// Where row `row` of the `rows` rows that this computation gave is largest, if it was the last of this thread; -1 where
// that is not known. `copy` is where llama.cpp has put the row.
extern "C" int64_t kernel_argmax(int64_t computation, int64_t rows, int64_t row, const float * copy) {
    if (logits.computation != computation || logits.computed != computation || logits.rows != rows || row < 0 || row >= rows) {
        return -1;
    }
    const kernel_best & best = logits.best[row];
    return best.index >= 0 && copy[best.index] == best.value ? best.index : -1;
}

// Make the device known to llama.cpp, for every context that is made from now on; once in a process. `set` is one of
// enum kernel_set.
// 0, or what is in the way: 1 the processor, 2 a llama.cpp that is laid out otherwise.
extern "C" int kernel_register(const kernel_host * functions, int set) {
    if (!kernel_supported(set)) {
        return 1;
    }
    instructions = set;
    host = *functions;
    if (host.ggml_tensor_overhead() != OBJECT_BYTES + sizeof(ggml_tensor)) {
        return 2;
    }
    attention_op = op_called("FLASH_ATTN_EXT");
    products_op = op_called("MUL_MAT");
    scale_op = op_called("SCALE");
    unary_op = op_called("UNARY");
    tanh_of_unary = number_of(host.ggml_unary_op_name, "TANH", GGML_UNARY_OPERATIONS);
    for (const char * name : {"NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE"}) {
        views.push_back(op_called(name));
    }
    if (attention_op < 0 || products_op < 0 || scale_op < 0 || unary_op < 0 || tanh_of_unary < 0) {
        return 2;
    }
    static ggml_backend_reg reg = {
        GGML_INTERFACE_VERSION, {name_of_reg, device_count, device_at, address_of}, nullptr};
    host.ggml_backend_register(&reg);
    return 0;
}
