// The function NAME: gets the messages of a queue in batches, and says which of them failed.
// Lambda's own handler: it runs unmodified on AWS Lambda, too.

export const handler = async (event, context) => {
  const batchItemFailures = [];
  for (const record of event.Records) {
    try {
      await handle(JSON.parse(record.body));
    } catch (error) {
      console.error(`message ${record.messageId} failed: ${error.message}`);
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  // What is named here comes back to the queue; the rest is deleted.
  return { batchItemFailures };
};

async function handle(message) {
  if (message.id === undefined) throw new Error("it has no id");
  console.log(`handling ${message.id}`);
}
