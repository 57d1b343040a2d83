//! Cursors: where the next page of a list begins.
//!
//! A checksum binds a cursor to its owner and filters. A cursor that was changed or that belongs to
//! another list is refused, instead of giving a list with holes. It need not be secret: a caller
//! who forges one still reads only their own part of the index.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::operation::Owner;
use crate::domain::time::Timestamp;
use crate::store::{ListFilter, Position};

/// Bytes of the digest in a cursor: enough that a changed cursor never passes by chance.
const CHECKSUM_BYTES: usize = 12;
const MILLIS_BYTES: usize = 8;

/// Writes and reads the cursors of one owner's list under one filter.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    pub owner: &'a Owner,
    pub filter: &'a ListFilter,
}

impl Cursor<'_> {
    /// The cursor of a position, opaque to callers.
    #[must_use]
    pub fn encode(&self, position: &Position) -> String {
        let mut bytes = position.created_at.as_millis().to_be_bytes().to_vec();
        bytes.extend(position.id.as_str().bytes());
        bytes.extend(self.checksum(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position that a cursor names; `None` unless it was made for this owner and filter.
    #[must_use]
    pub fn decode(&self, cursor: &str) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if checksum != self.checksum(body) {
            return None;
        }
        let (millis, id) = body.split_at_checked(MILLIS_BYTES)?;
        let position = Position {
            id: std::str::from_utf8(id).ok()?.parse().ok()?,
            created_at: Timestamp::from_millis(i64::from_be_bytes(millis.try_into().ok()?)),
        };
        // The store would refuse a forged position outside the filter, which would be a 500.
        self.filter.spans(position.created_at).then_some(position)
    }

    fn checksum(&self, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let ListFilter {
            statuses,
            callback_status,
            function,
            created_after,
            created_before,
        } = self.filter;
        // `Debug` of plain values separates them, and a cursor need not outlive a deployment.
        let bound_to = format!(
            "{:?}",
            (
                self.owner,
                statuses,
                callback_status,
                function,
                created_after,
                created_before
            )
        );
        let digest: [u8; 32] = Sha256::new()
            .chain_update(bound_to)
            .chain_update(body)
            .finalize()
            .into();
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
        checksum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::OperationId;
    use crate::domain::transition::Status;

    fn position(millis: i64) -> Position {
        Position {
            id: OperationId::from_bytes([3; 12]),
            created_at: Timestamp::from_millis(millis),
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back_only_for_its_own_list(
            millis in 0_i64..4_000_000_000_000,
            function in proptest::option::of("[a-z]{1,5}"),
        ) {
            let [alice, bob] = ["alice", "bob"].map(|name| Owner::new("jwt", name).unwrap());
            let filter = ListFilter { function, ..ListFilter::default() };
            let other = ListFilter { statuses: vec![Status::Failed], ..filter.clone() };
            let own = Cursor { owner: &alice, filter: &filter };
            let text = own.encode(&position(millis));
            prop_assert_eq!(own.decode(&text), Some(position(millis)));
            prop_assert_eq!(Cursor { owner: &bob, filter: &filter }.decode(&text), None);
            prop_assert_eq!(Cursor { owner: &alice, filter: &other }.decode(&text), None);
        }

        #[test]
        fn a_changed_cursor_is_refused(
            index in 0_usize..64,
            change in 1_u8..255,
            noise in "\\PC{0,80}",
        ) {
            let owner = Owner::new("jwt", "alice").unwrap();
            let filter = ListFilter::default();
            let cursor = Cursor { owner: &owner, filter: &filter };
            let mut text = cursor.encode(&position(1)).into_bytes();
            if index < text.len() {
                text[index] = text[index].wrapping_add(change) & 0x7f;
                let changed = String::from_utf8(text).unwrap();
                prop_assume!(changed != cursor.encode(&position(1)));
                prop_assert_eq!(cursor.decode(&changed), None);
            }
            prop_assert_eq!(cursor.decode(&noise), None);
        }
    }
}
