// The function NAME: gets the messages of a queue in batches, and says which of them failed.
//
// A WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0 fails
// the whole batch.

#include "json.h"

// Handles one message; false: it comes back to the queue.
static bool handle(struct json_text body) {
  char problem[128];
  const struct json *message = json_read(body, problem, sizeof problem);
  if (message == NULL) {
    fprintf(stderr, "the message is no JSON: %s\n", problem);
    return false;
  }
  struct json_text id = json_member_text(message, "id");
  if (id.bytes == NULL) {
    fputs("the message has no id\n", stderr);
    return false;
  }
  fprintf(stderr, "handling %.*s\n", (int)id.length, id.bytes);
  return true;
}

int main(void) {
  char problem[128];
  const struct json *event = json_read(json_read_stream(stdin), problem, sizeof problem);
  const struct json *records = event == NULL ? NULL : json_member(event, "Records");
  if (records == NULL || records->kind != JSON_LIST) {
    fprintf(stderr, "no SQS event: %s\n", event == NULL ? problem : "it has no list of Records");
    return 1;
  }
  const char *separator = "";
  fputs("{\"batchItemFailures\":[", stdout);
  for (const struct json *record = records->first; record != NULL; record = record->next) {
    if (handle(json_member_text(record, "body"))) continue;
    printf("%s{\"itemIdentifier\":", separator);
    json_write_text(stdout, json_member_text(record, "messageId"));
    fputs("}", stdout);
    separator = ",";
  }
  fputs("]}", stdout);
  return fflush(stdout) == 0 ? 0 : 1;
}
