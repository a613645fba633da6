// bbc's sqs-consumer at its ordinary job: node consumer.mjs NODE_MODULES QUEUE_URL BATCH_QUEUE_URL < a JSON list of bodies
//
// One consumer handles the bodies one by one: it throws for one that says "fail" until it comes for the second time, and
// a slow one is kept from others by heartbeats. Another takes batches and reports which it has done. Prints what each handled.

import { text } from "node:stream/consumers";
import { load } from "./load.mjs";

const [, , , queueUrl, batchQueueUrl] = process.argv;
const bodies = JSON.parse(await text(process.stdin));
const { SendMessageBatchCommand, SQSClient } = await load("@aws-sdk/client-sqs");
const { Consumer } = await load("sqs-consumer");
const sqs = new SQSClient({ endpoint: new URL(queueUrl).origin, region: "us-east-1" });

const sendAll = async (QueueUrl) => {
  for (let from = 0; from < bodies.length; from += 10) {
    const Entries = bodies.slice(from, from + 10).map((MessageBody, place) => ({ Id: `${place}`, MessageBody }));
    const { Failed } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    if (Failed?.length) throw new Error(JSON.stringify(Failed));
  }
};

const handled = { single: [], batch: [] };
const errors = { processing_error: 0, error: 0 };
const times = (message) => Number(message.Attributes.ApproximateReceiveCount);
const common = { sqs, waitTimeSeconds: 1, messageSystemAttributeNames: ["ApproximateReceiveCount"] };

const single = Consumer.create({
  ...common,
  queueUrl,
  batchSize: 5,
  visibilityTimeout: 2,
  heartbeatInterval: 1,
  terminateVisibilityTimeout: true,
  handleMessage: async (message) => {
    if (message.Body.startsWith("fail") && times(message) < 2) throw new Error("not the first time");
    if (message.Body.startsWith("slow")) await new Promise((done) => setTimeout(done, 4000));
    handled.single.push([message.Body, times(message)]);
    return message;
  },
});

const batch = Consumer.create({
  ...common,
  queueUrl: batchQueueUrl,
  batchSize: 10,
  visibilityTimeout: 2,
  handleMessageBatch: async (messages) => {
    // What is not given back as done is not deleted, and comes again.
    const done = messages.filter((message) => !message.Body.startsWith("fail") || times(message) > 1);
    handled.batch.push(...done.map((message) => [message.Body, times(message)]));
    return done;
  },
});

const complete = (list) => new Set(list.map(([body]) => body)).size === bodies.length;
for (const [consumer, list] of [[single, handled.single], [batch, handled.batch]]) {
  for (const event of Object.keys(errors)) {
    consumer.on(event, (error) => {
      errors[event] += 1;
      console.error(`${event}: ${error.message}`);
    });
  }
  consumer.on("message_processed", () => complete(list) && consumer.stop());
  consumer.on("response_processed", () => complete(list) && consumer.stop());
}

await Promise.all([sendAll(queueUrl), sendAll(batchQueueUrl)]);
const stopped = [single, batch].map((consumer) => new Promise((done) => consumer.once("stopped", done)));
single.start();
batch.start();
await Promise.all(stopped);
console.log(JSON.stringify({ ...handled, errors }));
