//! The function NAME: gets the messages of a queue in batches, and says which of them failed.
//!
//! A WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0 fails
//! the whole batch.

const std = @import("std");

const Event = struct { Records: []const Record };
const Record = struct { messageId: []const u8, body: []const u8 };
const Failure = struct { itemIdentifier: []const u8 };
const Message = struct { id: []const u8 };

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
        handle(arena, &log.interface, record.body) catch |wrong| {
            try log.interface.print("message {s} failed: {t}\n", .{ record.messageId, wrong });
            try failures.append(arena, .{ .itemIdentifier = record.messageId });
        };
        try log.interface.flush();
    }

    // What is named here comes back to the queue; the rest is deleted.
    var out_buffer: [1 << 12]u8 = undefined;
    var out = std.Io.File.stdout().writerStreaming(init.io, &out_buffer);
    try std.json.Stringify.value(.{ .batchItemFailures = failures.items }, .{}, &out.interface);
    try out.interface.flush();
}

fn handle(arena: std.mem.Allocator, log: *std.Io.Writer, body: []const u8) !void {
    const message = try std.json.parseFromSliceLeaky(Message, arena, body, .{ .ignore_unknown_fields = true });
    try log.print("handling {s}\n", .{message.id});
}
