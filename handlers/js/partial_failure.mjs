// The usual handler with partial batch responses: what fails is reported by its message id, the rest is deleted.

export const handler = async (event, context) => {
  const batchItemFailures = [];
  for (const record of event.Records) {
    try {
      await processMessage(record, context);
    } catch (error) {
      console.error(`message ${record.messageId} failed`, error);
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  return { batchItemFailures };
};

async function processMessage(record, context) {
  if (!record.body) throw new Error("no body in the message");
  const order = JSON.parse(record.body);
  if (order.payment === "declined") throw new Error("the card was declined");
  console.log(`processed ${order.id}, ${context.getRemainingTimeInMillis() > 0 ? "in time" : "late"}`);
}
