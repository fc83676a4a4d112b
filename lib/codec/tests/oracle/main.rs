//! Our bytes against the published messages (`opentelemetry-proto`): what they encode we read, what we encode they
//! read, in any order of fields, with unknown fields between; and no damage makes us panic.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "tests; the exemption of tests does not reach the functions beside them"
)]

mod logs;
mod metrics;
mod scramble;
mod traces;
mod values;

use proptest::prelude::*;

/// Random bytes, or valid ones that were cut or changed.
fn damage(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (valid, any::<prop::sample::Index>(), edits).prop_map(|(mut bytes, cut, edits)| {
        for (place, byte) in edits {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        let length = cut.index(bytes.len() + 1);
        bytes.truncate(length);
        bytes
    })
}
