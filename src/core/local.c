/*
 * What sticks out of its surroundings, where averages over the frame see little: single hot and dead pixels, rows and
 * columns that stand still or are offset against their neighbours, and 8x8 blocks that are flatter, busier, brighter or darker than
 * all that lies around them (drops, dirt, glare, a covered corner).
 */
#include "core.h"
#include "vector.h"

enum {
  BLOCK = 8,
  /* Blocks between a block and the ring it is compared with. */
  RING = 2,
  /* A pixel stands alone when it leaves the range of its 8 neighbours by more than that range and by more than this. */
  ALONE = 12,
  /* DN per pixel added to block energies, so that flat blocks compare as equal. */
  FLOOR = BLOCK * BLOCK,
  /* Signs are summed in bytes over at most 127 vectors of a row, and over at most 15 bands of BLOCK rows. */
  CHUNK = 127 * VECTOR_BYTES,
  BANDS = 15
};

typedef struct {
  /* Per column: 255 where a pixel has neighbours on both sides, else 0. */
  uint8_t *inside;
  /* Per column: sum of the signs of the last bands, and of those before. */
  uint8_t *recent;
  int32_t *columns;
  /* The same for luma, of the last bands for each vector the even and then the odd columns. */
  uint16_t *recent_light;
  uint32_t *column_light;
  /* Per column: not zero where a pixel differs from the one on its right, or below. */
  uint8_t *differs_right, *differs_below;
  /* Per row: sum of luma. */
  uint32_t *row_light;
  /* Per block: sums of luma, and of absolute differences to the right and below. */
  uint32_t *luma, *energy;
} room;

typedef struct {
  uint64_t bright, dark, dead_rows;
  /* Of the rows of one band. */
  int32_t rows[BLOCK];
  uint64_t right[BLOCK], below[BLOCK], light[BLOCK];
} sums;

static size_t align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t lay_out(room *at, uint8_t *base, size_t width, size_t height) {
  /* Whole vectors are read from anywhere inside. */
  size_t used = 0, wide = width + VECTOR_BYTES, count = (width / BLOCK) * (height / BLOCK) + VECTOR_BYTES;
#define TAKE(pointer, type, n) (pointer = (type *)(base + used), used += align64((n) * sizeof(type)))
  TAKE(at->inside, uint8_t, wide);
  TAKE(at->recent, uint8_t, wide);
  TAKE(at->columns, int32_t, wide);
  TAKE(at->recent_light, uint16_t, wide);
  TAKE(at->column_light, uint32_t, wide);
  TAKE(at->differs_right, uint8_t, wide);
  TAKE(at->differs_below, uint8_t, wide);
  TAKE(at->row_light, uint32_t, height);
  TAKE(at->luma, uint32_t, count);
  TAKE(at->energy, uint32_t, count);
#undef TAKE
  return used;
}

size_t stopline_local_scratch(size_t width, size_t height) {
  room at;
  return lay_out(&at, (uint8_t *)64, width, height);
}

/* Sums of one strip that stay in registers or in the first cache. The bytes hold signs, -127 to 127. */
typedef struct {
  u8v rows[BLOCK];
  u32v bright, dark;
  /* Of each row: where a pixel differs from the one on its right, and below; and the sum of luma. */
  u8v right[BLOCK], below[BLOCK];
  u32v light[BLOCK];
} lanes;

/*
 * Signs of the second differences. In a scene they cancel along a row or column, because edges go either way; an offset
 * of a whole row or column, however small against the texture, has one sign all along it. In bytes: 2 p > a + b where p
 * exceeds the mean rounded down, 2 p < a + b where the mean rounded up exceeds p.
 */
INLINE u8v add_sign(u8v sum, u8v pixel, u8v a, u8v b) {
  u8v up = average8(a, b), down = up - ((a ^ b) & 1);
  return subtract_above(add_above(sum, pixel, down), up, pixel);
}

/* What one strip adds to its columns. */
typedef struct {
  u8v signs, right, below;
  u16v light[2];
} column_lanes;

INLINE void add_columns(const room *restrict at, size_t x, const column_lanes *restrict strip) {
  const u8v right = load8(at->differs_right + x) | strip->right, below = load8(at->differs_below + x) | strip->below;
  u16v light[2];
  __builtin_memcpy(light, at->recent_light + x, sizeof light);
  light[0] += strip->light[0], light[1] += strip->light[1];
  __builtin_memcpy(at->recent + x, &strip->signs, sizeof strip->signs);
  __builtin_memcpy(at->differs_right + x, &right, sizeof right);
  __builtin_memcpy(at->differs_below + x, &below, sizeof below);
  __builtin_memcpy(at->recent_light + x, light, sizeof light);
}

/*
 * One strip of a band: one vector wide from column x on, `rows` high from row y on. With `edge` not set, the strip is
 * BLOCK high and all its pixels have 8 neighbours.
 */
INLINE void walk_strip(const uint8_t *restrict luma, size_t width, size_t height, size_t x, size_t y, size_t rows,
                       int edge, const room *restrict at, lanes *restrict sum) {
  const u8v zero = {0}, margin = zero + ALONE;
  const uint8_t *row = luma + y * width + x, *up = edge && y == 0 ? row : row - width;
  const u8v inside = edge ? load8(at->inside + x) : ~zero;
  u8v above = load8(up), left = load8(up - 1), right = load8(up + 1);
  u8v most_above = max8(above, max8(left, right)), least_above = min8(above, min8(left, right));
  u8v pixel = load8(row);
  left = load8(row - 1), right = load8(row + 1);
  u8v most_beside = max8(left, right), least_beside = min8(left, right);
  u8v bright = zero, dark = zero;
  column_lanes columns = {load8(at->recent + x), zero, zero, {{0}}};
  u16v brightness = {0}, energy = {0};
  for (size_t j = 0; j < rows; j++) {
    /* Below the last row it is repeated: no difference to it is counted. */
    if (!edge || y + j + 1 < height) row += width;
    u8v below = load8(row), next_left = load8(row - 1), next_right = load8(row + 1);
    u8v next_most = max8(next_left, next_right), next_least = min8(next_left, next_right);
    u8v most_below = max8(below, next_most), least_below = min8(below, next_least);
    brightness = add_distance(brightness, pixel, zero);
    energy = add_distance(add_distance(energy, pixel, right), pixel, below);
    if (!edge || (y + j > 0 && y + j + 1 < height)) {
      u8v most = max8(max8(most_above, most_below), most_beside);
      u8v least = min8(min8(least_above, least_below), least_beside);
      u8v range = max8(most - least, margin);
      bright = add_above(bright, subs8(pixel, most), range);
      dark = add_above(dark, subs8(least, pixel), range);
      columns.signs = add_sign(columns.signs, pixel, left, right);
      const u8v in_x = (pixel ^ right) & inside, in_y = (pixel ^ below) & inside;
      columns.right |= in_x, columns.below |= in_y;
      columns.light[0] += (u16v)pixel & 255, columns.light[1] += (u16v)pixel >> 8;
      sum->right[j] |= in_x, sum->below[j] |= in_y;
      sum->light[j] = add_bytes(sum->light[j], pixel & inside);
      if (edge) sum->rows[j] += add_sign(zero, pixel, above, below) & inside;
      else sum->rows[j] = add_sign(sum->rows[j], pixel, above, below);
    }
    most_above = max8(pixel, most_beside), least_above = min8(pixel, least_beside);
    above = pixel, pixel = below, left = next_left, right = next_right;
    most_beside = next_most, least_beside = next_least;
  }
  add_columns(at, x, &columns);
  sum->bright = add_bytes(sum->bright, bright & inside);
  sum->dark = add_bytes(sum->dark, dark & inside);
  if (rows < BLOCK) return;
  /* The four lanes of a block added by a product: they stay below 2^16 together. */
  const size_t across = width / BLOCK, first = y / BLOCK * across + x / BLOCK;
  uint64_t lane[2][VECTOR_BYTES / BLOCK];
  __builtin_memcpy(lane[0], &brightness, sizeof brightness);
  __builtin_memcpy(lane[1], &energy, sizeof energy);
  for (size_t k = 0; k < VECTOR_BYTES / BLOCK && (!edge || x / BLOCK + k < across); k++) {
    at->luma[first + k] = (uint32_t)(lane[0][k] * 0x0001000100010001u >> 48);
    at->energy[first + k] = (uint32_t)(lane[1][k] * 0x0001000100010001u >> 48);
  }
}

INLINE int32_t sum_signs(u8v signs) {
  const u32v none = {0};
  return (int32_t)sum_lanes_u32(add_bytes(none, signs + 128)) - 128 * VECTOR_BYTES;
}

/* One band of at most BLOCK rows from row y on. */
static void walk_band(const uint8_t *restrict luma, size_t width, size_t height, size_t y, size_t rows,
                      const room *restrict at, sums *restrict total) {
  const int edge = y == 0 || y + BLOCK >= height;
  for (size_t left = 0; left < width; left += CHUNK) {
    const size_t end = width - left < CHUNK ? width : left + CHUNK;
    lanes sum = {0};
    for (size_t x = left; x < end; x += VECTOR_BYTES)
      if (edge || x == 0 || x + VECTOR_BYTES > width - 1) walk_strip(luma, width, height, x, y, rows, 1, at, &sum);
      else walk_strip(luma, width, height, x, y, BLOCK, 0, at, &sum);
    for (size_t j = 0; j < rows; j++) {
      const u32v none = {0};
      total->rows[j] += sum_signs(sum.rows[j]);
      total->right[j] += sum_lanes_u32(add_bytes(none, sum.right[j]));
      total->below[j] += sum_lanes_u32(add_bytes(none, sum.below[j]));
      total->light[j] += sum_lanes_u32(sum.light[j]);
    }
    total->bright += sum_lanes_u32(sum.bright), total->dark += sum_lanes_u32(sum.dark);
  }
  if (rows < BLOCK || width % BLOCK != 0) return;
  /* The last column has no neighbour: what stood behind it in memory was counted. */
  uint32_t *last = &at->energy[(y / BLOCK + 1) * (width / BLOCK) - 1];
  for (const uint8_t *pixel = luma + (y + 1) * width - 1, *stop = pixel + BLOCK * width; pixel != stop; pixel += width)
    *last -= (uint32_t)(pixel[0] > pixel[1] ? pixel[0] - pixel[1] : pixel[1] - pixel[0]);
}

static void flush_columns(const room *at, size_t width) {
  for (size_t x = 0; x < width; x++) at->columns[x] += (int8_t)at->recent[x], at->recent[x] = 0;
  for (size_t x = 0; x < width; x += VECTOR_BYTES)
    for (size_t k = 0; k < LANES16; k++) {
      at->column_light[x + 2 * k] += at->recent_light[x + k];
      at->column_light[x + 2 * k + 1] += at->recent_light[x + LANES16 + k];
      at->recent_light[x + k] = 0, at->recent_light[x + LANES16 + k] = 0;
    }
}

INLINE u32v load32(const uint32_t *p) {
  u32v lane;
  __builtin_memcpy(&lane, p, sizeof lane);
  return lane;
}

INLINE u32v select32(i32v which, u32v a, u32v b) { return ((u32v)which & a) | (~(u32v)which & b); }

/* Least and most of the sums over the four sides of the ring, each of 2 RING + 1 blocks. */
INLINE void sides(const uint32_t *block, size_t across, u32v *least, u32v *most) {
  const ptrdiff_t down = (ptrdiff_t)across;
  u32v side[4] = {{0}};
  for (ptrdiff_t i = -RING; i <= RING; i++) {
    side[0] += load32(block - RING * down + i);
    side[1] += load32(block + RING * down + i);
    side[2] += load32(block + i * down - RING);
    side[3] += load32(block + i * down + RING);
  }
  *least = *most = side[0];
  for (int i = 1; i < 4; i++) {
    *least = select32((i32v)side[i] < (i32v)*least, side[i], *least);
    *most = select32((i32v)side[i] > (i32v)*most, side[i], *most);
  }
}

/* Blocks that differ from all four sides around them, at three strengths. Sums times 5 times 8 stay below 2^21. */
static void compare_blocks(const room *at, size_t across, size_t down, double *out) {
  if (across <= 2 * RING || down <= 2 * RING) return;
  const uint32_t per_side = 2 * RING + 1;
  i32v place, holes[3] = {{0}}, peaks[3] = {{0}}, bright[3] = {{0}}, dark[3] = {{0}};
  for (int i = 0; i < LANES32; i++) place[i] = i;
  for (size_t y = RING; y + RING < down; y++) {
    for (size_t x = RING; x + RING < across; x += LANES32) {
      const size_t i = y * across + x, left = across - RING - x;
      const i32v used = place < (int32_t)(left < LANES32 ? left : LANES32);
      u32v least, most;
      sides(at->energy + i, across, &least, &most);
      least += per_side * FLOOR, most += per_side * FLOOR;
      const u32v energy = (load32(at->energy + i) + FLOOR) * per_side;
      for (int k = 0; k < 3; k++) {
        holes[k] -= ((i32v)(energy << (k + 1)) < (i32v)least) & used;
        peaks[k] -= ((i32v)energy > (i32v)(most << (k + 1))) & used;
      }
      sides(at->luma + i, across, &least, &most);
      const u32v luma = load32(at->luma + i) * per_side;
      for (int k = 0; k < 3; k++) {
        const uint32_t step = (12u << k) * BLOCK * BLOCK * per_side;
        bright[k] -= ((i32v)luma > (i32v)(most + step)) & used;
        dark[k] -= ((i32v)(luma + step) < (i32v)least) & used;
      }
    }
  }
  for (int k = 0; k < 3; k++) {
    out[AT_blockHoles + k] = (double)sum_lanes(holes[k]), out[AT_blockPeaks + k] = (double)sum_lanes(peaks[k]);
    out[AT_blockBright + k] = (double)sum_lanes(bright[k]), out[AT_blockDark + k] = (double)sum_lanes(dark[k]);
  }
  out[AT_blocksCompared] = (double)(across - 2 * RING) * (double)(down - 2 * RING);
}

/* Adds the size of one sum of signs to a field of total and largest. */
static void add_size(double *field, int32_t sum) {
  const double size = sum < 0 ? -(double)sum : (double)sum;
  field[0] += size;
  if (size > field[1]) field[1] = size;
}

/* Sum of squares of the second difference of neighbouring sums. */
static double banding(const uint32_t *restrict sum, size_t n) {
  double energy = 0;
  for (size_t i = 1; i + 1 < n; i++) {
    double bend = 2.0 * sum[i] - sum[i - 1] - sum[i + 1];
    energy += bend * bend;
  }
  return energy;
}

static void clear(const room *at, size_t width) {
  for (size_t x = 0; x < width + VECTOR_BYTES; x++) {
    at->columns[x] = 0, at->recent[x] = 0, at->inside[x] = x > 0 && x + 1 < width ? 255 : 0;
    at->recent_light[x] = 0, at->column_light[x] = 0, at->differs_right[x] = 0, at->differs_below[x] = 0;
  }
}

/* Takes what was summed over `rows` rows from row y on, and makes room for the next. */
static void end_rows(const room *at, size_t height, size_t y, size_t rows, sums *restrict total, double *restrict out) {
  for (size_t j = 0; j < rows; j++) {
    add_size(out + AT_rowSigns, total->rows[j]);
    at->row_light[y + j] = (uint32_t)total->light[j];
    if (y + j > 0 && y + j + 1 < height) total->dead_rows += total->right[j] == 0 || total->below[j] == 0;
    total->rows[j] = 0, total->right[j] = 0, total->below[j] = 0, total->light[j] = 0;
  }
}

void stopline_local(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                    double *restrict out) {
  if (width < 3 || height < 3) return;
  room at;
  lay_out(&at, scratch, width, height);
  clear(&at, width);
  sums total = {0};
  for (size_t y = 0, bands = 1; y < height; y += BLOCK, bands++) {
    const size_t rows = height - y < BLOCK ? height - y : BLOCK;
    walk_band(luma, width, height, y, rows, &at, &total);
    end_rows(&at, height, y, rows, &total, out);
    if (bands % BANDS == 0) flush_columns(&at, width);
  }
  flush_columns(&at, width);
  double dead = 0;
  for (size_t x = 1; x + 1 < width; x++) {
    add_size(out + AT_columnSigns, at.columns[x]);
    dead += at.differs_right[x] == 0 || at.differs_below[x] == 0;
  }
  out[AT_aloneBright] = (double)total.bright, out[AT_aloneDark] = (double)total.dark;
  out[AT_deadRows] = (double)total.dead_rows, out[AT_deadColumns] = dead;
  out[AT_rowBanding] = banding(at.row_light + 1, height - 2);
  out[AT_columnBanding] = banding(at.column_light + 1, width - 2);
  compare_blocks(&at, width / BLOCK, height / BLOCK, out);
}
