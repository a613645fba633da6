//! `orders` in Zig: the same small job as handlers/orders does in Rust. It takes the orders of one batch, charges each of
//! them, and reports those that failed. What an order looks like is said there.
//!
//! It is a WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0
//! fails the batch.
//!
//!     python -m ziglang build-exe orders.zig -target wasm32-wasi -O ReleaseSmall -femit-bin=orders-zig.wasm

const std = @import("std");

/// The parts of Lambda's SQS event that are read here.
const Event = struct { Records: []const Record };

const Record = struct {
    messageId: []const u8,
    body: []const u8,
    attributes: struct { ApproximateReceiveCount: []const u8 },
};

/// An item of Lambda's `batchItemFailures`. Lambda ignores the two keys that come after the identifier.
const Failure = struct {
    itemIdentifier: []const u8,
    retryAfterSeconds: ?u32 = null,
    deadLetterReason: ?[]const u8 = null,
};

const Order = struct {
    id: []const u8,
    sku: []const u8,
    quantity: u32,
    payment: enum { ok, flaky, busy, declined, hangs } = .ok,
};

/// Why an order was not charged, and when to try again: null is as the mapping says.
const Refusal = struct { reason: []const u8, retry_after_seconds: ?u32 = null };

pub fn main(init: std.process.Init) !void {
    const arena = init.arena.allocator();
    var in_buffer: [1 << 16]u8 = undefined;
    var in = std.Io.File.stdin().readerStreaming(init.io, &in_buffer);
    const text = try in.interface.allocRemaining(arena, .unlimited);
    const event = try std.json.parseFromSliceLeaky(Event, arena, text, .{ .ignore_unknown_fields = true });

    var log_buffer: [1 << 12]u8 = undefined;
    var log = std.Io.File.stderr().writerStreaming(init.io, &log_buffer);
    var failures: std.ArrayList(Failure) = .empty;
    for (event.Records) |record| {
        if (try handle(arena, &log.interface, record)) |failure| try failures.append(arena, failure);
        try log.interface.flush();
    }

    var out_buffer: [1 << 12]u8 = undefined;
    var out = std.Io.File.stdout().writerStreaming(init.io, &out_buffer);
    const response = .{ .batchItemFailures = failures.items };
    try std.json.Stringify.value(response, .{ .emit_null_optional_fields = false }, &out.interface);
    try out.interface.flush();
}

/// Handles one message and logs one line about it. Gives the entry for `batchItemFailures` if it failed.
fn handle(arena: std.mem.Allocator, log: *std.Io.Writer, record: Record) !?Failure {
    const order = std.json.parseFromSliceLeaky(Order, arena, record.body, .{ .ignore_unknown_fields = true }) catch |wrong|
        return try deadLetter(log, record, try std.fmt.allocPrint(arena, "malformed order: {t}", .{wrong}));
    if (order.quantity == 0) {
        const format = "malformed order: {s} wants 0 x {s}";
        return try deadLetter(log, record, try std.fmt.allocPrint(arena, format, .{ order.id, order.sku }));
    }
    const is_first_delivery = std.mem.eql(u8, record.attributes.ApproximateReceiveCount, "1");
    if (charge(order, is_first_delivery)) |refusal| {
        try log.print("order {s}: not charged: {s}\n", .{ order.id, refusal.reason });
        return .{ .itemIdentifier = record.messageId, .retryAfterSeconds = refusal.retry_after_seconds };
    }
    try log.print("order {s}: charged {d} x {s}\n", .{ order.id, order.quantity, order.sku });
    return null;
}

/// Another delivery cannot mend it: asks for the dead-letter queue now.
fn deadLetter(log: *std.Io.Writer, record: Record, reason: []const u8) !Failure {
    try log.print("message {s}: {s}\n", .{ record.messageId, reason });
    return .{ .itemIdentifier = record.messageId, .deadLetterReason = reason };
}

/// Plays the payment service. Null: the order is charged.
fn charge(order: Order, is_first_delivery: bool) ?Refusal {
    return switch (order.payment) {
        .ok => null,
        .flaky => if (is_first_delivery) .{ .reason = "the payment service is away" } else null,
        .busy => if (is_first_delivery) .{ .reason = "the payment service is busy", .retry_after_seconds = 1 } else null,
        .declined => .{ .reason = "the card was declined" },
        // Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
        .hangs => while (true) std.atomic.spinLoopHint(),
    };
}
