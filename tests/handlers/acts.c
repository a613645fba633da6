// Does what each message says, so that a test can see what a handler in C sees and break what it can break.

#include <time.h>

#include "json.h"

static int fail(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  return 1;
}

// A base64 text as a list of numbers: [0, 255, 10].
static void write_bytes(struct json_text base64) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned bits = 0, count = 0;
  const char *separator = "";
  fputc('[', stderr);
  for (size_t i = 0; i < base64.length && base64.bytes[i] != '='; i++) {
    bits = bits << 6 | (unsigned)(strchr(digits, base64.bytes[i]) - digits);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    fprintf(stderr, "%s%u", separator, bits >> count & 0xFF);
    separator = ",";
  }
  fputc(']', stderr);
}

static void write_member(const char *name, struct json_text text) {
  fprintf(stderr, ",\"%s\":", name);
  json_write_text(stderr, text);
}

static struct json_text variable(const char *name) {
  const char *value = getenv(name);
  return (struct json_text){.bytes = value, .length = value == NULL ? 0 : strlen(value)};
}

static void see(const struct json *record, const struct json *order) {
  const struct json *attributes = json_member(record, "messageAttributes");
  long long deadline_ms = atoll(variable("WASMILL_DEADLINE_MS").bytes);
  fputs("{\"binary\":", stderr);
  write_bytes(json_member_text(json_member(attributes, "b"), "binaryValue"));
  fprintf(stderr, ",\"late\":%s", (long long)time(NULL) * 1000 >= deadline_ms ? "true" : "false");
  fprintf(stderr, ",\"memory\":%s", getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
  write_member("function", variable("AWS_LAMBDA_FUNCTION_NAME"));
  write_member("secret", variable("SECRET"));
  write_member("text", json_member_text(json_member(attributes, "s"), "stringValue"));
  write_member("word", json_member_text(order, "word"));
  fputs("}\n", stderr);
}

int main(void) {
  char problem[128];
  const struct json *event = json_read(json_read_stream(stdin), problem, sizeof problem);
  if (event == NULL) return fail(problem);
  for (const struct json *record = json_member(event, "Records")->first; record != NULL; record = record->next) {
    const struct json *order = json_read(json_member_text(record, "body"), problem, sizeof problem);
    struct json_text act = json_member_text(order, "do");
    if (json_text_is(act, "see")) see(record, order);
    else if (json_text_is(act, "raise")) return fail("as it was told to");
    else if (json_text_is(act, "hang")) for (;;) {}
    else return fail("no such act");
  }
  return 0;
}
