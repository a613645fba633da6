// A small reader and writer of JSON (RFC 8259), enough for a handler in C: include it in the one file that needs it.
//
// A document becomes a tree. Its memory comes from malloc and is never given back: a handler runs once and ends. Texts carry
// their length, as "\u0000" is a character like others. What is no JSON is refused, with the place. Of two members with the
// same name the last one counts.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Deeper documents are refused: the reader calls itself at each level.
enum { JSON_DEPTH_MAX = 128 };

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT };

struct json_text {
  const char *bytes;
  size_t length;
};

struct json {
  enum json_kind kind;
  bool truth;
  double number;
  struct json_text text;
  const struct json *first;  // of a list's items or an object's members
  const struct json *next;   // among its siblings
  struct json_text name;     // of a member
};

struct json_reader {
  const char *at, *end, *begin;
  const char *problem;
};

// Says what is wrong; what was said first is the reason. Always false.
static bool json_fail(struct json_reader *reader, const char *problem) {
  if (reader->problem == NULL) reader->problem = problem;
  return false;
}

static void *json_allocate(size_t bytes) {
  void *memory = calloc(1, bytes);
  if (memory == NULL) {
    fputs("out of memory\n", stderr);
    exit(1);
  }
  return memory;
}

static void json_skip_space(struct json_reader *reader) {
  while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0') reader->at++;
}

// Takes a character if it is the next one.
static bool json_take(struct json_reader *reader, char expected) {
  if (reader->at == reader->end || *reader->at != expected) return false;
  reader->at++;
  return true;
}

static bool json_take_word(struct json_reader *reader, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) return false;
  reader->at += length;
  return true;
}

static bool json_is_digit(const struct json_reader *reader) {
  return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

static bool json_take_digits(struct json_reader *reader) {
  if (!json_is_digit(reader)) return false;
  while (json_is_digit(reader)) reader->at++;
  return true;
}

// The four hexadecimal digits of an escape; -1 if they are none.
static long json_take_unit(struct json_reader *reader) {
  long unit = 0;
  if (reader->end - reader->at < 4) return -1;
  for (int i = 0; i < 4; i++) {
    char digit = *reader->at++;
    if (digit >= '0' && digit <= '9') unit = unit * 16 + (digit - '0');
    else if (digit >= 'a' && digit <= 'f') unit = unit * 16 + (digit - 'a' + 10);
    else if (digit >= 'A' && digit <= 'F') unit = unit * 16 + (digit - 'A' + 10);
    else return -1;
  }
  return unit;
}

// What stands behind "\u", as UTF-8; gives the number of bytes, 0 for half a surrogate pair and other nonsense.
static size_t json_take_code_point(struct json_reader *reader, char *out) {
  long point = json_take_unit(reader);
  if (point >= 0xD800 && point <= 0xDBFF) {
    if (!json_take_word(reader, "\\u")) return 0;
    long low = json_take_unit(reader);
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
  } else if (point < 0 || (point >= 0xDC00 && point <= 0xDFFF)) {
    return 0;
  }
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; i--) {
    out[i] = (char)(0x80 | (point & 0x3F));
    point >>= 6;
  }
  out[0] = (char)((0xF00 >> length & 0xFF) | point);
  return length;
}

// A text, from behind its first quote on. False if it is none.
static bool json_take_text(struct json_reader *reader, struct json_text *text) {
  const char *quote = reader->at;
  while (quote < reader->end && *quote != '"') quote += *quote == '\\' && quote + 1 < reader->end ? 2 : 1;
  // No escape is shorter than what it stands for.
  char *out = json_allocate((size_t)(quote - reader->at) + 1);
  text->bytes = out;
  for (;;) {
    if (reader->at == reader->end) return json_fail(reader, "a text has no end");
    unsigned char next = (unsigned char)*reader->at++;
    if (next == '"') break;
    if (next < 0x20) return json_fail(reader, "a control character stands in a text");
    if (next != '\\') {
      *out++ = (char)next;
      continue;
    }
    if (reader->at == reader->end) return json_fail(reader, "a text has no end");
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char escape = *reader->at++;
    const char *found = escape == '\0' ? NULL : strchr(escapes, escape);
    if (found != NULL) {
      *out++ = meant[found - escapes];
    } else {
      size_t length = escape == 'u' ? json_take_code_point(reader, out) : 0;
      if (length == 0) return json_fail(reader, "a text has an escape that is none");
      out += length;
    }
  }
  text->length = (size_t)(out - text->bytes);
  return true;
}

static bool json_take_number(struct json_reader *reader, double *number) {
  const char *begin = reader->at;
  json_take(reader, '-');
  if (!json_take(reader, '0') && !json_take_digits(reader)) return false;
  if (json_take(reader, '.') && !json_take_digits(reader)) return false;
  if (json_take(reader, 'e') || json_take(reader, 'E')) {
    if (!json_take(reader, '+')) json_take(reader, '-');
    if (!json_take_digits(reader)) return false;
  }
  size_t length = (size_t)(reader->at - begin);
  char *digits = json_allocate(length + 1);
  memcpy(digits, begin, length);
  *number = strtod(digits, NULL);
  free(digits);
  return true;
}

static struct json *json_take_value(struct json_reader *reader, int depth);

// Items up to the closing bracket, each with its name if they are members.
static bool json_take_items(struct json_reader *reader, struct json *value, char close, int depth) {
  const struct json **place = &value->first;
  json_skip_space(reader);
  if (json_take(reader, close)) return true;
  do {
    struct json_text name = {0};
    if (value->kind == JSON_OBJECT) {
      json_skip_space(reader);
      if (!json_take(reader, '"')) return json_fail(reader, "a member has no name");
      if (!json_take_text(reader, &name)) return false;
      json_skip_space(reader);
      if (!json_take(reader, ':')) return json_fail(reader, "a colon is missing");
    }
    struct json *item = json_take_value(reader, depth + 1);
    if (item == NULL) return false;
    item->name = name;
    *place = item;
    place = &item->next;
    json_skip_space(reader);
  } while (json_take(reader, ','));
  return json_take(reader, close) || json_fail(reader, "a comma or a closing bracket is missing");
}

static struct json *json_take_value(struct json_reader *reader, int depth) {
  struct json *value = json_allocate(sizeof *value);
  bool well = true;
  json_skip_space(reader);
  if (depth > JSON_DEPTH_MAX) {
    well = json_fail(reader, "it is too deep");
  } else if (json_take(reader, '{')) {
    value->kind = JSON_OBJECT;
    well = json_take_items(reader, value, '}', depth);
  } else if (json_take(reader, '[')) {
    value->kind = JSON_LIST;
    well = json_take_items(reader, value, ']', depth);
  } else if (json_take(reader, '"')) {
    value->kind = JSON_TEXT;
    well = json_take_text(reader, &value->text);
  } else if (json_take_word(reader, "true") || json_take_word(reader, "false")) {
    value->kind = JSON_BOOLEAN;
    value->truth = reader->at[-2] == 'u';
  } else if (!json_take_word(reader, "null")) {
    value->kind = JSON_NUMBER;
    well = json_take_number(reader, &value->number) || json_fail(reader, "a value is missing or no value");
  }
  return well ? value : NULL;
}

// Reads a document. NULL if it is none: then `problem` is a line that says what is wrong, and where.
static const struct json *json_read(struct json_text document, char *problem, size_t problem_bytes) {
  const char *end = document.bytes + document.length;
  struct json_reader reader = {.at = document.bytes, .begin = document.bytes, .end = end};
  const struct json *value = json_take_value(&reader, 0);
  if (value != NULL) {
    json_skip_space(&reader);
    if (reader.at != reader.end && !json_fail(&reader, "more follows after its end")) value = NULL;
  }
  if (value == NULL) snprintf(problem, problem_bytes, "%s (byte %ld)", reader.problem, (long)(reader.at - reader.begin));
  return value;
}

// A member of an object; NULL if it is not there, or null, or if this is no object.
static const struct json *json_member(const struct json *object, const char *name) {
  const struct json *found = NULL;
  if (object == NULL || object->kind != JSON_OBJECT) return NULL;
  for (const struct json *member = object->first; member != NULL; member = member->next) {
    if (member->name.length == strlen(name) && memcmp(member->name.bytes, name, member->name.length) == 0) found = member;
  }
  return found != NULL && found->kind != JSON_NULL ? found : NULL;
}

// A member that is a text; NULL in `bytes` if there is none.
static struct json_text json_member_text(const struct json *object, const char *name) {
  const struct json *member = json_member(object, name);
  return member != NULL && member->kind == JSON_TEXT ? member->text : (struct json_text){0};
}

static bool json_text_is(struct json_text text, const char *expected) {
  return text.bytes != NULL && text.length == strlen(expected) && memcmp(text.bytes, expected, text.length) == 0;
}

// Writes a text with its quotes.
static void json_write_text(FILE *out, struct json_text text) {
  fputc('"', out);
  for (size_t i = 0; i < text.length; i++) {
    unsigned char byte = (unsigned char)text.bytes[i];
    if (byte == '"' || byte == '\\') fprintf(out, "\\%c", byte);
    else if (byte < 0x20) fprintf(out, "\\u%04x", byte);
    else fputc(byte, out);
  }
  fputc('"', out);
}

// All that is on a stream, such as stdin.
static struct json_text json_read_stream(FILE *in) {
  size_t room = 1 << 16, length = 0;
  char *bytes = malloc(room);
  while (bytes != NULL) {
    size_t read = fread(bytes + length, 1, room - length, in);
    if (read == 0) return (struct json_text){.bytes = bytes, .length = length};
    length += read;
    if (length == room) bytes = realloc(bytes, room *= 2);
  }
  fputs("out of memory\n", stderr);
  exit(1);
}

#endif
