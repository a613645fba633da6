//! Does what each message says, so that a test can see what a handler in Zig sees and break what it can break.

const std = @import("std");

const Event = struct { Records: []const Record };

const Record = struct {
    body: []const u8,
    messageAttributes: struct {
        s: ?struct { stringValue: []const u8 } = null,
        b: ?struct { binaryValue: []const u8 } = null,
    },
};

const Order = struct { do: enum { see, raise, hang }, word: []const u8 = "" };

const lenient: std.json.ParseOptions = .{ .ignore_unknown_fields = true };

pub fn main(init: std.process.Init) !void {
    const arena = init.arena.allocator();
    var in_buffer: [1 << 16]u8 = undefined;
    var in = std.Io.File.stdin().readerStreaming(init.io, &in_buffer);
    const text = try in.interface.allocRemaining(arena, .unlimited);
    const event = try std.json.parseFromSliceLeaky(Event, arena, text, lenient);
    for (event.Records) |record| {
        const order = try std.json.parseFromSliceLeaky(Order, arena, record.body, lenient);
        switch (order.do) {
            .see => try see(init, record, order),
            .raise => {
                std.debug.print("as it was told to\n", .{});
                std.process.exit(1);
            },
            .hang => while (true) std.atomic.spinLoopHint(),
        }
    }
}

fn see(init: std.process.Init, record: Record, order: Order) !void {
    const variables = init.environ_map;
    const deadline_ms = try std.fmt.parseInt(i64, variables.get("WASMILL_DEADLINE_MS").?, 10);
    const base64 = record.messageAttributes.b.?.binaryValue;
    const decoder = std.base64.standard.Decoder;
    const bytes = try init.arena.allocator().alloc(u8, try decoder.calcSizeForSlice(base64));
    try decoder.decode(bytes, base64);
    const numbers = try init.arena.allocator().alloc(u16, bytes.len);
    for (numbers, bytes) |*number, byte| number.* = byte;
    const seen = .{
        .binary = numbers,
        .function = variables.get("AWS_LAMBDA_FUNCTION_NAME").?,
        .late = std.Io.Timestamp.now(init.io, .real).toMilliseconds() >= deadline_ms,
        .memory = try std.fmt.parseInt(u32, variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").?, 10),
        .secret = variables.get("SECRET").?,
        .text = record.messageAttributes.s.?.stringValue,
        .word = order.word,
    };
    var log_buffer: [1 << 12]u8 = undefined;
    var log = std.Io.File.stderr().writerStreaming(init.io, &log_buffer);
    try std.json.Stringify.value(seen, .{}, &log.interface);
    try log.interface.writeByte('\n');
    try log.interface.flush();
}
