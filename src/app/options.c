#include "app/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SHOWN = 32 };

// The table row of "--name" or "--name=value"; *value is the part after '=', or NULL.
static const am_option *find(const am_option *option, int count, const char *word, const char **value) {
  const char *equals = am_str_starts(word, "--") ? strchr(word, '=') : NULL;
  size_t bytes = equals ? (size_t)(equals - word) : strlen(word);
  *value = equals ? equals + 1 : NULL;
  for (int i = 0; i < count; i++)
    if (strlen(option[i].name) == bytes && memcmp(option[i].name, word, bytes) == 0) return &option[i];
  return NULL;
}

static am_err unknown(const am_option *option, int count, const char *word) {
  const char *names[AM_WORDS_MAX];
  int n = 0;
  for (int i = 0; i < count && n < AM_WORDS_MAX; i++) names[n++] = option[i].name;
  const char *nearest = am_str_nearest(word, names, n);
  if (nearest) return AM_FAIL(AM_ERR_CONFIG, "unknown option %s: did you mean %s?", word, nearest);
  return AM_FAIL(AM_ERR_CONFIG, "unknown option %s", word);
}

static am_err store(const am_option *o, const char *text) {
  switch (o->kind) {
    case AM_OPTION_FLAG:
      *(bool *)o->value = true;
      break;
    case AM_OPTION_COUNT:
      ++*(int *)o->value;
      break;
    case AM_OPTION_TEXT:
      *(const char **)o->value = text;
      break;
    case AM_OPTION_I64: {
      char *end = NULL;
      errno = 0;
      long long number = strtoll(text, &end, 10);
      AM_CHECK(!errno && end != text && !*end, AM_ERR_CONFIG, "%s needs a whole number, not \"%s\"", o->name,
               text);
      *(int64_t *)o->value = number;
      break;
    }
    case AM_OPTION_WORDS: {
      am_words *words = o->value;
      AM_CHECK(words->count < AM_WORDS_MAX, AM_ERR_CONFIG, "%s is given more than %d times", o->name,
               AM_WORDS_MAX);
      words->word[words->count++] = text;
      break;
    }
  }
  return AM_OK;
}

am_err am_options_parse(const am_option *option, int count, bool leave_unknown, int *argc, char **argv) {
  int kept = 0;
  bool ended = false;
  for (int i = 0; i < *argc; i++) {
    bool is_option = !ended && argv[i][0] == '-' && argv[i][1];
    if (is_option && strcmp(argv[i], "--") == 0) {
      ended = true;
      if (leave_unknown) argv[kept++] = argv[i];  // the next parser must see it too
      continue;
    }
    const char *value = NULL;
    const am_option *o = is_option ? find(option, count, argv[i], &value) : NULL;
    if (!o) {
      if (is_option && !leave_unknown) return unknown(option, count, argv[i]);
      argv[kept++] = argv[i];
      continue;
    }
    bool takes_value = o->kind != AM_OPTION_FLAG && o->kind != AM_OPTION_COUNT;
    AM_CHECK(takes_value || !value, AM_ERR_CONFIG, "%s takes no value", o->name);
    if (takes_value && !value) {
      AM_CHECK(i + 1 < *argc, AM_ERR_CONFIG, "%s needs a value: %s %s", o->name, o->name, o->word);
      value = argv[++i];
    }
    AM_TRY(store(o, value));
  }
  *argc = kept;
  return AM_OK;
}

am_err am_options_describe(const am_option *option, int count, am_str *out) {
  int width = 0;
  for (int i = 0; i < count; i++) {
    int length = (int)(strlen(option[i].name) + (option[i].word ? strlen(option[i].word) + 1 : 0));
    if (length > width && length <= NAME_MAX_SHOWN) width = length;
  }
  for (int i = 0; i < count; i++) {
    const am_option *o = &option[i];
    int length = (int)strlen(o->name);
    AM_TRY(am_str_printf(out, "  %s", o->name));
    if (o->word) {
      AM_TRY(am_str_printf(out, " %s", o->word));
      length += (int)strlen(o->word) + 1;
    }
    AM_TRY(am_str_printf(out, "%*s  %s\n", length < width ? width - length : 0, "", o->doc));
  }
  return AM_OK;
}
