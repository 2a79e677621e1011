/* A libnvidia-ml.so.1 for lab hosts: the calls an inventory makes, answered from a file (see lab/gpus.py for its lines).
 * Read anew at each nvmlInit, and when the file was edited meanwhile: who keeps NVML open sees it too. DEPLOYER_LAB_GPUS names
 * another file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_GPUS 64
#define MAX_SLICES 64
#define MAX_PROCESSES 256
#define RESERVED (600ULL << 20) /* what a driver keeps for itself */
#define MEMORY_V2 0x02000028u

typedef unsigned int uint;
typedef unsigned long long bytes;
typedef int result;
typedef struct gpu *device;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, VERSION_MISMATCH = 25 };

struct gpu { uint index, utilization, mig; bytes total, used; int major, minor; char uuid[96], name[96]; };
struct slice { struct gpu device; uint number; }; /* of MIG; its index is its GPU's */
struct process { uint gpu, pid; bytes memory; };

static struct gpu gpus[MAX_GPUS];
static struct slice slices[MAX_SLICES];
static unsigned char ways[MAX_GPUS][MAX_GPUS]; /* 0: as NVML says of two GPUs on one host bridge; 1: NVLink; else a level */
static struct process processes[MAX_PROCESSES];
static uint gpu_count, slice_count, process_count;
static int users, cuda_version, init_error;
static char driver[80];

static void read_line(const char *line) {
    struct gpu g;
    struct slice m;
    struct process p;
    uint a, b, way;
    memset(&g, 0, sizeof g);
    memset(&m, 0, sizeof m);
    if (sscanf(line, "gpu %u %95s %llu %llu %u %d.%d %u %95[^\n]", &g.index, g.uuid, &g.total, &g.used, &g.utilization, &g.major,
               &g.minor, &g.mig, g.name) == 9) {
        if (gpu_count < MAX_GPUS) gpus[gpu_count++] = g;
    } else if (sscanf(line, "slice %u %u %95s %llu %llu %95[^\n]", &m.device.index, &m.number, m.device.uuid, &m.device.total,
                      &m.device.used, m.device.name) == 6) {
        if (slice_count < MAX_SLICES) slices[slice_count++] = m;
    } else if (sscanf(line, "link %u %u %u", &a, &b, &way) == 3) {
        if (a < MAX_GPUS && b < MAX_GPUS) ways[a][b] = ways[b][a] = way ? way : 1;
    } else if (sscanf(line, "process %u %u %llu", &p.gpu, &p.pid, &p.memory) == 3) {
        if (process_count < MAX_PROCESSES) processes[process_count++] = p;
    } else if (sscanf(line, "driver %79s", driver) != 1 && sscanf(line, "cuda %d", &cuda_version) != 1) {
        sscanf(line, "init-error %d", &init_error);
    }
}

static const char *file_path(void) {
    const char *path = getenv("DEPLOYER_LAB_GPUS");
    return path ? path : "/etc/deployer-lab/gpus";
}

static struct timespec edited;

static void read_file(void) {
    char line[512];
    FILE *f = fopen(file_path(), "r");
    struct stat s;
    if (f && !fstat(fileno(f), &s)) edited = s.st_mtim;
    gpu_count = slice_count = process_count = 0;
    memset(ways, 0, sizeof ways);
    cuda_version = 0, init_error = f ? 0 : 9; /* 9: the driver is not loaded */
    while (f && fgets(line, sizeof line, f)) read_line(line);
    if (f) fclose(f);
}

static void refresh(void) {
    struct stat s;
    if (!stat(file_path(), &s) && (s.st_mtim.tv_sec != edited.tv_sec || s.st_mtim.tv_nsec != edited.tv_nsec)) read_file();
}

static int is_slice(device d) { return (void *)d >= (void *)slices && (void *)d < (void *)(slices + slice_count); }
static int known(device d) { return (d >= gpus && d < gpus + gpu_count) || is_slice(d); }
#define DEVICE(d) do { if (!users) return UNINITIALIZED; if (!known(d)) return INVALID_ARGUMENT; } while (0)

static result text(char *to, uint size, const char *from) {
    if (strlen(from) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

result nvmlInitWithFlags(uint flags) {
    (void)flags;
    if (!users) read_file();
    if (init_error) return init_error;
    users++;
    return SUCCESS;
}
result nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
result nvmlShutdown(void) { if (!users) return UNINITIALIZED; users--; return SUCCESS; }
const char *nvmlErrorString(result r) { static char b[32]; snprintf(b, sizeof b, "NVML error %d", r); return r ? b : "Success"; }

result nvmlSystemGetDriverVersion(char *to, uint size) { return text(to, size, driver); }
result nvmlSystemGetNVMLVersion(char *to, uint size) { char b[96]; snprintf(b, sizeof b, "13.%s", driver); return text(to, size, b); }
result nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = cuda_version; return SUCCESS; }
result nvmlSystemGetCudaDriverVersion(int *v) { return nvmlSystemGetCudaDriverVersion_v2(v); }
result nvmlSystemGetProcessName(uint pid, char *to, uint size) {
    char path[64], b[256] = "";
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    FILE *f = fopen(path, "r");
    if (!f) return NOT_FOUND;
    size_t n = fread(b, 1, sizeof b - 1, f);
    fclose(f);
    b[n] = 0;
    return text(to, size, b);
}

result nvmlDeviceGetCount_v2(uint *n) { if (!users) return UNINITIALIZED; *n = gpu_count; return SUCCESS; }
result nvmlDeviceGetHandleByIndex_v2(uint i, device *d) {
    if (!users) return UNINITIALIZED;
    if (i >= gpu_count) return INVALID_ARGUMENT;
    *d = &gpus[i];
    return SUCCESS;
}
result nvmlDeviceGetHandleByUUID(const char *uuid, device *d) {
    if (!users) return UNINITIALIZED;
    for (uint i = 0; i < gpu_count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) { *d = &gpus[i]; return SUCCESS; }
    return NOT_FOUND;
}
result nvmlDeviceGetIndex(device d, uint *o) { DEVICE(d); *o = d->index; return SUCCESS; }
result nvmlDeviceGetMinorNumber(device d, uint *o) { DEVICE(d); *o = d->index; return SUCCESS; }
result nvmlDeviceGetName(device d, char *to, uint size) { DEVICE(d); return text(to, size, d->name); }
result nvmlDeviceGetUUID(device d, char *to, uint size) { DEVICE(d); return text(to, size, d->uuid); }
result nvmlDeviceGetSerial(device d, char *to, uint size) { DEVICE(d); (void)to; (void)size; return NOT_SUPPORTED; }

struct memory { bytes total, free, used; };
struct memory_v2 { uint version; bytes total, reserved, free, used; };
static bytes available(device d, bytes used) { return used > d->total ? 0 : d->total - used; }
result nvmlDeviceGetMemoryInfo(device d, struct memory *m) {
    refresh();
    DEVICE(d);
    m->total = d->total;
    m->free = available(d, d->used + RESERVED);
    m->used = d->total - m->free;
    return SUCCESS;
}
result nvmlDeviceGetMemoryInfo_v2(device d, struct memory_v2 *m) {
    refresh();
    DEVICE(d);
    if (m->version != MEMORY_V2) return VERSION_MISMATCH;
    m->total = d->total, m->reserved = RESERVED, m->used = d->used;
    m->free = available(d, d->used + RESERVED);
    return SUCCESS;
}

struct rates { uint gpu, memory; };
result nvmlDeviceGetUtilizationRates(device d, struct rates *r) { DEVICE(d); r->gpu = d->utilization; r->memory = d->utilization / 3; return SUCCESS; }

struct running { uint pid; bytes memory; uint gpu_instance, compute_instance; };
result nvmlDeviceGetComputeRunningProcesses_v3(device d, uint *n, struct running *out) {
    DEVICE(d);
    uint found = 0, room = *n;
    for (uint i = 0; i < process_count; i++) {
        if (is_slice(d) || processes[i].gpu != d->index) continue;
        if (out && found < room) out[found] = (struct running){processes[i].pid, processes[i].memory, 0xFFFFFFFFu, 0xFFFFFFFFu};
        found++;
    }
    *n = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}
result nvmlDeviceGetGraphicsRunningProcesses_v3(device d, uint *n, struct running *out) { DEVICE(d); (void)out; *n = 0; return SUCCESS; }

result nvmlDeviceGetTemperature(device d, uint sensor, uint *t) { DEVICE(d); (void)sensor; *t = 35 + d->utilization / 2; return SUCCESS; }
result nvmlDeviceGetPowerUsage(device d, uint *milliwatt) { DEVICE(d); *milliwatt = 70000 + 5000 * d->utilization; return SUCCESS; }
result nvmlDeviceGetCudaComputeCapability(device d, int *major, int *minor) { DEVICE(d); *major = d->major; *minor = d->minor; return SUCCESS; }
result nvmlDeviceGetMigMode(device d, uint *current, uint *pending) { DEVICE(d); *current = *pending = d->mig; return SUCCESS; }
result nvmlDeviceGetMaxMigDeviceCount(device d, uint *n) { DEVICE(d); *n = d->mig ? 7 : 0; return SUCCESS; }
result nvmlDeviceGetMigDeviceHandleByIndex(device d, uint number, device *o) {
    DEVICE(d);
    for (uint i = 0; i < slice_count; i++)
        if (slices[i].device.index == d->index && slices[i].number == number) { *o = &slices[i].device; return SUCCESS; }
    return NOT_FOUND;
}
result nvmlDeviceGetEccMode(device d, uint *current, uint *pending) { DEVICE(d); *current = *pending = 1; return SUCCESS; }
result nvmlDeviceGetTotalEccErrors(device d, uint type, uint counter, bytes *n) { DEVICE(d); (void)type; (void)counter; *n = 0; return SUCCESS; }
result nvmlDeviceGetRemappedRows(device d, uint *c, uint *u, uint *p, uint *f) { DEVICE(d); *c = *u = *p = *f = 0; return SUCCESS; }
result nvmlDeviceGetTopologyCommonAncestor(device d, device e, uint *level) {
    DEVICE(d);
    DEVICE(e);
    uint way = ways[d->index % MAX_GPUS][e->index % MAX_GPUS];
    *level = way > 1 ? way : 30;
    return SUCCESS;
}
result nvmlDeviceGetNvLinkState(device d, uint link, uint *active) { DEVICE(d); (void)link; *active = 0; return SUCCESS; }
result nvmlDeviceGetP2PStatus(device d, device e, uint kind, uint *status) {
    DEVICE(d);
    DEVICE(e);
    *status = kind == 2 && ways[d->index % MAX_GPUS][e->index % MAX_GPUS] == 1 ? 0 : 5; /* over NVLink; else not supported */
    return SUCCESS;
}
result nvmlDeviceGetPersistenceMode(device d, uint *mode) { DEVICE(d); *mode = 1; return SUCCESS; }
result nvmlDeviceGetComputeMode(device d, uint *mode) { DEVICE(d); *mode = 0; return SUCCESS; }

struct pci { char legacy[16]; uint domain, bus, device, id, subsystem; char bus_id[32]; };
result nvmlDeviceGetPciInfo_v3(device d, struct pci *p) {
    DEVICE(d);
    memset(p, 0, sizeof *p);
    p->bus = 0x10 + d->index;
    snprintf(p->legacy, sizeof p->legacy, "0000:%02X:00.0", p->bus & 0xFF);
    snprintf(p->bus_id, sizeof p->bus_id, "00000000:%02X:00.0", p->bus & 0xFF);
    return SUCCESS;
}
