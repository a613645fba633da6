// `orders` in C: the same small job as handlers/orders does in Rust. It takes the orders of one batch, charges each of them,
// and reports those that failed. What an order looks like is said there.
//
// It is a WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0
// fails the batch.
//
//   python -m ziglang cc -target wasm32-wasi -O2 -s orders.c -o orders-c.wasm

#include <stdarg.h>

#include "json.h"

struct order {
  struct json_text id, sku, payment;
  long quantity;
};

// What came of a charge.
struct charge {
  const char *reason;       // NULL: it went well
  int retry_after_seconds;  // 0: as the mapping says
};

// A text for printf's "%.*s".
#define SHOWN(text) (int)(text).length, (text).bytes

// Writes what is wrong with an order; always false.
static bool malformed(char *reason, size_t reason_bytes, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, reason_bytes, format, arguments);
  va_end(arguments);
  return false;
}

// The order in a message's body, or what is wrong with it.
static bool read_order(struct json_text body, struct order *order, char *reason, size_t reason_bytes) {
  char problem[128];
  const struct json *json = json_read(body, problem, sizeof problem);
  if (json == NULL) return malformed(reason, reason_bytes, "malformed order: %s", problem);
  const struct json *quantity = json_member(json, "quantity"), *payment = json_member(json, "payment");
  order->id = json_member_text(json, "id");
  order->sku = json_member_text(json, "sku");
  order->payment = json_member_text(json, "payment");
  bool is_count = quantity != NULL && quantity->kind == JSON_NUMBER && quantity->number >= 0 && quantity->number < 1e9 &&
                  quantity->number == (double)(long)quantity->number;
  if (order->id.bytes == NULL || order->sku.bytes == NULL || !is_count) {
    return malformed(reason, reason_bytes, "malformed order: id, sku or quantity is missing or no such thing");
  }
  static const char *const payments[] = {"ok", "flaky", "busy", "declined", "hangs"};
  bool is_known = payment == NULL;
  for (size_t i = 0; i < sizeof payments / sizeof *payments; i++) {
    is_known = is_known || json_text_is(order->payment, payments[i]);
  }
  if (!is_known) return malformed(reason, reason_bytes, "malformed order: no such payment");
  order->quantity = (long)quantity->number;
  if (order->quantity == 0) {
    return malformed(reason, reason_bytes, "malformed order: %.*s wants 0 x %.*s", SHOWN(order->id), SHOWN(order->sku));
  }
  return true;
}

// Plays the payment service.
static struct charge charge(const struct order *order, bool is_first_delivery) {
  // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
  if (json_text_is(order->payment, "hangs")) {
    for (;;) {
    }
  }
  if (json_text_is(order->payment, "flaky") && is_first_delivery) return (struct charge){"the payment service is away", 0};
  if (json_text_is(order->payment, "busy") && is_first_delivery) return (struct charge){"the payment service is busy", 1};
  if (json_text_is(order->payment, "declined")) return (struct charge){"the card was declined", 0};
  return (struct charge){0};
}

// Writes the start of an entry for `batchItemFailures`.
static void write_failure(struct json_text message_id, bool *is_first) {
  fputs(*is_first ? "{\"itemIdentifier\":" : ",{\"itemIdentifier\":", stdout);
  json_write_text(stdout, message_id);
  *is_first = false;
}

// Handles one message and logs one line about it. Writes the entry for `batchItemFailures` if it failed.
static void handle_record(const struct json *record, bool *is_first) {
  struct json_text id = json_member_text(record, "messageId");
  struct json_text receive_count = json_member_text(json_member(record, "attributes"), "ApproximateReceiveCount");
  struct order order = {0};
  char reason[1024];
  if (!read_order(json_member_text(record, "body"), &order, reason, sizeof reason)) {
    // Another delivery cannot mend it: ask for the dead-letter queue now. Lambda ignores the extra key.
    fprintf(stderr, "message %.*s: %s\n", SHOWN(id), reason);
    write_failure(id, is_first);
    fputs(",\"deadLetterReason\":", stdout);
    json_write_text(stdout, (struct json_text){.bytes = reason, .length = strlen(reason)});
    fputs("}", stdout);
    return;
  }
  struct charge charged = charge(&order, json_text_is(receive_count, "1"));
  if (charged.reason == NULL) {
    fprintf(stderr, "order %.*s: charged %ld x %.*s\n", SHOWN(order.id), order.quantity, SHOWN(order.sku));
    return;
  }
  fprintf(stderr, "order %.*s: not charged: %s\n", SHOWN(order.id), charged.reason);
  write_failure(id, is_first);
  if (charged.retry_after_seconds > 0) printf(",\"retryAfterSeconds\":%d", charged.retry_after_seconds);
  fputs("}", stdout);
}

int main(void) {
  char problem[128];
  const struct json *event = json_read(json_read_stream(stdin), problem, sizeof problem);
  if (event == NULL) {
    fprintf(stderr, "the event is no JSON: %s\n", problem);
    return 1;
  }
  const struct json *records = json_member(event, "Records");
  if (records == NULL || records->kind != JSON_LIST) {
    fputs("not an SQS event: it has no list of Records\n", stderr);
    return 1;
  }
  bool is_first = true;
  fputs("{\"batchItemFailures\":[", stdout);
  for (const struct json *record = records->first; record != NULL; record = record->next) handle_record(record, &is_first);
  fputs("]}", stdout);
  return fflush(stdout) == 0 ? 0 : 1;
}
