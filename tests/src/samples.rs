//! Values that tests begin with.

use std::time::Duration;

use shared::domain::callback::{Callback, CallbackEvent};
use shared::domain::id::{CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::{Operation, Origin, Owner, Payload, State};
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};

/// An operation of `alice`'s for `demo.echo`, submitted `now`: pending, with a deadline in an hour
/// and a callback for every event.
#[must_use]
pub fn pending_operation(now: Timestamp) -> Operation {
    Operation {
        id: OperationId::from_bytes([4; 12]),
        create_id: CreateId::from_bytes([4; 16]),
        owner: Owner::new("local", "alice").unwrap(),
        function: "demo.echo".into(),
        function_version: "1.0.0".into(),
        request_hash: None,
        state: State::Pending,
        lock_version: 1,
        attempt: 0,
        attempts_max: 3,
        created_at: now,
        updated_at: now,
        starts_at: None,
        deadline_at: now + Duration::from_secs(3600),
        expires_at: now + Duration::from_secs(86_400),
        retention_secs: 86_400,
        origin: Origin::default(),
        started_at: None,
        attempt_started_at: None,
        attempts: Vec::new(),
        progress: None,
        last_error: None,
        saved_state: None,
        arguments: Payload::Inline(r#"{"a":1}"#.parse::<Json>().unwrap()),
        metadata: Payload::Inline(Json::empty_object()),
        callback: Some(Callback::new(
            "https://example.com/".into(),
            CallbackEvent::ALL.to_vec(),
        )),
    }
}

/// Text that deflate cannot compress.
#[must_use]
pub fn incompressible(characters: usize) -> String {
    let random: &dyn Random = &SeededRandom::new(1);
    std::iter::repeat_with(|| {
        let [byte] = random.bytes::<1>();
        char::from(b'#' + byte % 57)
    })
    .filter(|character| *character != '\\')
    .take(characters)
    .collect()
}
