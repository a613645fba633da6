// `orders` in JavaScript: the same small job as handlers/orders does in Rust. It takes the orders of one batch, charges
// each of them, and reports those that failed. What an order looks like is said there.

export const handler = async (event) => {
  const batchItemFailures = [];
  for (const record of event.Records) {
    const failure = await handleRecord(record);
    if (failure) batchItemFailures.push(failure);
  }
  return { batchItemFailures };
};

/** Handles one message and logs one line about it. Gives the entry for `batchItemFailures` if it failed. */
async function handleRecord(record) {
  let order;
  try {
    order = readOrder(record.body);
  } catch (error) {
    // Another delivery cannot mend it: ask for the dead-letter queue now. Lambda ignores the extra key.
    const deadLetterReason = `malformed order: ${error.message}`;
    console.log(`message ${record.messageId}: ${deadLetterReason}`);
    return { itemIdentifier: record.messageId, deadLetterReason };
  }
  try {
    await charge(order, record.attributes.ApproximateReceiveCount);
    console.log(`order ${order.id}: charged ${order.quantity} x ${order.sku}`);
  } catch (error) {
    console.log(`order ${order.id}: not charged: ${error.message}`);
    // Lambda ignores this key, too. Where it is undefined, JSON leaves it out.
    return { itemIdentifier: record.messageId, retryAfterSeconds: error.retryAfterSeconds };
  }
}

function readOrder(body) {
  const order = JSON.parse(body);
  const isOrder = typeof order?.id === "string" && typeof order.sku === "string" && Number.isInteger(order.quantity);
  if (!isOrder || order.quantity < 0) throw new Error("id, sku or quantity is missing or no such thing");
  if (order.quantity === 0) throw new Error(`${order.id} wants 0 x ${order.sku}`);
  return order;
}

/** Plays the payment service. `receiveCount` is "1" at a message's first delivery. */
async function charge(order, receiveCount) {
  const payment = order.payment ?? "ok";
  if (payment === "flaky" && receiveCount === "1") throw new Error("the payment service is away");
  if (payment === "busy" && receiveCount === "1")
    throw Object.assign(new Error("the payment service is busy"), { retryAfterSeconds: 1 });
  if (payment === "declined") throw new Error("the card was declined");
  // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
  while (payment === "hangs") await new Promise((resolve) => setTimeout(resolve, 1000));
}
