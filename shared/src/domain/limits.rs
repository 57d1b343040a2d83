//! Every limit, with its reason, and the relations between limits that the protocol depends on.
//!
//! The compiler checks these relations at the end of this file. A test checks that the template's
//! numbers match.

use std::time::Duration;

use super::backoff::RetryPolicy;

/// A request body, in bytes. It has room for the largest arguments and metadata with their escapes,
/// and is a tenth of API Gateway's limit.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// `arguments`, in bytes of compact JSON. With keys and attributes it fits one item of 400 KB,
/// uncompressed.
pub const ARGUMENTS_BYTES_MAX: usize = 256 * 1024;
/// `metadata`, in bytes of compact JSON.
pub const METADATA_BYTES_MAX: usize = 65_536;
/// A function's result, in bytes of compact JSON, for the same reason as [`ARGUMENTS_BYTES_MAX`].
pub const RESULT_BYTES_MAX: usize = 256 * 1024;
/// The state that an attempt saves for the next one, in bytes of compact JSON. Each leg writes it
/// and reads it: larger data belongs elsewhere, and its key into the state.
pub const STATE_BYTES_MAX: usize = 64 * 1024;
/// The number of the attempt from which an operation may no longer continue. It stops work that
/// continues for ever without a wait. Work that needs more legs makes them longer.
pub const CLAIMS_MAX: u32 = 1000;
/// Attempts that an operation's history keeps.
pub const ATTEMPTS_KEPT_MAX: usize = 10;
/// The code of an error in an operation's history, in characters; longer text is cut.
pub const ATTEMPT_CODE_CHARS_MAX: usize = 32;
/// Versions that one precondition of a cancel may name. A precondition with more counts as not met,
/// so nothing is written. Two such lists stay within the 4 KB and the 300 operators of an
/// expression (Amazon DynamoDB Developer Guide, "Constraints in Amazon DynamoDB").
pub const PRECONDITION_VERSIONS_MAX: usize = 20;
/// Errors of one request that its response lists: each may name members that the caller chose, and
/// a response has its own limit.
pub const ERRORS_LISTED_MAX: usize = 20;
/// Values of a function's arguments that are checked for all errors at once: each value may have
/// several. Errors beyond them are reported only when these values have none, and then only the
/// first.
pub const ARGUMENT_VALUES_CHECKED_MAX: usize = 1000;
/// Extensions of one Forrst call: several times as many as exist.
pub const EXTENSIONS_MAX: usize = 32;
/// The name of an extension, in characters: a response repeats unknown names.
pub const EXTENSION_URN_CHARS_MAX: usize = 255;
/// A version, in characters, which responses repeat. Semantic Versioning itself calls this length
/// overkill.
pub const VERSION_CHARS_MAX: usize = 255;
/// Arrays and objects inside one another in a request body, including the body itself.
pub const NESTING_MAX: usize = 64;
/// An owner, in bytes, without its kind.
pub const OWNER_BYTES_MAX: usize = 256;
/// An idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// The id of a request in an envelope, in characters: it is stored with the operation and sent back
/// in a header.
pub const REQUEST_ID_CHARS_MAX: usize = 255;
/// An id of a trace or a span, in characters: it is sent with every message and logged on every
/// line.
pub const TRACING_ID_CHARS_MAX: usize = 128;
/// A function's name, in characters.
pub const FUNCTION_NAME_CHARS_MAX: usize = 255;
/// The message of progress, in characters; longer text is cut.
pub const PROGRESS_MESSAGE_CHARS_MAX: usize = 1000;
/// The message of a function's error, in characters; longer text is cut. Errors stay in the head,
/// which every update writes as a whole.
pub const ERROR_MESSAGE_CHARS_MAX: usize = 1000;
/// The code of a function's error, in characters; longer text is cut.
pub const ERROR_CODE_CHARS_MAX: usize = 64;
/// The details of a function's error, in bytes of JSON; larger ones are left out.
pub const ERROR_DETAILS_BYTES_MAX: usize = 4096;

/// How long an operation stays readable after its end, in seconds.
pub const RETENTION_SECS_MIN: u32 = 60;
pub const RETENTION_SECS_MAX: u32 = 7 * 86_400;
pub const RETENTION_SECS_DEFAULT: u32 = 86_400;
/// How much longer than the operation it came from a redrive is kept, in seconds. While the failed
/// operation can be read, a repeated redrive must find the first one, also with a clock that is
/// late, or with a request that read the failed operation at the last moment.
pub const REDRIVE_MARGIN_SECS: u32 = 15 * 60;
/// How far ahead an operation may start, in seconds from its submission.
pub const START_SECS_MAX: u32 = 7 * 86_400;
/// How long an operation may take from its start, in seconds.
pub const DEADLINE_SECS_MIN: u32 = 1;
pub const DEADLINE_SECS_MAX: u32 = 7 * 86_400;

/// Operations on a page of a list.
pub const LIST_LIMIT_MAX: usize = 100;
pub const LIST_LIMIT_DEFAULT: usize = 50;
/// Operations that one list request examines, so that a narrow filter cannot make it read a whole
/// table. One batch read takes as many.
pub const LIST_EXAMINED_MAX: usize = 100;
/// Keys in one batch read (Amazon DynamoDB API Reference, `BatchGetItem`).
pub const BATCH_GET_MAX: usize = 100;
/// Batch reads that one list request may make for keys that DynamoDB left unprocessed. The first
/// read and the SDK's own retries are not counted.
pub const BATCH_RETRIES_MAX: u32 = 3;
/// The pauses before them.
pub const BATCH_RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(100),
    max: Duration::from_millis(400),
};

/// The unit in which DynamoDB bills a write, in bytes: an ordinary operation's head stays within
/// one.
pub const HEAD_BYTES_MAX: usize = 1024;
/// What a head gains with its first attempt for its history, in bytes: when the attempt started,
/// and the entry with its end.
pub const HEAD_ATTEMPT_BYTES: usize = 70;
/// What a head gains after its creation (claim, lease, start, progress and its time, and the first
/// attempt's entry), in bytes.
pub const HEAD_GROWTH_BYTES: usize = 150 + HEAD_ATTEMPT_BYTES;
/// What a head gains at its end (its time, the final progress), in bytes.
pub const HEAD_END_BYTES: usize = 50;

/// A lease, in seconds: how long after a crashed worker's last heartbeat another worker claims its
/// operation.
pub const LEASE_SECS_DEFAULT: u32 = 60;
/// A lease must outlast a slow call and a missed heartbeat.
pub const LEASE_SECS_MIN: u32 = 5;
/// SQS limits the visibility timeout, which is renewed with the lease, to 12 hours. This is
/// shorter, because a crash delays the operation by as long.
pub const LEASE_SECS_MAX: u32 = 900;

/// The interval of TCP keep-alive probes while the worker waits for a target, in seconds. NAT
/// gateways drop connections that are silent for 350 s
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html>).
pub const TARGET_KEEP_ALIVE_SECS_DEFAULT: u32 = 30;
pub const TARGET_KEEP_ALIVE_SECS_MAX: u32 = 300;
/// Heartbeats in a lease: two may fail before it is lost.
pub const HEARTBEATS_PER_LEASE: u32 = 3;
/// Progress is written at most once in this time for an operation.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How long work may take to end after it was aborted. After that the process exits, so that no
/// work keeps running.
pub const ABORT_GRACE: Duration = Duration::from_secs(5);
/// Time reserved at the end of an invocation to record an outcome and respond.
pub const INVOCATION_MARGIN: Duration = Duration::from_secs(30);

/// The longest attempt, in seconds, of a worker with this timeout: what an invocation leaves it.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "half a minute")]
pub const fn attempt_secs_max(worker_timeout_secs: u32) -> u32 {
    worker_timeout_secs - INVOCATION_MARGIN.as_secs() as u32
}

/// How long before its end an attempt asks its target to be done, so that a result which comes in
/// time is still recorded. See [`target_deadline_margin`].
pub const TARGET_DEADLINE_MARGIN: Duration = Duration::from_secs(5);

/// [`TARGET_DEADLINE_MARGIN`], and at most half of an attempt that may take this long.
#[must_use]
pub fn target_deadline_margin(attempt: Duration) -> Duration {
    TARGET_DEADLINE_MARGIN.min(attempt / 2)
}

/// One try of one AWS call. The SDK sets no limit by default.
pub const CALL_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// One AWS call with all its tries.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Tries of one AWS call.
pub const CALL_TRIES_MAX: u32 = 3;

/// When more than this has passed since a submit sent its message, it sends the message again
/// before it creates the record.
pub const SEND_TO_CREATE_MAX: Duration = Duration::from_secs(30);
/// A dispatch message older than this without a record will never have one. No submit lasts as
/// long: its timeout, its own [`SEND_TO_CREATE_MAX`] and the five minutes for which a signature is
/// valid add up to less.
pub const PHANTOM_AGE: Duration = Duration::from_secs(15 * 60);
/// The longest delay before a dispatch message that could not be served is received again, in
/// seconds: without a record, unreadable, or while the store is unavailable.
pub const RETURN_BACKOFF_SECS_MAX: u32 = 300;
/// A message this old is sent afresh, long before the queue's retention would drop it.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_secs(6 * 86_400);
/// How long all consumers of a queue may be down without the loss of a message, in seconds: a long
/// weekend. Also for a message that was about to be sent afresh, and for one that has just moved to
/// a dead-letter queue.
pub const OUTAGE_SECS_MAX: u32 = 4 * 86_400;
/// Retention of the dispatch and the callback queue, in seconds.
pub const QUEUE_RETENTION_SECS: u32 = 10 * 86_400;
/// Retention of their dead-letter queues, in seconds: SQS's longest. A message that moves there
/// keeps its age (Amazon SQS Developer Guide, "Setting-up dead-letter queue retention in Amazon
/// SQS"), so it stays for at least the difference.
pub const DEAD_LETTER_RETENTION_SECS: u32 = 14 * 86_400;
/// Receives after which a message moves to the dead-letter queue.
pub const RECEIVES_MAX: u32 = 10;
/// SQS's longest delay of a message, in seconds.
pub const QUEUE_DELAY_SECS_MAX: u32 = 900;
/// SQS's longest visibility timeout, in seconds, counted from the receive.
pub const VISIBILITY_SECS_MAX: u32 = 12 * 3600;

/// How much longer than the deadline a live operation's record exists. A backstop: no operation is
/// meant to end by it.
pub const EXPIRY_MARGIN: Duration = Duration::from_secs(14 * 86_400);
/// How much longer than the operation's deadline and retention its external arguments and metadata
/// exist: an operation ends late when no worker was running to end it.
pub const PAYLOAD_MARGIN: Duration = Duration::from_secs(86_400);
/// How much longer than its head an external result exists: it is written first, and the head's
/// write is retried for as long as a lease lasts.
pub const RESULT_MARGIN: Duration = Duration::from_secs(LEASE_SECS_MAX as u64);
/// How long an expired or erased record is kept at least. While it exists, a late or retried create
/// cannot bring the operation back without its messages, so it is kept for as long as a submit may
/// still create a record.
pub const GONE_RETENTION: Duration = PHANTOM_AGE;
/// A URL that a caller chooses, in characters: room for a signed query, in a record that is billed
/// by its size.
pub const CALLER_URL_CHARS_MAX: usize = 2048;
/// The waits after a callback's first attempt and after each further one.
pub const CALLBACK_RETRY_SECS: [u32; 5] = [5, 30, 120, 600, 3600];
/// Waits in a schedule from the settings.
pub const CALLBACK_RETRIES_MAX: u32 = 10;
/// The most by which a wait of the schedule is lengthened, so that receivers that failed together
/// are not all called together.
pub const CALLBACK_JITTER_PERCENT: u32 = 10;
/// The longest wait that a receiver's `Retry-After` or a setting can ask for, in seconds.
pub const CALLBACK_RETRY_AFTER_SECS_MAX: u32 = 3600;
/// Concurrent deliveries of one process to one host for one owner: half of a batch, so that one
/// receiver never has the whole capacity of a sender.
pub const CALLBACKS_AT_ONCE_MAX: usize = 5;
/// A delivery that takes this long is slow. Another delivery to the same receiver waits as long for
/// its turn. A receiver that acknowledges a callback at once, as it should, takes a fraction of
/// this.
pub const CALLBACK_SLOW: Duration = Duration::from_secs(2);
/// After a slow delivery, the process makes no other to that receiver for this many times as long,
/// so that a receiver that does not answer occupies at most a quarter of the senders.
pub const CALLBACK_PAUSE_FACTOR: u32 = 3;
/// How often an attempt is deferred at most while its receiver is busy: for about an hour. After
/// that it counts as failed.
pub const CALLBACK_DEFERRALS_MAX: u32 = 16;
/// The first wait of a deferred attempt, in seconds. Each further wait is twice as long.
pub const CALLBACK_DEFERRAL_SECS: u32 = 15;
/// The longest wait of a deferred attempt, in seconds: at least the longest pause after a slow
/// delivery.
pub const CALLBACK_DEFERRAL_SECS_MAX: u32 = 300;
/// The longest schedule that the settings can name, in seconds, if every attempt times out and is
/// deferred as often as possible.
pub const CALLBACK_SCHEDULE_SECS_MAX: u32 =
    CALLBACK_RETRIES_MAX * CALLBACK_RETRY_AFTER_SECS_MAX / 100 * (100 + CALLBACK_JITTER_PERCENT)
        + (CALLBACK_RETRIES_MAX + 1)
            * (CALLBACK_TIMEOUT_SECS_MAX + CALLBACK_DEFERRALS_MAX * CALLBACK_DEFERRAL_SECS_MAX);
/// How long the outcome of a callback can be read after the longest schedule, in seconds.
pub const CALLBACK_REVIEW_SECS: u32 = 86_400;
/// How long the record of an operation with a callback is kept at least, in seconds from its end. A
/// due callback needs its record. Messages survive an outage of [`OUTAGE_SECS_MAX`], so the record
/// must as well.
pub const CALLBACK_RETENTION_SECS: u32 =
    OUTAGE_SECS_MAX + CALLBACK_SCHEDULE_SECS_MAX + CALLBACK_REVIEW_SECS;
/// An erase leaves a tombstone, which another operation may replace and which DynamoDB deletes. A
/// message of the erased operation's callback is received again after its delay and a few returns.
/// A message that is older than this and finds no tombstone belongs to an operation that expired.
pub const CALLBACK_ERASED_AGE_MAX: Duration = Duration::from_secs(86_400);
/// A callback's whole exchange, in seconds.
pub const CALLBACK_TIMEOUT_SECS_DEFAULT: u32 = 5;
pub const CALLBACK_TIMEOUT_SECS_MAX: u32 = 30;
/// How long the process that ended an operation has to send the wake-up and make the
/// attempt, in seconds, before a worker that finds the operation ended triggers the callback as
/// well. Once an attempt is on record there is nothing left to trigger; before, the receiver would
/// be called twice. It may still be called twice if its attempt is deferred for longer.
pub const CALLBACK_FALLBACK_DELAY_SECS: u32 = 40;
/// A callback's body, in bytes: a larger one leaves the result out.
pub const CALLBACK_BODY_BYTES_MAX: usize = 64 * 1024;
/// What is read from the host of a caller's URL until its response's headers end, in bytes, and the
/// same for its TLS handshake. Interim responses (1xx) count: HTTP allows any number of them, and
/// they are read without a pause in which a deadline or another request could run. Honest headers
/// are far smaller.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the signing secrets of callbacks are cached: a rotation takes as long to have effect,
/// and each process pays for one request to Secrets Manager in this time.
pub const WEBHOOK_SECRETS_AGE_MAX: Duration = Duration::from_secs(300);

/// `submit` and `status`: API Gateway waits 30 seconds at most.
pub const HTTP_FUNCTION_TIMEOUT_SECS: u32 = 29;
/// How long an erase may take before its caller is asked to repeat it, in seconds. The read and the
/// response fit before the function's timeout, and what was deleted by then stays deleted.
pub const ERASE_SECS_MAX: u32 = 20;
/// The longest wait for an operation's end that a setting can allow, in seconds.
pub const WAIT_SECS_MAX: u32 = 20;
/// The longest wait by default, in seconds. Each caller who waits keeps an execution busy: an
/// account's 1,000 executions are in use at 100 such requests a second.
pub const WAIT_SECS_MAX_DEFAULT: u32 = 10;
/// How long a Forrst call waits for its result by default, in seconds.
pub const FORRST_WAIT_SECS_DEFAULT: u32 = 2;
/// How long a tool call of an MCP client that takes tasks waits for its result by default, in
/// seconds.
pub const MCP_WAIT_SECS_DEFAULT: u32 = 2;
/// `worker`: its timeout by default, in seconds. A message whose worker crashes before its claim
/// stays hidden for as long, as AWS requires a queue's visibility timeout to be at least its
/// consumer's timeout.
pub const WORKER_TIMEOUT_SECS_DEFAULT: u32 = 900;
/// An attempt still has half a minute then: the other half is [`INVOCATION_MARGIN`].
pub const WORKER_TIMEOUT_SECS_MIN: u32 = 60;
/// Lambda's longest timeout, in seconds (AWS Lambda API Reference, `Timeout`, 2026-11-20).
pub const WORKER_TIMEOUT_SECS_MAX: u32 = 1800;
/// `callback`: one exchange, with the calls before and after it.
pub const CALLBACK_FUNCTION_TIMEOUT_SECS: u32 = 90;
/// The callback queue's visibility timeout, in seconds. Nothing shortens it, so a crashed delivery
/// is repeated after this time.
pub const CALLBACK_VISIBILITY_SECS: u32 = CALLBACK_FUNCTION_TIMEOUT_SECS;

/// The format number of records and messages that this code writes, except for long work.
pub const FORMAT: u32 = 1;
/// The format number of records of operations that start later, or continue from a state. The
/// release before reads it, and does everything with such an operation but run its work: it would
/// run it too early, or from the start.
pub const FORMAT_LONG_WORK: u32 = 2;
/// The newest format of records that this code reads.
pub const FORMAT_READ: u32 = FORMAT_LONG_WORK;

const _: () = {
    // A wait that began at the start of the request leaves time for the last read and the payloads.
    assert!(WAIT_SECS_MAX as u64 + 2 * CALL_TIMEOUT.as_secs() < HTTP_FUNCTION_TIMEOUT_SECS as u64);
    assert!(WAIT_SECS_MAX_DEFAULT <= WAIT_SECS_MAX);
    // No default exceeds the default of the longest wait.
    assert!(FORRST_WAIT_SECS_DEFAULT <= WAIT_SECS_MAX_DEFAULT);
    assert!(MCP_WAIT_SECS_DEFAULT <= WAIT_SECS_MAX_DEFAULT);
    assert!(ERASE_SECS_MAX as u64 + CALL_TIMEOUT.as_secs() < HTTP_FUNCTION_TIMEOUT_SECS as u64);
    assert!(LIST_LIMIT_MAX <= LIST_EXAMINED_MAX && LIST_EXAMINED_MAX <= BATCH_GET_MAX);
    // Two queries, a batch read after each, and the retries with their pauses.
    assert!(
        (4 + BATCH_RETRIES_MAX as u128) * CALL_TIMEOUT.as_millis()
            + ((1 << BATCH_RETRIES_MAX) - 1) * BATCH_RETRY.initial.as_millis()
            < HTTP_FUNCTION_TIMEOUT_SECS as u128 * 1000
    );
    // A call ends within the shortest lease: otherwise one slow call could lose it.
    assert!(CALL_TIMEOUT.as_secs() < LEASE_SECS_MIN as u64);
    assert!(CALL_ATTEMPT_TIMEOUT.as_millis() < CALL_TIMEOUT.as_millis());
    // A message is dropped as a phantom only when no submit can still create its record: not even
    // one that sent it in its first second, used all its time and then waited until its signature
    // expired.
    assert!(
        HTTP_FUNCTION_TIMEOUT_SECS as u64 + SEND_TO_CREATE_MAX.as_secs() + 300
            < PHANTOM_AGE.as_secs()
    );
    // Nor does a redrive that began while the failed operation could be read.
    assert!(HTTP_FUNCTION_TIMEOUT_SECS < REDRIVE_MARGIN_SECS);
    // A record that was created is not deleted before then.
    assert!(GONE_RETENTION.as_secs() >= PHANTOM_AGE.as_secs());
    // A fresh copy is sent before retention can drop the old one, even after an outage; and a
    // message that moved to a dead-letter queue at the last moment stays for as long again.
    assert!(MESSAGE_AGE_MAX.as_secs() + OUTAGE_SECS_MAX as u64 <= QUEUE_RETENTION_SECS as u64);
    assert!(QUEUE_RETENTION_SECS + OUTAGE_SECS_MAX <= DEAD_LETTER_RETENTION_SECS);
    // An operation may live longer than a message is retained: it may start later, and wait between
    // legs. While it waits, its message is sent afresh at least as often as SQS's longest delay, so
    // the message outlasts an outage that begins at any time.
    assert!(QUEUE_DELAY_SECS_MAX + OUTAGE_SECS_MAX <= QUEUE_RETENTION_SECS);
    // Reading a payload item stops past the largest arguments.
    assert!(STATE_BYTES_MAX <= ARGUMENTS_BYTES_MAX && RESULT_BYTES_MAX <= ARGUMENTS_BYTES_MAX);
    // A callback that became due just before an outage still has its record for its whole schedule.
    assert!(CALLBACK_RETENTION_SECS >= OUTAGE_SECS_MAX + CALLBACK_SCHEDULE_SECS_MAX);
    assert!(INVOCATION_MARGIN.as_secs() < WORKER_TIMEOUT_SECS_MIN as u64);
    assert!(LEASE_SECS_MAX <= VISIBILITY_SECS_MAX);
    assert!(CALLBACK_FALLBACK_DELAY_SECS > CALLBACK_TIMEOUT_SECS_MAX);
    assert!(CALLBACK_RETRY_SECS[CALLBACK_RETRY_SECS.len() - 1] <= CALLBACK_RETRY_AFTER_SECS_MAX);
    assert!(WORKER_TIMEOUT_SECS_MAX <= VISIBILITY_SECS_MAX);
    assert!(CALLBACK_VISIBILITY_SECS >= CALLBACK_FUNCTION_TIMEOUT_SECS);
    // The exchange and the wait for its turn. Before it: two rounds of reads, the start of a round,
    // two payloads kept for longer, and the secrets. After it: a write, a read when that was
    // refused, a message that waits for the batch before its own, and a change of the received
    // message's visibility when that failed.
    assert!(
        CALLBACK_TIMEOUT_SECS_MAX as u64 + CALLBACK_SLOW.as_secs() + 11 * CALL_TIMEOUT.as_secs()
            < CALLBACK_FUNCTION_TIMEOUT_SECS as u64
    );
    assert!(CALLBACK_TIMEOUT_SECS_MAX * CALLBACK_PAUSE_FACTOR <= CALLBACK_DEFERRAL_SECS_MAX);
    assert!(CALLBACK_DEFERRAL_SECS_MAX <= QUEUE_DELAY_SECS_MAX);
    // A renewal of lease and message in progress, the end of the work, its outcome, and a message
    // that waits for the batch before its own.
    assert!(ABORT_GRACE.as_secs() + 5 * CALL_TIMEOUT.as_secs() < INVOCATION_MARGIN.as_secs());
    assert!(HEAD_GROWTH_BYTES < HEAD_BYTES_MAX / 2);
    assert!(ATTEMPT_CODE_CHARS_MAX <= ERROR_CODE_CHARS_MAX);
};
