// Foreign files: each broken in one way, each refused with what is wrong.
#include "am_test.h"

#include "base/mem.h"
#include "base/path.h"
#include "weights/safetensors.h"

static const char *temp_path(void) {
  static char path[300];
  snprintf(path, sizeof path, "%s/t.safetensors", am_test_dir());
  return path;
}

// Writes length, header and data_bytes zeros.
static const char *file_with(uint64_t length, const char *header, size_t data_bytes) {
  char bytes[1024] = {0};
  size_t header_bytes = strlen(header);
  assert_true(8 + header_bytes + data_bytes <= sizeof bytes);
  for (int i = 0; i < 8; i++) bytes[i] = (char)(length >> (8 * i));
  memcpy(bytes + 8, header, header_bytes);
  am_ok(am_file_write(temp_path(), bytes, 8 + header_bytes + data_bytes));
  return temp_path();
}

static void refuses_broken_headers(void **state) {
  static const struct {
    const char *header;
    size_t data_bytes;
    const char *message;
  } cases[] = {
      {"", 0, "not a JSON object"},
      {"[]", 0, "not a JSON object"},
      {"{\"a\":", 0, "header is not valid"},
      {"{} x", 0, "header is not valid"},
      {"{\"\xff\":1}", 0, "header is not valid"},
      {"{\"a\":1}", 0, "not described by an object"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
       8, "duplicate"},
      {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "type \"F31\" is unknown"},
      {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "type \"\" is unknown"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "shape must be a list"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
       "at most 6 numbers"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "dimension 0"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "dimension 0"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4,
       "4 bytes of data"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "4 bytes of data"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two whole numbers"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "two whole numbers"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "not inside"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "not inside"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "not inside"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "starts at byte 4"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
       8, "starts at byte 4"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "holds 8 bytes of data"},
      {"{\"__metadata__\":{\"a\":1}}", 0, "is not a text"},
      {"{\"__metadata__\":[]}", 0, "is not an object"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    am_safetensors *st = NULL;
    const char *path = file_with(strlen(cases[i].header), cases[i].header, cases[i].data_bytes);
    am_fails(am_safetensors_open(path, &st), AM_ERR_DATA, cases[i].message);
    assert_non_null(strstr(am_err_last()->message, path));
    assert_null(st);
  }
}

static void refuses_broken_files(void **state) {
  am_safetensors *st = NULL;
  am_fails(am_safetensors_open(file_with(1000, "{}", 0), &st), AM_ERR_DATA, "truncated");
  am_fails(am_safetensors_open(file_with(UINT64_MAX, "{}", 0), &st), AM_ERR_DATA, "at most 100000000");
  am_ok(am_file_write(temp_path(), "abc", 3));
  am_fails(am_safetensors_open(temp_path(), &st), AM_ERR_DATA, "3 bytes");
  am_ok(am_file_write(temp_path(), "", 0));
  am_fails(am_safetensors_open(temp_path(), &st), AM_ERR_DATA, "empty");
  am_fails(am_safetensors_open("/nonexistent/x", &st), AM_ERR_IO, "/nonexistent/x");
  am_fails(am_safetensors_open("/", &st), AM_ERR_IO, "not a regular file");
  assert_null(st);
}

// 100 MB of header is the most, as in the Python package, however large the file is.
static void header_budget(void **state) {
  const size_t limit = 100000000, bytes = 8 + limit + 1;
  char *file = calloc(bytes, 1);  // pages that nobody touches cost nothing
  am_safetensors *st = NULL;
  assert_non_null(file);
  for (int i = 0; i < 8; i++) file[i] = (char)((limit + 1) >> (8 * i));
  am_fails(am_safetensors_parse("large", file, bytes, &st), AM_ERR_DATA, "a header of 100000001 bytes");
  for (int i = 0; i < 8; i++) file[i] = (char)(limit >> (8 * i));
  memcpy(file + 8, "{}", 2);
  memset(file + 10, ' ', limit - 2);
  am_ok(am_safetensors_parse("large", file, bytes - 1, &st));
  am_safetensors_close(st);
  free(file);
}

static void accepts_what_the_format_allows(void **state) {
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(file_with(2, "{}", 0), &st));
  assert_int_equal(am_safetensors_count(st), 0);
  assert_null(am_safetensors_find(st, "a"));
  am_safetensors_close(st);

  // Any order in the header; an empty tensor between two others; padding with spaces.
  const char *header =
      "{\"z\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]},"
      "\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ";
  am_ok(am_safetensors_open(file_with(strlen(header), header, 6), &st));
  assert_int_equal(am_safetensors_count(st), 3);
  assert_string_equal(am_safetensors_at(st, 0)->name, "a");
  assert_string_equal(am_safetensors_at(st, 1)->name, "e");
  assert_string_equal(am_safetensors_at(st, 2)->name, "z");
  am_safetensors_close(st);
}

static void writer_refuses_what_it_could_not_read(void **state) {
  float x[2] = {0};
  am_st_entry twice[] = {{"a", AM_ST_F32, AM_SHAPE(1), x, 4}, {"a", AM_ST_U8, AM_SHAPE(1), x, 1}};
  am_fails(am_safetensors_write(temp_path(), twice, 2, NULL), AM_ERR_ARG, "two tensors are named \"a\"");
  am_st_entry wrong = {"a", AM_ST_F32, AM_SHAPE(2), x, 4};
  am_fails(am_safetensors_write(temp_path(), &wrong, 1, NULL), AM_ERR_ARG, "expected 2 elements");
  am_st_entry bad_name = {"\xff", AM_ST_F32, AM_SHAPE(1), x, 4};
  am_fails(am_safetensors_write(temp_path(), &bad_name, 1, NULL), AM_ERR_ARG, "not valid UTF-8");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_broken_headers),
      cmocka_unit_test(refuses_broken_files),
      cmocka_unit_test(header_budget),
      cmocka_unit_test(accepts_what_the_format_allows),
      cmocka_unit_test(writer_refuses_what_it_could_not_read),
  };
  return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
