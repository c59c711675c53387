#include "tensor/device.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "tensor/device_internal.h"

static am_err unknown_kind(const char *kind) {
  am_err err = AM_OK;
  am_str built = {0};
  for (const am_backend *const *b = am_backend_all(); *b; b++) {
    AM_GO(done, am_str_printf(&built, "%s%s", built.length ? ", " : "", (*b)->name));
  }
  err = AM_FAIL(AM_ERR_CONFIG, "there is no device \"%s\"; built devices: %s, and cuda (a guard takes the name of the "
                "device it checks, as in \"guard:ref\"; \"cuda:eager\" records no steps)", kind, am_str_get(&built));
done:
  am_str_fini(&built);
  return err;
}

// "guard:ref" is opened by the backend "guard", which reads the rest itself. *eager: the rest is ":eager".
static am_err find_backend(const char *kind, const am_backend **out, bool *eager) {
  char name[AM_DEVICE_KIND_TEXT];
  size_t length = strcspn(kind, ":");
  if (length >= sizeof name || strlen(kind) >= AM_DEVICE_KIND_TEXT) return unknown_kind(kind);
  memcpy(name, kind, length);
  name[length] = '\0';
  const bool plugin = am_backend_is_plugin(name), plain = kind[length] == '\0';
  *eager = plugin && strcmp(kind + length, ":eager") == 0;
  if (plugin) return plain || *eager ? am_backend_load(name, out) : unknown_kind(kind);
  *out = am_backend_find(name);
  return *out ? AM_OK : unknown_kind(kind);
}

am_err am_device_open(const am_device_cfg *cfg, am_device **out) {
  am_err err = AM_OK;
  am_device *dev = NULL;
  am_device_cfg full = cfg ? *cfg : (am_device_cfg){0};
  if (!full.kind) full.kind = "cpu";
  if (full.threads == 0) full.threads = 1;
  AM_CHECK(full.threads > 0, AM_ERR_CONFIG, "a device computes with %d threads, at least 1 is needed",
           full.threads);
  const am_backend *backend = NULL;
  bool eager = false;
  AM_TRY(find_backend(full.kind, &backend, &eager));
  AM_CHECK(!full.measured || backend->measures, AM_ERR_UNSUPPORTED, "device %s chooses nothing by timing", full.kind);

  AM_GO(done, AM_NEW(&dev));
  snprintf(dev->kind, sizeof dev->kind, "%s", full.kind);
  AM_GO(done, backend->open(&full, &dev->ctx));
  dev->backend = backend;  // from here on closing is due
  AM_GO(done, backend->describe(dev->ctx, dev->description, sizeof dev->description));
  dev->pool = (am_pool){.backend = backend, .ctx = dev->ctx, .tally = &dev->tally};
  dev->taking = &dev->pool;
  dev->recorder = eager ? NULL : backend->recorder;
  *out = dev;
  dev = NULL;
done:
  am_device_close(dev);
  return err;
}

void am_device_close(am_device *dev) {
  if (!dev) return;
  if (dev->tally.memory.live_bytes > 0) {
    AM_WARN("device %s is closed while tensors still hold %lld bytes", dev->kind,
            (long long)dev->tally.memory.live_bytes);
  }
  if (dev->pool.backend) am_pool_trim(&dev->pool);
  if (dev->backend) dev->backend->close(dev->ctx);
  free(dev);
}

const char *am_device_kind(const am_device *dev) { return dev->kind; }

am_err am_device_check_tf32(const am_device *dev) {
  AM_CHECK(dev->backend->set_tf32, AM_ERR_UNSUPPORTED, "device %s does not compute in tf32: it has full f32", dev->kind);
  return AM_OK;
}

am_err am_device_set_tf32(am_device *dev, bool on) {
  if (on) AM_TRY(am_device_check_tf32(dev));
  if (dev->backend->set_tf32) dev->backend->set_tf32(dev->ctx, on);
  return AM_OK;
}

am_err am_device_sync(am_device *dev) { return dev->backend->sync(dev->ctx); }

am_err am_device_check_open(const am_device *dev) {
  AM_CHECK(!dev->recording, AM_ERR_INTERNAL, "bytes between host and device in a step that is being recorded");
  return AM_OK;
}

bool am_device_host_memory(const am_device *dev) { return dev->backend->host_memory; }

am_err am_device_alloc_host(am_device *dev, size_t bytes, void *pp) {
  if (!dev->backend->alloc_host) return am_mem_alloc_aligned(pp, (int64_t)bytes, 1);
  void *memory = NULL;
  AM_TRY(dev->backend->alloc_host(dev->ctx, bytes, &memory));
  memcpy(pp, &memory, sizeof memory);
  return AM_OK;
}

void am_device_free_host(am_device *dev, void *memory) {
  if (!dev->backend->release_host) {
    free(memory);
  } else if (memory) {
    dev->backend->release_host(dev->ctx, memory);
  }
}

const am_backend_collective *am_device_collective(const am_device *dev, void **ctx) {
  *ctx = dev->ctx;
  return dev->backend->collective;
}

am_device_memory am_device_memory_now(const am_device *dev) { return dev->tally.memory; }

const char *am_device_describe(const am_device *dev) { return dev->description; }
