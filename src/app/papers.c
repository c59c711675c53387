#include "app/papers.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/command.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "config/bind.h"

static const char INDEX[] = "experiments/papers.yaml";

// ---- places ----

static const char *skip(const char *text) { return text + strspn(text, " /-_.,&\"'"); }

// "tables", "Fig", ...: the longest first.
static const char *skip_kind(const char *text, bool *figure) {
  static const char *const word[] = {"figures", "figure", "figs", "fig", "tables", "table", "tab"};
  for (int i = 0; i < AM_COUNT_OF(word); i++) {
    if (strncasecmp(text, word[i], strlen(word[i])) != 0) continue;
    *figure = word[i][0] == 'f';
    return skip(text + strlen(word[i]));
  }
  return NULL;
}

static int roman_digit(char c) {
  switch (toupper((unsigned char)c)) {
    case 'I':
      return 1;
    case 'V':
      return 5;
    case 'X':
      return 10;
    case 'L':
      return 50;
    default:
      return 0;
  }
}

// "8a", "12", "IV"; NULL: no number.
static const char *read_number(const char *text, am_place *at) {
  enum { LARGEST = 999 };
  int length = (int)strspn(text, "0123456789");
  at->number = 0;
  at->part = 0;
  if (length) {
    for (int i = 0; i < length && at->number <= LARGEST; i++) at->number = 10 * at->number + text[i] - '0';
    text += length;
    if (isalpha((unsigned char)*text) && !isalpha((unsigned char)text[1]))
      at->part = (char)tolower((unsigned char)*text++);
  } else {
    for (; roman_digit(*text); text++) {
      int here = roman_digit(text[0]), next = roman_digit(text[1]);
      at->number += next > here ? -here : here;
    }
  }
  bool ended = !isalnum((unsigned char)*text);
  return at->number > 0 && at->number <= LARGEST && ended ? text : NULL;
}

static bool add_place(am_places *out, am_place at) {
  if (out->count == AM_PLACES_MAX) return false;
  out->at[out->count++] = at;
  return true;
}

bool am_places_parse(const char *text, am_places *out) {
  am_place at = {0};
  *out = (am_places){0};
  text = skip_kind(skip(text), &at.figure);
  while (text && *text) {
    bool to = strncasecmp(text, "to ", 3) == 0, word = to || strncasecmp(text, "and ", 4) == 0;
    int last = at.number;
    if (word && !out->count) return false;
    if (word) text = skip(text + (to ? 2 : 3));
    const char *other_kind = skip_kind(text, &at.figure);
    text = read_number(other_kind ? other_kind : text, &at);
    if (!text) return false;
    for (int n = last + 1; to && n < at.number; n++)
      if (!add_place(out, (am_place){at.figure, n, 0})) return false;
    if (!add_place(out, at)) return false;
    text = skip(text);
  }
  return text && out->count > 0;
}

// Asked for "Figure 8", "Figure 8a" is meant, too, and the other way round.
static bool meets(const am_places *a, const am_places *b) {
  for (int i = 0; i < a->count; i++)
    for (int k = 0; k < b->count; k++) {
      const am_place *x = &a->at[i], *y = &b->at[k];
      bool part = !x->part || !y->part || x->part == y->part;
      if (x->figure == y->figure && x->number == y->number && part) return true;
    }
  return false;
}

// ---- the index ----

static am_err read_item(am_papers *p, const char *paper, const am_node *map) {
  static const char *const known[] = {"where", "what", "with", "shows", NULL};
  const char *text[4] = {"", "", "", ""};
  AM_TRY(am_node_check_keys(map, known));
  for (int i = 0; known[i]; i++) {
    const am_node *n = am_node_get(map, known[i]);
    if (n) AM_TRY(am_node_str(n, &text[i]));
  }
  am_paper_item item = {.paper = paper, .where = text[0], .what = text[1], .with = text[2], .shows = text[3]};
  if (!am_places_parse(item.where, &item.places))
    return am_node_fail(map, "where: \"%s\" is not like \"Table 3\" or \"Figures 1 to 4\"", item.where);
  AM_TRY(AM_GROW(&p->item, &p->capacity, p->count + 1));
  p->item[p->count++] = item;
  return AM_OK;
}

static am_err read_index(am_papers *p, const char *path) {
  AM_TRY(am_yaml_read(path, &p->index));
  for (int64_t i = 0; i < p->index->count; i++) {
    const am_node *items = am_node_get(p->index->item[i], "items");
    if (!items || items->kind != AM_NODE_LIST || !am_node_get(p->index->item[i], "title"))
      return am_node_fail(p->index->item[i], "a paper has a `title` and a list of `items`");
    for (int64_t k = 0; k < items->count; k++) AM_TRY(read_item(p, p->index->key[i], items->item[k]));
  }
  return AM_OK;
}

// ---- the experiments ----

static am_err add_file(am_papers *p, const char *path, const char *paper, const char *where) {
  am_places places;
  bool fine = am_places_parse(where, &places), found = false;
  for (int64_t i = 0; i < p->count && fine; i++) {
    am_paper_item *item = &p->item[i];
    if (strcasecmp(item->paper, paper) != 0 || !meets(&item->places, &places)) continue;
    AM_TRY(AM_GROW(&item->file, &item->file_capacity, item->file_count + 1));
    AM_TRY(am_mem_strdup(path, &item->file[item->file_count]));
    item->file_count++;
    found = true;
  }
  if (!found) AM_WARN("%s: paper %s, %s: not in %s", path, paper, where, INDEX);
  return AM_OK;
}

static am_err read_experiment(am_papers *p, const char *path) {
  am_err err = AM_OK;
  am_node *root = NULL;
  const char *paper = NULL, *where = NULL;
  if (am_yaml_read(path, &root) != AM_OK) {
    AM_WARN("%s: left out", am_err_last()->message);
    am_err_clear();
    return AM_OK;
  }
  const am_node *id = am_node_find(root, "paper.id"), *place = am_node_find(root, "paper.where");
  if (id) AM_GO(done, am_node_str(id, &paper));
  if (place) AM_GO(done, am_node_str(place, &where));
  if (paper && where) AM_GO(done, add_file(p, path, paper, where));
done:
  am_node_free(root);
  return err;
}

static am_err scan(am_papers *p, const char *dir) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL;
  AM_GO(done, am_dir_read(dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    AM_GO(done, am_path_join(dir, list.name[i], &path));
    if (am_path_is_dir(path)) AM_GO(done, scan(p, path));
    bool is_index = am_str_ends(path, INDEX);
    if (am_str_ends(path, ".yaml") && !is_index) AM_GO(done, read_experiment(p, path));
    free(path);
    path = NULL;
  }
done:
  free(path);
  am_dir_list_fini(&list);
  return err;
}

am_err am_papers_load(am_papers *out) {
  am_err err = AM_OK;
  am_papers p = {0};
  char path[PATH_MAX];
  bool there = am_app_find(INDEX, path);
  AM_CHECK_GO(done, there, AM_ERR_CONFIG, "there is no %s, neither here nor beside the program", INDEX);
  AM_GO(done, read_index(&p, path));
  AM_GO(done, am_str_format(&p.dir, "%.*s", (int)(am_path_name(path) - path - 1), path));
  AM_GO(done, scan(&p, p.dir));
  *out = p;
  p = (am_papers){0};
done:
  am_papers_fini(&p);
  return err;
}

void am_papers_fini(am_papers *p) {
  for (int64_t i = 0; i < p->count; i++) {
    for (int64_t k = 0; k < p->item[i].file_count; k++) free(p->item[i].file[k]);
    free(p->item[i].file);
  }
  free(p->item);
  free(p->dir);
  am_node_free(p->index);
  *p = (am_papers){0};
}

// ---- asking ----

// The one whose results hold it: itself, or that of `with`.
static const am_paper_item *holder_of(const am_papers *p, const am_paper_item *item) {
  am_places places;
  if (!*item->with || !am_places_parse(item->with, &places)) return item;
  for (int64_t i = 0; i < p->count; i++)
    if (strcmp(p->item[i].paper, item->paper) == 0 && meets(&p->item[i].places, &places)) return &p->item[i];
  return item;
}

static am_err fail_listing(const am_papers *p, const char *paper, const char *what) {
  am_str there = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < p->count && !err; i++) {
    const am_paper_item *item = &p->item[i];
    bool wanted = paper ? strcmp(item->paper, paper) == 0 : item->file_count > 0;
    if (wanted && paper) err = am_str_printf(&there, "%s%s", there.length ? ", " : "", item->where);
    if (wanted && !paper)
      err = am_str_printf(&there, "%s%s/\"%s\" (%s)", there.length ? ", " : "", item->paper, item->where,
                          item->file[0]);
  }
  if (!err)
    err = AM_FAIL(AM_ERR_CONFIG, "%s; there is: %s. `augmint reproduce` lists all", what, am_str_get(&there));
  am_str_fini(&there);
  return err;
}

static am_err fail_item(const am_papers *p, const am_paper_item *item, const char *why) {
  char what[512];
  snprintf(what, sizeof what, "%s, %s (%s), %s", item->paper, item->where, item->what, why);
  return fail_listing(p, NULL, what);
}

static am_err choose_file(const am_papers *p, const am_paper_item *item, const char **file) {
  const am_paper_item *holder = holder_of(p, item);
  char why[512];
  snprintf(why, sizeof why, "has nothing to run: %s", item->shows);
  if (*item->shows) return fail_item(p, item, why);
  snprintf(why, sizeof why, "is planned: no file in %s has paper: {id: %s, where: %s} yet", p->dir,
           holder->paper, holder->where);
  if (holder->file_count == 0) return fail_item(p, item, why);
  AM_CHECK(holder->file_count == 1, AM_ERR_CONFIG,
           "%s, %s is reproduced by %s and by %s: `augmint run` one of them", holder->paper, holder->where,
           holder->file[0], holder->file[1]);
  *file = holder->file[0];
  return AM_OK;
}

am_err am_papers_find(const am_papers *p, const char *text, const am_paper_item **item, const char **file) {
  const char *paper = NULL;
  am_places places;
  char what[256];
  for (int64_t i = 0; i < p->index->count && !paper; i++) {
    size_t length = strlen(p->index->key[i]);
    bool same = strncasecmp(text, p->index->key[i], length) == 0 && !isalnum((unsigned char)text[length]);
    if (same) paper = p->index->key[i];
  }
  snprintf(what, sizeof what, "\"%.80s\" is not like P4/table1", text);
  if (!paper || !am_places_parse(text + strlen(paper), &places)) return fail_listing(p, paper, what);
  *item = NULL;
  for (int64_t i = 0; i < p->count && !*item; i++)
    if (strcmp(p->item[i].paper, paper) == 0 && meets(&p->item[i].places, &places)) *item = &p->item[i];
  snprintf(what, sizeof what, "%s has no \"%.80s\"", paper, skip(text + strlen(paper)));
  return *item ? choose_file(p, *item, file) : fail_listing(p, paper, what);
}

// ---- printing ----

static void print_state(const am_papers *p, const am_paper_item *item, bool markdown, FILE *out) {
  const am_paper_item *holder = holder_of(p, item);
  if (*item->shows) fprintf(out, "nothing to run: %s", item->shows);
  if (*item->shows) return;
  if (holder != item) fprintf(out, "with %s: ", holder->where);
  if (!holder->file_count) fprintf(out, "planned");
  for (int64_t i = 0; i < holder->file_count; i++) {
    const char *file = holder->file[i], *below = file + strlen(p->dir) + 1;
    fprintf(out, "%s", i ? ", " : "");
    if (markdown)
      fprintf(out, "[`%s`](%s)", below, below);
    else
      fprintf(out, "%s", file);
  }
}

am_err am_papers_print(const am_papers *p, const char *paper, FILE *out) {
  const char *last = "";
  for (int64_t i = 0; i < p->count; i++) {
    const am_paper_item *item = &p->item[i];
    const char *title = NULL;
    if (paper && strcasecmp(paper, item->paper) != 0) continue;
    AM_TRY(am_node_str(am_node_get(am_node_get(p->index, item->paper), "title"), &title));
    if (strcmp(last, item->paper) != 0) fprintf(out, "%s%s  %s\n", *last ? "\n" : "", item->paper, title);
    last = item->paper;
    fprintf(out, "  %-16s %-66s ", item->where, item->what);
    print_state(p, item, false, out);
    fprintf(out, "\n");
  }
  return AM_OK;
}

void am_papers_print_markdown(const am_papers *p, FILE *out) {
  fprintf(out, "| paper | where | what | file |\n|---|---|---|---|\n");
  for (int64_t i = 0; i < p->count; i++) {
    const am_paper_item *item = &p->item[i];
    fprintf(out, "| %s | %s | %s | ", item->paper, item->where, item->what);
    print_state(p, item, true, out);
    fprintf(out, " |\n");
  }
}
