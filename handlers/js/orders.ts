// `orders` in TypeScript: the types are stripped, nothing is compiled beforehand. What it does is said in handlers/orders.

interface SqsRecord {
  messageId: string;
  body: string;
  attributes: { ApproximateReceiveCount: string };
}

interface Failure {
  itemIdentifier: string;
  deadLetterReason?: string;
  retryAfterSeconds?: number;
}

type Payment = "ok" | "flaky" | "busy" | "declined" | "hangs";

interface Order {
  id: string;
  sku: string;
  quantity: number;
  payment?: Payment;
}

/** The order may be tried again: when its visibility timeout is over, or after so many seconds. */
class NotCharged extends Error {
  retryAfterSeconds?: number;

  constructor(reason: string, retryAfterSeconds?: number) {
    super(reason);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export const handler = async (event: { Records: SqsRecord[] }): Promise<{ batchItemFailures: Failure[] }> => {
  const results = await Promise.all(event.Records.map(handleRecord));
  return { batchItemFailures: results.filter((failure): failure is Failure => failure !== undefined) };
};

/** Handles one message and logs one line about it. Gives the entry for `batchItemFailures` if it failed. */
async function handleRecord(record: SqsRecord): Promise<Failure | undefined> {
  let order: Order;
  try {
    order = readOrder(record.body);
  } catch (error) {
    // Another delivery cannot mend it: ask for the dead-letter queue now. Lambda ignores the extra key.
    const deadLetterReason = `malformed order: ${(error as Error).message}`;
    console.log(`message ${record.messageId}: ${deadLetterReason}`);
    return { itemIdentifier: record.messageId, deadLetterReason };
  }
  try {
    await charge(order, record.attributes.ApproximateReceiveCount);
    console.log(`order ${order.id}: charged ${order.quantity} x ${order.sku}`);
    return undefined;
  } catch (error) {
    const { message, retryAfterSeconds } = error as NotCharged;
    console.log(`order ${order.id}: not charged: ${message}`);
    // Lambda ignores this key, too. Where it is undefined, JSON leaves it out.
    return { itemIdentifier: record.messageId, retryAfterSeconds };
  }
}

function readOrder(body: string): Order {
  const order = JSON.parse(body) as Order;
  const isOrder = typeof order?.id === "string" && typeof order.sku === "string" && Number.isInteger(order.quantity);
  if (!isOrder || order.quantity < 0) throw new Error("id, sku or quantity is missing or no such thing");
  if (order.quantity === 0) throw new Error(`${order.id} wants 0 x ${order.sku}`);
  return order;
}

/** Plays the payment service. `receiveCount` is "1" at a message's first delivery. */
async function charge(order: Order, receiveCount: string): Promise<void> {
  const payment: Payment = order.payment ?? "ok";
  if (payment === "flaky" && receiveCount === "1") throw new NotCharged("the payment service is away");
  if (payment === "busy" && receiveCount === "1") throw new NotCharged("the payment service is busy", 1);
  if (payment === "declined") throw new NotCharged("the card was declined");
  // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
  while (payment === "hangs") await new Promise((resolve) => setTimeout(resolve, 1000));
}
