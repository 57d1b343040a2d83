//! Every bound, with its reason, and the relations between them that the protocol rests on.
//!
//! A relation that can be checked by the compiler is checked at the end of this file; the template's numbers are held to these
//! by a test.

use std::time::Duration;

use super::backoff::RetryPolicy;

/// A request body, in bytes. Room for the largest arguments and metadata with their escapes; a tenth of what API Gateway takes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// `arguments`, in bytes of compact JSON. With keys and attributes it fits one item of 400 KB, uncompressed.
pub const ARGUMENTS_BYTES_MAX: usize = 256 * 1024;
/// `metadata`, in bytes of compact JSON.
pub const METADATA_BYTES_MAX: usize = 65_536;
/// A function's result, in bytes of compact JSON; for the same reason as [`ARGUMENTS_BYTES_MAX`].
pub const RESULT_BYTES_MAX: usize = 256 * 1024;
/// Versions that one precondition of a cancel may name. With more of them it counts as not met, so that nothing is done. Two such lists stay within the 4 KB and the 300 operators of an expression
/// (Amazon DynamoDB Developer Guide, "Constraints in Amazon DynamoDB").
pub const VERSIONS_MAX: usize = 20;
/// Faults of one request that its answer names: names in them are the caller's, and an answer has its own limit.
pub const FAULTS_MAX: usize = 20;
/// Values of a function's arguments that are held to its schema for all faults at once: each value
/// may have several. Past them the first fault is looked for, and no other.
pub const FAULTY_VALUES_MAX: usize = 1000;
/// Extensions of one request in an envelope: several times as many as there are.
pub const EXTENSIONS_MAX: usize = 32;
/// The name of an extension, in characters: an answer repeats names that are not known.
pub const EXTENSION_URN_CHARS_MAX: usize = 255;
/// A version, in characters, which answers repeat: what Semantic Versioning itself calls overkill.
pub const VERSION_CHARS_MAX: usize = 255;
/// Arrays and objects inside one another in a request body, the body itself counted.
pub const NESTING_MAX: usize = 64;
/// An owner, in bytes, its kind not counted.
pub const OWNER_BYTES_MAX: usize = 256;
/// An idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// The id of a request in an envelope, in characters: it is kept with the operation and sent back in a header.
pub const REQUEST_ID_CHARS_MAX: usize = 255;
/// An id of a trace or a span, in characters: it is sent along with every message and written to every line of the log.
pub const TRACING_ID_CHARS_MAX: usize = 128;
/// A function's name, in characters.
pub const FUNCTION_NAME_CHARS_MAX: usize = 255;
/// The text that goes with progress, in characters; longer text is cut.
pub const PROGRESS_MESSAGE_CHARS_MAX: usize = 1000;
/// The message of a function's error, in characters; longer text is cut. Errors stay in the head item, which is written whole.
pub const ERROR_MESSAGE_CHARS_MAX: usize = 1000;
/// The code of a function's error, in characters; longer text is cut.
pub const ERROR_CODE_CHARS_MAX: usize = 64;
/// The details of a function's error, in bytes of JSON; larger ones are left out.
pub const ERROR_DETAILS_BYTES_MAX: usize = 4096;

/// How long an operation stays readable after its end, in seconds.
pub const TTL_SECS_MIN: u32 = 60;
/// See [`TTL_SECS_MIN`].
pub const TTL_SECS_MAX: u32 = 7 * 86_400;
/// See [`TTL_SECS_MIN`].
pub const TTL_SECS_DEFAULT: u32 = 86_400;
/// How long an operation may take from its submission, in seconds.
pub const DEADLINE_SECS_MIN: u32 = 1;
/// See [`DEADLINE_SECS_MIN`].
pub const DEADLINE_SECS_MAX: u32 = 7 * 86_400;

/// Operations on a page of a list.
pub const LIST_LIMIT_MAX: usize = 100;
/// See [`LIST_LIMIT_MAX`].
pub const LIST_LIMIT_DEFAULT: usize = 50;
/// Operations that one list request examines, so that a narrow filter cannot make it read a whole
/// table: as many as one batch read takes.
pub const LIST_EXAMINED_MAX: usize = 100;
/// Keys in one batch read (Amazon DynamoDB API Reference, `BatchGetItem`).
pub const BATCH_GET_MAX: usize = 100;
/// Batch reads that one list request may make for keys that DynamoDB left unprocessed, the first and
/// the SDK's own retries not counted.
pub const BATCH_RETRIES_MAX: u32 = 3;
/// The pauses before them.
pub const BATCH_RETRY: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(100),
    longest: Duration::from_millis(400),
};

/// What DynamoDB bills a write by, in bytes: an ordinary operation's head stays within one unit.
pub const HEAD_BYTES_MAX: usize = 1024;
/// What a head gains after its creation (claim, lease, start, progress and its time), in bytes.
pub const HEAD_GROWTH_BYTES: usize = 150;
/// What a head gains at its end (its time, the final progress), in bytes.
pub const HEAD_END_BYTES: usize = 50;

/// A lease, in seconds: how long after its last heartbeat a crashed worker's operation is taken up again.
pub const LEASE_SECS_DEFAULT: u32 = 60;
/// A lease must outlast a slow call and a missed heartbeat.
pub const LEASE_SECS_MIN: u32 = 5;
/// SQS's limit on a visibility timeout, with which a lease is renewed, is 12 hours; nobody wants to wait that long.
pub const LEASE_SECS_MAX: u32 = 900;
/// Heartbeats in a lease: two may fail before it is lost.
pub const HEARTBEATS_PER_LEASE: u32 = 3;
/// Progress is written at most once in this time for an operation.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How long work may take to end after it was told to; past it, the process ends instead, so that nothing is left running.
pub const ABORT_GRACE: Duration = Duration::from_secs(5);
/// What is kept free at the end of an invocation to record an outcome and answer.
pub const INVOCATION_MARGIN: Duration = Duration::from_secs(30);

/// One try of one AWS call. The SDK sets no limit of its own.
pub const CALL_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// One AWS call with all its tries.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Tries of one AWS call.
pub const CALL_TRIES_MAX: u32 = 3;

/// A submit sends its message again when it comes to create the record later than this after sending it.
pub const SEND_TO_CREATE_MAX: Duration = Duration::from_secs(30);
/// A dispatch message that is older than this and finds no record will never find one: no submit lasts as long, for its
/// timeout, its own [`SEND_TO_CREATE_MAX`] and the five minutes for which a signature is accepted are all shorter.
pub const PHANTOM_AGE: Duration = Duration::from_secs(15 * 60);
/// How long a message that finds no record waits at most before it looks again, in seconds.
pub const ABSENT_RETURN_SECS_MAX: u32 = 300;
/// A message this old is sent afresh, long before the queue's retention would drop it.
pub const MESSAGE_AGE_MAX: Duration = Duration::from_secs(6 * 86_400);
/// How long nobody may be there to handle a message without its being lost, in seconds: a long weekend. It holds for a message that
/// was about to be sent afresh, and for one that has just become a dead letter.
pub const OUTAGE_SECS_MAX: u32 = 4 * 86_400;
/// Retention of the dispatch and the callback queue, in seconds.
pub const QUEUE_RETENTION_SECS: u32 = 10 * 86_400;
/// Retention of their dead-letter queues, in seconds: SQS's longest. A message that moves there keeps its age (Amazon SQS Developer
/// Guide, "Setting-up dead-letter queue retention in Amazon SQS"), so that it stays for the difference at least.
pub const DEAD_LETTER_RETENTION_SECS: u32 = 14 * 86_400;
/// Receives after which a message moves to the dead-letter queue.
pub const RECEIVES_MAX: u32 = 10;
/// SQS's longest delay of a message, in seconds.
pub const QUEUE_DELAY_SECS_MAX: u32 = 900;
/// SQS's longest visibility timeout, in seconds, counted from the receive.
pub const VISIBILITY_SECS_MAX: u32 = 12 * 3600;

/// While an operation lives its record outlasts the deadline by this: a backstop, never the way an operation ends.
pub const EXPIRY_MARGIN: Duration = Duration::from_secs(14 * 86_400);
/// Arguments and metadata that are items of their own outlast the operation's deadline and retention by this: an operation ends
/// late when no worker was there to end it.
pub const PAYLOAD_MARGIN: Duration = Duration::from_secs(86_400);
/// A result that is an item of its own outlasts its head by this: it is written first, and the head's write is tried again for as
/// long as a lease lasts.
pub const RESULT_MARGIN: Duration = Duration::from_secs(LEASE_SECS_MAX as u64);
/// How long a record that nobody sees any more, expired or erased, is kept at least. It keeps a create that arrives late, or is made
/// again, from bringing the operation back without its messages, so it stays for as long as a submit can still create anything.
pub const GONE_RETENTION: Duration = PHANTOM_AGE;
/// A callback's URL, in characters: room for a signed query, in a record that is billed by its size.
pub const CALLBACK_URL_CHARS_MAX: usize = 2048;
/// The waits after the first attempt of a callback and each further one.
pub const CALLBACK_RETRY_SECS: [u32; 5] = [5, 30, 120, 600, 3600];
/// Waits in a schedule that a setting names.
pub const CALLBACK_RETRIES_MAX: u32 = 10;
/// What a wait of the schedule is lengthened by at most, so that receivers that failed together are not all called together.
pub const CALLBACK_JITTER_PERCENT: u32 = 10;
/// A wait that a receiver asks for with `Retry-After` is held to this, in seconds; a wait in a setting as well.
pub const CALLBACK_RETRY_AFTER_SECS_MAX: u32 = 3600;
/// Deliveries to one host at once that a sender process makes for one owner: half of a batch, so
/// that one receiver cannot have the whole of a sender's processor.
pub const CALLBACKS_AT_ONCE_MAX: usize = 5;
/// A delivery that takes this long is slow. Another delivery to the same receiver waits as long for
/// its turn. Callbacks that are acknowledged at once, as they should be, take a fraction of it.
pub const CALLBACK_SLOW: Duration = Duration::from_secs(2);
/// After a slow delivery its receiver gets no other from the process for so many times as long, so
/// that one receiver that does not answer occupies a quarter of the senders at most.
pub const CALLBACK_REST_FACTOR: u32 = 3;
/// How often an attempt is deferred at most while its receiver is busy: for about an hour. After that
/// it counts as failed.
pub const CALLBACK_DEFERRALS_MAX: u32 = 16;
/// The first wait of a deferred attempt, in seconds, which doubles with each further one.
pub const CALLBACK_DEFERRAL_SECS: u32 = 15;
/// No wait of a deferred attempt is longer, in seconds. It is no shorter than the longest rest.
pub const CALLBACK_DEFERRAL_SECS_MAX: u32 = 300;
/// The longest schedule that a setting can name, in seconds, with every receiver's silence and every
/// deferral.
pub const CALLBACK_SCHEDULE_SECS_MAX: u32 =
    CALLBACK_RETRIES_MAX * CALLBACK_RETRY_AFTER_SECS_MAX / 100 * (100 + CALLBACK_JITTER_PERCENT)
        + (CALLBACK_RETRIES_MAX + 1)
            * (CALLBACK_TIMEOUT_SECS_MAX + CALLBACK_DEFERRALS_MAX * CALLBACK_DEFERRAL_SECS_MAX);
/// How long the outcome of a callback can be read after the longest schedule, in seconds.
pub const CALLBACK_REVIEW_SECS: u32 = 86_400;
/// How long the record of an operation with a callback is kept at least, in seconds from its end. A
/// due callback needs its record: messages survive an outage of [`OUTAGE_SECS_MAX`], and so must it.
pub const CALLBACK_RETENTION_SECS: u32 =
    OUTAGE_SECS_MAX + CALLBACK_SCHEDULE_SECS_MAX + CALLBACK_REVIEW_SECS;
/// An erase leaves a mark, which another operation may replace and which DynamoDB deletes. A message
/// of the erased operation's callback is served within its delay and some returns. One that is older
/// than this and finds no mark belongs to an operation that expired.
pub const CALLBACK_ERASED_AGE_MAX: Duration = Duration::from_secs(86_400);
/// A callback's whole exchange, in seconds.
pub const CALLBACK_TIMEOUT_SECS_DEFAULT: u32 = 5;
/// See [`CALLBACK_TIMEOUT_SECS_DEFAULT`].
pub const CALLBACK_TIMEOUT_SECS_MAX: u32 = 30;
/// How long whoever ended an operation is given to announce its callback and have it attempted, in seconds, before a worker that finds
/// it ended does so in their place: with an attempt on record there is nothing left to do, and until then the receiver would be called
/// twice. It may be when its attempt is deferred for longer.
pub const CALLBACK_ANNOUNCEMENT_SECS: u32 = 40;
/// A callback's body, in bytes: past it the result is left out.
pub const CALLBACK_BODY_BYTES_MAX: usize = 64 * 1024;
/// What is read from a receiver before its answer's headers end, in bytes, and before that in its
/// TLS handshake. Interim responses (1xx) count: HTTP allows any number of them, and they are read
/// without a pause in which a deadline or another callback could have its turn. Receivers' headers
/// are far smaller.
pub const CALLBACK_ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the secrets that callbacks are signed with are used before Secrets Manager is asked for them again: what a rotation
/// takes, against one paid request by each process in this time.
pub const WEBHOOK_SECRETS_AGE_MAX: Duration = Duration::from_secs(300);

/// `submit` and `status`: API Gateway waits 30 seconds at most.
pub const HTTP_FUNCTION_TIMEOUT_SECS: u32 = 29;
/// How long an erase may take before its caller is asked to repeat it, in seconds: the read and the answer fit before the
/// function's timeout, and what was deleted by then stays deleted.
pub const ERASE_SECS_MAX: u32 = 20;
/// The longest wait for an operation's end that a setting can allow, in seconds.
pub const WAIT_SECS_MAX: u32 = 20;
/// The longest wait unless a setting says otherwise, in seconds. Each caller who waits keeps an
/// execution busy: an account's 1,000 executions are in use at 100 such requests a second.
pub const WAIT_SECS_MAX_DEFAULT: u32 = 10;
/// How long a Forrst call waits for its result unless its caller prefers not to, in seconds.
pub const FORRST_WAIT_SECS_DEFAULT: u32 = 2;
/// Lambda's longest timeout, in seconds (AWS Lambda API Reference, `Timeout`, 2026-11-20).
pub const LAMBDA_TIMEOUT_SECS_MAX: u32 = 1800;
/// `worker`: this bundle's choice, half of [`LAMBDA_TIMEOUT_SECS_MAX`]. A message whose worker dies
/// before its claim stays hidden for as long.
pub const WORKER_TIMEOUT_SECS: u32 = 900;
/// `callback`: one exchange, with the calls before and after it.
pub const CALLBACK_FUNCTION_TIMEOUT_SECS: u32 = 90;
/// The dispatch queue's visibility timeout, in seconds; AWS wants it no shorter than the function's timeout. It only counts
/// until a worker has claimed, which sets it to the lease.
pub const DISPATCH_VISIBILITY_SECS: u32 = WORKER_TIMEOUT_SECS;
/// The callback queue's visibility timeout, in seconds. Nothing shortens it: it is how long a crashed delivery waits.
pub const CALLBACK_VISIBILITY_SECS: u32 = CALLBACK_FUNCTION_TIMEOUT_SECS;

/// The number of the record and message format that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const _: () = {
    // A wait that began at the start of the request leaves room for the last look and the payloads.
    assert!(WAIT_SECS_MAX as u64 + 2 * CALL_TIMEOUT.as_secs() < HTTP_FUNCTION_TIMEOUT_SECS as u64);
    assert!(WAIT_SECS_MAX_DEFAULT <= WAIT_SECS_MAX);
    // The default of one setting is not cut by the default of the other.
    assert!(FORRST_WAIT_SECS_DEFAULT <= WAIT_SECS_MAX_DEFAULT);
    assert!(ERASE_SECS_MAX as u64 + CALL_TIMEOUT.as_secs() < HTTP_FUNCTION_TIMEOUT_SECS as u64);
    assert!(LIST_LIMIT_MAX <= LIST_EXAMINED_MAX && LIST_EXAMINED_MAX <= BATCH_GET_MAX);
    // Two queries, a batch read after each, and the retries with their pauses.
    assert!(
        (4 + BATCH_RETRIES_MAX as u128) * CALL_TIMEOUT.as_millis()
            + ((1 << BATCH_RETRIES_MAX) - 1) * BATCH_RETRY.first.as_millis()
            < HTTP_FUNCTION_TIMEOUT_SECS as u128 * 1000
    );
    // A call ends within the shortest lease, or a slow call alone could lose one.
    assert!(CALL_TIMEOUT.as_secs() < LEASE_SECS_MIN as u64);
    assert!(CALL_ATTEMPT_TIMEOUT.as_millis() < CALL_TIMEOUT.as_millis());
    // A message is given up as a phantom only when no submit can still create its record: not one that sent it in its first
    // second, spent all its time and then waited out the life of its signature.
    assert!(
        HTTP_FUNCTION_TIMEOUT_SECS as u64 + SEND_TO_CREATE_MAX.as_secs() + 300
            < PHANTOM_AGE.as_secs()
    );
    // And its record, if it was created once, is not deleted before then.
    assert!(GONE_RETENTION.as_secs() >= PHANTOM_AGE.as_secs());
    // A fresh copy is sent before retention can drop the old one, though nobody was there to send it for a while; and what became
    // a dead letter at the last moment is there for as long again.
    assert!(MESSAGE_AGE_MAX.as_secs() + OUTAGE_SECS_MAX as u64 <= QUEUE_RETENTION_SECS as u64);
    assert!(QUEUE_RETENTION_SECS + OUTAGE_SECS_MAX <= DEAD_LETTER_RETENTION_SECS);
    // A submit's message outlasts the longest deadline, though nobody is there to send it afresh: the operation still ends.
    assert!(DEADLINE_SECS_MAX < QUEUE_RETENTION_SECS);
    // A callback that became due just before an outage still has its record for its whole schedule.
    assert!(CALLBACK_RETENTION_SECS >= OUTAGE_SECS_MAX + CALLBACK_SCHEDULE_SECS_MAX);
    assert!(WORKER_TIMEOUT_SECS <= LAMBDA_TIMEOUT_SECS_MAX);
    assert!(LEASE_SECS_MAX <= VISIBILITY_SECS_MAX);
    assert!(CALLBACK_ANNOUNCEMENT_SECS > CALLBACK_TIMEOUT_SECS_MAX);
    assert!(CALLBACK_RETRY_SECS[CALLBACK_RETRY_SECS.len() - 1] <= CALLBACK_RETRY_AFTER_SECS_MAX);
    assert!(DISPATCH_VISIBILITY_SECS >= WORKER_TIMEOUT_SECS);
    assert!(CALLBACK_VISIBILITY_SECS >= CALLBACK_FUNCTION_TIMEOUT_SECS);
    // The exchange and the wait for its turn; before it two rounds of reads, the start of a round,
    // two payloads kept for longer and the secrets; after it a
    // write, a read when that was refused, a message that waits for another's, and the message put back when that failed.
    assert!(
        CALLBACK_TIMEOUT_SECS_MAX as u64 + CALLBACK_SLOW.as_secs() + 11 * CALL_TIMEOUT.as_secs()
            < CALLBACK_FUNCTION_TIMEOUT_SECS as u64
    );
    assert!(CALLBACK_TIMEOUT_SECS_MAX * CALLBACK_REST_FACTOR <= CALLBACK_DEFERRAL_SECS_MAX);
    assert!(CALLBACK_DEFERRAL_SECS_MAX <= QUEUE_DELAY_SECS_MAX);
    // A renewal of lease and message that was under way, the end of the work, its outcome, and a message that waits for another's.
    assert!(ABORT_GRACE.as_secs() + 5 * CALL_TIMEOUT.as_secs() < INVOCATION_MARGIN.as_secs());
    assert!(HEAD_GROWTH_BYTES < HEAD_BYTES_MAX / 2);
};
