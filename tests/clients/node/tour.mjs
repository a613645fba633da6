// The AWS SDK for JavaScript through what the built-in queue's wire knows: node tour.mjs NODE_MODULES ENDPOINT
//
// Each step asserts what it finds, errors by the classes that the SDK makes of them. Prints how many steps there were.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { load } from "./load.mjs";

const endpoint = process.argv[3];
const {
  AddPermissionCommand,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  QueueDoesNotExist,
  QueueNameExists,
  ReceiveMessageCommand,
  ReceiptHandleIsInvalid,
  RemovePermissionCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
  TagQueueCommand,
  UntagQueueCommand,
} = await load("@aws-sdk/client-sqs");

const account = "000000000000";
const arn = (name) => `arn:aws:sqs:us-east-1:${account}:${name}`;
// Its retries would repeat what must fail. It checks every MD5 it is given by itself.
const sqs = new SQSClient({ endpoint, region: "us-east-1", maxAttempts: 1 });
const call = (Command, input) => sqs.send(new Command(input));

const create = async (QueueName, Attributes, tags) =>
  (await call(CreateQueueCommand, { QueueName, Attributes, tags })).QueueUrl;

const receive = async (QueueUrl, count = 1, more = {}) => {
  const messages = [];
  const until = Date.now() + 30_000;
  while (messages.length < count && Date.now() < until) {
    const input = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, ...more };
    messages.push(...((await call(ReceiveMessageCommand, input)).Messages ?? []));
  }
  assert.equal(messages.length, count);
  return messages;
};

const counts = async (QueueUrl) => {
  const names = ["", "NotVisible", "Delayed"].map((which) => `ApproximateNumberOfMessages${which}`);
  const { Attributes } = await call(GetQueueAttributesCommand, { QueueUrl, AttributeNames: names });
  return names.map((name) => Number(Attributes[name]));
};

const steps = [
  async function queuesAreCreatedFoundListedAndDeleted() {
    const url = await create("js-a", { VisibilityTimeout: "7" }, { team: "blue" });
    assert.equal(url, `${endpoint}/${account}/js-a`);
    assert.equal(await create("js-a", { VisibilityTimeout: "7" }), url);
    await assert.rejects(create("js-a", { VisibilityTimeout: "8" }), QueueNameExists);
    assert.equal((await call(GetQueueUrlCommand, { QueueName: "js-a" })).QueueUrl, url);
    assert.deepEqual((await call(ListQueuesCommand, { QueueNamePrefix: "js-" })).QueueUrls, [url]);
    assert.deepEqual((await call(ListQueueTagsCommand, { QueueUrl: url })).Tags, { team: "blue" });
    await call(TagQueueCommand, { QueueUrl: url, Tags: { stage: "test", empty: "" } });
    await call(UntagQueueCommand, { QueueUrl: url, TagKeys: ["team", "unknown"] });
    assert.deepEqual((await call(ListQueueTagsCommand, { QueueUrl: url })).Tags, { stage: "test", empty: "" });
    await call(DeleteQueueCommand, { QueueUrl: url });
    await assert.rejects(call(GetQueueUrlCommand, { QueueName: "js-a" }), QueueDoesNotExist);
  },

  async function attributesAndPermissionsAreReadAndSet() {
    const url = await create("js-attributes");
    await call(SetQueueAttributesCommand, { QueueUrl: url, Attributes: { DelaySeconds: "1", MaximumMessageSize: "2048" } });
    const { Attributes } = await call(GetQueueAttributesCommand, { QueueUrl: url, AttributeNames: ["All"] });
    assert.equal(Attributes.QueueArn, arn("js-attributes"));
    assert.deepEqual([Attributes.DelaySeconds, Attributes.MaximumMessageSize], ["1", "2048"]);
    const bad = call(SetQueueAttributesCommand, { QueueUrl: url, Attributes: { VisibilityTimeout: "43201" } });
    await assert.rejects(bad, { name: "InvalidAttributeValue" });
    const permission = { QueueUrl: url, Label: "share", AWSAccountIds: ["111122223333"], Actions: ["SendMessage"] };
    await call(AddPermissionCommand, permission);
    const read = () => call(GetQueueAttributesCommand, { QueueUrl: url, AttributeNames: ["Policy"] });
    const policy = JSON.parse((await read()).Attributes.Policy);
    assert.equal(policy.Statement[0].Sid, "share");
    assert.equal(policy.Statement[0].Principal.AWS, "arn:aws:iam::111122223333:root");
    await call(RemovePermissionCommand, { QueueUrl: url, Label: "share" });
    assert.equal((await read()).Attributes?.Policy, undefined);
  },

  async function aMessageComesBackAsItWasSent() {
    const url = await create("js-messages");
    const body = 'naïve — 中文 🦀 \t\r\n {"a": 1.0}';
    const attributes = {
      kind: { DataType: "String", StringValue: "order" },
      amount: { DataType: "Number", StringValue: "-12.50" },
      picture: { DataType: "Binary.png", BinaryValue: Uint8Array.from({ length: 256 }, (_, byte) => byte) },
    };
    const sent = await call(SendMessageCommand, { QueueUrl: url, MessageBody: body, MessageAttributes: attributes });
    assert.equal(sent.MD5OfMessageBody, createHash("md5").update(body).digest("hex"));
    const names = { MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] };
    const [message] = await receive(url, 1, names);
    assert.deepEqual([message.MessageId, message.Body], [sent.MessageId, body]);
    assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
    assert.deepEqual([...message.MessageAttributes.picture.BinaryValue], [...attributes.picture.BinaryValue]);
    assert.equal(message.MessageAttributes.kind.StringValue, "order");
    assert.equal(message.Attributes.ApproximateReceiveCount, "1");
    assert.deepEqual(await counts(url), [0, 1, 0]);
    await call(DeleteMessageCommand, { QueueUrl: url, ReceiptHandle: message.ReceiptHandle });
    assert.deepEqual(await counts(url), [0, 0, 0]);
  },

  async function batchesAreAnsweredPerEntry() {
    const url = await create("js-batches");
    const entries = Array.from({ length: 9 }, (_, n) => ({ Id: `e${n}`, MessageBody: `body ${n}` }));
    const sent = await call(SendMessageBatchCommand, { QueueUrl: url, Entries: [...entries, { Id: "bad", MessageBody: "\u0000" }] });
    assert.equal(sent.Successful.length, 9);
    assert.deepEqual(sent.Failed.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]), [["bad", "InvalidMessageContents", true]]);
    const messages = await receive(url, 9);
    const deletes = messages.map(({ ReceiptHandle }, n) => ({ Id: `${n}`, ReceiptHandle }));
    deletes[4].ReceiptHandle = "not a handle";
    const deleted = await call(DeleteMessageBatchCommand, { QueueUrl: url, Entries: deletes });
    assert.deepEqual(deleted.Failed.map(({ Id, Code }) => [Id, Code]), [["4", "ReceiptHandleIsInvalid"]]);
    assert.deepEqual(await counts(url), [0, 1, 0]);
    const eleven = Array.from({ length: 11 }, (_, n) => ({ Id: `${n}`, MessageBody: "x" }));
    const refused = call(SendMessageBatchCommand, { QueueUrl: url, Entries: eleven });
    await assert.rejects(refused, { name: "TooManyEntriesInBatchRequest" });
  },

  async function visibilityIsChanged() {
    const url = await create("js-visibility", { VisibilityTimeout: "300" });
    await call(SendMessageCommand, { QueueUrl: url, MessageBody: "x" });
    const [first] = await receive(url);
    await call(ChangeMessageVisibilityCommand, { QueueUrl: url, ReceiptHandle: first.ReceiptHandle, VisibilityTimeout: 0 });
    const [again] = await receive(url, 1, { MessageSystemAttributeNames: ["ApproximateReceiveCount"] });
    assert.deepEqual([again.MessageId, again.Attributes.ApproximateReceiveCount], [first.MessageId, "2"]);
    const Entries = [
      { Id: "good", ReceiptHandle: again.ReceiptHandle, VisibilityTimeout: 0 },
      { Id: "bad", ReceiptHandle: "not a handle", VisibilityTimeout: 0 },
    ];
    const changed = await call(ChangeMessageVisibilityBatchCommand, { QueueUrl: url, Entries });
    assert.deepEqual([changed.Successful.map(({ Id }) => Id), changed.Failed.map(({ Id }) => Id)], [["good"], ["bad"]]);
    const garbage = call(DeleteMessageCommand, { QueueUrl: url, ReceiptHandle: "not a handle" });
    await assert.rejects(garbage, ReceiptHandleIsInvalid);
  },

  async function aLongPollWakesForADelayedMessageAndAPurgeEmpties() {
    const url = await create("js-delayed");
    const begun = Date.now();
    await call(SendMessageCommand, { QueueUrl: url, MessageBody: "later", DelaySeconds: 2 });
    assert.deepEqual(await counts(url), [0, 0, 1]);
    const { Messages } = await call(ReceiveMessageCommand, { QueueUrl: url, WaitTimeSeconds: 20 });
    assert.deepEqual(Messages.map(({ Body }) => Body), ["later"]);
    assert.ok(Date.now() - begun >= 1990);
    await call(PurgeQueueCommand, { QueueUrl: url });
    assert.deepEqual(await counts(url), [0, 0, 0]);
    await assert.rejects(call(PurgeQueueCommand, { QueueUrl: url }), { name: "PurgeQueueInProgress" });
  },

  async function aFifoQueueKeepsOrderAndTakesEachOnce() {
    const url = await create("js.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
    const send = (MessageGroupId, MessageBody) => call(SendMessageCommand, { QueueUrl: url, MessageGroupId, MessageBody });
    const first = await send("a", "a1");
    const repeated = await send("a", "a1");
    assert.deepEqual([repeated.MessageId, repeated.SequenceNumber], [first.MessageId, first.SequenceNumber]);
    await send("a", "a2");
    await send("b", "b1");
    const names = { MessageSystemAttributeNames: ["All"], MaxNumberOfMessages: 1 };
    const [head] = await receive(url, 1, names);
    assert.deepEqual([head.Body, head.Attributes.MessageGroupId], ["a1", "a"]);
    const [other] = await receive(url, 1, names);
    assert.equal(other.Body, "b1", "a group in flight is locked");
    await call(DeleteMessageCommand, { QueueUrl: url, ReceiptHandle: head.ReceiptHandle });
    const [next] = await receive(url, 1, names);
    assert.equal(next.Body, "a2");
    assert.ok(BigInt(next.Attributes.SequenceNumber) > BigInt(head.Attributes.SequenceNumber));
  },

  async function deadLettersAreMovedAndMovedBack() {
    const dead = await create("js-dead");
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn("js-dead"), maxReceiveCount: 1 });
    const url = await create("js-source", { VisibilityTimeout: "0", RedrivePolicy });
    const sent = await call(SendMessageCommand, { QueueUrl: url, MessageBody: "poison" });
    await receive(url);
    assert.equal((await call(ReceiveMessageCommand, { QueueUrl: url })).Messages, undefined);
    const [message] = await receive(dead, 1, { MessageSystemAttributeNames: ["All"], VisibilityTimeout: 0 });
    assert.equal(message.MessageId, sent.MessageId);
    assert.equal(message.Attributes.DeadLetterQueueSourceArn, arn("js-source"));
    assert.deepEqual((await call(ListDeadLetterSourceQueuesCommand, { QueueUrl: dead })).queueUrls, [url]);
    const { TaskHandle } = await call(StartMessageMoveTaskCommand, { SourceArn: arn("js-dead") });
    assert.ok(TaskHandle);
    const [back] = await receive(url);
    assert.equal(back.Body, "poison");
    const until = Date.now() + 30_000;
    let task;
    do {
      [task] = (await call(ListMessageMoveTasksCommand, { SourceArn: arn("js-dead") })).Results;
    } while (task.Status === "RUNNING" && Date.now() < until);
    assert.deepEqual([task.Status, task.ApproximateNumberOfMessagesMoved], ["COMPLETED", 1]);
  },
];

for (const step of steps) {
  try {
    await step();
  } catch (error) {
    console.error(`failed: ${step.name}`);
    throw error;
  }
}
console.log(`${steps.length} steps`);
