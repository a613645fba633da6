// The old way: CommonJS and a callback. The answer is given when nothing is left to run, unless
// context.callbackWaitsForEmptyEventLoop says otherwise.
const { randomUUID } = require("node:crypto");

exports.handler = function (event, context, callback) {
  const run = randomUUID();
  setTimeout(() => {
    console.log(`run ${run} of ${context.functionName}: ${event.Records.length} messages`);
    callback(null, { batchItemFailures: [] });
  }, 10);
};
