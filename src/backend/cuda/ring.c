#include "backend/cuda/ring.h"

#include "base/num.h"

// What is out lies between the tail and the head, around the ring. A full and an empty ring would look alike, so the head
// never catches up with the tail.
bool am_ring_take(am_ring *r, size_t bytes, size_t *offset, int *slot) {
  const int64_t out = r->taken - r->given;
  if (out == AM_RING_RANGES) return false;
  const size_t room = am_align_up(bytes, AM_RING_ALIGN);
  const size_t head = out ? r->range[(r->taken - 1) % AM_RING_RANGES].end : 0;
  const size_t tail = out ? r->range[r->given % AM_RING_RANGES].begin : 0;
  const bool around = head < tail;
  if (around ? head + room < tail : head + room <= r->bytes) *offset = head;
  else if (!around && room < tail) *offset = 0;
  else return false;
  *slot = (int)(r->taken++ % AM_RING_RANGES);
  r->range[*slot].begin = *offset;
  r->range[*slot].end = *offset + room;
  return true;
}

int am_ring_oldest(const am_ring *r) { return r->taken > r->given ? (int)(r->given % AM_RING_RANGES) : -1; }

void am_ring_give(am_ring *r) { r->given++; }
