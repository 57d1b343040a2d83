use crate::domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;

/// The fault of a key that [`is_idempotency_key`] refuses. Reads on after the key's pointer.
pub const IDEMPOTENCY_KEY_RULE: &str = "must have 1 to 255 printable ASCII characters";

/// Whether this is 1 to 255 printable ASCII characters.
#[must_use]
pub fn is_idempotency_key(key: &str) -> bool {
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable && (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
}
