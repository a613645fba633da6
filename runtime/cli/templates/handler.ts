// The function NAME: gets the messages of a queue in batches, and says which of them failed.
// Lambda's own handler: it runs unmodified on AWS Lambda, too.

interface SqsEvent {
  Records: { messageId: string; body: string }[];
}

interface SqsBatchResponse {
  batchItemFailures: { itemIdentifier: string }[];
}

export const handler = async (event: SqsEvent): Promise<SqsBatchResponse> => {
  const batchItemFailures: SqsBatchResponse["batchItemFailures"] = [];
  for (const record of event.Records) {
    try {
      await handle(JSON.parse(record.body));
    } catch (error) {
      console.error(`message ${record.messageId} failed: ${(error as Error).message}`);
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  // What is named here comes back to the queue; the rest is deleted.
  return { batchItemFailures };
};

async function handle(message: { id?: string }): Promise<void> {
  if (message.id === undefined) throw new Error("it has no id");
  console.log(`handling ${message.id}`);
}
