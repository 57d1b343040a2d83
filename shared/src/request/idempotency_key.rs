use crate::domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;

/// The error of a key that [`is_idempotency_key`] refuses. Completes a sentence that begins with
/// the pointer.
pub const IDEMPOTENCY_KEY_RULE: &str = "must have 1 to 255 printable ASCII characters";

#[must_use]
pub fn is_idempotency_key(key: &str) -> bool {
    let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable && (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_names_the_longest_key() {
        assert!(IDEMPOTENCY_KEY_RULE.contains(&format!("1 to {IDEMPOTENCY_KEY_CHARS_MAX} ")));
        assert!(is_idempotency_key(&"x".repeat(IDEMPOTENCY_KEY_CHARS_MAX)));
        assert!(!is_idempotency_key(
            &"x".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1)
        ));
    }
}
