// bbc's sqs-consumer with a handler that does nothing: node drain.mjs NODE_MODULES QUEUE_URL CONSUMERS
//
// Drains a queue until it is killed; what goes wrong ends it at once.

import { load } from "./load.mjs";

const [, , , queueUrl, consumers] = process.argv;
const { SQSClient } = await load("@aws-sdk/client-sqs");
const { Consumer } = await load("sqs-consumer");
const sqs = new SQSClient({ endpoint: new URL(queueUrl).origin, region: "us-east-1" });

for (let started = 0; started < Number(consumers); started += 1) {
  const consumer = Consumer.create({
    sqs,
    queueUrl,
    batchSize: 10,
    waitTimeSeconds: 20,
    handleMessageBatch: async (messages) => messages,
  });
  for (const event of ["error", "processing_error", "timeout_error"]) {
    consumer.on(event, (error) => {
      console.error(`${event}: ${error.message}`);
      process.exit(1);
    });
  }
  consumer.start();
}
