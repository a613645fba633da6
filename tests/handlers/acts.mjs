// Does what each message says, so that a test can see what a handler sees and break what a handler can break.

let calls = 0;

export const handler = async (event, context) => {
  calls += 1;
  const failures = [];
  for (const record of event.Records) {
    const order = JSON.parse(record.body);
    switch (order.do) {
      case "see":
        console.log(JSON.stringify(see(record, context)));
        break;
      case "count":
        console.log(`call ${calls}`);
        break;
      case "fail":
        failures.push({ itemIdentifier: record.messageId });
        break;
      case "raise":
        throw new TypeError("as it was told to");
      case "hang":
        for (;;);
      case "sleep":
        await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
        console.log(`slept ${order.seconds}`);
        break;
      case "trace":
        console.log(`trace ${process.env._X_AMZN_TRACE_ID}`);
        break;
      case "fetch":
        console.log(await get(order.url));
        break;
    }
  }
  return { batchItemFailures: failures };
};

function see(record, context) {
  const attributes = record.messageAttributes;
  return {
    binary: [...Buffer.from(attributes.b.binaryValue, "base64")],
    function: context.functionName,
    late: context.getRemainingTimeInMillis() <= 0,
    memory: Number(context.memoryLimitInMB),
    secret: process.env.SECRET,
    text: attributes.s.stringValue,
    word: JSON.parse(record.body).word,
  };
}

async function get(url) {
  try {
    const answer = await fetch(url);
    return `fetched ${answer.status} ${await answer.text()}`;
  } catch (error) {
    return `not fetched: ${error.message} ${error.cause?.message ?? ""}`;
  }
}
